//! bot4-alloc
