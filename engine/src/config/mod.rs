//! Configuration: TOML, every key known, every error with file, line, key and mend.
//!
//! It may be several files, each laid over those before it ([`layers`]). Reading has two steps.
//! [`schema`] is the shape: serde refuses unknown keys and wrong types with their place.
//! [`resolve`] turns the shape into a [`Config`], checking values against each other and files
//! against the disk; its errors carry the span of the value they are about.

pub mod account;
pub mod breaker;
pub mod credential;
pub mod error;
pub mod host;
pub mod layers;
mod mask;
pub mod resolve;
pub mod risk;
pub mod schema;
pub mod value;
pub mod venue;
pub mod worked;

use std::path::Path;

use serde::Deserialize as _;

pub use error::ConfigError;
use layers::Layers;
pub use resolve::{Config, Mode, StrategyConfig, VenueAccess, VenueConfig};

/// The embedded default configuration.
pub const DEMO: &str = include_str!("../../../deploy/config/demo.toml");

/// Reads the configuration in `paths`, each file laid over those before it; without any the
/// embedded default.
///
/// # Errors
/// A [`ConfigError`] that names file, line, key and mend.
pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Config, ConfigError> {
    if paths.is_empty() {
        return demo();
    }
    of(&Layers::read(paths)?)
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
    of(&Layers::one(path, text))
}

fn of(layers: &Layers) -> Result<Config, ConfigError> {
    let table = toml::Deserializer::from(layers.merged()?);
    let file = schema::File::deserialize(table)
        .map_err(|e| ConfigError::syntax(layers, e.span().unwrap_or(0..0), e.message()))?;
    resolve::resolve(file, layers).map_err(|issue| ConfigError::semantic(layers, issue))
}

#[cfg(test)]
mod deployed;
#[cfg(test)]
mod tests;
