//! bot4-types
