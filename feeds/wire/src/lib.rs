//! bot4-wire
