//! bot4-book
