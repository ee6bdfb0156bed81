//! The worst orders against a plain sort of all of them.

use bot4_types::log::{Body, Reader};
use bot4_types::{Nanos, Stage, Trail};
use proptest::prelude::*;

use super::*;

const EPOCH: RunEpoch = RunEpoch(7);

fn intent(order: u64, cause: Cause, trail: Trail) -> OrderIntent {
    let plain = OrderIntent::read(&mut Reader::over(&[0; 76])).expect("zeros are an order");
    OrderIntent { order: OrderId(order), cause, trail, ..plain }
}

/// An order that took these times: to the signal's end, in the gate, to its encoding, to the
/// kernel, to the answer.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    market: bool,
    answered: bool,
    t0: u64,
    spans: [u64; 5],
}

impl Drawn {
    /// Its records, in the order in which they come.
    fn records(&self, order: u64) -> Vec<LogEntry> {
        let cause = if self.market { Cause::Market } else { Cause::Timer };
        let ends: Vec<_> =
            (1..=5).map(|n| Nanos(self.t0 + self.spans[..n].iter().sum::<u64>())).collect();
        let mut trail = Trail::start(Nanos(self.t0));
        trail.mark(Stage::Signal, ends[0]);
        trail.mark(Stage::Risk, ends[1]);
        let (id, client) = (OrderId(order), bot4_types::ClientId::new(EPOCH, OrderId(order)));
        let sent =
            SentRecord { order: id, client, begun: ends[2], encoded: ends[2], handed: ends[3] };
        let answer =
            AnsweredRecord { order: id, action: OrderAction::Place, done: true, read: ends[4] };
        let intent = intent(order, cause, trail);
        let mut all = vec![
            LogEntry::new(LogKind::Approved, ends[1], |w| intent.write(w)),
            LogEntry::new(LogKind::Sent, ends[3], |w| sent.write(w)),
        ];
        if self.answered {
            all.push(LogEntry::new(LogKind::Answered, ends[4], |w| answer.write(w)));
        }
        all
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let spans = proptest::array::uniform5(0u64..1_000_000);
    (any::<bool>(), any::<bool>(), 1u64..1 << 50, spans)
        .prop_map(|(market, answered, t0, spans)| Drawn { market, answered, t0, spans })
}

fn worst_of(orders: &[Drawn], count: usize, by: By, others: bool) -> Worst {
    let mut worst = Worst { count, by, others, ..Worst::default() };
    // Every order is approved before the first is sent, as in a crowd.
    let all: Vec<_> = orders.iter().zip(1..).map(|(d, n)| d.records(n)).collect();
    for step in 0..3 {
        all.iter().filter_map(|records| records.get(step)).for_each(|e| worst.take(e, EPOCH));
    }
    for ((epoch, _), open) in std::mem::take(&mut worst.open) {
        worst.judge(RunEpoch(epoch), &open);
    }
    worst.cut();
    worst
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn they_are_the_first_of_all_sorted(
        orders in proptest::collection::vec(drawn(), 0..100),
        count in 1usize..20,
        by_ack: bool,
        others: bool,
    ) {
        let by = if by_ack { By::Ack } else { By::TickToTrade };
        let worst = worst_of(&orders, count, by, others);
        let mut naive: Vec<(u64, u64)> = orders
            .iter()
            .zip(1..)
            .filter(|(d, _)| d.market != others && (!by_ack || d.answered))
            .map(|(d, n)| match by {
                By::TickToTrade => (d.spans[..4].iter().sum(), n),
                By::Ack => (d.spans[4], n),
            })
            .collect();
        naive.sort_by_key(|(ns, n)| (std::cmp::Reverse(*ns), *n));
        naive.truncate(count);
        let told: Vec<_> =
            worst.orders.iter().map(|s| (s.rank(by), s.intent.order.0)).collect();
        prop_assert_eq!(told, naive);
        let of_kind = orders.iter().filter(|d| d.market != others).count() as u64;
        prop_assert_eq!((worst.sent, worst.apart), (of_kind, orders.len() as u64 - of_kind));
        for slow in &worst.orders {
            let d = &orders[slow.intent.order.0 as usize - 1];
            let whole = d.spans.iter().take(if d.answered { 5 } else { 4 }).sum::<u64>();
            prop_assert_eq!(slow.way.whole(), whole);
        }
        // For a person and for a program: never a panic, the same orders.
        let text = worst.to_string();
        prop_assert!(text.lines().count() >= worst.orders.len());
        prop_assert_eq!(worst.to_json()["orders"].as_array().map(Vec::len), Some(worst.orders.len()));
    }
}

#[test]
fn the_verdict_names_the_hop() {
    let quick = Drawn { market: true, answered: true, t0: 5, spans: [10, 20, 30, 40, 900] };
    let slow = Drawn { spans: [10, 20, 9_000, 40, 900], ..quick };
    let worst = worst_of(&[quick, slow, slow], 2, By::TickToTrade, false);
    let verdict = worst.verdict();
    let wanted = "slowest hop: journal (waiting until the approval was journaled), 99 % of these \
                  orders' time, the slowest in 2 of 2";
    assert_eq!(verdict, wanted);
    let json = worst.to_json();
    let first = &json["orders"][0];
    assert_eq!((&first["order"], &first["tick_to_trade_ns"]), (&2.into(), &9_070.into()));
    assert_eq!(first["to_answer_ns"], 9_970);
    let hops = first["hops_ns"].as_object().expect("hops").values();
    assert_eq!(hops.filter_map(serde_json::Value::as_u64).sum::<u64>(), 9_970);
}

#[test]
fn what_there_is_not_is_said() {
    assert_eq!(worst_of(&[], 10, By::TickToTrade, false).verdict(), "no order was sent");
    let timer = Drawn { market: false, answered: false, t0: 5, spans: [1; 5] };
    let text = worst_of(&[timer], 10, By::TickToTrade, false).verdict();
    assert!(text.contains("--others"), "{text}");
    // A journal of a version that did not stamp the sending.
    let mut worst = Worst { count: 10, ..Worst::default() };
    let records = Drawn { market: true, ..timer }.records(1);
    worst.take(&records[0], EPOCH);
    let early = LogEntry::raw(LogKind::Sent, Nanos(9), &records[1].body()[..24]);
    worst.take(&early, EPOCH);
    let open = worst.open.remove(&(EPOCH.0, OrderId(1))).expect("it is known");
    worst.judge(EPOCH, &open);
    assert_eq!((worst.unstamped, worst.orders.len()), (1, 0));
}

/// An order that was approved and never left is forgotten when it ends.
#[test]
fn memory_does_not_grow_with_orders_that_ended() {
    let mut worst = Worst { count: 3, ..Worst::default() };
    let d = Drawn { market: true, answered: true, t0: 5, spans: [1, 2, 3, 4, 5] };
    for n in 1..=1_000 {
        d.records(n).iter().for_each(|e| worst.take(e, EPOCH));
    }
    assert!(worst.open.is_empty() && worst.orders.len() < 64);
}
