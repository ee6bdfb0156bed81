//! `[venue]` or `[[venues]]`, and `[[shard]]`: which venues, how to reach them, whether to trade
//! there or to observe, and which lanes carry which instruments.
//!
//! A run of several venues is as many tables of the same keys. An instrument is then named
//! `venue:symbol` wherever the file speaks of one.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bot4_venues::catalogue::CatalogueRequest;
use bot4_venues::registry::{NotInBuild, Venue};
use toml::Spanned;

use super::credential;
use super::error::Issue;
use super::layers::Layers;
use super::schema;
use crate::topology as t;

/// What a run does at its venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Keeps books and sends orders.
    #[default]
    Trade,
    /// Keeps books: no keys, no strategies, no order entry.
    Observe,
}

/// A venue and how to reach it.
#[derive(Clone, Debug)]
pub struct VenueConfig {
    /// Which.
    pub venue: Venue,
    /// Trade or observe.
    pub mode: Mode,
    /// Symbols, the venue's spelling.
    pub symbols: Vec<String>,
    /// Connections that carry each stream: 1, or 2 for the same streams twice.
    pub lines: usize,
    /// The venue's dead-man switch is armed: it cancels when the engine or the line dies.
    pub dead_man: bool,
    /// Taker fee of the account, 10^-8 of the price.
    pub taker_e8: i64,
    /// How often the list of instruments is read again; `None`: never.
    pub refresh: Option<Duration>,
    /// Endpoints and keys.
    pub access: VenueAccess,
}

impl VenueConfig {
    /// Orders may be sent.
    #[must_use]
    pub fn trades(&self) -> bool {
        self.mode == Mode::Trade
    }
}

/// Where an instrument's data goes, if not round robin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// The instrument's index in the run.
    pub instrument: usize,
    /// Wire and parse lane; `None`: round robin. No meaning with two lines.
    pub wire: Option<usize>,
    /// Book lane; `None`: round robin.
    pub book: Option<usize>,
}

/// How to reach a venue.
#[derive(Clone, Debug)]
pub enum VenueAccess {
    /// The simulated venue, started as a child.
    Embedded,
    /// A venue somewhere else.
    Remote(Remote),
}

/// Endpoints and keys of a venue.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Market-data host as a URL.
    pub market: String,
    /// WebSocket API as a URL, where the venue needs one.
    pub api: Option<String>,
    /// REST host as a URL, where the venue needs one.
    pub rest: Option<String>,
    /// The only trusted authority; `None` for the public ones.
    pub ca: Option<PathBuf>,
    /// Keys; none where the run only observes.
    pub keys: Option<Keys>,
}

/// The keys of an account.
#[derive(Clone)]
pub struct Keys {
    /// API key.
    pub api_key: String,
    /// File of the private key, or of the secret shared with the venue.
    pub private_key: PathBuf,
}

/// Tells whether two names of a key differ, and neither of them.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.api_key.as_bytes());
        let mark = digest.as_ref().iter().take(4).fold(0, |n, byte| (n << 8) | u32::from(*byte));
        write!(f, "Keys(#{mark:08x}, {:?})", self.private_key)
    }
}

/// The span of `[venue]` and everything that is checked against it.
struct Context<'a> {
    table: Range<usize>,
    layers: &'a Layers,
    venue: Venue,
    mode: Mode,
}

/// The names of all instruments of `venues`, in the order of their index.
#[must_use]
pub fn labels(venues: &[&VenueConfig]) -> Vec<String> {
    let label = |v: &VenueConfig, symbol: &String| match venues.len() {
        1 => symbol.clone(),
        _ => format!("{}:{symbol}", v.venue.name()),
    };
    venues.iter().flat_map(|v| v.symbols.iter().map(move |s| label(v, s))).collect()
}

