//! The simulated venue: the public market data of six venues in their own dialects, over real TLS
//! and WebSocket, and Binance Spot with a matching engine to trade on: an account, filters, limits.
//! All of them with faults on demand.
//!
//! It is an independent implementation: it shares no decoder, encoder or type with the engine that
//! trades on it, so that both cannot agree on the same mistake. Golden samples bind both.
//!
//! ```text
//!            sockets, TLS, clock          text in, text out, time in             pure
//!          +---------------------+     +--------------------------+     +--------------------+
//!  client  | server   session    |     | venue                    |     | exchange           |
//!  ------->| epoll -> Hub -------|---->|  dialect/<venue>  -------|---->|  filters, limits   |
//!          |  ^        |         |     |   (market connections,   |     |  matching  account |
//!          |  |        | Journal |     |    requests; binance:    |     |  orders            |
//!          |  |        v first   |     |    the API that trades)  |     +----^----------+----+
//!  <-------|--+-- outputs <------|-----|-- faults <- texts <------|--prints  |          |events
//!          |                     |     |-- report, position <-----|----------|----------+
//!          | tls (own authority) |     |                          |          |
//!          | state (folder)      |     |  pulse: crowd, tape,     |----------+
//!          +---------------------+     |  timers, pings, script   |  generator | recorded, tape
//!                                      +--------------------------+
//! ```
//!
//! Parts, from the inside out:
//! - [`decimal`]: exact money, eight digits. [`matching`]: price-time priority. [`account`],
//!   [`orders`], [`filters`], [`limits`]: what the exchange checks and keeps.
//! - [`exchange`]: all of it joined; every change goes through here. It knows no dialect.
//! - [`generator`], [`recorded`]: who trades besides the client. [`tape`]: lines of any venue.
//! - [`dialect`]: one folder a venue (binance, binance-usdm, kraken, bybit, okx, coinbase) turns
//!   changes of the exchange, or lines of a tape, into that venue's messages. A tape is served
//!   verbatim; whoever comes in mid-stream first gets a snapshot of what was played so far.
//! - [`script`] and [`control`]: faults by time and on demand, the same words for all.
//! - [`venue`]: the whole venue without sockets and clocks: `connect`, `get`, `on_text`, `tick`,
//!   `poll_record`, `poll_output`, `next_timeout`. The same configuration, inputs and times give
//!   the same outputs, however often it is ticked.
//! - [`session`]: WebSocket and plain requests over any `Read + Write`;
//!   [`session::MemoryServer`] for simulations.
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
pub mod change;
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
mod mishap;
pub mod orders;
mod plain;
mod player;
mod pulse;
pub mod recorded;
pub mod report;
pub mod rng;
pub mod script;
pub mod server;
pub mod session;
mod setup;
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
