//! placeholder
#![allow(missing_docs)]
pub mod account; pub mod api; mod api_query; mod api_trade; mod control; pub mod decimal; pub mod error; pub mod exchange; pub mod feed; pub mod filters; pub mod generator; pub mod limits; pub mod matching; pub mod orders; mod params; mod pulse; pub mod recorded; pub mod report; pub mod rng; pub mod script; pub mod store; pub mod streams; pub mod symbol; pub mod venue;