/// Checks `[venue]`, or all of `[[venues]]`; a relative path is relative to the folder of its
/// file. At least one.
///
/// # Errors
/// The first [`Issue`] found.
pub fn resolve_all(
    one: Option<Spanned<schema::Venue>>,
    several: Vec<Spanned<schema::Venue>>,
    layers: &Layers,
) -> Result<Vec<VenueConfig>, Issue> {
    if let (Some(one), false) = (&one, several.is_empty()) {
        let mend = "write [[venues]] for each of several, and no [venue]";
        return Err(issue(one.span(), "venue", "stands beside [[venues]]", mend));
    }
    let tables: Vec<_> = one.into_iter().chain(several).collect();
    if tables.is_empty() {
        let mend = "write a table [venue], or [[venues]] for each of several";
        return Err(issue(0..0, "venue", "is missing", mend));
    }
    let spans: Vec<_> = tables.iter().map(Spanned::span).collect();
    let resolved = tables.into_iter().map(|table| resolve(table, layers));
    let venues = resolved.collect::<Result<Vec<_>, _>>()?;
    for (at, venue) in venues.iter().enumerate() {
        go_together(&venues[..at], venue, spans[at].clone())?;
    }
    Ok(venues)
}

/// Refuses `venue` beside the venues `before` it.
fn go_together(
    before: &[VenueConfig],
    venue: &VenueConfig,
    span: Range<usize>,
) -> Result<(), Issue> {
    let Some(first) = before.first() else { return Ok(()) };
    let is_embedded = |v: &VenueConfig| matches!(v.access, VenueAccess::Embedded);
    let sum = |of: fn(&VenueConfig) -> usize| before.iter().map(of).sum::<usize>() + of(venue);
    let refusal = if before.iter().any(|v| v.venue == venue.venue) {
        Some(("name", "is there twice", "name each venue once: two accounts are two runs"))
    } else if venue.mode != first.mode {
        Some(("mode", "is not that of the first venue", "trade at all of them, or observe all"))
    } else if is_embedded(venue) != is_embedded(first) {
        let what = "is not as at the first venue: simulated money beside real money";
        Some(("embedded", what, "embed all of them or none"))
    } else if before.len() + 1 > bot4_types::limits::VENUES_MAX || sum(|v| v.lines) > t::WIRES_MAX {
        Some(("lines", "make more than 8 connections together", "name fewer venues or lines"))
    } else if sum(|v| v.symbols.len()) > bot4_types::limits::INSTRUMENTS_MAX {
        Some(("symbols", "are too many together", "name 256 at most over all venues"))
    } else {
        None
    };
    refusal.map_or(Ok(()), |(key, what, mend)| Err(issue(span, key, what, mend)))
}

/// Checks one venue.
fn resolve(venue: Spanned<schema::Venue>, layers: &Layers) -> Result<VenueConfig, Issue> {
    let table = venue.span();
    let venue = venue.into_inner();
    let name = venue.name.get_ref().as_str();
    let known = known_venue(name).map_err(|what| {
        issue(venue.name.span(), "name", what, "name a venue that this build has")
    })?;
    let mode = venue.mode.as_ref().map_or(Mode::Trade, |m| *m.get_ref());
    can_trade(known, mode, venue.name.span())?;
    let symbols = symbols(&venue.symbols)?;
    let dead_man = match mode {
        Mode::Trade => dead_man(known, venue.dead_man.as_ref(), &table)?,
        Mode::Observe => false,
    };
    let lines = lines(venue.lines.as_ref(), known)?;
    let refresh = refresh(venue.refresh.as_ref())?;
    let taker_e8 = taker_e8(venue.taker_fee_pct.as_ref())?;
    let context = Context { table, layers, venue: known, mode };
    let access = if venue.embedded {
        embedded(&venue)?
    } else {
        VenueAccess::Remote(remote(venue, &context)?)
    };
    Ok(VenueConfig { venue: known, mode, symbols, lines, dead_man, taker_e8, refresh, access })
}

fn issue(
    span: Range<usize>,
    key: &'static str,
    what: impl Into<String>,
    mend: impl Into<String>,
) -> Issue {
    Issue { span, key, what: what.into(), mend: mend.into() }
}

/// The venue called `name`, if this build speaks its dialect.
///
/// # Errors
/// A sentence that lists what there is.
pub fn known_venue(name: &str) -> Result<Venue, String> {
    let names = || Venue::ALL.map(Venue::name).join(", ");
    let venue = Venue::from_name(name)
        .ok_or_else(|| format!("`{name}` is not a venue; there are: {}", names()))?;
    if venue.is_in_build() { Ok(venue) } else { Err(NotInBuild(venue).to_string()) }
}

