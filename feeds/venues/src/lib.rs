//! bot4-venues
