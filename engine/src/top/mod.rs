//! `bot4 top`: a running engine in a terminal.
//!
//! ```text
//! counters file --Reader--> Snapshot --tabs::grids--> grids --screen::draw--> terminal
//!                               '-- the one before, for rates    '--text--> `--once`
//! keys --App::key--> tab, sort, scroll, kill (by the operator's socket, as `bot4 kill` asks)
//! ```
//!
//! * [`app`] is what the keys change; it knows no terminal.
//! * [`tabs`] makes grids of a snapshot: once for the screen and for plain text.
//! * [`screen`] draws; everything fits into 80 columns and 24 lines.
//!
//! Invariant: the engine never waits for this process. It reads mapped words; the one thing that it
//! ever sends is a kill that a person confirmed.

pub mod app;
pub mod grid;
pub mod live;
pub mod screen;
pub mod tabs;

pub use app::App;

#[cfg(test)]
mod fixture;
