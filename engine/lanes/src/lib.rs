//! bot4-lanes
