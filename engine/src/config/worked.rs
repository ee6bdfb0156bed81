//! `[[strategy]]` of a kind that works parent orders: twap, vwap, pov, iceberg, pegged, best.

use std::ops::Range;
use std::time::Duration;

use bot4_types::parent::CURVE_BUCKETS;
use bot4_types::{Algo, Deadline, InstrumentTable, Peg, Symbol, Urgency};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::error::Issue;
use super::resolve::{StrategyConfig, issue, positive};
use super::schema;
use crate::operator::orders;

/// Farthest limit from the middle, per cent.
const LIMIT_PCT_MAX: f64 = 50.0;
/// Longest time of a parent.
const OVER_MAX: Duration = Duration::from_secs(31 * 86_400);

/// A strategy that works parent orders, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkedConfig {
    /// How.
    #[serde(with = "algo")]
    pub algo: Algo,
    /// Sells instead of buying.
    pub sells: bool,
    /// Worth of the whole in quote units.
    #[serde(with = "exact")]
    pub notional: f64,
    /// Worth of what rests at a time; zero: all of it.
    #[serde(with = "exact")]
    pub display_notional: f64,
    /// Distance of the limit from the middle at the beginning, per cent, worse is positive; not a
    /// number: no limit.
    #[serde(with = "maybe_exact")]
    pub limit_pct: Option<f64>,
    /// In this instrument alone.
    #[serde(with = "symbol")]
    pub symbol: Option<Symbol>,
    /// Time it has; zero: no deadline.
    pub over: Duration,
    /// From an end to the next beginning.
    pub repeat: Option<Duration>,
    /// What becomes of the rest.
    #[serde(with = "deadline")]
    pub deadline: Deadline,
    /// When it takes.
    #[serde(with = "urgency")]
    pub urgency: Urgency,
    /// Share of the volume, 10^-4.
    pub rate_e4: u32,
    /// What a pegged order follows.
    #[serde(with = "peg")]
    pub peg: Peg,
    /// At this distance.
    pub offset_ticks: i32,
    /// What rests is amended where it moves and can be.
    #[serde(default)]
    pub amend: bool,
    /// Expected volume by part of its time.
    pub curve: [u16; CURVE_BUCKETS],
}

/// The algorithm that a kind of strategy names.
#[must_use]
pub fn algo_of(kind: &str) -> Option<Algo> {
    Algo::ALL.iter().copied().find(|algo| algo.name() == kind)
}

