//! The simulated venue: the Binance Spot dialect over real TLS and WebSocket, with a matching
//! engine, an account, filters, limits and faults.
//!
//! It is an independent implementation: it shares no decoder, encoder or type with the engine that
//! trades on it, so that both cannot agree on the same mistake. Golden samples bind both.
//!
//! ```text
//!            sockets, TLS, clock          text in, text out, time in             pure
//!          +---------------------+     +--------------------------+     +--------------------+
//!  client  | server   session    |     | venue                    |     | exchange           |
//!  ------->| epoll -> Hub -------|---->|  control  (market conns) |     |  filters, limits   |
//!          |  ^        |         |     |  api*     (API conns) ---|---->|  matching  account |
//!          |  |        | Journal |     |                          |     |  orders            |
//!          |  |        v first   |     |                          |     +----^----------+----+
//!  <-------|--+-- outputs <------|-----|-- streams <- feed <------|--prints  |          |events
//!          |                     |     |-- report, position <-----|----------|----------+
//!          | tls (own authority) |     |                          |          |
//!          | state (folder)      |     |  pulse: crowd, 100 ms    |----------+
//!          +---------------------+     |  border, pings, script   |  generator | recorded
//!                                      +--------------------------+
//! ```
//!
//! Parts, from the inside out:
//! - [`decimal`]: exact money, eight digits. [`matching`]: price-time priority. [`account`],
//!   [`orders`], [`filters`], [`limits`]: what the exchange checks and keeps.
//! - [`exchange`]: all of it joined; every change goes through here.
//! - [`generator`], [`recorded`]: who trades besides the client.
//! - [`streams`], [`feed`], [`report`], [`api`]: the wire's words.
//! - [`venue`]: the whole venue without sockets and clocks: `connect`, `on_text`, `tick`,
//!   `poll_record`, `poll_output`, `next_timeout`. The same configuration, inputs and times give
//!   the same outputs, however often it is ticked.
//! - [`session`]: WebSocket over any `Read + Write`; [`session::MemoryServer`] for simulations.
//! - [`server`]: the process: [`server::run`] with [`server::VenueOptions`].
//!
//! Rules that hold throughout:
//! - Time is Unix nanoseconds, given with every call. Only [`server`] reads a clock.
//! - Randomness comes from one seed ([`rng`]); keys alone come from the system.
//! - An account record ([`store`]) is written before the answer that depends on it is sent: a kill
//!   at any instruction loses nothing that a client was told.
//! - Money is conserved: what the account pays and receives is exactly the trades' value and fees.
//!
//! Where the real venue gives no order (an answer and its events), one answer in eight comes after
//! its events here, so that clients learn to cope.

pub mod account;
pub mod control;
pub mod decimal;
pub mod dialect;
pub mod error;
pub mod exchange;
mod faults;
pub mod filters;
pub mod generator;
pub mod limits;
pub mod matching;
pub mod orders;
mod player;
mod pulse;
pub mod recorded;
pub mod report;
pub mod rng;
pub mod script;
pub mod server;
pub mod session;
pub mod state;
pub mod store;
pub mod symbol;
pub mod tape;
pub mod tls;
pub mod venue;

pub use dialect::binance::api::Credentials;
pub use server::{MarketChoice, Ready, VenueOptions, run};
pub use session::MemoryServer;
pub use venue::{Config, ConnId, MarketSource, Out, Text, Venue};
