//! The venues' dialects: one folder each, one line each in [`DIALECTS`].
//!
//! A dialect turns what happens on the exchange (or what a tape recorded) into its venue's
//! messages, and understands what that venue's clients say. It knows no socket and no clock: texts
//! and times come in, texts go out through the [`Desk`]. Books, crowd, tape and faults know no
//! dialect.
//!
//! ```text
//!   exchange --changed levels, prints--> live.rs --+
//!                                                  +--> texts --> faults --> connections
//!   tape     --recorded lines----------> taped.rs -+                            |
//!                  ^ subscribe, unsubscribe, ping, requests <--- mod.rs <-------+
//! ```

pub mod binance;
mod bybit;
mod coinbase;
mod kraken;
mod okx;
mod own;
mod paced;
pub mod stats;
pub mod tamper;
mod taped;
pub(crate) mod text;
mod usdm;
pub mod window;

use std::collections::VecDeque;
use std::io;

use crate::exchange::{Exchange, Private};
use crate::recorded::Entry;
use crate::rng::Rng;
use crate::symbol::SymbolSpec;
use crate::tape::{Line, Tape};
use crate::venue::{ConnId, Out, Text};

use tamper::DataFaults;

/// A dialect as the venue knows it.
pub struct Named {
    /// Its name on the command line.
    pub name: &'static str,
    /// What a generated market lists.
    pub symbols: fn() -> Vec<SymbolSpec>,
    /// Makes one.
    pub make: fn(&Setup) -> io::Result<Box<dyn Dialect>>,
    /// Where clients find what, below the address.
    pub paths: Paths,
}

/// Paths of a venue's endpoints; empty where it has none.
#[derive(Clone, Copy, Debug)]
pub struct Paths {
    /// Public market data.
    pub market: &'static str,
    /// Public market data of linear contracts, where they have their own.
    pub linear: &'static str,
    /// The WebSocket API.
    pub api: &'static str,
    /// Does it answer plain requests?
    pub rest: bool,
    /// Are its keys shared secrets?
    pub secret: bool,
}

/// Every dialect.
pub const DIALECTS: [Named; 6] =
    [binance::ENTRY, usdm::ENTRY, kraken::ENTRY, bybit::ENTRY, okx::ENTRY, coinbase::ENTRY];

/// The dialect of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Named> {
    DIALECTS.iter().find(|entry| entry.name == name)
}

/// What a dialect is made from.
pub struct Setup<'a> {
    /// The generated markets; empty with a tape.
    pub exchange: &'a Exchange,
    /// A recording of this venue, to be served verbatim.
    pub tape: Option<&'a Tape>,
    /// Checksums as they were before the venue stopped sending them.
    pub old_checksum: bool,
    /// The account's key, where the venue's keys are shared secrets.
    pub keys: &'a Keys,
}

/// A key that both sides know.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Its name.
    pub api_key: String,
    /// The secret.
    pub secret: String,
    /// The public half of a key pair (Ed25519).
    pub public_key: [u8; 32],
}

/// What the venue itself holds its connections to.
#[derive(Clone, Copy, Debug)]
pub struct ConnRules {
    /// WebSocket pings go out this often, ns; `None`: the client keeps alive.
    pub ping_every_ns: Option<u64>,
    /// A ping must be answered within this, ns.
    pub pong_timeout_ns: u64,
    /// Connections allowed in a window of this many ms, and the HTTP status of a refusal; `None`:
    /// the exchange's own limits count.
    pub connects: Option<(u32, u64, u16)>,
    /// Messages a second from a client, and how one that sends more is closed.
    pub messages_per_second: Option<(u32, u16, &'static str)>,
}

/// What a dialect works with during one call.
pub struct Desk<'a> {
    /// The exchange; without markets when a tape plays.
    pub exchange: &'a mut Exchange,
    /// What goes out.
    pub out: &'a mut VecDeque<(ConnId, Out)>,
    /// Answers to requests about orders, which faults may hit; true: to one that trades.
    pub answers: &'a mut Vec<(ConnId, String, bool)>,
    /// Faults waiting for depth messages.
    pub faults: &'a mut DataFaults,
    /// Made-up ids.
    pub rng: &'a mut Rng,
    /// The venue's time, Unix ns.
    pub now_ns: u64,
}

impl Desk<'_> {
    /// The venue's time, Unix ms.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ns / 1_000_000
    }

    /// Sends one text.
    pub fn say(&mut self, conn: ConnId, text: impl Into<Text>) {
        self.out.push_back((conn, Out::Text(text.into())));
    }

    /// Sends the same text to many.
    pub fn tell(&mut self, conns: &[ConnId], text: impl Into<Text>) {
        let text = text.into();
        for &conn in conns {
            self.out.push_back((conn, Out::Text(text.clone())));
        }
    }

    /// Sends a depth message of `symbol` to each of these, or what a fault makes of it.
    pub fn tell_depth(&mut self, symbol: &str, told: Vec<(ConnId, Text)>) {
        self.faults.pass(symbol, told, self.out);
    }

    /// As [`Desk::tell_depth`], the same text for all.
    pub fn tell_depth_all(&mut self, symbol: &str, conns: &[ConnId], text: String) {
        let text = Text::from(text);
        self.tell_depth(symbol, conns.iter().map(|&conn| (conn, text.clone())).collect());
    }

    /// Ends a connection with a close frame.
    pub fn close(&mut self, conn: ConnId, code: u16, reason: &'static str) {
        self.out.push_back((conn, Out::Close(code, reason)));
    }
}

