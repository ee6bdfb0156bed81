//! The simulated venue without sockets and clocks: texts and times in, texts out.
//!
//! Invariants: the same configuration, inputs and times give the same outputs, however often it
//! is ticked in between (a pause of more than 2 s is a stall and not made up for); an account
//! record is queued before the answer that depends on it. Time is Unix ns, never going back.
//! Cost: idle connections cost nothing but their pings; messages nobody hears are not written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use crate::account::{Account, Fees, position_event};
use crate::control::Control;
use crate::decimal::ONE;
use crate::dialect::binance::api::{ApiSession, Call, Credentials};
use crate::dialect::tamper::DataFaults;
use crate::dialect::{ConnRules, Desk, Dialect, Keys, Reply};
use crate::exchange::{Exchange, Private};
use crate::generator::Activity;
use crate::limits::{LimitRules, Limits, Window};
use crate::pulse::{Fate, Pulse};
use crate::recorded::Recording;
use crate::rng::Rng;
use crate::script::Timed;
use crate::setup::{Words, api_session, begin, fund_recorded, market, restore};
use crate::store::{Record, Stored};
use crate::symbol::SymbolSpec;
use crate::tape::Tape;

/// A connection, named by whoever runs the venue.
pub type ConnId = u64;
/// A text message that is cheap to clone.
pub type Text = tungstenite::Utf8Bytes;

/// Something for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// A text message.
    Text(Text),
    /// A ping with this payload.
    Ping(String),
    /// A close frame with code and reason; then the connection ends.
    Close(u16, &'static str),
    /// The connection ends without a word.
    Drop,
    /// The connection is reset: whatever was under way is lost.
    Reset,
    /// Half a TLS record leaves, and then nothing any more.
    Stall,
    /// The answer to a plain request.
    Reply(Box<Reply>),
}

/// What trades.
#[derive(Debug)]
pub enum MarketSource {
    /// The seeded crowd.
    Generated(Activity),
    /// A recording, played at `speed_milli` / 1000 times its pace from the first market
    /// connection on; with `trade` its levels and trades become a crowd to trade against.
    Recorded {
        /// The recording.
        recording: Recording,
        /// Trade against it?
        trade: bool,
        /// 1000 is the recorded pace.
        speed_milli: u64,
    },
    /// A recording of any venue but Binance Spot, served verbatim from shortly after the first
    /// subscription on.
    Taped {
        /// The recording.
        tape: Tape,
        /// 1000 is the recorded pace.
        speed_milli: u64,
    },
}

/// Everything that makes a venue what it is.
#[derive(Debug)]
pub struct Config {
    /// Whose dialect to speak, see [`crate::dialect::DIALECTS`].
    pub venue: &'static str,
    /// Checksums as before the venue stopped sending them (OKX).
    pub old_checksum: bool,
    /// Seed of the crowd and of made-up ids.
    pub seed: u64,
    /// The listed markets (a recording brings its own).
    pub symbols: Vec<SymbolSpec>,
    /// What trades.
    pub market: MarketSource,
    /// Free balances at the very first start.
    pub balances: Vec<(String, i128)>,
    /// Fee rates.
    pub fees: Fees,
    /// Rate limits.
    pub limits: LimitRules,
    /// The account's key.
    pub credentials: Credentials,
    /// The secret that both sides know, where the venue's keys are shared secrets.
    pub secret: String,
    /// Time between pings, ms.
    pub ping_every_ms: u64,
    /// A connection without a pong for this long is closed, ms.
    pub pong_timeout_ms: u64,
    /// Connections but those of control are closed after this long, ms.
    pub life_ms: u64,
    /// One answer in this many follows its events instead of preceding them (0: never); the real
    /// venue gives no order.
    pub crossed_answer_in: u64,
    /// Timed faults.
    pub script: Vec<Timed>,
}

