//! placeholder
pub mod mapped;