/// A plain HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Path.
    pub path: &'a str,
    /// Behind the question mark.
    pub query: &'a str,
    /// Names in small letters, and values.
    pub headers: &'a [(String, String)],
    /// The body; empty for a GET.
    pub body: &'a str,
}

impl Ask<'_> {
    /// The header called `name`, in small letters; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The answer to a plain HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: String,
}

impl Page {
    /// A good answer.
    #[must_use]
    pub fn ok(body: String) -> Self {
        Self { status: 200, body }
    }
}

/// What goes out for a plain request: the answer and further lines of its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The answer.
    pub page: Page,
    /// Headers, each with its line end.
    pub headers: String,
}

/// One venue's language on its public market data connections. See the module.
pub trait Dialect: Send {
    /// What the venue holds connections to.
    fn rules(&self) -> ConnRules;

    /// A connection for this path opened.
    ///
    /// # Errors
    /// The HTTP status of the refusal.
    fn open(&mut self, desk: &mut Desk, conn: ConnId, path: &str, query: &str) -> Result<(), u16>;

    /// A connection is gone.
    fn close(&mut self, conn: ConnId);

    /// A text arrived.
    fn hear(&mut self, desk: &mut Desk, conn: ConnId, text: &str);

    /// The exchange changed; `prints` are its new trades in order.
    fn moved(&mut self, desk: &mut Desk);

    /// The 100 ms border; `second`: also a full second.
    fn border(&mut self, _desk: &mut Desk, _second: bool) {}

    /// When [`Dialect::tick`] is due, Unix ns; `u64::MAX` for never.
    fn next_ns(&self) -> u64 {
        u64::MAX
    }

    /// Does what is due by time.
    fn tick(&mut self, _desk: &mut Desk) {}

    /// Does somebody listen, so that a tape should start?
    fn is_heard(&self) -> bool;

    /// One line of the tape.
    fn play(&mut self, _desk: &mut Desk, _line: &Line) {}

    /// One line of a recording of Binance Spot.
    fn play_entry(&mut self, _desk: &mut Desk, _entry: &Entry) {}

    /// A plain request (GET); `None`: not found.
    fn page(&mut self, _desk: &mut Desk, _path: &str, _query: &str) -> Option<Page> {
        None
    }

    /// A plain request with everything that came with it; `None`: not found.
    fn ask(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        (ask.method == "GET").then(|| self.page(desk, ask.path, ask.query)).flatten()
    }

    /// Where orders go by plain requests: whether this one is about orders or a mere question of
    /// the account. `None` where faults of the account do not touch plain requests.
    fn is_order(&self, _ask: &Ask<'_>) -> Option<bool> {
        None
    }

    /// Further lines for the head of the answer to the last plain request.
    fn headers(&self) -> String {
        String::new()
    }

    /// Fees are taken in the quote asset on both sides.
    fn charges_quote(&self) -> bool {
        false
    }

    /// An order whose stop price is reached already is triggered at once, not refused.
    fn triggers_at_once(&self) -> bool {
        false
    }

    /// Connections at this path are the account's: they trade or hear what became of orders.
    fn is_private(&self, _path: &str) -> bool {
        false
    }

    /// Something happened to the account, to be told so many times.
    fn told(&mut self, _desk: &mut Desk, _event: &Private, _times: usize) {}

    /// `answer` as the venue words it when it does not know what became of the request.
    fn failed(&self, answer: &str) -> String {
        answer.to_owned()
    }

    /// Says that the server will go away, where the venue says such a thing.
    fn notice(&mut self, _desk: &mut Desk) {}

    /// Where the WebSocket API that trades is, if this dialect has one.
    fn trades_at(&self) -> Option<&'static str> {
        None
    }

    /// The venue's data service restarts: sequences begin anew, as the venue does it.
    fn restart_feed(&mut self, _desk: &mut Desk) {}
}

/// The value of a query parameter, `%2F` and `%2C` read as they are meant.
#[must_use]
pub fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back()?;
    Some(value.replace("%2F", "/").replace("%2f", "/").replace("%2C", ",").replace("%2c", ","))
}

/// A listed market: name, base and quote, tick, lot, starting price and typical order quantity,
/// the numbers as decimal texts (a mistake in them shows in every test: it becomes 1).
#[must_use]
pub(crate) fn listed(name: &str, pair: (&str, &str), numbers: [&str; 4]) -> SymbolSpec {
    let [tick, lot, start_price, unit_qty] =
        numbers.map(|text| crate::decimal::parse(text).unwrap_or(crate::decimal::ONE));
    let spec = SymbolSpec::new(pair.0, pair.1, tick, lot);
    SymbolSpec { name: name.to_owned(), start_price, unit_qty, ..spec }
}