impl Config {
    /// The default venue: four generated markets, a funded account, high limits.
    #[must_use]
    pub fn new(seed: u64, credentials: Credentials) -> Self {
        let fund = |asset: &str, units: i64| (asset.to_owned(), i128::from(units * ONE));
        Self {
            venue: "binance",
            old_checksum: false,
            seed,
            symbols: SymbolSpec::defaults(),
            market: MarketSource::Generated(Activity::default()),
            balances: vec![
                fund("BTC", 10),
                fund("ETH", 100),
                fund("SOL", 5_000),
                fund("BNB", 500),
                fund("USDT", 1_000_000),
            ],
            fees: Fees { maker_e8: 100_000, taker_e8: 100_000 },
            limits: LimitRules::HIGH,
            credentials,
            secret: String::new(),
            ping_every_ms: 20_000,
            pong_timeout_ms: 60_000,
            life_ms: 86_400_000,
            crossed_answer_in: 8,
            script: Vec::new(),
        }
    }
}

pub(crate) enum Role {
    Market,
    /// The account's, in the dialect's own words.
    Private,
    Api(ApiSession),
    Control,
}

/// Where faults are ordered, see [`crate::control`].
pub const CONTROL_PATH: &str = "/control";
/// Longer than any run, and far from overflowing.
const NEVER_NS: u64 = u64::MAX / 4;

pub(crate) struct Conn {
    pub role: Role,
    pub opened_ns: u64,
    pub next_ping_ns: u64,
    pub pong_due_ns: Option<u64>,
    /// Open, but dead: nothing is read or sent any more.
    pub is_frozen: bool,
    /// Everything for it is this late, ns.
    pub lag_ns: u64,
    /// When the last message that lags is due: nothing may overtake it.
    lagging_until_ns: u64,
    messages: Window,
}

impl Conn {
    /// When the venue closes it for its age.
    pub const fn end_ns(&self, life_ns: u64) -> u64 {
        match self.role {
            Role::Control => u64::MAX,
            _ => self.opened_ns.saturating_add(life_ns),
        }
    }
}

/// The venue.
pub struct Venue {
    pub(crate) exchange: Exchange,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) faults: DataFaults,
    pub(crate) control: Control,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    /// Connections for plain requests by which orders came.
    pub(crate) askers: BTreeSet<ConnId>,
    pub(crate) out: VecDeque<(ConnId, Out)>,
    pub(crate) answers: Vec<(ConnId, String, bool)>,
    pub(crate) records: VecDeque<String>,
    pub(crate) pulse: Pulse,
    pub(crate) ping_every_ns: u64,
    pub(crate) pong_timeout_ns: u64,
    pub(crate) life_ns: u64,
    pub(crate) rules: ConnRules,
    connects: Option<Window>,
    dialect_rng: Rng,
    credentials: Credentials,
    crossed_answer_in: u64,
    rng: Rng,
}

impl Venue {
    /// A new venue, or one that goes on where `stored` left the account.
    ///
    /// # Errors
    /// If a recording cannot be read again, or the venue's name is unknown.
    pub fn new(config: Config, stored: Stored) -> io::Result<Self> {
        let mut rng = Rng::new(config.seed);
        let mut symbols = config.symbols;
        let mut balances = config.balances;
        let mut source = config.market;
        match &mut source {
            MarketSource::Generated(_) => fund_recorded(&symbols, &mut balances),
            MarketSource::Recorded { recording, .. } => {
                symbols = std::mem::take(&mut recording.symbols);
                fund_recorded(&symbols, &mut balances);
            }
            MarketSource::Taped { .. } => symbols.clear(),
        }
        let markets = symbols.into_iter().map(|spec| market(spec, &stored)).collect();
        let account = Account::new(&balances);
        let limits = Limits::new(config.limits);
        let ids_rng = Rng::new(rng.bits());
        let mut exchange = Exchange::new(markets, account, limits, config.fees, ids_rng);
        restore(&mut exchange, stored);
        let Credentials { api_key, public_key } = config.credentials.clone();
        let words = Words {
            venue: config.venue,
            old_checksum: config.old_checksum,
            keys: Keys { api_key, secret: config.secret, public_key },
        };
        let (pulse, dialect) = begin(&words, source, config.script, &mut exchange, &mut rng)?;
        exchange.fees_in_quote = dialect.charges_quote();
        exchange.triggers_at_once = dialect.triggers_at_once();
        let rules = dialect.rules();
        let own = dialect.trades_at().is_some();
        let ping_every_ns = config.ping_every_ms * 1_000_000;
        let pong_timeout_ns = config.pong_timeout_ms * 1_000_000;
        let mut venue = Self {
            exchange,
            dialect,
            faults: DataFaults::default(),
            control: Control::default(),
            conns: BTreeMap::new(),
            askers: BTreeSet::new(),
            out: VecDeque::new(),
            answers: Vec::new(),
            records: VecDeque::new(),
            pulse,
            ping_every_ns: if own {
                ping_every_ns
            } else {
                rules.ping_every_ns.unwrap_or(NEVER_NS)
            },
            pong_timeout_ns: if own { pong_timeout_ns } else { rules.pong_timeout_ns },
            life_ns: config.life_ms.saturating_mul(1_000_000),
            rules,
            connects: rules.connects.map(|(_, window_ms, _)| Window::new(window_ms)),
            dialect_rng: Rng::new(config.seed ^ 0x6469_616c_6563_7473),
            credentials: config.credentials,
            crossed_answer_in: config.crossed_answer_in,
            rng,
        };
        venue.record_everything();
        Ok(venue)
    }

