//! Configuration: TOML, every key known, every error with file, line, key and mend.
//!
//! Reading has two steps. [`schema`] is the file's shape: serde refuses unknown keys and wrong
//! types with their place. [`resolve`] turns the shape into a [`Config`], checking values against
//! each other and files against the disk; its errors carry the span of the value they are about.

pub mod account;
pub mod breaker;
pub mod error;
pub mod host;
pub mod resolve;
pub mod risk;
pub mod schema;
pub mod value;
pub mod venue;
pub mod worked;

use std::path::Path;

pub use error::ConfigError;
pub use resolve::{Config, Mode, StrategyConfig, VenueAccess, VenueConfig};

/// The embedded default configuration.
pub const DEMO: &str = include_str!("../../../deploy/config/demo.toml");

/// Reads the configuration in `path`.
///
/// # Errors
/// A [`ConfigError`] that names file, line, key and mend.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|e| ConfigError::unreadable(path, &e))?;
    parse(&text, path)
}

/// The embedded default.
///
/// # Errors
/// Never for the embedded text; a test holds it to that.
pub fn demo() -> Result<Config, ConfigError> {
    parse(DEMO, Path::new("deploy/config/demo.toml"))
}

/// Parses `text`; `path` names it in errors and is the base of relative paths in it.
///
/// # Errors
/// See [`load`].
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let file: schema::File =
        toml::from_str(text).map_err(|e| ConfigError::syntax(path, text, &e))?;
    resolve::resolve(file, path).map_err(|issue| ConfigError::semantic(path, text, issue))
}

#[cfg(test)]
mod tests;
