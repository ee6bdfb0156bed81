//! The slowest orders of a journal, each with its hops: why was it slow?
//!
//! Orders that market data caused are ranked by the time from t0 to the kernel, which is what
//! `tick_to_trade` counts, or by the venue's answer. Orders of timers, fills and persons begin at
//! the turn that decided them; they are ranked apart. Memory grows with the orders that are on
//! their way at one time, not with the journal.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use bot4_types::{
    AnsweredRecord, Cause, ExecMsg, LogEntry, LogKind, OrderAction, OrderId, OrderIntent, RunEpoch,
    SentRecord,
};
use serde_json::{Map, Value, json};

use crate::decode::{Decoded, client, decode, side_name};
use crate::hops::{HOPS, Hop, Way};
use crate::report::{Watch, each};

/// What makes an order slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// From t0 to the kernel.
    #[default]
    TickToTrade,
    /// From the kernel to the venue's answer.
    Ack,
}

/// An order and its way.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    /// The run that approved it.
    pub epoch: RunEpoch,
    /// What was approved.
    pub intent: OrderIntent,
    /// Its way.
    pub way: Way,
}

impl Slow {
    fn rank(&self, by: By) -> u64 {
        match by {
            By::TickToTrade => self.way.to_kernel(),
            By::Ack => self.way.ack(),
        }
    }
}

/// What is known of an order that is on its way.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    intent: Option<OrderIntent>,
    sent: Option<SentRecord>,
    answer: Option<AnsweredRecord>,
    ended: bool,
}

/// The worst orders of a journal.
#[derive(Clone, Debug, Default)]
pub struct Worst {
    /// The worst, first.
    pub orders: Vec<Slow>,
    /// Orders that were sent and counted.
    pub sent: u64,
    /// Sent, but by a version that kept no stamps of it.
    pub unstamped: u64,
    /// Sent, of the other kind of cause.
    pub apart: u64,
    /// What could not be read.
    pub flaws: Vec<String>,
    open: BTreeMap<(u32, OrderId), Open>,
    count: usize,
    by: By,
    others: bool,
}

impl Worst {
    /// Reads the `count` worst orders of the journals at `paths`: of those that market data caused,
    /// or of the `others`.
    ///
    /// # Errors
    /// When there is nothing to read; the place that cannot be read is named.
    pub fn read(
        paths: &[PathBuf],
        count: usize,
        by: By,
        others: bool,
        watch: Watch<'_>,
    ) -> io::Result<Self> {
        let mut worst = Self { count, by, others, ..Self::default() };
        for path in paths {
            let read = each(path, watch, |item| {
                match item {
                    Ok(record) => worst.take(&record.entry, record.epoch),
                    Err(flaw) => worst.flaws.push(flaw.to_string()),
                }
                Ok(())
            });
            read.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        }
        // What is left has no answer yet, or a run that died asked for none.
        for ((epoch, _), open) in std::mem::take(&mut worst.open) {
            worst.judge(RunEpoch(epoch), &open);
        }
        worst.cut();
        Ok(worst)
    }

    fn take(&mut self, entry: &LogEntry, epoch: RunEpoch) {
        let Some(kind) = LogKind::from_raw(entry.kind) else { return };
        let wanted = matches!(
            kind,
            LogKind::Approved | LogKind::Sent | LogKind::Answered | LogKind::Learned
        );
        if !wanted {
            return;
        }
        let body = decode(entry);
        let Some(order) = body.order() else { return };
        let key = (epoch.0, order);
        match (kind, body) {
            (LogKind::Approved, Decoded::Intent(i)) if i.action == OrderAction::Place => {
                self.open.entry(key).or_default().intent = Some(i);
            }
            (_, Decoded::Sent(sent)) => self.open.entry(key).or_default().sent = Some(sent),
            (_, Decoded::Answered(answer)) if answer.action == OrderAction::Place => {
                if let Some(open) = self.open.get_mut(&key) {
                    open.answer = Some(answer);
                }
            }
            (_, Decoded::Exec(ExecMsg::Order(report))) if report.state.is_terminal() => {
                if let Some(open) = self.open.get_mut(&key) {
                    open.ended = true;
                }
            }
            _ => {}
        }
        self.settle(key, epoch);
    }

    /// Judges an order of which no more stamps come: it was answered, or ended unsent. One that was
    /// sent and ended may be answered still.
    fn settle(&mut self, key: (u32, OrderId), epoch: RunEpoch) {
        let Some(open) = self.open.get(&key) else { return };
        let whole = open.intent.is_some() && open.sent.is_some() && open.answer.is_some();
        if whole || (open.ended && open.sent.is_none()) {
            let open = self.open.remove(&key).unwrap_or_default();
            self.judge(epoch, &open);
        }
    }

