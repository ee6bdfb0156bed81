//! The cold session at venues that are asked over REST: signed requests, pages that go on. What a
//! venue says is a [`RestDialect`].

use std::collections::BTreeMap;

use bot4_execution::pause::Reach;
use bot4_lanes::Clock;
use bot4_types::{ClientId, InstrumentTable, Nanos, Symbol, Wall};
use bot4_venues::account::{BalanceRow, FillRow, OrderRow, Refusal, Rows, Told};
use bot4_venues::catalogue::Catalogue;
use bot4_venues::market::DecodeError;
use bot4_venues::registry::Venue;
use bot4_wire::Endpoint;

use super::access::Access;
use super::catalogue;
use super::chat::Chat;
use super::cold::{ColdError, ColdVenue, Limited, measured};
use super::guard;
use super::patience::Patience;
use super::rest::{Carried, RestClient};

/// Pages of one question at most: a bound on a venue that never says "last page".
const PAGES_MAX: usize = 10_000;

/// Pages of the latest orders in which one is looked for.
const SEARCH_PAGES_MAX: usize = 20;

/// One question or request.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// The venue's clock.
    Time,
    /// All balances.
    Balances,
    /// The open orders of all instruments.
    OpenOrders,
    /// The fills of an instrument, or of all where the venue lists them together, in a time.
    Fills(Option<&'a Symbol>, Span),
    /// A page of the orders that ended last, behind so many.
    Ended(usize),
    /// The order of an instrument with a client id: among the open ones, or (true) those that
    /// ended, where the venue keeps them apart.
    Order(&'a Symbol, &'a ClientId, bool),
    /// One order is to be cancelled.
    Cancel(&'a OrderRow),
    /// The dead-man switch is to be made ready: off, where it is a timer that the session starts
    /// with its first feed; set, where it is a setting of the account.
    DeadMan,
}

/// A time that fills are asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning, Unix ms.
    pub from_ms: i64,
    /// Its end, Unix ms; none: until now.
    pub to_ms: Option<i64>,
}

impl Asked<'_> {
    /// What it is called in errors.
    const fn name(self) -> &'static str {
        match self {
            Self::Time => "the time",
            Self::Balances => "the balances",
            Self::OpenOrders => "the open orders",
            Self::Fills(..) => "the fills",
            Self::Ended(_) => "the orders that ended",
            Self::Order(..) => "an order",
            Self::Cancel(_) => "a cancel",
            Self::DeadMan => {
                "the dead-man switch; where the account has none, dead_man must say so"
            }
        }
    }
}

/// Seconds that turn a dead-man timer off.
pub const OFF_S: u64 = 0;

/// How a venue is asked for its time on a connection of its market host.
pub struct ClockByChat {
    /// Path of the connection.
    pub path: &'static str,
    /// The question.
    pub ping: Vec<u8>,
    /// The time in the answer, Unix ms; `None` for any other message.
    pub read: fn(&[u8]) -> Option<i64>,
}