    /// A handshake for `path_and_query` arrived.
    ///
    /// # Errors
    /// The HTTP status of the refusal: 400, 403, 404, 418 (banned), 429 (too many connects), or
    /// 503 while the venue is down.
    pub fn connect(&mut self, conn: ConnId, path_and_query: &str, now_ns: u64) -> Result<(), u16> {
        let now_ns = self.advance(now_ns);
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let role = if path == CONTROL_PATH {
            Role::Control
        } else {
            self.admit(now_ns / 1_000_000)?;
            if self.dialect.trades_at() == Some(path) {
                Role::Api(api_session(query, now_ns / 1_000_000)?)
            } else {
                self.speak(|dialect, desk| dialect.open(desk, conn, path, query))?;
                if self.dialect.is_private(path) { Role::Private } else { Role::Market }
            }
        };
        let pinged = !matches!(role, Role::Control);
        let fresh = Conn {
            role,
            opened_ns: now_ns,
            next_ping_ns: if pinged { now_ns.saturating_add(self.ping_every_ns) } else { u64::MAX },
            pong_due_ns: None,
            is_frozen: false,
            lag_ns: 0,
            lagging_until_ns: 0,
            messages: Window::new(1000),
        };
        self.conns.insert(conn, fresh);
        self.control.connected += 1;
        self.start_tape();
        Ok(())
    }

    /// May one more connection come in?
    fn admit(&mut self, now_ms: u64) -> Result<(), u16> {
        if self.pulse.is_down() {
            return Err(503);
        }
        if let (Some((most, _, status)), Some(window)) = (self.rules.connects, &mut self.connects) {
            return if window.add(1, now_ms) > most { Err(status) } else { Ok(()) };
        }
        if self.exchange.limits.ban(now_ms).is_some() {
            return Err(418);
        }
        if self.exchange.limits.connect(now_ms) { Ok(()) } else { Err(429) }
    }

    /// Stores and tells what requests in the dialect's own words changed. Answers go before the
    /// events that they cause, or behind them, as it happens.
    pub(crate) fn settle_requests(&mut self) {
        if self.answers.is_empty() && self.exchange.events.is_empty() {
            return;
        }
        let answers = std::mem::take(&mut self.answers);
        self.note_fills();
        self.commit();
        if !answers.is_empty() && self.rng.one_in(self.crossed_answer_in) {
            self.tell_events();
        }
        for (conn, text, is_trade) in answers {
            let text = match self.pulse.fate(is_trade) {
                Fate::Lost => continue,
                Fate::Failed => self.dialect.failed(&text),
                Fate::Sent => text,
            };
            self.answer(conn, text, is_trade);
        }
        self.tell_events();
        self.tell_markets();
    }

    /// A tape plays from the first listener on.
    fn start_tape(&mut self) {
        if self.dialect.is_heard() {
            self.pulse.start_tape();
        }
    }

