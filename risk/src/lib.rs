//! bot4-risk