/// A venue's requests and answers over REST.
pub trait RestDialect {
    /// Writes the request, its page from `cursor` on.
    fn write(&mut self, asked: Asked<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>);
    /// Where the venue tells its time over REST too coarsely.
    fn clock(&self) -> Option<ClockByChat> {
        None
    }
    /// Orders that ended on a page of them; zero where they are asked for one by one.
    fn ended_page(&self) -> usize {
        0
    }
    /// Fills of all instruments come together.
    fn lists_all_fills(&self) -> bool {
        false
    }
    /// An order is found by its client id only among the latest of its instrument, page by page.
    fn searches(&self) -> bool {
        false
    }
    /// The instruments and assets that answers are read by from now on.
    fn read_by(&mut self, table: &InstrumentTable);
    /// Reads the answer; its rows lie in [`rows`](Self::rows).
    ///
    /// # Errors
    /// [`DecodeError`].
    fn read(&mut self, asked: Asked<'_>, status: u16, body: &[u8]) -> Result<Told, DecodeError>;
    /// The rows of the last answer, and where its next page begins.
    fn rows(&self) -> &Rows;
    /// The times that together reach from `from_ms` to `now_ms`, where the venue answers no
    /// question for fills over all of it. They may overlap.
    fn fill_spans(&self, from_ms: i64, _now_ms: i64) -> Vec<Span> {
        vec![Span { from_ms, to_ms: None }]
    }
    /// Code and text of a refusal, for a person.
    fn refusal_text(&self, body: &[u8]) -> (i64, String);
}

/// What the answer to `asked` says, which was sent at the venue's time `now_ms`.
fn heard(
    dialect: &mut dyn RestDialect,
    asked: Asked<'_>,
    carried: &Carried,
    now_ms: i64,
) -> Result<Told, ColdError> {
    let (what, status) = (asked.name(), carried.status);
    let told = dialect.read(asked, status, &carried.body);
    let told = told.map_err(|_| ColdError::Answer(what))?;
    match told.answer {
        Some((_, None)) => Ok(told),
        // Not open any more: that is what was wanted. Never there: that is an answer.
        Some((_, Some(Refusal::NotFound)))
            if matches!(asked, Asked::Cancel(_) | Asked::Order(..)) =>
        {
            Ok(told)
        }
        Some((_, Some(Refusal::OutcomeUnknown))) if status >= 500 => Err(ColdError::Unanswered(
            what.to_owned(),
            format!("the venue answered with status {status}"),
        )),
        Some((_, Some(Refusal::Limited { until_ms, .. }))) => {
            let by_head = carried.wait_s.map(|s| Nanos::from_secs(s.into()));
            let until = || u64::try_from(until_ms - now_ms).ok().map(Nanos::from_millis);
            let wait = by_head.or_else(until);
            let (what, (_, text)) = (what.to_owned(), dialect.refusal_text(&carried.body));
            Err(ColdError::Limited(Limited { what, wait, text: format!("{text} ({status})") }))
        }
        _ => {
            let (code, text) = dialect.refusal_text(&carried.body);
            Err(ColdError::Denied(what, code, text))
        }
    }
}

/// Signed requests.
pub struct RestCold {
    venue: Venue,
    dialect: Box<dyn RestDialect>,
    access: Access,
    rest: RestClient,
    patience: Patience,
    clock: Clock,
    wall: Wall,
    out: Vec<u8>,
}

impl RestCold {
    /// Measures the venue's clock.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn open(
        clock: &Clock,
        access: &Access,
        venue: Venue,
        dialect: Box<dyn RestDialect>,
    ) -> Result<Self, ColdError> {
        let (rest, access) = (RestClient::of(access)?, access.without_keys());
        let patience = Patience::new(clock, &access.guards, Reach::Rest, access.hurried);
        let (wall, out, clock) = (clock.wall(), Vec::new(), clock.clone());
        let mut cold = Self { venue, dialect, access, rest, patience, clock, wall, out };
        cold.wall = match cold.dialect.clock() {
            Some(by_chat) => cold.by_chat(&by_chat)?,
            None => measured(&cold.clock.clone(), || {
                let told = cold.ask(Asked::Time, "")?;
                told.server_ms.ok_or(ColdError::Answer(Asked::Time.name()))
            })?,
        };
        Ok(cold)
    }

    fn by_chat(&self, by: &ClockByChat) -> Result<Wall, ColdError> {
        let host = Endpoint::parse(&self.access.market).map_err(ColdError::Endpoint)?;
        let url = host.with_path(by.path).map_err(ColdError::Endpoint)?.to_string();
        self.access.guards.ask(guard::MARKET, || {
            let mut chat = Chat::open(&self.clock, &self.access, &url, 0)?;
            measured(&self.clock, || {
                chat.send(&by.ping)?;
                chat.answer(Asked::Time.name(), by.read)
            })
        })
    }

    /// Asks, and asks again when the venue wanted fewer requests.
    fn ask(&mut self, asked: Asked<'_>, cursor: &str) -> Result<Told, ColdError> {
        let Self { dialect, access, rest, patience, clock, wall, out, .. } = self;
        patience.ask(|| {
            // Signed anew each time: a nonce grows, a time passes.
            let now_ms = wall.unix_ms(clock.now());
            out.clear();
            dialect.write(asked, cursor, now_ms, out);
            access.guards.ask(guard::REST, || {
                let carried = rest.carry(out)?;
                heard(&mut **dialect, asked, &carried, now_ms)
            })
        })
    }

    /// Asks page by page; `take` gets each page's rows.
    fn pages(
        &mut self,
        asked: Asked<'_>,
        table: &InstrumentTable,
        mut take: impl FnMut(&Rows),
    ) -> Result<(), ColdError> {
        self.dialect.read_by(table);
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let told = self.ask(asked, &cursor)?;
            take(self.dialect.rows());
            if !told.more {
                return Ok(());
            }
            self.dialect.rows().cursor.clone_into(&mut cursor);
        }
        Err(ColdError::Answer(asked.name()))
    }

    fn fills(
        &mut self,
        symbol: Option<&Symbol>,
        start_ms: i64,
        table: &InstrumentTable,
    ) -> Result<Vec<FillRow>, ColdError> {
        let mut all: BTreeMap<(u16, u64, u64), FillRow> = BTreeMap::new();
        let now_ms = self.wall.unix_ms(self.clock.now());
        for span in self.dialect.fill_spans(start_ms, now_ms) {
            let asked = Asked::Fills(symbol, span);
            let keyed = |f: &FillRow| ((f.instrument.0, f.trade_id, f.venue_order), *f);
            self.pages(asked, table, |rows| all.extend(rows.fills.iter().map(keyed)))?;
        }
        Ok(all.into_values().collect())
    }
}

