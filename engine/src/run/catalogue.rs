//! The venue's list of instruments, asked for in the venue's way: by its WebSocket API, over
//! REST, or by a channel of the market host. No key is needed for any of them.

use bot4_execution::pause::Reach;
use bot4_lanes::Clock;
use bot4_types::{InstrumentTable, Nanos, PauseReason};
use bot4_venues::binance::orders;
use bot4_venues::bybit::errors::ADDRESS_PAUSE_MS;
use bot4_venues::catalogue::{Catalogue, CatalogueError, CatalogueRequest};
use bot4_venues::registry::Venue;
use bot4_wire::Endpoint;

use super::access::Access;
use super::chat::Chat;
use super::cold::ColdError;
use super::guard;
use super::patience::{Patience, at_the_door, limited};
use super::rest::RestClient;

/// Asks `venue` for the instruments called `symbols`.
///
/// # Errors
/// See [`ColdError`].
pub fn read(
    clock: &Clock,
    access: &Access,
    venue: Venue,
    symbols: &[String],
    seed: u64,
) -> Result<Catalogue, ColdError> {
    let wanted: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let request = venue.catalogue_request(&wanted).map_err(ColdError::NotInBuild)?;
    let patience = |reach| Patience::new(clock, &access.guards, reach, access.hurried);
    match request {
        CatalogueRequest::Api => {
            patience(Reach::All).ask(|| by_api(clock, access, venue, &wanted, seed))
        }
        CatalogueRequest::Rest(paths) => {
            patience(Reach::Rest).ask(|| by_rest(access, venue, &paths, &wanted))
        }
        CatalogueRequest::Channel { path, message } => {
            // The host's own path is that of the streams.
            let host = Endpoint::parse(&access.market).map_err(ColdError::Endpoint)?;
            let url = host.with_path(&path).map_err(ColdError::Endpoint)?.to_string();
            access.guards.ask(guard::MARKET, || {
                let mut chat = Chat::open(clock, access, &url, seed)?;
                by_channel(&mut chat, venue, &message, &wanted)
            })
        }
    }
}

/// What a later reading found.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The instruments that the venue lists, under ids of this reading.
    pub table: InstrumentTable,
    /// Symbols of the run that are not among them, and why.
    pub without: Vec<(String, PauseReason)>,
}

/// Asks again for instruments that the venue once listed: one that it lists no more, or in a way
/// that cannot be held, is found and set apart.
///
/// # Errors
/// See [`ColdError`].
pub fn read_again(
    symbols: &[String],
    mut read: impl FnMut(&[String]) -> Result<Catalogue, ColdError>,
) -> Result<Reading, ColdError> {
    let (mut left, mut without) = (symbols.to_vec(), Vec::new());
    while !left.is_empty() {
        let apart = match read(&left) {
            Ok(catalogue) => return Ok(Reading { table: catalogue.table, without }),
            Err(ColdError::Instruments(CatalogueError::Missing(symbol))) => {
                vec![(symbol, PauseReason::Unlisted)]
            }
            Err(ColdError::Instruments(
                CatalogueError::Symbol(symbol, _) | CatalogueError::Table(symbol, _),
            )) => vec![(symbol, PauseReason::Units)],
            Err(ColdError::Instruments(e)) if e.is_unknown_symbol() => {
                let unlisted = |symbol| (symbol, PauseReason::Unlisted);
                refused(&left, &mut read)?.into_iter().map(unlisted).collect()
            }
            Err(e) => return Err(e),
        };
        let before = left.len();
        left.retain(|symbol| !apart.iter().any(|(name, _)| name == symbol));
        if left.len() == before {
            return Err(ColdError::Answer("the instruments"));
        }
        without.extend(apart);
    }
    Ok(Reading { table: InstrumentTable::new(), without })
}

