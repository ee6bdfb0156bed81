//! What a wire agent must know about a venue to hold its market data connections.
//!
//! Pure: instruments in, text out. The agent owns sockets, time, budgets and reconnects; the
//! venue only says what to ask for and what it allows. Called on the cold side (connect,
//! resync), except [`MarketSession::is_shutdown_notice`].

use bot4_types::{Instrument, Nanos};

/// Longest message in bytes that is offered to [`MarketSession::is_shutdown_notice`]; every
/// known notice is below half of it.
pub const SHUTDOWN_NOTICE_LEN_MAX: usize = 256;
/// No refusal is longer than this.
pub const REFUSAL_LEN_MAX: usize = 1_024;

/// What a venue allows on one connection. Zero: no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The venue cuts a connection after this time.
    pub life: Nanos,
    /// Connects in five minutes from one address.
    pub connects_per_5min: u32,
    /// Messages a second from the client, pings included.
    pub messages_per_s: u32,
    /// Streams (channel and instrument) on one connection.
    pub streams_max: u32,
}

/// A text that the client must send now and then so that the venue keeps the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How often.
    pub every: Nanos,
    /// The text.
    pub text: &'static [u8],
}

/// A venue's market data session: one stream connection for a share of the instruments and,
/// where snapshots are asked for, one connection for those requests.
pub trait MarketSession: Send {
    /// Path and query of the stream connection's upgrade request for these instruments, with its
    /// leading `/`, for example `/stream?streams=btcusdt@depth@100ms/btcusdt@trade`.
    fn stream_path(&self, instruments: &[Instrument]) -> String;

    /// Appends the text messages to send, in order, when the stream connection is open. Nothing
    /// appended: nothing is sent (the path already named the streams).
    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<Vec<u8>>);

    /// Appends the text messages that make the stream send a fresh snapshot of `instrument`
    /// (unsubscribe, subscribe), for venues whose snapshots are streamed. Nothing appended: the
    /// connection must be made anew.
    fn resubscribe(&self, _instrument: &Instrument, _out: &mut Vec<Vec<u8>>) {}

    /// The text that keeps the stream connection open.
    fn keep_alive(&self) -> Option<KeepAlive> {
        None
    }

    /// What the venue allows.
    fn limits(&self) -> ConnectionLimits;

    /// Streams that `instruments` take of [`ConnectionLimits::streams_max`]: books, best quotes
    /// and trades of each, where the venue does not count otherwise.
    fn streams(&self, instruments: &[Instrument]) -> usize {
        3 * instruments.len()
    }

    /// Path and query of the snapshot connection's upgrade request, with its leading `/`;
    /// `None` where snapshots are streamed.
    fn snapshot_path(&self) -> Option<String>;

    /// Appends the one text message that asks for a snapshot of `instrument`. The answer must be
    /// recognisable by the venue's parser: the request's `id` is the instrument's index.
    fn snapshot_request(&self, _instrument: &Instrument, _out: &mut Vec<u8>) {}

    /// What one snapshot request costs of the venue's request weight.
    fn snapshot_weight(&self) -> u32 {
        0
    }

    /// The request weight per minute that this session may spend: its share of what the venue
    /// grants the address. Zero where there is no such limit.
    fn weight_limit_per_min(&self) -> u32 {
        0
    }

    /// For how many milliseconds the venue wants no further request, where `answer`, one of at most
    /// [`REFUSAL_LEN_MAX`] bytes on the snapshot connection, refuses for the rate.
    fn pause_told(&self, _answer: &[u8]) -> Option<u64> {
        None
    }

    /// Whether `text` announces that the server goes away, so that the agent opens a new
    /// connection at once. Called on the wire's hot path for every message of at most
    /// [`SHUTDOWN_NOTICE_LEN_MAX`] bytes: compare a fixed prefix, do not parse.
    fn is_shutdown_notice(&self, text: &[u8]) -> bool;
}
