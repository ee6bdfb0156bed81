//! Parent orders as a person says and sees them.
//!
//! What a person asks for is text; here it becomes numbers in the instrument's units, rounded
//! nowhere: a size that is not a whole number of units is refused. The engine's answer comes back
//! by the reports of the router, which the control lane passes on.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

use bot4_types::parent::{CURVE_BUCKETS, PARTICIPATION_MAX_E4};
use bot4_types::text::{parse_units, units_to_string};
use bot4_types::{
    Algo, Deadline, Instrument, InstrumentTable, Nanos, OrderWork, ParentEnd, ParentId,
    ParentOrder, ParentReport, ParentState, Peg, Price, Qty, RefuseReason, RouterReport, Side,
    StrategyId, Urgency,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::commands::{CommandText, Commands};

/// Ended parents that are still listed.
const ENDED_MAX: usize = 256;

/// A parent order in a person's words. What is not said has its usual value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderText {
    /// The name of the instrument, or a pair (`BTC/USDT`): at all venues that trade it.
    pub symbol: String,
    /// `buy` or `sell`.
    pub side: String,
    /// Whole quantity, base units.
    pub size: String,
    /// `twap`, `vwap`, `pov`, `iceberg`, `pegged`, `best`.
    pub algo: String,
    /// No child is worse than this price.
    pub limit: Option<String>,
    /// Time it has, ms.
    pub over_ms: u64,
    /// Time until it begins, ms.
    pub delay_ms: u64,
    /// `take` or `give_up`.
    pub deadline: Option<String>,
    /// `passive`, `normal`, `aggressive`.
    pub urgency: Option<String>,
    /// Smallest child, base units.
    pub slice_min: Option<String>,
    /// What rests at a time, base units.
    pub display: Option<String>,
    /// Share of the market's volume, per cent.
    pub rate_pct: Option<f64>,
    /// `mid` or `touch`.
    pub peg: Option<String>,
    /// Ticks from there; positive: away from the other side.
    pub offset_ticks: i32,
    /// What rests is amended where it moves and can be.
    pub amend: bool,
    /// Expected volume of each of 24 equal parts of its time.
    pub curve: Vec<u16>,
}

impl OrderText {
    /// The order that is meant, without a name, on account of `strategy`.
    ///
    /// # Errors
    /// What is wrong and what can be said instead.
    pub fn order(
        &self,
        table: &InstrumentTable,
        strategy: StrategyId,
    ) -> Result<ParentOrder, String> {
        let algo = named("algo", &self.algo, Algo::ALL, Algo::name)?;
        let (i, all_venues) = meant(table, &self.symbol, algo)?;
        let side = word("side", &self.side, &[("buy", Side::Buy), ("sell", Side::Sell)])?;
        let qty = |key: &str, text: &str| units(key, text, i.qty_decimals).map(Qty);
        let maybe = |key: &str, text: &Option<String>| {
            text.as_ref().map_or(Ok(Qty(0)), |text| qty(key, text))
        };
        let ms = |n: u64| Nanos(n.saturating_mul(1_000_000));
        let twap = ParentOrder::twap(i.id, side, qty("size", &self.size)?, ms(self.over_ms));
        let limit = self.limit.as_ref().map(|text| units("limit", text, i.price_decimals));
        let order = ParentOrder {
            strategy,
            algo,
            all_venues,
            limit: Price(limit.transpose()?.unwrap_or(0)),
            delay: ms(self.delay_ms),
            deadline: maybe_named("deadline", &self.deadline, Deadline::ALL, Deadline::name)?
                .unwrap_or(usual_deadline(algo)),
            urgency: maybe_named("urgency", &self.urgency, Urgency::ALL, Urgency::name)?
                .unwrap_or(Urgency::Normal),
            slice_min: maybe("slice-min", &self.slice_min)?,
            display: maybe("display", &self.display)?,
            rate_e4: self.rate_pct.map_or(Ok(0), rate)?,
            peg: maybe_named("peg", &self.peg, Peg::ALL, Peg::name)?.unwrap_or(Peg::Mid),
            offset_ticks: self.offset_ticks,
            amends: self.amend,
            curve: curve(&self.curve)?,
            ..twap
        };
        complete(&order, i).map(|()| order)
    }
}

