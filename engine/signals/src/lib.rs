//! bot4-signals
