//! Commands on orders as a person says and sees them: place, amend, cancel, stop, two linked
//! orders, bracket, and to take one back.
//!
//! Text becomes numbers in the instrument's units, rounded nowhere. What became of a command comes
//! back by the router's reports.

use std::collections::BTreeMap;

use bot4_types::text::units_to_string;
use bot4_types::{
    CommandId, InstrumentTable, OrderWork, Price, Qty, RefuseReason, Side, StrategyId, Terms,
    WorkKind, WorkRefusal, WorkReport, WorkState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::orders::{units, word};

/// Commands that are still listed.
const LISTED_MAX: usize = 256;

/// A command in a person's words. What is not said has no meaning for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommandText {
    /// `limit`, `market`, `stop`, `take_profit`, or `amend`, `cancel`, `undo` of another one.
    pub kind: String,
    /// The venue's name of the instrument.
    pub symbol: String,
    /// `buy` or `sell`.
    pub side: String,
    /// Quantity, base units.
    pub size: Option<String>,
    /// Limit.
    pub price: Option<String>,
    /// Where the market triggers it.
    pub stop: Option<String>,
    /// `gtc` (rests, post-only), `ioc`, `fok`.
    pub tif: Option<String>,
    /// The other of two linked orders: `quote:PRICE` on the other side, or `stop:TRIGGER:LIMIT` on
    /// the same side.
    pub oco: Option<String>,
    /// Where the position is to be left: `STOP:TARGET`.
    pub bracket: Option<String>,
    /// The command that it is about.
    pub of: Option<String>,
}

/// Commands of a run, as the helper knows them.
#[derive(Debug, Default)]
pub struct Commands {
    known: BTreeMap<CommandId, WorkReport>,
    given: u32,
}

impl Commands {
    /// Takes what the control lane passed on.
    pub fn hear(&mut self, report: WorkReport) {
        self.known.insert(report.id, report);
        while self.known.len() > LISTED_MAX {
            let over = self.known.values().filter(|r| r.state.is_over());
            let Some(id) = over.min_by_key(|r| r.at).map(|r| r.id) else { return };
            self.known.remove(&id);
        }
    }

    /// The command that `text` means, with a name of its own, on account of `operator`.
    ///
    /// # Errors
    /// What is wrong and what can be said instead.
    pub fn give(
        &mut self,
        text: &CommandText,
        table: &InstrumentTable,
        operator: StrategyId,
    ) -> Result<OrderWork, String> {
        let work = match text.kind.as_str() {
            "amend" | "cancel" | "undo" => self.about(text, table)?,
            _ => fresh(text, table, operator)?,
        };
        self.given += 1;
        Ok(OrderWork { id: CommandId::by_operator(self.given), ..work })
    }

    /// All that are known.
    pub fn list<'a>(&'a self, table: &'a InstrumentTable) -> impl Iterator<Item = Value> + 'a {
        self.known.values().map(|report| to_json(report, table))
    }

    fn about(&self, text: &CommandText, table: &InstrumentTable) -> Result<OrderWork, String> {
        let name = text.of.as_deref().unwrap_or_default();
        let known = CommandId::parse(name).and_then(|id| self.known.get(&id));
        let of = known.ok_or_else(|| {
            let all: Vec<_> = self.known.keys().map(ToString::to_string).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            format!("no command `{name}` is known; known: {all}")
        })?;
        if of.id.is_by_strategy() {
            return Err(format!("{name} is a strategy's own: `bot4 kill` stops it"));
        }
        let i = table.get(of.instrument).ok_or("its instrument is not traded any more")?;
        let maybe = |key: &str, text: &Option<String>, decimals: u8| {
            text.as_ref().map_or(Ok(0), |text| units(key, text, decimals))
        };
        let kind = match text.kind.as_str() {
            "amend" => WorkKind::Amend,
            "cancel" => WorkKind::Cancel,
            _ => WorkKind::Undo,
        };
        let price = Price(maybe("price", &text.price, i.price_decimals)?);
        let qty = Qty(maybe("size", &text.size, i.qty_decimals)?);
        if kind == WorkKind::Amend && price.0 == 0 && qty.0 == 0 {
            return Err("say what it becomes: --price P, --size Q, or both".to_owned());
        }
        Ok(OrderWork {
            id: CommandId::NONE,
            strategy: of.strategy,
            instrument: of.instrument,
            kind,
            side: of.side,
            price,
            qty,
            trigger: Price(0),
            other: Price(0),
            other_side: of.side,
            of: of.id,
        })
    }
}

