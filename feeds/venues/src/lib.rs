//! Venue dialects without input or output: bytes and `now` in; bytes and integer events out.
//!
//! ```text
//!  frame bytes --> MarketDecoder --> Sink { staged MarketEvents, LevelBlock pool } --> books
//!                    | exact keys, exact order: `scan` (5 to 10 ns a level), compiled for AVX-512,
//!                    |                          AVX2 and plain words, matched once a message
//!                    '-anything else: `json` (simd-json on a scratch copy), also the oracle
//!
//!  approved order --> binance::orders::Encoder --> request text  (signed where it must be)
//!  private bytes  --> binance::private::ApiDecoder --> ApiMessage (answers and user events)
//!  elsewhere      --> VENUE::{orders, private}: requests by socket and by `rest`, `account` rows
//!                     `place::Place` in, the words of a message to rows by `account::Names`
//!  request counts --> limits::RateBudget          (windows aligned to the venue's clock)
//! ```
//!
//! * **Sans-IO.** Nothing here opens a socket, reads a clock or sleeps. The live client, the
//!   offline tools and the simulator run the same files.
//! * **Two readers, one meaning.** Hot market messages are read by a scanner that knows the exact
//!   text a venue sends: keys, order, no blanks. Whatever deviates in the smallest way goes to
//!   the general reader. Property tests hold the two together: on every message both give the
//!   same events or both refuse.
//! * **Numbers are text to integers, exactly.** A digit that does not fit the instrument's scale
//!   is an error, never a rounding.
//! * **No allocation after `start`** in market decoding: level blocks come from a pool and return
//!   by a ring, the scratch copy and its tape are made once at their largest size. Request
//!   encoding writes into a caller's buffer; private decoding reuses its lists.
//! * **Bytes of the network can never panic** and never produce a half message: an event is
//!   staged complete or not at all.
//!
//! A new venue is a folder beside [`okx`] and a line in each table of [`registry`]: `ADDING.md`
//! beside this crate's manifest goes through it step by step.

pub mod account;
pub mod binance;
pub mod bybit;
pub mod catalogue;
pub mod client_text;
pub mod coinbase;
pub mod json;
pub mod kraken;
pub mod limits;
pub mod listing;
pub mod market;
pub mod number;
pub mod okx;
pub mod pace;
pub mod place;
pub mod registry;
pub mod rest;
pub mod scan;
pub mod secret;
pub mod secret_text;
pub mod session;
pub mod stage;
pub mod symbols;
pub mod url;
pub mod write;

pub use bot4_simd::TextKernels;
pub use catalogue::{Catalogue, CatalogueError, CatalogueRequest};
pub use client_text::ClientText;
pub use limits::{RateBudget, RateLimits, Usage, Window};
pub use market::{BlockPool, DecodeError, Decoded, Ignored, Input, MarketDecoder, Notice, Sink};
pub use registry::{NotInBuild, Venue};
pub use session::{ConnectionLimits, KeepAlive, MarketSession};