/// What becomes of the rest at the deadline where nothing is said.
#[must_use]
pub const fn usual_deadline(algo: Algo) -> Deadline {
    match algo {
        Algo::Best => Deadline::GiveUp,
        _ => Deadline::Take,
    }
}

/// The instrument that `symbol` names for an order by `algo`, and whether the order goes to all
/// venues that trade its pair: then it is the one with the finest quantities, in whose units the
/// order is said.
///
/// # Errors
/// What can be named.
pub fn meant<'a>(
    table: &'a InstrumentTable,
    symbol: &str,
    algo: Algo,
) -> Result<(&'a Instrument, bool), String> {
    if let Some(i) = table.labelled_as(symbol) {
        return Ok((i, algo == Algo::Best));
    }
    let labels = |all: &mut dyn Iterator<Item = &Instrument>| {
        all.map(|i| table.label(i)).collect::<Vec<_>>().join(", ")
    };
    let finest = |i: &&Instrument| (i.qty_decimals, std::cmp::Reverse(i.id));
    let Some(i) = table.of_pair(symbol).max_by_key(finest) else {
        let mut pairs: Vec<_> = table.all().iter().map(|i| table.pair(i)).collect();
        pairs.sort();
        pairs.dedup();
        let all = labels(&mut table.all().iter());
        let pairs = pairs.join(", ");
        return Err(format!(
            "`{symbol}` is not traded here; choose one of {all}, or at all venues that trade it: \
             {pairs}"
        ));
    };
    let several = table.of_pair(symbol).count() > 1;
    if several && matches!(algo, Algo::Iceberg | Algo::Pegged) {
        let all = labels(&mut table.of_pair(symbol));
        let name = algo.name();
        return Err(format!(
            "`{symbol}` trades at several venues, and what {name} orders rest does so at one; \
             choose one of {all}"
        ));
    }
    Ok((i, several || algo == Algo::Best))
}

/// What must be said for each algorithm.
fn complete(order: &ParentOrder, i: &Instrument) -> Result<(), String> {
    match order.algo {
        Algo::Twap | Algo::Vwap if order.over.0 == 0 => {
            Err(format!("a {} needs its time: --over 10m", order.algo.name()))
        }
        Algo::Pov if order.rate_e4 == 0 => Err("a pov needs its share: --rate-pct 5".to_owned()),
        Algo::Iceberg if order.limit.0 == 0 => {
            Err("an iceberg needs its price: --limit P".to_owned())
        }
        Algo::Best if order.deadline == Deadline::Take => Err("an order to the best venues takes \
             at once; what its time leaves is given up: --deadline give_up"
            .to_owned()),
        // Another venue may take less.
        _ if order.is_routed() => Ok(()),
        _ if order.total < i.qty_min.max(Qty(1)) => {
            let least = units_to_string(i.qty_min.0, i.qty_decimals);
            Err(format!("the smallest order of {} is {least}", i.symbol))
        }
        _ => Ok(()),
    }
}

pub(super) fn units(key: &str, text: &str, decimals: u8) -> Result<i64, String> {
    let n = parse_units(text.as_bytes(), decimals).ok().filter(|n| *n > 0);
    n.ok_or_else(|| {
        format!("--{key} {text}: write a positive number with at most {decimals} decimals")
    })
}

pub(super) fn word<T: Copy>(key: &str, text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let all: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        format!("--{key} {text}: choose one of {}", all.join(", "))
    })
}

fn named<T: Copy>(
    key: &str,
    text: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let words: Vec<_> = all.iter().map(|value| (name(*value), *value)).collect();
    word(key, text, &words)
}

