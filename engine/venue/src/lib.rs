//! bot4-venue
