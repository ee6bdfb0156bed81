//! bot4-telemetry