/// The venues that orders are sent to; every venue in the build can be observed.
const TRADED: [Venue; 5] =
    [Venue::Binance, Venue::Bybit, Venue::Okx, Venue::Coinbase, Venue::Kraken];

fn can_trade(venue: Venue, mode: Mode, span: Range<usize>) -> Result<(), Issue> {
    if mode == Mode::Observe || TRADED.contains(&venue) {
        return Ok(());
    }
    let what = format!(
        "this build can observe `{}` but not trade there: it sends orders to {} only",
        venue.name(),
        TRADED.map(Venue::name).join(", ")
    );
    Err(issue(span, "name", what, "write mode = \"observe\" and remove the strategies"))
}

fn symbols(symbols: &Spanned<Vec<String>>) -> Result<Vec<String>, Issue> {
    let list = symbols.get_ref();
    let wrong = |what: String| {
        Err(issue(symbols.span(), "symbols", what, "list the venue's names, like [\"BTCUSDT\"]"))
    };
    if list.is_empty() || list.len() > bot4_types::limits::INSTRUMENTS_MAX {
        return wrong(format!("{} symbols", list.len()));
    }
    for (i, symbol) in list.iter().enumerate() {
        let plain = !symbol.chars().any(|c| c.is_ascii_lowercase() || c.is_whitespace());
        if bot4_types::Symbol::new(symbol).is_none() || !plain {
            return wrong(format!("`{symbol}` is not a symbol (upper case, no spaces)"));
        }
        if list[..i].contains(symbol) {
            return wrong(format!("`{symbol}` is listed twice"));
        }
    }
    Ok(list.clone())
}

/// Two lines are merged by the updates' numbers; without numbers nobody can tell which of two
/// messages is the newer one.
fn lines(lines: Option<&Spanned<u32>>, venue: Venue) -> Result<usize, Issue> {
    let Some(value) = lines else { return Ok(1) };
    match *value.get_ref() {
        1 => Ok(1),
        2 if venue.rules().is_mergeable() => Ok(2),
        2 => {
            let what = format!(
                "the books of `{}` carry no update numbers, so two lines cannot be merged",
                venue.name()
            );
            Err(issue(value.span(), "lines", what, "write lines = 1"))
        }
        n => Err(issue(value.span(), "lines", format!("{n} is out of range"), "write 1 or 2")),
    }
}

/// Checks `[[shard]]` against the instruments' names.
///
/// # Errors
/// The first [`Issue`] found.
pub fn resolve_shards(
    shards: &[schema::Shard],
    symbols: &[String],
    venues: &[&VenueConfig],
) -> Result<Vec<ShardConfig>, Issue> {
    let lines = venues.iter().map(|v| v.lines).max().unwrap_or(1);
    let lane = |key, value: Option<&Spanned<u32>>, count: usize| match value {
        None => Ok(None),
        Some(v) if (*v.get_ref() as usize) < count => Ok(Some(*v.get_ref() as usize)),
        Some(v) => {
            let what = format!("there is no lane {}", v.get_ref());
            Err(issue(v.span(), key, what, format!("choose 0 to {}", count - 1)))
        }
    };
    let mut placed: Vec<ShardConfig> = Vec::new();
    for shard in shards {
        let wire = lane("wire", shard.wire.as_ref(), t::WIRES)?;
        let book = lane("book", shard.book.as_ref(), t::BOOKS)?;
        if let (Some(value), true) = (&shard.wire, venues.len() > 1) {
            let what = "with several venues each has wire lanes of its own";
            return Err(issue(value.span(), "wire", what, "remove it; `book` may stay"));
        }
        if let (Some(value), 2..) = (&shard.wire, lines) {
            let what = "with two lines every wire lane carries every instrument";
            return Err(issue(value.span(), "wire", what, "remove it, or write lines = 1"));
        }
        for symbol in shard.symbols.get_ref() {
            let span = shard.symbols.span();
            let Some(instrument) = symbols.iter().position(|s| s == symbol) else {
                let what = format!("`{symbol}` is not among the venue's symbols");
                return Err(issue(span, "symbols", what, "name symbols of [venue]"));
            };
            if placed.iter().any(|p| p.instrument == instrument) {
                let what = format!("`{symbol}` is in two shards");
                return Err(issue(span, "symbols", what, "name it once"));
            }
            placed.push(ShardConfig { instrument, wire, book });
        }
    }
    Ok(placed)
}