    /// The connection is gone.
    pub fn disconnect(&mut self, conn: ConnId) {
        self.askers.remove(&conn);
        if self.conns.remove(&conn).is_some_and(|c| matches!(c.role, Role::Market | Role::Private))
        {
            self.dialect.close(conn);
        }
    }

    /// A text message arrived.
    pub fn on_text(&mut self, conn: ConnId, text: &str, now_ns: u64) {
        let now_ns = self.advance(now_ns);
        if !self.count_message(conn, now_ns) {
            return;
        }
        match self.conns.get(&conn).map(|c| &c.role) {
            None => {}
            Some(Role::Market) => {
                self.speak(|dialect, desk| dialect.hear(desk, conn, text));
                self.start_tape();
            }
            Some(Role::Private) => {
                self.speak(|dialect, desk| dialect.hear(desk, conn, text));
                self.settle_requests();
            }
            Some(Role::Api(_)) => self.on_request(conn, text, now_ns),
            Some(Role::Control) => self.on_control(conn, text),
        }
    }

    /// Lets the dialect speak; what it says passes the faults of connections.
    pub(crate) fn speak<R>(&mut self, speech: impl FnOnce(&mut dyn Dialect, &mut Desk) -> R) -> R {
        let before = self.out.len();
        let mut desk = Desk {
            exchange: &mut self.exchange,
            out: &mut self.out,
            answers: &mut self.answers,
            faults: &mut self.faults,
            rng: &mut self.dialect_rng,
            now_ns: self.pulse.now_ns(),
        };
        let said = speech(self.dialect.as_mut(), &mut desk);
        if self.out.len() > before && (self.pulse.is_silent() || self.control.has_odd_lines) {
            self.hold_back(before);
        }
        said
    }

    /// Drops what silenced connections were told and delays what lagging ones were.
    fn hold_back(&mut self, before: usize) {
        let (silent, now_ns) = (self.pulse.is_silent(), self.pulse.now_ns());
        for (conn, out) in self.out.split_off(before) {
            let Some(at) = self.conns.get_mut(&conn) else {
                self.out.push_back((conn, out));
                continue;
            };
            if at.is_frozen || (silent && !matches!(at.role, Role::Private)) {
                continue;
            }
            let due_ns = (now_ns + at.lag_ns).max(at.lagging_until_ns);
            if due_ns > now_ns {
                at.lagging_until_ns = due_ns;
                self.pulse.lag_until(due_ns, conn, out);
            } else {
                self.out.push_back((conn, out));
            }
        }
    }

    /// A ping arrived (the transport answers it); it counts on market connections.
    pub fn on_ping(&mut self, conn: ConnId, now_ns: u64) {
        let now_ns = self.advance(now_ns);
        self.count_message(conn, now_ns);
    }

