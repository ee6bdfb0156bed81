//! The venue's list of instruments, asked for in the venue's way: by its WebSocket API, over
//! REST, or by a channel of the market host. No key is needed for any of them.

use bot4_lanes::Clock;
use bot4_venues::binance::orders;
use bot4_venues::catalogue::{Catalogue, CatalogueError, CatalogueRequest};
use bot4_venues::registry::Venue;
use bot4_wire::Endpoint;

use super::access::Access;
use super::chat::Chat;
use super::cold::ColdError;
use super::guard;
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
    match request {
        CatalogueRequest::Api => by_api(clock, access, venue, &wanted, seed),
        CatalogueRequest::Rest(paths) => by_rest(access, venue, &paths, &wanted),
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
        chat.answer("exchangeInfo", |text| is_answer(text, ID).then(|| text.to_vec()))
    })?;
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
    let answers = paths.iter().map(|path| client.get(path)).collect::<Result<Vec<_>, _>>()?;
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