impl ColdVenue for RestCold {
    fn wall(&self) -> Wall {
        self.wall
    }

    fn instruments(&mut self, symbols: &[String]) -> Result<Catalogue, ColdError> {
        // Listed over REST: no connection is made, so no seed is drawn from.
        catalogue::read(&self.clock, &self.access, self.venue, symbols, 0)
    }

    fn balances(&mut self, table: &InstrumentTable) -> Result<Vec<BalanceRow>, ColdError> {
        let mut all = Vec::new();
        self.pages(Asked::Balances, table, |rows| all.extend_from_slice(&rows.balances))?;
        Ok(all)
    }

    fn open_orders(&mut self, table: &InstrumentTable) -> Result<Vec<OrderRow>, ColdError> {
        let mut all = Vec::new();
        self.pages(Asked::OpenOrders, table, |rows| all.extend_from_slice(&rows.orders))?;
        Ok(all)
    }

    fn find_order(
        &mut self,
        symbol: &Symbol,
        client: &ClientId,
        table: &InstrumentTable,
    ) -> Result<Option<OrderRow>, ColdError> {
        self.dialect.read_by(table);
        let is_it = |o: &&OrderRow| o.client.as_bytes() == client.0.as_slice();
        let pages = if self.dialect.searches() { SEARCH_PAGES_MAX } else { 1 };
        for ended in [false, true] {
            let mut cursor = String::new();
            for _ in 0..pages {
                let told = self.ask(Asked::Order(symbol, client, ended), &cursor)?;
                if let Some(found) = self.dialect.rows().orders.iter().find(is_it) {
                    return Ok(Some(*found));
                }
                if !told.more {
                    break;
                }
                self.dialect.rows().cursor.clone_into(&mut cursor);
            }
            // There is one list.
            if self.dialect.searches() {
                break;
            }
        }
        Ok(None)
    }

    fn cancel_order(&mut self, order: &OrderRow, table: &InstrumentTable) -> Result<(), ColdError> {
        self.dialect.read_by(table);
        self.ask(Asked::Cancel(order), "").map(|_| ())
    }

    /// One by one: a request for all of them is not everywhere, and this is not in a hurry. One
    /// that fails keeps none of the others from being cancelled; the first error is told.
    fn cancel_all(&mut self, symbol: &Symbol, table: &InstrumentTable) -> Result<(), ColdError> {
        let open = self.open_orders(table)?;
        let mut all = Ok(());
        for order in open.iter().filter(|o| o.symbol == *symbol) {
            all = all.and(self.cancel_order(order, table));
        }
        all
    }

    fn trades_since(
        &mut self,
        symbol: &Symbol,
        start_ms: i64,
        table: &InstrumentTable,
    ) -> Result<Vec<FillRow>, ColdError> {
        self.fills(Some(symbol), start_ms, table)
    }

    fn all_trades_since(
        &mut self,
        start_ms: i64,
        table: &InstrumentTable,
    ) -> Result<Vec<FillRow>, ColdError> {
        if self.dialect.lists_all_fills() {
            return self.fills(None, start_ms, table);
        }
        let mut all = Vec::new();
        for i in table.own() {
            all.extend(self.fills(Some(&i.symbol), start_ms, table)?);
        }
        Ok(all)
    }

    fn ended_orders(
        &mut self,
        wanted: usize,
        table: &InstrumentTable,
    ) -> Result<Vec<OrderRow>, ColdError> {
        let (page, mut all) = (self.dialect.ended_page(), Vec::new());
        if page == 0 || wanted == 0 {
            return Ok(all);
        }
        self.dialect.read_by(table);
        // What was sought ended among others.
        while all.len() < wanted + page {
            match self.ask(Asked::Ended(all.len()), "") {
                Ok(_) => {}
                // Orders that are not understood are not ours; ours are asked for one by one.
                Err(ColdError::Answer(_)) => break,
                Err(e) => return Err(e),
            }
            let rows = &self.dialect.rows().orders;
            all.extend_from_slice(rows);
            if rows.len() < page {
                break;
            }
        }
        Ok(all)
    }

    fn rest_dead_man(&mut self) -> Result<(), ColdError> {
        self.ask(Asked::DeadMan, "").map(|_| ())
    }
}