    fn judge(&mut self, epoch: RunEpoch, open: &Open) {
        let (Some(intent), Some(sent)) = (open.intent, open.sent) else { return };
        if (intent.cause == Cause::Market) == self.others {
            self.apart += 1;
            return;
        }
        let Some(way) = Way::of(&intent, &sent, open.answer.as_ref()) else {
            self.unstamped += 1;
            return;
        };
        self.sent += 1;
        if self.by == By::Ack && !way.answered {
            return;
        }
        self.orders.push(Slow { epoch, intent, way });
        // Sorted now and then, so that each order costs little.
        if self.orders.len() >= 64.max(2 * self.count) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let by = self.by;
        // Of equals the earlier one first, whatever the order of the file.
        self.orders.sort_by_key(|slow| (std::cmp::Reverse(slow.rank(by)), slow.intent.order));
        self.orders.truncate(self.count);
    }

    /// One line that says which hop was slow: the one that took the most time of these orders
    /// together, and in how many of them it was the slowest.
    #[must_use]
    pub fn verdict(&self) -> String {
        let Some(first) = self.orders.first() else {
            return match (self.unstamped, self.apart) {
                (0, 0) => "no order was sent".to_owned(),
                (0, n) => format!("none of this kind; {n} of the other (--others)"),
                (n, _) => format!("{n} orders were sent by a version that kept no stamps of it"),
            };
        };
        if self.by == By::Ack {
            let (order, ack) = (first.intent.order.0, first.way.ack());
            return format!("slowest hop: {}; order {order} waited {ack} ns", Hop::Venue.meaning());
        }
        let mut sums = [0_u128; HOPS];
        let own = || Hop::ALL.into_iter().filter(|hop| *hop != Hop::Venue);
        for slow in &self.orders {
            own().for_each(|hop| sums[hop as usize] += u128::from(slow.way.ns[hop as usize]));
        }
        let all: u128 = sums.iter().sum();
        let hop = own().max_by_key(|hop| sums[*hop as usize]).unwrap_or(Hop::WireToParse);
        let led = self.orders.iter().filter(|slow| slow.way.slowest().0 == hop).count();
        format!(
            "slowest hop: {} ({}), {:.0} % of these orders' time, the slowest in {led} of {}",
            hop.name(),
            hop.meaning(),
            sums[hop as usize] as f64 * 100.0 / all.max(1) as f64,
            self.orders.len(),
        )
    }

    /// As JSON; times in ns, stamps of the engine's clock.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "orders": self.orders.iter().map(slow_json).collect::<Vec<_>>(),
            "verdict": self.verdict(), "sent": self.sent, "unstamped": self.unstamped,
            "apart": self.apart, "flaws": self.flaws,
        })
    }
}

fn slow_json(slow: &Slow) -> Value {
    let Slow { epoch, intent: i, way } = slow;
    let hops: Map<_, _> = Hop::ALL
        .into_iter()
        .map(|hop| {
            let given = hop != Hop::Venue || way.answered;
            (hop.name().to_owned(), json!(given.then_some(way.ns[hop as usize])))
        })
        .collect();
    let (slowest, share) = way.slowest();
    json!({
        "order": i.order.0, "client_id": client(*epoch, i.order), "instrument": i.instrument.0,
        "strategy": i.strategy.0, "side": side_name(i.side), "cause": i.cause.name(),
        "t0": way.t0.0, "handed": way.handed.0, "hops_ns": hops, "tick_to_trade_ns": way.to_kernel(),
        "to_answer_ns": way.answered.then(|| way.whole()),
        "slowest": { "hop": slowest.name(), "share_pct": share },
    })
}

/// A row an order, its hops side by side in microseconds, then the verdict.
impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.orders.is_empty() {
            write!(f, "{:>8} {:>14} {:>13}", "order", "at s", "t0 to kernel")?;
            for hop in Hop::ALL {
                write!(f, " {:>13}", hop.name())?;
            }
            writeln!(f, "  us; slowest")?;
        }
        for slow in &self.orders {
            let way = &slow.way;
            let at = way.t0.0 as f64 / 1e9;
            let us = |ns: u64| ns as f64 / 1e3;
            write!(f, "{:>8} {at:>14.6} {:>13.1}", slow.intent.order.0, us(way.to_kernel()))?;
            for hop in Hop::ALL {
                match hop == Hop::Venue && !way.answered {
                    true => write!(f, " {:>13}", "-")?,
                    false => write!(f, " {:>13.1}", us(way.ns[hop as usize]))?,
                }
            }
            let (hop, share) = way.slowest();
            writeln!(f, "  {} {share:.0} %", hop.name())?;
        }
        writeln!(f, "{}", self.verdict())?;
        let kind =
            if self.others { "market data caused" } else { "timers, fills or persons caused" };
        if self.apart > 0 {
            writeln!(f, "{} orders that {kind} are apart", self.apart)?;
        }
        self.flaws.iter().try_for_each(|flaw| writeln!(f, "! {flaw}"))
    }
}

#[cfg(test)]
#[path = "worst_tests.rs"]
mod tests;
