//! The journal as a repository beside its naive twin: vectors that keep everything and are searched
//! from the beginning.

use std::io;
use std::path::Path;

use bot4_journal::decode::{Decoded, decode, kind_name};
use bot4_journal::repository::{LifeRow, OrderRow, PositionRow};
use bot4_journal::{
    JournalAgent, JournalConfig, JournalRepository, JournalWriter, Query, Repository,
};
use bot4_lanes::{Agent, Journaled, LogTx, Metrics, Probe, ring};
use bot4_types::log::Body;
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AssetId, Cause, ExecMsg, InstrumentId, LogEntry, LogKind, Nanos, OrderAction, OrderId,
    OrderIntent, OrderKind, OrderReport, OrderState, ParentId, Price, Qty, ReportKind, RunEpoch,
    Side, StrategyId, Tif, Trail, Wall,
};
use proptest::prelude::*;

const EPOCH: RunEpoch = RunEpoch(5);
const ORDERS: u64 = 12;

/// Everything as it was logged.
struct Vectors(Vec<LogEntry>);

impl Vectors {
    fn reports(&self) -> impl Iterator<Item = OrderReport> + '_ {
        self.0.iter().filter_map(|e| match decode(e) {
            Decoded::Exec(ExecMsg::Order(r)) => Some(r),
            _ => None,
        })
    }
}

impl Repository for Vectors {
    fn orders(&self, q: &Query) -> io::Result<Vec<OrderRow>> {
        let mut rows = Vec::new();
        for e in self.0.iter().filter(|e| e.kind == LogKind::Approved as u8) {
            let Decoded::Intent(i) = decode(e) else { continue };
            let wanted = q.order.is_none_or(|o| o == i.order)
                && q.instrument.is_none_or(|x| x == i.instrument)
                && e.at >= q.from
                && e.at < q.to;
            if !wanted {
                continue;
            }
            let own: Vec<_> = self.reports().filter(|r| r.order == i.order).collect();
            let ending = own.iter().find(|r| r.state.is_terminal());
            let mut numbers = own.iter().map(|r| r.venue_order).filter(|n| *n != 0);
            rows.push(OrderRow {
                order: i.order,
                epoch: EPOCH,
                instrument: i.instrument,
                strategy: i.strategy,
                side: i.side,
                price: i.price,
                qty: i.qty,
                approved: e.at,
                state: ending.or(own.last()).map_or(OrderState::Approved, |r| r.state),
                cum_qty: Qty(own.iter().map(|r| r.cum_qty.0).max().unwrap_or(0).max(0)),
                venue_order: numbers.next_back().unwrap_or(0),
                ended: ending.map(|r| r.at),
            });
        }
        Ok(rows)
    }

    fn fills(&self, q: &Query) -> io::Result<Vec<OrderReport>> {
        let wanted = |r: &OrderReport| {
            r.kind == ReportKind::Fill
                && q.order.is_none_or(|o| o == r.order)
                && q.instrument.is_none_or(|x| x == r.instrument)
                && r.at >= q.from
                && r.at < q.to
        };
        let mut rows: Vec<OrderReport> = Vec::new();
        for fill in self.reports().filter(wanted) {
            if !rows.iter().any(|r| (r.order, r.seq) == (fill.order, fill.seq)) {
                rows.push(fill);
            }
        }
        Ok(rows)
    }

    fn life(&self, order: OrderId) -> io::Result<Vec<LifeRow>> {
        let of = |e: &LogEntry| {
            let body = decode(e);
            let (at, lane, kind) = (e.at, e.lane, kind_name(e.kind));
            (body.order() == Some(order)).then(|| LifeRow {
                at,
                lane,
                kind,
                body: body.to_json(EPOCH),
            })
        };
        Ok(self.0.iter().filter_map(of).collect())
    }
}

fn intent(rng: &mut SplitMix64, order: u64) -> OrderIntent {
    OrderIntent {
        order: OrderId(order),
        price: Price(1 + rng.below(900) as i64),
        qty: Qty(1 + rng.below(90) as i64),
        instrument: InstrumentId(rng.below(3) as u16),
        strategy: StrategyId(rng.below(2) as u8),
        side: if rng.below(2) == 0 { Side::Buy } else { Side::Sell },
        trail: Trail::default(),
        trigger: Price(0),
        stop_ticks: 1,
        cause: Cause::Timer,
        expires: Nanos::MAX,
        action: OrderAction::Place,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        until: Nanos::MAX,
        reduce_only: false,
        parent: ParentId::NONE,
    }
}