fn maybe_named<T: Copy>(
    key: &str,
    text: &Option<String>,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Option<T>, String> {
    text.as_ref().map(|text| named(key, text, all, name)).transpose()
}

/// A share in per cent as 10^-4.
///
/// # Errors
/// What can be said.
pub fn rate(pct: f64) -> Result<u32, String> {
    let e4 = (pct * 100.0).round();
    let sound = e4 >= 1.0 && e4 <= f64::from(PARTICIPATION_MAX_E4);
    let most = PARTICIPATION_MAX_E4 / 100;
    sound.then_some(e4 as u32).ok_or_else(|| format!("--rate-pct {pct}: choose 0.01 to {most}"))
}

/// A curve of that many parts, or none.
///
/// # Errors
/// How many parts it must have.
pub fn curve(weights: &[u16]) -> Result<[u16; CURVE_BUCKETS], String> {
    if weights.is_empty() {
        return Ok([0; CURVE_BUCKETS]);
    }
    weights.try_into().map_err(|_| {
        format!("a curve has {CURVE_BUCKETS} weights, not {}: --curve 3,2,1,...", weights.len())
    })
}

/// The parents of a run, as the helper knows them.
pub struct Board {
    table: InstrumentTable,
    operator: StrategyId,
    heard: Receiver<RouterReport>,
    known: BTreeMap<ParentId, ParentReport>,
    /// Of the account's last run.
    unfinished: Vec<Value>,
    commands: Commands,
    begun: u32,
}

impl Board {
    /// A board of parents over `table`, told by `heard`; an operator's orders are on account of
    /// `operator`.
    #[must_use]
    pub fn new(
        table: InstrumentTable,
        operator: StrategyId,
        heard: Receiver<RouterReport>,
    ) -> Self {
        let (known, commands) = (BTreeMap::new(), Commands::default());
        let unfinished = Vec::new();
        Self { table, operator, heard, known, unfinished, commands, begun: 0 }
    }

    /// The board that also lists what the account's last run left unfinished.
    #[must_use]
    pub fn with_unfinished(self, unfinished: Vec<Value>) -> Self {
        Self { unfinished, ..self }
    }

    /// Takes what the control lane passed on.
    pub fn hear(&mut self) {
        while let Ok(report) = self.heard.try_recv() {
            match report {
                RouterReport::Parent(parent) => {
                    self.known.insert(parent.id, parent);
                }
                RouterReport::Work(command) => self.commands.hear(command),
            }
        }
        let over = |r: &ParentReport| r.state == ParentState::Ended;
        while self.known.values().filter(|r| over(r)).count() > ENDED_MAX {
            let oldest = self.known.values().filter(|r| over(r)).min_by_key(|r| r.at);
            let Some(id) = oldest.map(|r| r.id) else { return };
            self.known.remove(&id);
        }
    }

    /// The order that `text` means, with a name of its own.
    ///
    /// # Errors
    /// See [`OrderText::order`].
    pub fn begin(&mut self, text: &OrderText) -> Result<ParentOrder, String> {
        let order = text.order(&self.table, self.operator)?;
        self.begun += 1;
        Ok(ParentOrder { id: ParentId::by_operator(self.begun), ..order })
    }

    /// The command that `text` means, with a name of its own.
    ///
    /// # Errors
    /// See [`Commands::give`].
    pub fn command(&mut self, text: &CommandText) -> Result<OrderWork, String> {
        self.commands.give(text, &self.table, self.operator)
    }

    /// Everything that is known: parents, then commands.
    #[must_use]
    pub fn list_all(&self) -> Value {
        let parents = self.list(false);
        let parents = parents.as_array().into_iter().flatten().cloned();
        parents.chain(self.commands.list(&self.table)).collect()
    }

    /// The parent alive that `text` names.
    ///
    /// # Errors
    /// Which ones live.
    pub fn alive(&self, text: &str) -> Result<ParentId, String> {
        let alive = |r: &&ParentReport| r.state != ParentState::Ended;
        let id = ParentId::parse(text).filter(|id| self.known.get(id).is_some_and(|r| alive(&r)));
        id.ok_or_else(|| {
            let all: Vec<_> = self.known.values().filter(alive).map(|r| r.id.to_string()).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            format!("no parent order `{text}` lives; alive: {all}")
        })
    }

    /// All that are known, or those alive.
    #[must_use]
    pub fn list(&self, alive_only: bool) -> Value {
        let shown = |r: &&ParentReport| !alive_only || r.state != ParentState::Ended;
        let earlier = self.unfinished.iter().filter(|_| !alive_only).cloned();
        let own = self.known.values().filter(shown).map(|r| to_json(r, &self.table));
        // Names begin anew with each run: this one's come first.
        own.chain(earlier).collect()
    }
}

/// Where a parent stands, with prices and quantities as text in whole units.
#[must_use]
pub fn to_json(r: &ParentReport, table: &InstrumentTable) -> Value {
    let i = table.get(r.instrument);
    let (price, qty) = i.map_or((0, 0), |i| (i.price_decimals, i.qty_decimals));
    let qty_text = |q: Qty| units_to_string(q.0, qty);
    let unit = 10f64.powi(i32::from(price));
    let digits = |value: Option<f64>| value.map(|v| format!("{:.*}", usize::from(price), v / unit));
    let bps = |value: Option<f64>| value.map(|v| (v * 100.0).round() / 100.0);
    json!({
        "id": r.id.to_string(),
        "by": if r.id.is_by_strategy() { "strategy" } else { "operator" },
        "strategy": r.strategy.0 + 1,
        "symbol": i.map(|i| if r.all_venues { table.pair(i) } else { table.label(i) }),
        "side": if r.side == Side::Buy { "buy" } else { "sell" },
        "algo": r.algo.name(),
        "state": r.state.name(),
        "end": (r.end != ParentEnd::None).then(|| r.end.name()),
        "refused_because": (r.end == ParentEnd::Refused).then(|| r.refusal.name()),
        "gate": r.gate.map(RefuseReason::name),
        "total": qty_text(r.total),
        "filled": qty_text(r.filled),
        "open": qty_text(r.open),
        "left": qty_text(r.left),
        "over": (r.over.0 != 0).then(|| qty_text(r.over)),
        "exact": r.is_exact(),
        "limit": (r.limit.0 > 0).then(|| units_to_string(r.limit.0, price)),
        "arrival": digits(r.arrival()),
        "average": digits(r.average()),
        "market_vwap": digits(r.market_average()),
        "slippage_bps": bps(r.slippage_bps()),
        "against_vwap_bps": bps(r.against_vwap_bps()),
        "market_volume": qty_text(r.market_qty),
        "market_missed": r.missed,
        "children": r.children,
        "fills": r.fills,
        "refused": r.refused,
        "began_ns": r.began.0,
        "until_ns": (r.until.0 > 0).then_some(r.until.0),
        "at_ns": r.at.0,
    })
}

/// One line for a person.
#[must_use]
pub fn sentence(p: &Value) -> String {
    let text = |key: &str| p[key].as_str().unwrap_or("-").to_owned();
    let bps = |key: &str| p[key].as_f64().map_or("-".to_owned(), |v| format!("{v:+.2}"));
    let ended = match (p["end"].as_str(), p["refused_because"].as_str()) {
        (Some(end), Some(why)) => format!("{end} ({why})"),
        (Some(end), None) => end.to_owned(),
        _ => text("state"),
    };
    let gate = p["gate"].as_str().map_or(String::new(), |g| format!(", the gate last said {g}"));
    let run = p["run"].as_str().map_or(String::new(), |run| format!(" of run {run}"));
    format!(
        "{}{run} {} {} {} {}: {ended}, {} filled, {} open, {} left; average {} against {} at arrival \
         ({} bps) and {} of the market ({} bps); {} children, {} fills, {} refused{gate}",
        text("id"),
        text("algo"),
        text("side"),
        text("total"),
        text("symbol"),
        text("filled"),
        text("open"),
        text("left"),
        text("average"),
        text("arrival"),
        bps("slippage_bps"),
        text("market_vwap"),
        bps("against_vwap_bps"),
        p["children"],
        p["fills"],
        p["refused"],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Symbol};

    fn table() -> InstrumentTable {
        let mut table = InstrumentTable::new();
        let name = Symbol::new("BTCUSDT").expect("short");
        let bare = Instrument::bare(InstrumentId(0), name, 2);
        let i = Instrument { qty_decimals: 5, qty_min: Qty(10), ..bare };
        table.push(i).expect("room");
        table
    }

    fn text() -> OrderText {
        OrderText {
            symbol: "BTCUSDT".into(),
            side: "buy".into(),
            size: "0.5".into(),
            algo: "twap".into(),
            over_ms: 600_000,
            ..OrderText::default()
        }
    }

    #[test]
    fn words_become_units() {
        let said = OrderText { limit: Some("60000.25".into()), ..text() };
        let order = said.order(&table(), StrategyId(2)).expect("sound");
        assert_eq!((order.total, order.limit), (Qty(50_000), Price(6_000_025)));
        assert_eq!((order.strategy, order.over), (StrategyId(2), Nanos::from_secs(600)));
        assert_eq!((order.deadline, order.urgency), (Deadline::Take, Urgency::Normal));
        let share = OrderText { algo: "pov".into(), rate_pct: Some(7.5), over_ms: 0, ..text() };
        assert_eq!(share.order(&table(), StrategyId(0)).expect("sound").rate_e4, 750);
    }

    /// Two venues of the same pair, the second with finer quantities.
    fn two_venues() -> InstrumentTable {
        let name = |text: &str| Symbol::new(text).expect("short");
        let venue = |symbol: &str, qty_decimals| {
            let mut table = InstrumentTable::new();
            let [base, quote] = ["BTC", "USDT"].map(|a| table.asset(name(a)).expect("room"));
            let bare = Instrument::bare(InstrumentId(0), name(symbol), 2);
            table.push(Instrument { base, quote, qty_decimals, ..bare }).expect("room");
            table
        };
        let (one, two) = (venue("BTCUSDT", 5), venue("BTC-USDT", 6));
        InstrumentTable::joined(&[(name("binance"), &one), (name("okx"), &two)]).expect("room")
    }

    #[test]
    fn a_pair_means_all_venues_that_trade_it() {
        let table = two_venues();
        let of = |symbol: &str, algo: &str, over_ms| OrderText {
            symbol: symbol.into(),
            algo: algo.into(),
            size: "0.000001".into(),
            over_ms,
            ..text()
        };
        let order = |said: OrderText| said.order(&table, StrategyId(0));
        let best = order(of("BTC/USDT", "best", 0)).expect("sound");
        assert_eq!(
            (best.instrument, best.total, best.is_routed()),
            (InstrumentId(1), Qty(1), true)
        );
        assert_eq!(best.deadline, Deadline::GiveUp);
        let named = order(of("okx:BTC-USDT", "best", 0)).expect("sound");
        assert!(named.is_routed(), "the best venue is looked for in any case");
        let twap = order(of("BTC/USDT", "twap", 1_000)).expect("sound");
        assert!(twap.all_venues && twap.deadline == Deadline::Take);
        assert!(!order(of("okx:BTC-USDT", "twap", 1_000)).expect("sound").all_venues);
        let wrong = |said: OrderText, part: &str| {
            let told = order(said).expect_err("refused");
            assert!(told.contains(part), "{told}");
        };
        let limit = Some("60000".to_owned());
        let iceberg = OrderText { limit, ..of("BTC/USDT", "iceberg", 0) };
        wrong(iceberg, "choose one of binance:BTCUSDT, okx:BTC-USDT");
        wrong(of("BTC/USDT", "pegged", 0), "rest does so at one");
        wrong(of("BTC/EUR", "best", 0), "all venues that trade it: BTC/USDT");
        let take = Some("take".to_owned());
        wrong(OrderText { deadline: take, ..of("BTC/USDT", "best", 0) }, "give_up");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_mend() {
        let wrong = |said: OrderText, part: &str| {
            let told = said.order(&table(), StrategyId(0)).expect_err("refused");
            assert!(told.contains(part), "{told}");
        };
        wrong(OrderText { symbol: "ETHUSDT".into(), ..text() }, "BTCUSDT");
        wrong(OrderText { side: "long".into(), ..text() }, "buy, sell");
        wrong(OrderText { size: "0.500001".into(), ..text() }, "at most 5 decimals");
        wrong(OrderText { size: "-1".into(), ..text() }, "positive");
        wrong(OrderText { size: "0.00005".into(), ..text() }, "the smallest order");
        wrong(
            OrderText { algo: "vwop".into(), ..text() },
            "twap, vwap, pov, iceberg, pegged, best",
        );
        wrong(OrderText { over_ms: 0, ..text() }, "--over");
        wrong(OrderText { algo: "pov".into(), ..text() }, "--rate-pct");
        wrong(OrderText { rate_pct: Some(80.0), ..text() }, "0.01 to 50");
        wrong(OrderText { algo: "iceberg".into(), ..text() }, "--limit");
        wrong(OrderText { urgency: Some("now".into()), ..text() }, "aggressive");
        wrong(OrderText { curve: vec![1, 2], ..text() }, "24 weights");
    }

    #[test]
    fn a_board_lists_what_it_hears_and_knows_who_lives() {
        let (tell, heard) = std::sync::mpsc::channel();
        let mut board = Board::new(table(), StrategyId(3), heard);
        let order = board.begin(&text()).expect("sound");
        assert_eq!((order.id.to_string().as_str(), order.strategy), ("o1", StrategyId(3)));
        assert!(board.alive("o1").is_err_and(|e| e.contains("alive: none")));
        let report = ParentReport {
            id: order.id,
            strategy: order.strategy,
            instrument: order.instrument,
            side: order.side,
            algo: order.algo,
            all_venues: false,
            state: ParentState::Working,
            end: ParentEnd::None,
            refusal: bot4_types::ParentRefusal::None,
            gate: None,
            at: Nanos(5),
            began: Nanos(1),
            until: Nanos(9),
            total: order.total,
            limit: Price(0),
            filled: Qty(20_000),
            open: Qty(1_000),
            left: Qty(29_000),
            over: Qty(0),
            cost: 20_000 * 6_000_100,
            arrival_x2: 12_000_000,
            market_qty: Qty(0),
            market_cost: 0,
            children: 3,
            fills: 2,
            refused: 1,
            missed: 0,
        };
        tell.send(RouterReport::Parent(report)).expect("heard");
        board.hear();
        assert_eq!(board.alive("o1"), Ok(order.id));
        let list = board.list(true);
        assert_eq!((&list[0]["filled"], &list[0]["exact"]), (&"0.20000".into(), &true.into()));
        assert_eq!(
            (&list[0]["average"], &list[0]["arrival"]),
            (&"60001.00".into(), &"60000.00".into())
        );
        assert_eq!(list[0]["slippage_bps"], 0.17);
        assert!(sentence(&list[0]).starts_with("o1 twap buy 0.50000 BTCUSDT: working, 0.20000"));
        let ended = ParentReport { state: ParentState::Ended, end: ParentEnd::Filled, ..report };
        tell.send(RouterReport::Parent(ended)).expect("heard");
        board.hear();
        assert!(board.alive("o1").is_err());
        assert_eq!(
            (board.list(true), board.list(false)[0]["end"].as_str()),
            (json!([]), Some("filled"))
        );
    }
}