/// Shortest time between two readings of the list of instruments: it is a heavy request.
const REFRESH_MIN: Duration = Duration::from_secs(1);
/// Default time between two readings.
const REFRESH: Duration = Duration::from_secs(300);

fn refresh(value: Option<&Spanned<super::value::Span>>) -> Result<Option<Duration>, Issue> {
    match value {
        None => Ok(Some(REFRESH)),
        Some(v) if v.get_ref().0.is_zero() => Ok(None),
        Some(v) if v.get_ref().0 >= REFRESH_MIN => Ok(Some(v.get_ref().0)),
        Some(v) => Err(issue(v.span(), "refresh", "is too short", "choose 1s or more; 0s: never")),
    }
}

/// What most accounts pay where nobody says otherwise, per cent.
const TAKER_FEE_PCT: f64 = 0.1;

/// A fee may be negative: a rebate.
fn taker_e8(value: Option<&Spanned<f64>>) -> Result<i64, Issue> {
    let pct = value.map_or(TAKER_FEE_PCT, |v| *v.get_ref());
    match value {
        Some(v) if !(-1.0..=5.0).contains(&pct) => {
            let what = format!("{pct} is out of range");
            Err(issue(v.span(), "taker_fee_pct", what, "choose -1 to 5 per cent"))
        }
        _ => Ok((pct * 1e6).round() as i64),
    }
}

/// Whether the dead-man switch is armed. Binance Spot and Coinbase have none, so the configuration
/// must say that its author knows; Bybit has one, but not for every account; at OKX and Kraken
/// every account has it.
fn dead_man(
    venue: Venue,
    dead_man: Option<&Spanned<String>>,
    table: &Range<usize>,
) -> Result<bool, Issue> {
    let always = matches!(venue, Venue::Okx | Venue::Kraken);
    let has_one = always || venue == Venue::Bybit;
    let mend = match has_one {
        true if always => "leave it out: it is armed",
        true => "leave it out, or write dead_man = \"none_available\" if the account has none",
        false => {
            "write dead_man = \"none_available\": this venue cannot cancel orders for you when the \
             engine or the line dies"
        }
    };
    match dead_man.map(|value| (value.get_ref().as_str(), value)) {
        None if has_one => Ok(true),
        None => Err(issue(table.clone(), "dead_man", "is missing", mend)),
        Some(("none_available", _)) if !always => Ok(false),
        Some(("armed", _)) if has_one => Ok(true),
        Some((_, value)) if has_one => {
            Err(issue(value.span(), "dead_man", "is not a setting of it", mend))
        }
        Some((_, value)) => {
            Err(issue(value.span(), "dead_man", "this venue has no dead-man switch", mend))
        }
    }
}

fn embedded(venue: &schema::Venue) -> Result<VenueAccess, Issue> {
    let given = [
        ("market", venue.market.as_ref().map(Spanned::span)),
        ("api", venue.api.as_ref().map(Spanned::span)),
        ("rest", venue.rest.as_ref().map(Spanned::span)),
        ("ca", venue.ca.as_ref().map(Spanned::span)),
        ("api_key", venue.api_key.as_ref().map(Spanned::span)),
        ("private_key", venue.private_key.as_ref().map(Spanned::span)),
    ];
    for (key, span) in given {
        if let Some(span) = span {
            let mend = "remove it, or set embedded = false";
            return Err(issue(span, key, "has no meaning for an embedded venue", mend));
        }
    }
    Ok(VenueAccess::Embedded)
}

