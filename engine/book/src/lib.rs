//! bot4-book
mod far;
pub mod ladder;
pub mod naive;
mod window;
pub use far::Full;
pub use ladder::*;
pub use naive::NaiveBook;