/// Refuses keys of a parent order in a strategy of another `kind`.
///
/// # Errors
/// The first one.
pub fn none(s: &schema::Strategy, kind: &str) -> Result<(), Issue> {
    let spans: [(&'static str, Option<Range<usize>>); 12] = [
        ("side", s.side.as_ref().map(Spanned::span)),
        ("symbol", s.symbol.as_ref().map(Spanned::span)),
        ("over", s.over.as_ref().map(Spanned::span)),
        ("repeat", s.repeat.as_ref().map(Spanned::span)),
        ("deadline", s.deadline.as_ref().map(Spanned::span)),
        ("urgency", s.urgency.as_ref().map(Spanned::span)),
        ("rate_pct", s.rate_pct.as_ref().map(Spanned::span)),
        ("display_notional", s.display_notional.as_ref().map(Spanned::span)),
        ("peg", s.peg.as_ref().map(Spanned::span)),
        ("offset_ticks", s.offset_ticks.as_ref().map(Spanned::span)),
        ("limit_pct", s.limit_pct.as_ref().map(Spanned::span)),
        ("curve", s.curve.as_ref().map(Spanned::span)),
    ];
    for (key, span) in spans {
        super::resolve::foreign(kind, key, span)?;
    }
    Ok(())
}

/// The strategy that works by `algo`.
///
/// # Errors
/// The first issue found.
pub fn resolve(s: &schema::Strategy, algo: Algo) -> Result<WorkedConfig, Issue> {
    let span = s.kind.span();
    let side = s.side.as_ref();
    let side = side.ok_or_else(|| issue(span.clone(), "side", "is missing", "buy or sell"))?;
    let sells = match side.get_ref().as_str() {
        "buy" => false,
        "sell" => true,
        _ => return Err(issue(side.span(), "side", "is no side", "choose buy or sell")),
    };
    let total = s.notional.as_ref();
    let total = total
        .ok_or_else(|| issue(span.clone(), "notional", "is missing", "its worth in quote units"))?;
    let over = s.over.as_ref().map_or(Ok(Duration::ZERO), |v| match v.get_ref().0 {
        over if over <= OVER_MAX => Ok(over),
        _ => Err(issue(v.span(), "over", "is too long", "31d at most")),
    })?;
    if matches!(algo, Algo::Twap | Algo::Vwap) && over.is_zero() {
        let what = format!("a {} needs its time", algo.name());
        return Err(issue(span, "over", what, "write over = \"10m\""));
    }
    let limit_pct = s.limit_pct.as_ref().map(limit).transpose()?;
    if algo == Algo::Iceberg && limit_pct.is_none() {
        let what = "an iceberg needs its limit";
        return Err(issue(span, "limit_pct", what, "0.0 is the middle when it begins"));
    }
    let rate_e4 = s.rate_pct.as_ref().map_or(Ok(0), |v| {
        orders::rate(*v.get_ref())
            .map_err(|_| issue(v.span(), "rate_pct", "is out of range", "choose 0.01 to 50.0"))
    })?;
    if algo == Algo::Pov && rate_e4 == 0 {
        return Err(issue(span, "rate_pct", "is missing", "its share of the volume, per cent"));
    }
    let shown = s.display_notional.as_ref();
    let weights = s.curve.as_ref().map_or(Ok([0; CURVE_BUCKETS]), |v| {
        let wrong = |_| issue(v.span(), "curve", "is no curve", "write 24 weights, 0 to 65535");
        orders::curve(v.get_ref()).map_err(wrong)
    })?;
    Ok(WorkedConfig {
        algo,
        sells,
        notional: positive("notional", total, 1e12)?,
        display_notional: shown.map_or(Ok(0.0), |v| positive("display_notional", v, 1e12))?,
        limit_pct,
        symbol: s.symbol.as_ref().map(one_symbol).transpose()?,
        over,
        repeat: s.repeat.as_ref().map(|v| v.get_ref().0),
        deadline: match (&s.deadline, algo) {
            (None, _) => orders::usual_deadline(algo),
            (Some(v), Algo::Best) if v.get_ref() == Deadline::Take.name() => {
                let what = "an order to the best venues takes at once";
                return Err(issue(v.span(), "deadline", what, "write \"give_up\", or nothing"));
            }
            (some, _) => one_of("deadline", some.as_ref(), Deadline::ALL, Deadline::name)?,
        },
        urgency: match &s.urgency {
            None => Urgency::Normal,
            some => one_of("urgency", some.as_ref(), Urgency::ALL, Urgency::name)?,
        },
        rate_e4,
        peg: one_of("peg", s.peg.as_ref(), Peg::ALL, Peg::name)?,
        offset_ticks: s.offset_ticks.as_ref().map_or(0, |v| *v.get_ref()),
        amend: s.amend.as_ref().is_some_and(|v| *v.get_ref()),
        curve: weights,
    })
}

/// Sees to it that each strategy's symbol names something in `table`.
///
/// # Errors
/// What can be named, as a text for a person.
pub fn check(strategies: &[StrategyConfig], table: &InstrumentTable) -> Result<(), String> {
    for worked in strategies.iter().filter_map(StrategyConfig::worked) {
        let Some(symbol) = worked.symbol else { continue };
        orders::meant(table, symbol.as_str(), worked.algo)
            .map_err(|e| format!("error: [[strategy]] symbol: {e}"))?;
    }
    Ok(())
}

/// The word meant; the first of `all` where none is said.
fn one_of<T: Copy>(
    key: &'static str,
    value: Option<&Spanned<String>>,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, Issue> {
    let Some(value) = value else { return Ok(all[0]) };
    let found = all.iter().copied().find(|v| name(*v) == value.get_ref());
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|v| name(*v)).collect();
        let mend = format!("choose {}", names.join(" or "));
        issue(value.span(), key, format!("`{}` is not known", value.get_ref()), mend)
    })
}

fn one_symbol(value: &Spanned<String>) -> Result<Symbol, Issue> {
    Symbol::new(value.get_ref())
        .ok_or_else(|| issue(value.span(), "symbol", "is no symbol", "one of venue.symbols"))
}

fn limit(value: &Spanned<f64>) -> Result<f64, Issue> {
    let pct = *value.get_ref();
    if pct.is_finite() && pct.abs() <= LIMIT_PCT_MAX {
        return Ok(pct);
    }
    Err(issue(value.span(), "limit_pct", "is out of range", "choose -50.0 to 50.0"))
}

/// A float as the shortest text that reads back to the same bits.
pub mod exact {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// As text.
    pub fn serialize<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{value:?}"))
    }

    /// From text.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

mod maybe_exact {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(value: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(&format_args!("{value:?}")),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|t| t.parse().map_err(D::Error::custom)).transpose()
    }
}

mod symbol {
    use bot4_types::Symbol;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(value: &Option<Symbol>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.serialize_str(value.as_str()),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Symbol>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        let symbol = |t: String| Symbol::new(&t).ok_or_else(|| D::Error::custom("no symbol"));
        text.map(symbol).transpose()
    }
}

/// A word of a fixed list as its name.
macro_rules! by_name {
    ($module:ident, $type:ty) => {
        mod $module {
            use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

            pub fn serialize<S: Serializer>(value: &$type, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(value.name())
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<$type, D::Error> {
                let text = String::deserialize(d)?;
                let found = <$type>::ALL.iter().copied().find(|v| v.name() == text);
                found.ok_or_else(|| D::Error::custom(format!("`{text}` is not known")))
            }
        }
    };
}

by_name!(algo, bot4_types::Algo);
by_name!(deadline, bot4_types::Deadline);
by_name!(urgency, bot4_types::Urgency);
by_name!(peg, bot4_types::Peg);