fn report(rng: &mut SplitMix64, intent: &OrderIntent, at: Nanos) -> OrderReport {
    let fill = rng.below(2) == 0;
    let states =
        [OrderState::Live, OrderState::PartiallyFilled, OrderState::Filled, OrderState::Canceled];
    let kind = if fill { ReportKind::Fill } else { ReportKind::Acked };
    OrderReport {
        at,
        venue_order: rng.below(2) * (700 + intent.order.0),
        cum_qty: Qty(rng.below(90) as i64),
        last_qty: Qty(if fill { 1 + rng.below(9) as i64 } else { 0 }),
        last_price: intent.price,
        trade_id: rng.below(1_000),
        fee: 3,
        seq: (at.0 / 10) as u32,
        fee_asset: AssetId(1),
        maker: fill,
        ..OrderReport::first(intent, kind, states[rng.below(4) as usize])
    }
}

/// Two lanes as risk and execution write them, in an order that their rings allow.
fn drawn(seed: u64, records: u64) -> Vec<LogEntry> {
    let mut rng = SplitMix64::new(seed);
    let intents: Vec<OrderIntent> = (1..=ORDERS).map(|order| intent(&mut rng, order)).collect();
    let (mut log, mut next) = (Vec::new(), 0);
    for at in 0..records {
        let at = Nanos(at * 10);
        let mut entry = if next < intents.len() && rng.below(4) == 0 {
            next += 1;
            LogEntry::new(LogKind::Approved, at, |w| intents[next - 1].write(w))
        } else {
            // Any order: lanes are written apart, so a report may come before its approval.
            let intent = intents[rng.below(ORDERS) as usize];
            let msg = ExecMsg::Order(report(&mut rng, &intent, at));
            LogEntry::new(LogKind::Learned, at, |w| msg.write(w))
        };
        entry.lane = u8::from(entry.kind == LogKind::Learned as u8);
        log.push(entry);
        // Risk took it, or the run was killed before that.
        if entry.lane == 1 && rng.below(2) == 0 {
            let mut taken = entry;
            (taken.kind, taken.lane) = (LogKind::Report as u8, 0);
            log.push(taken);
        }
    }
    log
}

/// Writes `log` by the agent, as a run does.
fn written(dir: &Path, log: &[LogEntry]) {
    let mut config = JournalConfig::new(dir.to_owned(), EPOCH, Wall::default());
    (config.segment_bytes, config.helper) = (4_096, false);
    let writer = JournalWriter::open(&config).expect("open");
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..2).map(|_| ring(64)).unzip();
    let mut logs: Vec<LogTx> =
        txs.into_iter().enumerate().map(|(i, tx)| LogTx::new(tx, i as u8)).collect();
    let mut agent = JournalAgent::over(writer, rxs, Journaled::new(), &Metrics::in_memory());
    agent.start(Nanos(0)).expect("start");
    for (turn, entry) in log.iter().enumerate() {
        logs[usize::from(entry.lane)].push(*entry).expect("room");
        agent.work(Nanos(1_000_000 * turn as u64), &mut Probe::logical()).expect("a turn");
    }
    agent.close(Nanos(1_000_000_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_journal_answers_as_plain_vectors_do(
        seed in any::<u64>(), records in 0u64..300, order in proptest::option::of(1..=ORDERS + 1),
        instrument in proptest::option::of(0u16..4), from in 0u64..3_000, span in 0u64..4_000,
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let log = drawn(seed, records);
        written(dir.path(), &log);
        let (journal, twin) = (JournalRepository::new(dir.path()), Vectors(log));
        let query = Query {
            order: order.map(OrderId),
            instrument: instrument.map(InstrumentId),
            from: Nanos(from),
            to: Nanos(from + span),
            synced: true,
        };
        for query in [Query::ALL, query] {
            let (orders, fills) = (twin.orders(&query), twin.fills(&query));
            let fills = fills.expect("read");
            prop_assert_eq!(journal.orders(&query).expect("read"), orders.expect("read"));
            prop_assert_eq!(journal.fills(&query).expect("read"), fills.clone());
            let held: Vec<PositionRow> = journal.positions(&query).expect("read");
            for row in &held {
                let same = |r: &&OrderReport| {
                    (r.strategy, r.instrument) == (row.strategy, row.instrument)
                };
                let own: Vec<i64> =
                    fills.iter().filter(same).map(|r| r.side.sign() * r.last_qty.0).collect();
                prop_assert_eq!(row.qty.0, own.iter().sum::<i64>());
                prop_assert_eq!(row.fills, own.len() as u64);
            }
            prop_assert_eq!(held.iter().map(|row| row.fills).sum::<u64>(), fills.len() as u64);
        }
        for order in (1..=ORDERS + 1).map(OrderId) {
            let twins = twin.life(order).expect("read");
            prop_assert_eq!(journal.life(order).expect("read"), twins);
        }
    }
}

#[test]
fn a_journal_that_was_never_begun_has_no_rows() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = JournalRepository::new(dir.path());
    assert!(journal.orders(&Query::ALL).expect("empty").is_empty());
    assert!(journal.positions(&Query::ALL).expect("empty").is_empty());
}
