//! The event `executionReport`: what happened to one order of the account, in wire order.

use std::fmt::Write as _;

use crate::decimal::{push, push_wide};
use crate::orders::{Order, OwnTrade};

/// A prevented match, as both reports of it carry it.
#[derive(Clone, Debug)]
pub struct Prevented {
    /// Id of the prevented match.
    pub id: u64,
    /// The order on the other side.
    pub counter: u64,
    /// Price at which it would have traded.
    pub price: i64,
    /// Quantity that did not trade.
    pub qty: i64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Accepted, or triggered: the order says which.
    New,
    /// Cancelled; the cancel's own id.
    Canceled(String),
    /// Amended; the client id before.
    Replaced(String),
    /// A fill.
    Trade(OwnTrade),
    /// The rest expired; the wire's reason.
    Expired(&'static str),
    /// Self-trade prevention.
    Prevented(Prevented),
}

/// One report, with the order as it stood right after the event.
#[derive(Clone, Debug)]
pub struct Report {
    /// The order.
    pub order: Order,
    /// What happened to it.
    pub event: Event,
    /// Execution id, one per report.
    pub execution: u64,
    /// Unix ms.
    pub time_ms: u64,
}

impl Report {
    /// The event's JSON; `scale` is 1 for milliseconds, 1000 for microseconds.
    #[must_use]
    pub fn text(&self, scale: u64) -> String {
        let mut out = String::with_capacity(640);
        self.push_order(&mut out, scale);
        self.push_execution(&mut out, scale);
        self.push_conditional(&mut out);
        out.push('}');
        out
    }

    /// From `e` to `C`: the order as it was sent.
    fn push_order(&self, out: &mut String, scale: u64) {
        let order = &self.order;
        let client = order.client_id.as_str();
        // On a cancel `c` is the cancel's id and `C` the order's; on an amend the new and the old.
        let (c, original) = match &self.event {
            Event::Canceled(cancel) => (cancel.as_str(), client),
            Event::Replaced(before) => (client, before.as_str()),
            _ => (client, ""),
        };
        let _ = write!(
            out,
            r#"{{"e":"executionReport","E":{},"s":"{}","c":"{c}","S":"{}","o":"{}","f":"{}","q":""#,
            self.time_ms * scale,
            order.symbol,
            order.side.text(),
            order.kind.text(),
            order.tif.text()
        );
        push(out, order.qty);
        out.push_str(r#"","p":""#);
        push(out, order.price);
        out.push_str(r#"","P":""#);
        push(out, order.stop);
        let _ = write!(out, r#"","F":"0.00000000","g":-1,"C":"{original}","#);
    }

    /// From `x` to `V`: what happened.
    fn push_execution(&self, out: &mut String, scale: u64) {
        let order = &self.order;
        let trade = if let Event::Trade(trade) = &self.event { Some(trade) } else { None };
        let _ = write!(
            out,
            r#""x":"{}","X":"{}","r":"NONE","i":{},"l":""#,
            self.execution_type(),
            order.status.text(),
            order.id
        );
        push(out, trade.map_or(0, |t| t.qty));
        out.push_str(r#"","z":""#);
        push(out, order.filled);
        out.push_str(r#"","L":""#);
        push(out, trade.map_or(0, |t| t.price));
        match trade {
            Some(trade) => {
                out.push_str(r#"","n":""#);
                push_wide(out, trade.commission);
                let _ = write!(out, r#"","N":"{}""#, trade.commission_asset);
            }
            None => out.push_str(r#"","n":"0","N":null"#),
        }
        let time = self.time_ms * scale;
        let _ = write!(out, r#","T":{time},"t":"#);
        match trade {
            Some(trade) => _ = write!(out, "{}", trade.id),
            None => out.push_str("-1"),
        }
        let _ = write!(
            out,
            r#","I":{},"w":{},"m":{},"M":{},"O":{},"Z":""#,
            self.execution,
            order.status.is_open() && order.price > 0 && !order.waiting,
            trade.is_some_and(|t| t.maker),
            trade.is_some(),
            order.created_ms * scale
        );
        push_wide(out, order.quote);
        out.push_str(r#"","Y":""#);
        push_wide(out, trade.map_or(0, |t| t.quote));
        let stp = order.stp.text();
        out.push_str(r#"","Q":"0.00000000""#);
        if !order.waiting {
            let _ = write!(out, r#","W":{}"#, order.working_time(scale));
        }
        let _ = write!(out, r#","V":"{stp}""#);
    }

    fn push_conditional(&self, out: &mut String) {
        match &self.event {
            Event::Prevented(prevented) => {
                let _ = write!(out, r#","v":{},"A":""#, prevented.id);
                push(out, self.order.prevented);
                out.push_str(r#"","B":""#);
                push(out, prevented.qty);
                let _ = write!(out, r#"","u":1,"U":{},"pl":""#, prevented.counter);
                push(out, prevented.qty);
                out.push_str(r#"","pL":""#);
                push(out, prevented.price);
                out.push_str(r#"","pY":""#);
                push_wide(out, crate::decimal::value_floor(prevented.price, prevented.qty));
                out.push('"');
            }
            Event::Expired(reason) => _ = write!(out, r#","eR":"{reason}""#),
            _ => {}
        }
    }

    fn execution_type(&self) -> &'static str {
        match self.event {
            Event::New => "NEW",
            Event::Canceled(_) => "CANCELED",
            Event::Replaced(_) => "REPLACED",
            Event::Trade(_) => "TRADE",
            Event::Expired(_) => "EXPIRED",
            Event::Prevented(_) => "TRADE_PREVENTION",
        }
    }
}
