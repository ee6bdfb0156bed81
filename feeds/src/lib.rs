//! bot4-feeds

pub mod parse_agent;

pub use parse_agent::{ParseAgent, ParsePorts};
