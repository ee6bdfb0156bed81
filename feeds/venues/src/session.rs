//! What a wire agent must know about a venue to hold its market data connections.
//!
//! Pure: instruments in, text out. The agent owns sockets, time, budgets and reconnects; the
//! venue only says what to ask for. Called on the cold side (connect, resync), except
//! [`MarketSession::is_shutdown_notice`].

use bot4_types::Instrument;

/// Longest message in bytes that is offered to [`MarketSession::is_shutdown_notice`]; every
/// known notice is below half of it.
pub const SHUTDOWN_NOTICE_LEN_MAX: usize = 256;

/// A venue's market data session: one stream connection for a share of the instruments and one
/// connection for snapshot requests.
pub trait MarketSession: Send {
    /// Path and query of the stream connection's upgrade request for these instruments, with its
    /// leading `/`, for example `/stream?streams=btcusdt@depth@100ms/btcusdt@trade`.
    fn stream_path(&self, instruments: &[Instrument]) -> String;

    /// Appends the one text message to send when the stream connection is open. Nothing
    /// appended: nothing is sent (the path already named the streams).
    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<u8>);

    /// Path and query of the snapshot connection's upgrade request, with its leading `/`.
    fn snapshot_path(&self) -> String;

    /// Appends the one text message that asks for a snapshot of `instrument`. The answer must be
    /// recognisable by the venue's parser: the request's `id` is the instrument's index.
    fn snapshot_request(&self, instrument: &Instrument, out: &mut Vec<u8>);

    /// What one snapshot request costs of the venue's request weight.
    fn snapshot_weight(&self) -> u32;

    /// The request weight per minute that this session may spend: its share of what the venue
    /// grants the address. Zero where there is no such limit.
    fn weight_limit_per_min(&self) -> u32;

    /// Whether `text` announces that the server goes away, so that the agent reconnects at once.
    /// Called on the wire's hot path for every message of at most [`SHUTDOWN_NOTICE_LEN_MAX`]
    /// bytes: compare a fixed prefix, do not parse.
    fn is_shutdown_notice(&self, text: &[u8]) -> bool;
}