fn remote(venue: schema::Venue, context: &Context<'_>) -> Result<Remote, Issue> {
    let missing = |key, mend: &str| issue(context.table.clone(), key, "is missing", mend);
    let market = venue
        .market
        .ok_or_else(|| missing("market", "give the wss:// URL of the market-data host"))?;
    let market = url("market", market)?;
    let needs = Needs::of(context);
    let api = venue.api.map(|v| url("api", v)).transpose()?;
    if api.is_none() && needs.api {
        return Err(missing("api", "give the wss:// URL of the WebSocket API"));
    }
    let rest = venue.rest.map(rest_url).transpose()?;
    if rest.is_none() && needs.rest {
        let mend = "give the https:// URL of the REST host: instruments or account are asked there";
        return Err(missing("rest", mend));
    }
    let ca = venue.ca.map(|ca| file("ca", &ca, context.layers)).transpose()?;
    let keys = match context.mode {
        Mode::Observe => None,
        Mode::Trade => {
            let api_key = venue
                .api_key
                .ok_or_else(|| missing("api_key", "give the key's name at the venue"))?;
            let key = venue.private_key.ok_or_else(|| {
                missing("private_key", "give the file of the Ed25519 key, or of the secret")
            })?;
            let private_key = file("private_key", &key, context.layers)?;
            check_private(&private_key, key.span())?;
            Some(Keys { api_key: api_key.into_inner(), private_key })
        }
    };
    Ok(Remote { market, api, rest, ca, keys })
}

/// Hosts beside the market-data host that a run needs.
struct Needs {
    api: bool,
    rest: bool,
}

impl Needs {
    fn of(context: &Context<'_>) -> Self {
        let request = context.venue.catalogue_request(&[]);
        let session = context.venue.market_session(0);
        let snapshots = session.is_ok_and(|s| s.snapshot_path().is_some());
        let by_api = matches!(request, Ok(CatalogueRequest::Api));
        Self {
            api: context.mode == Mode::Trade || snapshots || by_api,
            rest: matches!(request, Ok(CatalogueRequest::Rest(_)))
                || (context.mode == Mode::Trade && context.venue != Venue::Binance),
        }
    }
}

fn url(key: &'static str, value: Spanned<String>) -> Result<String, Issue> {
    match bot4_wire::Endpoint::parse(value.get_ref()) {
        Ok(_) => Ok(value.into_inner()),
        Err(e) => Err(issue(value.span(), key, e.to_string(), "write wss://host[:port][/path]")),
    }
}

fn rest_url(value: Spanned<String>) -> Result<String, Issue> {
    let wrong = |what: String| issue(value.span(), "rest", what, "write https://host[:port]");
    let Some(rest) = value.get_ref().strip_prefix("https://") else {
        return Err(wrong("url must begin with https://".to_owned()));
    };
    match bot4_wire::Endpoint::parse(&format!("wss://{rest}")) {
        Ok(endpoint) if endpoint.path() == "/" => Ok(format!("https://{}", endpoint.authority())),
        Ok(_) => Err(wrong("the URL has a path; the venue's paths are known".to_owned())),
        Err(e) => Err(wrong(e.to_string())),
    }
}

fn file(key: &'static str, value: &Spanned<PathBuf>, layers: &Layers) -> Result<PathBuf, Issue> {
    let path = match credential::named_by(value.get_ref(), credential::folder().as_deref()) {
        Some(found) => found.map_err(|what| issue(value.span(), key, what, credential::MEND))?,
        None => layers.folder_of(&value.span()).join(value.get_ref()),
    };
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(e) => {
            let what = format!("cannot read {}: {e}", path.display());
            Err(issue(value.span(), key, what, "give the path of a file this user can read"))
        }
    }
}

/// A private key that others can read is refused.
fn check_private(path: &Path, span: Range<usize>) -> Result<(), Issue> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map(|m| m.permissions().mode()).unwrap_or(0);
    // The service manager lets the engine's user in by an access list, which shows as the group's.
    let of_others = if credential::holds(path) { 0o037 } else { 0o077 };
    if mode & of_others == 0 {
        return Ok(());
    }
    let what = format!("{} can be read by others (mode {:o})", path.display(), mode & 0o777);
    Err(issue(span, "private_key", what, format!("chmod 600 {}", path.display())))
}
