//! Records of execution's desk as JSON: the journal keeps them, and only execution knows their
//! layout.

use bot4_execution::desk_input::DeskInput;
use bot4_execution::gateway::{Failure, OrderKey, VenueState};
use bot4_execution::order::Terms;
use bot4_journal::DeskLine;
use bot4_types::log::{Body, Reader};
use bot4_types::{DoneReason, OrderId};
use serde_json::{Value, json};

/// The input in the body of a record; `None` when it is none.
#[must_use]
pub fn line(body: &[u8]) -> Option<DeskLine> {
    let mut reader = Reader::over(body);
    let input = DeskInput::read(&mut reader).filter(|_| reader.rest().is_empty())?;
    let (order, body) = told(&input);
    Some(DeskLine { order, body })
}

/// The order that an input names by its number, and what it says.
fn told(input: &DeskInput) -> (Option<OrderId>, Value) {
    let of = |order: OrderId, what: &str, more: Value| (Some(order), with(what, Some(order), more));
    let plain = |what: &str, more: Value| (None, with(what, None, more));
    match *input {
        DeskInput::Start { orders, instruments, epoch, window, venue, tells_time, .. } => plain(
            "start",
            json!({ "orders": orders, "instruments": instruments, "epoch": epoch.0,
                    "window_ns": window.0, "venue": venue.0, "tells_time": tells_time }),
        ),
        DeskInput::Take(i) => of(i.order, "taken", json!({ "action": i.action.name() })),
        DeskInput::Sent(order, deadline_ms) => {
            of(order, "sent", json!({ "deadline_ms": deadline_ms }))
        }
        DeskInput::NotSent(order, reason) => of(order, "not_sent", reason_json(reason)),
        DeskInput::CancelSent(order) => of(order, "cancel_sent", json!({})),
        DeskInput::PlaceFailed(order, failure) => of(order, "place_failed", failure_json(failure)),
        DeskInput::CancelFailed(order, failure) => {
            of(order, "cancel_failed", failure_json(failure))
        }
        DeskInput::NotFound(order, asked) => of(order, "not_found", json!({ "asked_at": asked.0 })),
        DeskInput::NoReplacement(order, asked) => {
            of(order, "no_replacement", json!({ "asked_at": asked.0 }))
        }
        DeskInput::Unanswered(order) => of(order, "question_over", json!({})),
        DeskInput::FillsTold(order) => of(order, "fills_listed", json!({})),
        DeskInput::AmendSent { order, terms, replaces, deadline_ms } => of(
            order,
            "amend_sent",
            json!({ "price": terms.price.0, "qty": terms.qty.0, "replaces": replaces,
                    "deadline_ms": deadline_ms }),
        ),
        DeskInput::AmendNotSent(order, reason) => of(order, "amend_not_sent", reason_json(reason)),
        DeskInput::AmendFailed(order, failure) => of(order, "amend_failed", failure_json(failure)),
        DeskInput::AllLost => plain("all_lost", json!({})),
        DeskInput::Clock(max) => plain("clock", json!({ "questions_max": max })),
        DeskInput::Compare(max) => plain("compare", json!({ "questions_max": max })),
        DeskInput::Purge => plain("purge", json!({})),
        DeskInput::Unrecorded(count) => plain("unrecorded", json!({ "inputs": count })),
        DeskInput::Nameless(number) => plain("nameless", json!({ "venue_order": number })),
        DeskInput::VenueTime(asked, ms) => {
            plain("venue_time", json!({ "asked_at": asked.0, "unix_ms": ms }))
        }
        DeskInput::State { .. }
        | DeskInput::Fill { .. }
        | DeskInput::Terms { .. }
        | DeskInput::Listed { .. } => venues_word(input),
    }
}

/// What the venue told.
fn venues_word(input: &DeskInput) -> (Option<OrderId>, Value) {
    let (what, key, more) = match *input {
        DeskInput::State { key, venue_order, state, cum_qty, reason } => {
            let more = json!({ "venue_order": venue_order, "state": state_name(state),
                               "cum_qty": cum_qty.0, "reason": reason.name() });
            ("venue_state", key, more)
        }
        DeskInput::Fill { key, venue_order, instrument, fill } => {
            let more = json!({ "venue_order": venue_order, "instrument": instrument.0,
                               "trade_id": fill.trade_id, "qty": fill.qty.0,
                               "price": fill.price.0, "maker": fill.maker });
            ("venue_fill", key, more)
        }
        DeskInput::Terms { key, venue_order, terms: Terms { price, qty } } => {
            let more = json!({ "venue_order": venue_order, "price": price.0, "qty": qty.0 });
            ("venue_terms", key, more)
        }
        DeskInput::Listed { key, venue_order, cum_qty } => {
            let more = json!({ "venue_order": venue_order, "cum_qty": cum_qty.0 });
            ("listed", key, more)
        }
        _ => ("other", OrderKey::Venue(0), json!({})),
    };
    let (order, client) = match key {
        OrderKey::Own(order) => (Some(order), None),
        OrderKey::Venue(_) => (None, None),
        OrderKey::Foreign(client) => (None, Some(client.as_str().to_owned())),
    };
    let mut body = with(what, order, more);
    if let Some(client) = client {
        body["foreign_client_id"] = client.into();
    }
    (order, body)
}

fn with(what: &str, order: Option<OrderId>, mut more: Value) -> Value {
    more["what"] = what.into();
    if let Some(order) = order {
        more["order"] = order.0.into();
    }
    more
}

fn reason_json(reason: DoneReason) -> Value {
    json!({ "reason": reason.name() })
}

fn failure_json(failure: Failure) -> Value {
    match failure {
        Failure::Refused(reason) => json!({ "failure": "refused", "reason": reason.name() }),
        Failure::OutcomeUnknown => json!({ "failure": "outcome_unknown" }),
        Failure::NotFound => json!({ "failure": "not_found" }),
        Failure::Limited { until_ms, orders_only } => {
            json!({ "failure": "limited", "until_ms": until_ms, "orders_only": orders_only })
        }
        Failure::Session => json!({ "failure": "session" }),
    }
}

const fn state_name(state: VenueState) -> &'static str {
    match state {
        VenueState::Open => "open",
        VenueState::Untriggered => "untriggered",
        VenueState::Filled => "filled",
        VenueState::Canceled => "canceled",
        VenueState::Expired => "expired",
        VenueState::Rejected => "rejected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::log::{LogEntry, LogKind};
    use bot4_types::{Nanos, Qty};

    fn read(input: &DeskInput) -> DeskLine {
        let entry = LogEntry::new(LogKind::Desk, Nanos(1), |w| input.write(w));
        line(entry.body()).expect("an input")
    }

    #[test]
    fn an_input_names_its_order_and_says_what_it_is() {
        let sent = read(&DeskInput::Sent(OrderId(7), 5));
        assert_eq!((sent.order, &sent.body["what"]), (Some(OrderId(7)), &"sent".into()));
        let (state, reason) = (VenueState::Canceled, DoneReason::None);
        let (key, venue_order, cum_qty) = (OrderKey::Own(OrderId(7)), 71, Qty(3));
        let word = read(&DeskInput::State { key, venue_order, state, cum_qty, reason });
        assert_eq!((word.order, &word.body["state"]), (Some(OrderId(7)), &"canceled".into()));
        assert_eq!(read(&DeskInput::AllLost).order, None);
        assert_eq!(line(&[200, 1]), None);
    }
}
