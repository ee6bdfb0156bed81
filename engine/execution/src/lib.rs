//! Execution: the only way an order reaches a venue, and the only place that knows its state.
//!
//! ```text
//!  risk --approved--> waiting --(journaled? killed? expired?)--> gateway.place --> link ==> venue
//!                                                                                   |
//!  risk <--reports-- outbox <-- desk (orders, booked trades) <-- facts <-- gateway.decode <--'
//!                       '--log--> journal
//! ```
//!
//! * [`gateway`] is what a venue's dialect must do: write requests, turn messages into facts.
//!   One file a venue, like [`binance`]; [`rows`] is what the others share.
//! * [`desk`] holds the orders and applies facts: pure, no socket, no clock. Cumulative
//!   quantities only grow, a trade id is booked once, an ending waits for its fills.
//! * [`foreign`]: what others do on the account stops all trading, unless it is declared.
//! * [`transitions`] is the one table of an order's life: state and event to the next state.
//! * [`desk_input`] is all that changes the desk, recorded as it is applied: fed to a fresh desk by
//!   [`replay`], the same inputs make the same reports.
//! * [`link`] holds the connections and their session; [`requests`] what is unanswered; a
//!   [`courier`] carries what a venue answers over HTTPS only, a [`requester`] sends what a venue
//!   takes that way, orders included; [`pause`] is the venue's wish for fewer of them.
//! * [`agent`] ties them into a turn: reports that wait for room leave first, then the venue is
//!   heard, then approved orders are sent as far as the journal has their records.
//!
//! **Unknown is a state.** A connection that breaks makes every order that may have reached the
//! venue unknown. After the reconnect the session asks for each of them, for the fills since the
//! last booked trade and for the balances; orders leave again when all is answered. "Does not
//! exist" ends an order only when the venue never had it and its request can no longer arrive: one
//! second after its window. A fill or an open state never ends more doubt than it proves: an open
//! order whose told quantity exceeds its booked fills is asked for them.

pub mod agent;
pub mod binance;
pub mod bybit;
pub mod coinbase;
pub mod courier;
pub mod desk;
pub mod desk_input;
mod ended;
pub mod foreign;
pub mod gateway;
pub mod kraken;
pub mod link;
pub mod okx;
mod open_list;
pub mod order;
mod pages;
pub mod pause;
pub mod replay;
pub mod requester;
pub mod requests;
pub mod rows;
mod session;
pub mod table;
pub mod transitions;
mod upkeep;
pub mod venue_clock;
mod windows;

pub use agent::{ExecutionAgent, ExecutionConfig, ExecutionPorts};
pub use binance::BinanceGateway;
pub use bybit::BybitGateway;
pub use coinbase::CoinbaseGateway;
pub use courier::Courier;
pub use gateway::Gateway;
pub use kraken::KrakenGateway;
pub use okx::OkxGateway;
pub use replay::{ReplayError, Replayer};
pub use requester::Requester;