/// Which of `symbols` the venue does not know, when it refused them all for one: by halves.
fn refused(
    symbols: &[String],
    read: &mut impl FnMut(&[String]) -> Result<Catalogue, ColdError>,
) -> Result<Vec<String>, ColdError> {
    if let [symbol] = symbols {
        return Ok(vec![symbol.clone()]);
    }
    let (first, second) = symbols.split_at(symbols.len() / 2);
    let mut found = Vec::new();
    for half in [first, second] {
        match read(half) {
            Ok(_) => {}
            Err(ColdError::Instruments(e)) if e.is_unknown_symbol() => {
                found.extend(refused(half, read)?);
            }
            // What else is wrong with this half shows when the rest is read.
            Err(ColdError::Instruments(_)) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

fn by_api(
    clock: &Clock,
    access: &Access,
    venue: Venue,
    wanted: &[&str],
    seed: u64,
) -> Result<Catalogue, ColdError> {
    const ID: u64 = 1;
    let mut request = Vec::new();
    orders::exchange_info(ID, wanted, &mut request);
    let answer = access.guards.ask(guard::API, || {
        let mut chat = Chat::open(clock, access, access.api()?, seed)?;
        chat.send(&request)?;
        let wanted = |text: &[u8]| is_answer(text, ID).then(|| text.to_vec());
        let text = chat.answer("exchangeInfo", wanted)?;
        limited("exchangeInfo", &text, clock.wall().unix_ms(clock.now())).map_or(Ok(text), Err)
    });
    let answer = answer.map_err(at_the_door)?;
    venue.catalogue(&[answer], wanted).map_err(ColdError::Instruments)
}

/// `text` is the WebSocket API's answer to request `id`, which stands near its beginning.
pub(super) fn is_answer(text: &[u8], id: u64) -> bool {
    let wanted = format!("\"id\":{id},");
    let head = &text[..text.len().min(64)];
    head.windows(wanted.len()).any(|w| w == wanted.as_bytes())
}

fn by_rest(
    access: &Access,
    venue: Venue,
    paths: &[String],
    wanted: &[&str],
) -> Result<Catalogue, ColdError> {
    let client = RestClient::of(access)?;
    let ban = (venue == Venue::Bybit).then_some(Nanos::from_millis(ADDRESS_PAUSE_MS));
    let answers = paths.iter().map(|path| client.get(path, ban)).collect::<Result<Vec<_>, _>>()?;
    venue.catalogue(&answers, wanted).map_err(ColdError::Instruments)
}

/// Acknowledgements and status messages come before the list: what is no list is passed over,
/// and told when nothing better comes.
fn by_channel(
    chat: &mut Chat,
    venue: Venue,
    message: &[u8],
    wanted: &[&str],
) -> Result<Catalogue, ColdError> {
    chat.send(message)?;
    let answer =
        chat.answer("the instruments", |text| match venue.catalogue(&[text.to_vec()], wanted) {
            Err(CatalogueError::Message(_)) => None,
            other => Some(other),
        })?;
    answer.map_err(ColdError::Instruments)
}

#[cfg(test)]
mod tests {
    use super::super::changes::tests::table;
    use super::*;
    use bot4_venues::limits::RateLimits;
    use bot4_venues::market::DecodeError;

    type Bad = (&'static str, fn(&str) -> CatalogueError);

    /// A venue that lists what `bad` says nothing about.
    fn again(bad: &[Bad], names: &[&str]) -> (Result<Reading, ColdError>, usize) {
        let symbols: Vec<String> = names.iter().map(|s| (*s).to_owned()).collect();
        let mut reads = 0;
        let read = |asked: &[String]| {
            reads += 1;
            for (name, error) in bad {
                if asked.iter().any(|s| s == name) {
                    return Err(ColdError::Instruments(error(name)));
                }
            }
            Ok(Catalogue {
                table: table(|_| ()),
                limits: RateLimits::default(),
                server_ms: 0,
                codes: Vec::new(),
            })
        };
        let reading = read_again(&symbols, read);
        (reading, reads)
    }

    #[test]
    fn what_is_listed_no_more_is_set_apart_and_the_rest_is_read() {
        let names = ["AAA", "BBB", "CCC", "DDD", "EEE"];
        let missing = |s: &str| CatalogueError::Missing(s.to_owned());
        let odd = |s: &str| CatalogueError::Symbol(s.to_owned(), DecodeError::Schema);
        let (reading, _) = again(&[("BBB", missing), ("EEE", odd)], &names);
        let without = reading.expect("the rest").without;
        let told: Vec<_> = without.iter().map(|(s, why)| (s.as_str(), *why)).collect();
        assert_eq!(told, [("BBB", PauseReason::Unlisted), ("EEE", PauseReason::Units)]);
        let unknown = |_: &str| CatalogueError::Refused(-1121);
        let (reading, reads) = again(&[("BBB", unknown), ("DDD", unknown)], &names);
        let without = reading.expect("the rest").without;
        assert_eq!(without.iter().map(|(s, _)| s.as_str()).collect::<Vec<_>>(), ["BBB", "DDD"]);
        assert_eq!(reads, 10);
        let (reading, _) = again(&[("AAA", unknown)], &["AAA"]);
        let reading = reading.expect("nothing is listed");
        assert_eq!((reading.table.all().len(), reading.without.len()), (0, 1));
        let refuses = |_: &str| CatalogueError::Refused(-1003);
        assert!(again(&[("AAA", refuses)], &names).0.is_err());
        let other = |_: &str| CatalogueError::Missing("ZZZ".to_owned());
        assert!(again(&[("AAA", other)], &names).0.is_err());
    }
}
