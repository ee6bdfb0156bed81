//! bot4-sim
