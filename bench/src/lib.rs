//! bot4-bench
