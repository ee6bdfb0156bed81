//! bot4-feeds