    /// A pong arrived; it counts on market connections.
    pub fn on_pong(&mut self, conn: ConnId, now_ns: u64) {
        let now_ns = self.advance(now_ns);
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.pong_due_ns = None;
        }
        self.count_message(conn, now_ns);
    }

    /// Lets everything happen that is due.
    pub fn tick(&mut self, now_ns: u64) {
        self.advance(now_ns);
    }

    /// The next message to send.
    pub fn poll_output(&mut self) -> Option<(ConnId, Out)> {
        self.out.pop_front()
    }

    /// The next line for the account log; all lines must be written before the outputs that were
    /// queued with them are sent.
    pub fn poll_record(&mut self) -> Option<String> {
        self.records.pop_front()
    }

    /// Has the script ended the process?
    #[must_use]
    pub fn exit_requested(&self) -> bool {
        self.pulse.exit
    }

    /// Is this connection to be neither read nor written now (fault `silent`)?
    #[must_use]
    pub fn is_silenced(&self, conn: ConnId) -> bool {
        let Some(at) = self.conns.get(&conn) else { return false };
        at.is_frozen || (self.pulse.is_silent() && matches!(at.role, Role::Market))
    }

    /// Are new connections refused now (faults `down` and `outage`)?
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.pulse.is_down()
    }

    /// The exchange, for looking at it in tests and reports.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Market connections may send so many messages a second. False: it was cut.
    fn count_message(&mut self, conn: ConnId, now_ns: u64) -> bool {
        let Some((most, code, reason)) = self.rules.messages_per_second else { return true };
        let own = self.dialect.trades_at().is_some();
        let granted = self.exchange.limits.rules().stream_messages_per_second;
        let most = if own { granted } else { most };
        let Some(at) = self.conns.get_mut(&conn) else { return false };
        if matches!(at.role, Role::Market) && at.messages.add(1, now_ns / 1_000_000) > most {
            self.out.push_back((conn, Out::Close(code, reason)));
            self.disconnect(conn);
            return false;
        }
        true
    }

    fn on_request(&mut self, conn: ConnId, text: &str, now_ns: u64) {
        let now_ms = now_ns / 1_000_000;
        let Some(Conn { role: Role::Api(session), .. }) = self.conns.get_mut(&conn) else { return };
        let recorded = self.pulse.closed_books();
        let call = Call::new(&mut self.exchange, &self.credentials, session, recorded, now_ms);
        let reply = call.answer(text);
        let scale = session.scale;
        self.note_fills();
        self.commit();
        let crossed = self.rng.one_in(self.crossed_answer_in);
        if crossed {
            self.tell_events();
        }
        if let Some(answer) = self.pulse.filter_answer(reply.text, reply.is_trade) {
            self.answer(conn, answer, reply.is_trade);
        }
        self.tell_events();
        if let Some(id) = reply.ended {
            let time = now_ms * scale;
            let text = format!(
                r#"{{"subscriptionId":{id},"event":{{"e":"eventStreamTerminated","E":{time}}}}}"#
            );
            self.out.push_back((conn, Out::Text(text.into())));
        }
        self.tell_markets();
        if reply.closes {
            let all: Vec<ConnId> = self.conns.keys().copied().collect();
            for conn in all {
                self.out.push_back((conn, Out::Close(1008, "banned")));
                self.disconnect(conn);
            }
        }
    }

    /// Queues the record of what changed since the last time.
    pub(crate) fn commit(&mut self) {
        if self.exchange.changes.orders.is_empty() {
            return;
        }
        let changes = std::mem::take(&mut self.exchange.changes);
        self.records.push_back(Record::of_changes(changes, &self.exchange).line());
    }

    /// The first record: the account as it is.
    fn record_everything(&mut self) {
        let account = self.exchange.account.assets();
        let record = Record {
            balances: account.iter().map(|(asset, b)| (asset.clone(), *b)).collect(),
            ..Record::of_marks(&self.exchange)
        };
        self.records.push_back(record.line());
    }

    /// Sends private events to whoever subscribed.
    pub(crate) fn tell_events(&mut self) {
        let now_ns = self.pulse.now_ns();
        for event in std::mem::take(&mut self.exchange.events) {
            let Some(event) = self.pulse.mishaps.pass(event, now_ns) else { continue };
            let times = match &event {
                Private::Report(_) => self.pulse.times_of_report(),
                Private::Position(..) => 1,
            };
            self.tell_event(&event, times);
        }
    }

    /// Sends one of them.
    pub(crate) fn tell_event(&mut self, event: &Private, times: usize) {
        self.speak(|dialect, desk| dialect.told(desk, event, times));
        for (&conn, at) in &self.conns {
            let Role::Api(session) = &at.role else { continue };
            let Some(id) = session.subscription else { continue };
            let scale = session.scale;
            let event = match event {
                Private::Report(report) => report.text(scale),
                Private::Position(changed, ms) => position_event(changed, ms * scale, ms * scale),
            };
            let text: Text = format!(r#"{{"subscriptionId":{id},"event":{event}}}"#).into();
            for _ in 0..times {
                self.out.push_back((conn, Out::Text(text.clone())));
            }
        }
    }

    /// Tells what changed on the exchange.
    pub(crate) fn tell_markets(&mut self) {
        self.speak(|dialect, desk| dialect.moved(desk));
        self.exchange.prints.clear();
    }
}
