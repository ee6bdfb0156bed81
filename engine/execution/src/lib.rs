//! bot4-execution
