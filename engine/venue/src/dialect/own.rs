//! What the dialects share that take orders in words of their own and tell one account: the shared
//! secret, orders that are taken and refused at once, lists of fills, cancels of what is open.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::error::ApiError;
use crate::exchange::{Exchange, Ticket};
use crate::orders::{Order, OwnTrade};
use crate::venue::ConnId;

use super::Desk;

/// Refused orders that are remembered.
pub const REFUSED_MAX: usize = 500;

/// The secret of a key.
pub struct Secret(hmac::Key);

impl Secret {
    pub fn new(algorithm: hmac::Algorithm, secret: &[u8]) -> Self {
        Self(hmac::Key::new(algorithm, secret))
    }

    /// The signature as hexadecimal digits.
    pub fn hex(&self, text: &[u8]) -> String {
        hmac::sign(&self.0, text).as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The signature as base64.
    pub fn base64(&self, text: &[u8]) -> String {
        STANDARD.encode(hmac::sign(&self.0, text))
    }
}

/// An order that was taken and then refused.
pub struct Refused {
    pub client: String,
    pub id: u64,
    pub row: String,
}

/// Orders that were taken and then refused, the latest [`REFUSED_MAX`], oldest first.
#[derive(Default)]
pub struct RefusedList(VecDeque<Refused>);

impl RefusedList {
    pub fn push(&mut self, refused: Refused) {
        self.0.push_back(refused);
        if self.0.len() > REFUSED_MAX {
            self.0.pop_front();
        }
    }

    pub fn by_client(&self, client: &str) -> Option<&Refused> {
        self.0.iter().find(|refused| refused.client == client)
    }

    pub fn by_id(&self, id: u64) -> Option<&Refused> {
        self.0.iter().find(|refused| refused.id == id)
    }
}

/// What became of an order by the exchange's first word.
pub enum Placed {
    /// It rests, or has traded.
    Taken(u64),
    /// It has a number and is refused: post-only, and it would take.
    WouldTake(u64),
}

/// Places an order at a venue that takes post-only orders before it looks at them; one with a stop
/// price waits for it.
pub fn place(
    exchange: &mut Exchange,
    ticket: &Ticket,
    stop: Option<i64>,
    now_ms: u64,
) -> Result<Placed, ApiError> {
    let placed = match stop {
        Some(stop) => exchange.place_waiting(ticket.clone(), stop, now_ms),
        None => exchange.place(ticket.clone(), now_ms),
    };
    match placed {
        Ok(id) => Ok(Placed::Taken(id)),
        Err(error) if error.msg.starts_with("Order would immediately match") => {
            let id = exchange.ids.order;
            exchange.ids.order += 1;
            Ok(Placed::WouldTake(id))
        }
        Err(error) => Err(error),
    }
}

/// Cancels the open orders that are wanted; how many.
pub fn cancel_open(exchange: &mut Exchange, wanted: impl Fn(&Order) -> bool, now_ms: u64) -> usize {
    let ids: Vec<u64> = exchange.orders.open(None).filter(|o| wanted(o)).map(|o| o.id).collect();
    ids.into_iter().filter(|id| exchange.cancel(*id, None, now_ms).is_some()).count()
}

/// The account's fills of all markets that are wanted, the newest first by `key`.
pub fn fills_by<K: Ord>(
    exchange: &Exchange,
    wanted: impl Fn(&&OwnTrade) -> bool,
    key: impl Fn(&OwnTrade) -> K,
) -> Vec<&OwnTrade> {
    let markets = 0..exchange.markets.len();
    let mut found: Vec<&OwnTrade> =
        markets.flat_map(|m| exchange.orders.trades(m)).filter(wanted).collect();
    found.sort_by_key(|trade| std::cmp::Reverse(key(trade)));
    found
}

/// Tells these connections the same, so many times.
pub fn tell(desk: &mut Desk, conns: impl Iterator<Item = ConnId>, text: &str, times: usize) {
    let heard: Vec<ConnId> = conns.collect();
    for _ in 0..times {
        desk.tell(&heard, text.to_owned());
    }
}