/// A command that is about no other one.
fn fresh(
    text: &CommandText,
    table: &InstrumentTable,
    strategy: StrategyId,
) -> Result<OrderWork, String> {
    let i = table.labelled_as(&text.symbol).ok_or_else(|| {
        let all: Vec<_> = table.all().iter().map(|i| table.label(i)).collect();
        format!("`{}` is not traded here; choose one of {}", text.symbol, all.join(", "))
    })?;
    let side = word("side", &text.side, &[("buy", Side::Buy), ("sell", Side::Sell)])?;
    let price = |key: &str, said: &str| units(key, said, i.price_decimals).map(Price);
    let need = |key: &str, said: &Option<String>| {
        let said = said.as_ref().ok_or_else(|| format!("a {} needs --{key}", text.kind))?;
        price(key, said)
    };
    let size = text.size.as_ref().ok_or("say how much: --size Q")?;
    let mut work = OrderWork {
        id: CommandId::NONE,
        strategy,
        instrument: i.id,
        kind: kind_of(text)?,
        side,
        price: Price(0),
        qty: Qty(units("size", size, i.qty_decimals)?),
        trigger: Price(0),
        other: Price(0),
        other_side: side,
        of: CommandId::NONE,
    };
    work.price = match (work.kind, &text.price) {
        (WorkKind::Market, None) => Price(0),
        (_, said) => need("price", said)?,
    };
    match work.kind {
        WorkKind::Stop | WorkKind::Target => work.trigger = need("stop", &text.stop)?,
        WorkKind::Oco => {
            let parts: Vec<_> = text.oco.as_deref().unwrap_or_default().split(':').collect();
            match parts[..] {
                ["quote", other] => work.other = price("oco", other)?,
                ["stop", trigger, limit] => {
                    (work.trigger, work.other) = (price("oco", trigger)?, price("oco", limit)?);
                }
                _ => return Err("--oco: write quote:PRICE or stop:TRIGGER:LIMIT".to_owned()),
            }
        }
        WorkKind::Bracket => {
            let said = text.bracket.as_deref().unwrap_or_default();
            let (stop, target) = said.split_once(':').ok_or("--bracket: write STOP:TARGET")?;
            (work.trigger, work.other) = (price("bracket", stop)?, price("bracket", target)?);
        }
        _ => {}
    }
    Ok(work)
}

fn kind_of(text: &CommandText) -> Result<WorkKind, String> {
    let (tif, oco, bracket) = (text.tif.as_deref(), text.oco.is_some(), text.bracket.is_some());
    let plain = tif.is_none() && !oco && !bracket;
    let kind = match text.kind.as_str() {
        "limit" => match (tif.unwrap_or("gtc"), oco, bracket) {
            ("gtc", true, false) => WorkKind::Oco,
            (_, false, true) => WorkKind::Bracket,
            ("gtc", false, false) => WorkKind::Place,
            ("ioc", false, false) => WorkKind::Take,
            ("fok", false, false) => WorkKind::TakeWhole,
            (_, true, true) => return Err("choose --oco or --bracket".to_owned()),
            (_, true, false) => {
                return Err("two linked orders rest: no --tif with --oco".to_owned());
            }
            (other, ..) => return Err(format!("--tif {other}: choose one of gtc, ioc, fok")),
        },
        "market" if plain => WorkKind::Market,
        "stop" if plain => WorkKind::Stop,
        "take_profit" if plain => WorkKind::Target,
        "market" | "stop" | "take_profit" => {
            return Err(format!("a {} takes no --tif, --oco, --bracket", text.kind));
        }
        other => {
            return Err(format!("--type {other}: choose one of limit, market, stop, take_profit"));
        }
    };
    Ok(kind)
}

/// What became of a command, with prices and quantities as text in whole units.
fn to_json(r: &WorkReport, table: &InstrumentTable) -> Value {
    let i = table.get(r.instrument);
    let (price, qty) = i.map_or((0, 0), |i| (i.price_decimals, i.qty_decimals));
    let terms = |t: Terms| {
        let [at, size] = [(t.price.0, price), (t.qty.0, qty)].map(|(n, d)| units_to_string(n, d));
        json!({ "price": at, "qty": size })
    };
    let maybe = |p: Price| (p.0 > 0).then(|| units_to_string(p.0, price));
    json!({
        "id": r.id.to_string(),
        "command": r.kind.name(),
        "by": if r.id.is_by_strategy() { "strategy" } else { "operator" },
        "strategy": r.strategy.0 + 1,
        "symbol": i.map(|i| table.label(i)),
        "side": if r.side == Side::Buy { "buy" } else { "sell" },
        "from": r.from.map(terms),
        "to": r.to.map(terms),
        "trigger": maybe(r.trigger),
        "other": maybe(r.other),
        "state": r.state.name(),
        "refused_because": (r.state == WorkState::Refused).then(|| r.refusal.name()),
        "gate": r.gate.map(RefuseReason::name),
        "reason": r.reason.name(),
        "order": (r.order.0 > 0).then_some(r.order.0),
        "filled": units_to_string(r.filled.0, qty),
        "undo_of": (r.undo_of != CommandId::NONE).then(|| r.undo_of.to_string()),
        "can_undo": r.can_undo,
        "began_ns": r.began.0,
        "at_ns": r.at.0,
    })
}

