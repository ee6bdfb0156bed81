//! How a venue begins: its markets, its crowd, what it remembers.

use std::io;

use crate::decimal::ONE;
use crate::dialect::binance::api::ApiSession;
use crate::dialect::binance::is_micro;
use crate::dialect::{self, Dialect, Keys, Setup, parameter};
use crate::exchange::{Exchange, Ids, Market};
use crate::generator::{Activity, Generator};
use crate::matching::Book;
use crate::player::{Player, Replay};
use crate::pulse::Pulse;
use crate::rng::Rng;
use crate::script::Timed;
use crate::store::{ID_JUMP, Stored};
use crate::symbol::SymbolSpec;
use crate::tape::Tape;
use crate::venue::MarketSource;

/// What a dialect is chosen and made by.
pub struct Words {
    /// Its name.
    pub venue: &'static str,
    /// See [`Setup::old_checksum`].
    pub old_checksum: bool,
    /// See [`Setup::keys`].
    pub keys: Keys,
}

/// Lets the market begin and makes the dialect that tells of it.
///
/// # Errors
/// A recording that cannot be read, or a venue's name that is unknown.
pub fn begin(
    words: &Words,
    source: MarketSource,
    script: Vec<Timed>,
    exchange: &mut Exchange,
    rng: &mut Rng,
) -> io::Result<(Pulse, Box<dyn Dialect>)> {
    let named = dialect::find(words.venue).ok_or_else(|| unknown(words.venue))?;
    let mut tape = None;
    let pulse = match source {
        MarketSource::Generated(activity) => {
            Pulse::generated(populate(exchange, activity, rng), script)
        }
        MarketSource::Taped { tape: played, speed_milli } => {
            let player = Player::new(&played, speed_milli)?;
            tape = Some(played);
            Pulse::taped(player, script)
        }
        MarketSource::Recorded { recording, trade, speed_milli } => {
            Pulse::recorded(Replay::new(recording, trade, speed_milli, exchange)?, script)
        }
    };
    exchange.prints.clear();
    for market in &mut exchange.markets {
        market.book.drain_changed();
    }
    let dialect = (named.make)(&setup_of(exchange, tape.as_ref(), words))?;
    Ok((pulse, dialect))
}

fn setup_of<'a>(exchange: &'a Exchange, tape: Option<&'a Tape>, words: &'a Words) -> Setup<'a> {
    Setup { exchange, tape, old_checksum: words.old_checksum, keys: &words.keys }
}

/// A handshake on the WebSocket API.
pub fn api_session(query: &str, now_ms: u64) -> Result<ApiSession, u16> {
    Ok(ApiSession {
        connected_ms: now_ms,
        authorized_ms: None,
        subscription: None,
        subscriptions: 0,
        return_limits: parameter(query, "returnRateLimits").as_deref() != Some("false"),
        scale: if is_micro(query)? { 1000 } else { 1 },
    })
}

/// The refusal of a venue's name.
pub fn unknown(venue: &str) -> io::Error {
    let names: Vec<_> = dialect::DIALECTS.iter().map(|named| named.name).collect();
    let what = format!("venue `{venue}` is not simulated; one of: {}", names.join(", "));
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// A market with an empty book whose numbers go on after the stored ones.
pub fn market(spec: SymbolSpec, stored: &Stored) -> Market {
    match stored.marks.get(&spec.name) {
        Some(mark) => {
            let own = stored.trades.iter().filter(|t| t.symbol == spec.name).map(|t| t.id).max();
            Market {
                book: Book::new(mark.update_id + ID_JUMP),
                trade_id: mark.trade_id.max(own.unwrap_or(0)) + ID_JUMP,
                agg_id: mark.agg_id + ID_JUMP,
                last_price: mark.last_price,
                spec,
            }
        }
        None => Market {
            book: Book::new(50_093_239_188),
            trade_id: 3_735_683_258,
            agg_id: 3_114_520_000,
            last_price: spec.start_price,
            spec,
        },
    }
}

/// Puts balances, trades and orders back; own open orders rest first in the empty books.
pub fn restore(exchange: &mut Exchange, stored: Stored) {
    for (asset, balance) in &stored.balances {
        exchange.account.restore(asset, *balance);
    }
    for trade in stored.trades {
        if let Some(market) = exchange.market(&trade.symbol) {
            exchange.orders.push_trade(market, trade);
        }
    }
    for mut order in stored.orders.into_values() {
        // A list in another order, or another list: the name decides.
        if let Some(market) = exchange.market(&order.symbol) {
            order.market = market;
            exchange.restore_order(order);
        }
    }
    if let Some(ids) = stored.ids {
        let order = ids.order.max(exchange.ids.order) + ID_JUMP;
        let execution = ids.execution + ID_JUMP;
        exchange.ids = Ids { order, execution, prevented: ids.prevented + ID_JUMP };
    }
}

/// Makes a crowd for each market and lets it quote its opening book.
pub fn populate(exchange: &mut Exchange, activity: Activity, rng: &mut Rng) -> Vec<Generator> {
    let mut crowds = Vec::new();
    for n in 0..exchange.markets.len() {
        let price = exchange.markets[n].last_price;
        let mut crowd = Generator::new(Rng::new(rng.bits()), activity, price);
        for order in crowd.opening(&exchange.markets[n].spec) {
            exchange.crowd(n, order, 0);
        }
        crowds.push(crowd);
    }
    crowds
}

/// Assets of a recording that the configuration does not fund get a round sum.
pub fn fund_recorded(symbols: &[SymbolSpec], balances: &mut Vec<(String, i128)>) {
    for spec in symbols {
        for (asset, units) in [(&spec.base, 10_000), (&spec.quote, 1_000_000)] {
            if !asset.is_empty() && balances.iter().all(|(known, _)| known != asset) {
                balances.push((asset.clone(), i128::from(units * ONE)));
            }
        }
    }
}
