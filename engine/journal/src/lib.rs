//! bot4-journal