/// One line for a person.
#[must_use]
pub fn sentence(c: &Value) -> String {
    let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    let terms = |v: &Value| match v.is_null() {
        true => "nothing".to_owned(),
        false => format!("{} at {}", text(&v["qty"]), text(&v["price"])),
    };
    let maybe = |key: &str, before: &str| {
        c[key].as_str().map_or(String::new(), |value| format!("{before}{value}"))
    };
    format!(
        "{} {} {} {}: {} -> {}{}{}: {}{}{}{}, {} filled{}",
        text(&c["id"]),
        text(&c["command"]),
        text(&c["side"]),
        text(&c["symbol"]),
        terms(&c["from"]),
        terms(&c["to"]),
        maybe("trigger", ", at "),
        maybe("other", ", other "),
        text(&c["state"]),
        maybe("refused_because", ", because "),
        maybe("gate", ", the gate said "),
        maybe("undo_of", ", takes back "),
        text(&c["filled"]),
        if c["can_undo"] == true { ", can be undone" } else { "" },
    )
}

/// How a refusal is mended.
#[must_use]
pub fn mend(refused: &str) -> Option<&'static str> {
    let known = WorkRefusal::ALL.iter().find(|r| r.name() == refused)?;
    Some(match known {
        WorkRefusal::Busy => "something rests in its place: amend or cancel that",
        WorkRefusal::Closed => "`bot4 status` says what is not open",
        WorkRefusal::NotUndoable => {
            "it did not come true, or something has happened to it since; `bot4 order list` tells"
        }
        WorkRefusal::NothingRests => "nothing of it rests any more",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{Instrument, InstrumentId, Symbol};

    fn table() -> InstrumentTable {
        let mut table = InstrumentTable::new();
        let name = Symbol::new("BTCUSDT").expect("short");
        let bare = Instrument::bare(InstrumentId(0), name, 2);
        table.push(Instrument { qty_decimals: 5, ..bare }).expect("room");
        table
    }

    fn said(kind: &str) -> CommandText {
        let some = |text: &str| Some(text.to_owned());
        CommandText {
            kind: kind.into(),
            symbol: "BTCUSDT".into(),
            side: "sell".into(),
            size: some("0.5"),
            price: some("60000.5"),
            ..CommandText::default()
        }
    }

    fn work(text: CommandText) -> Result<OrderWork, String> {
        Commands::default().give(&text, &table(), StrategyId(2))
    }

    #[test]
    fn words_become_commands() {
        let place = work(said("limit")).expect("sound");
        assert_eq!((place.kind, place.id), (WorkKind::Place, CommandId::by_operator(1)));
        assert_eq!((place.price, place.qty), (Price(6_000_050), Qty(50_000)));
        let with = |change: fn(&mut CommandText)| {
            let mut text = said("limit");
            change(&mut text);
            work(text).expect("sound")
        };
        assert_eq!(with(|t| t.tif = Some("fok".into())).kind, WorkKind::TakeWhole);
        let oco = with(|t| t.oco = Some("stop:58000:57900".into()));
        assert_eq!(
            (oco.kind, oco.trigger, oco.other),
            (WorkKind::Oco, Price(5_800_000), Price(5_790_000))
        );
        let either = with(|t| t.oco = Some("quote:59000".into()));
        assert_eq!((either.trigger, either.other), (Price(0), Price(5_900_000)));
        let bracket = with(|t| t.bracket = Some("61000:58000".into()));
        assert_eq!((bracket.kind, bracket.trigger), (WorkKind::Bracket, Price(6_100_000)));
        let market = work(CommandText { price: None, ..said("market") }).expect("sound");
        assert_eq!((market.kind, market.price), (WorkKind::Market, Price(0)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_mend() {
        let wrong = |text: CommandText, part: &str| {
            let told = work(text).expect_err("refused");
            assert!(told.contains(part), "{told}");
        };
        let some = |text: &str| Some(text.to_owned());
        wrong(said("iceberg"), "limit, market, stop, take_profit");
        wrong(CommandText { price: None, ..said("limit") }, "--price");
        wrong(said("stop"), "--stop");
        wrong(CommandText { size: None, ..said("limit") }, "--size");
        wrong(CommandText { tif: some("day"), ..said("limit") }, "gtc, ioc, fok");
        wrong(CommandText { oco: some("59000"), ..said("limit") }, "quote:PRICE");
        wrong(CommandText { bracket: some("59000"), ..said("limit") }, "STOP:TARGET");
        wrong(CommandText { oco: some("quote:1"), ..said("market") }, "takes no");
        wrong(CommandText { of: some("c9"), ..said("undo") }, "known: none");
        wrong(CommandText { symbol: "X".into(), ..said("limit") }, "BTCUSDT");
    }
}
