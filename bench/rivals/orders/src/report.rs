//! The table of a comparison: percentiles over all rounds, ratios round by round.

use std::fmt::Write as _;

use bot4_bench::order_path::Load;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// What was measured under one name.
pub struct Row {
    name: &'static str,
    rounds: Vec<Histogram<u64>>,
}

impl Row {
    /// Nothing yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, rounds: Vec::new() }
    }

    /// One more round.
    pub fn add(&mut self, round: Histogram<u64>) {
        self.rounds.push(round);
    }

    fn all(&self) -> Histogram<u64> {
        let mut all = bot4_bench::case::histogram();
        self.rounds.iter().for_each(|round| all.add(round).unwrap_or_default());
        all
    }

    /// A round's value at `quantile`, median over the rounds.
    fn usual(&self, quantile: f64) -> u64 {
        let mut all: Vec<u64> =
            self.rounds.iter().map(|round| round.value_at_quantile(quantile)).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    }

    /// How many times longer than `ours`: median, lowest and highest round.
    fn ratio(&self, ours: &Self, quantile: f64) -> [f64; 3] {
        let at = |h: &Histogram<u64>| h.value_at_quantile(quantile).max(1) as f64;
        let pairs = self.rounds.iter().zip(&ours.rounds);
        let mut all: Vec<f64> = pairs.map(|(theirs, ours)| at(theirs) / at(ours)).collect();
        all.sort_by(f64::total_cmp);
        match all.as_slice() {
            [] => [0.0; 3],
            all => [all[all.len() / 2], all[0], all[all.len() - 1]],
        }
    }
}

/// What holds for every scenario.
pub struct About {
    /// Where.
    pub machine: String,
    /// When.
    pub date: String,
    /// Of what.
    pub revision: String,
    /// How the venue waits.
    pub venue: &'static str,
}

/// One scenario.
pub struct Table<'a> {
    /// Ours first, then its parts and the floor, then the rivals.
    pub rows: Vec<Row>,
    /// How orders came.
    pub load: Load,
    /// What holds for all.
    pub about: &'a About,
}

impl Table<'_> {
    fn scenario(&self) -> String {
        let Load { per_second, burst, .. } = self.load;
        match burst {
            1 => format!("{per_second} orders a second, one by one"),
            n => format!("{per_second} orders a second in bursts of {n}"),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let About { machine, date, revision, venue } = self.about;
        let (scenario, orders) = (self.scenario(), self.load.orders);
        let rounds = self.rows[0].rounds.len();
        let mut out = format!(
            "{machine}\n{date} {revision}; {scenario}, {orders} a round, {rounds} rounds in turn; \
             the venue {venue}\n"
        );
        out.push_str(
            "From due to the kernel, us: the median of the rounds' percentiles, then of all\n\
             orders; ratios: the median round, and the lowest and highest at p99\n",
        );
        let _ = write!(out, "{:<36}{:>9}{:>9}{:>9}", "", "p50", "p95", "p99");
        let _ = writeln!(out, "{:>10}{:>10}  x p50   x p95   x p99", "p99.9", "max");
        for row in &self.rows {
            let all = row.all();
            let _ = write!(out, "{:<36}", row.name);
            for (_, q) in &QUANTILES[..3] {
                let _ = write!(out, "{:>9.1}", row.usual(*q) as f64 / 1e3);
            }
            let _ = write!(out, "{:>10.1}", all.value_at_quantile(0.999) as f64 / 1e3);
            let _ = write!(out, "{:>10.1}", all.max() as f64 / 1e3);
            let ratio = |q| row.ratio(&self.rows[0], q);
            let ([half, ..], [most, ..]) = (ratio(0.5), ratio(0.95));
            let [tail, low, high] = ratio(0.99);
            let _ = writeln!(out, "{half:>7.2}{most:>8.2}{tail:>8.2} ({low:.2}..{high:.2})");
        }
        out
    }

    /// For programs, one line.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            let all = row.all();
            let of = |q: f64| row.ratio(&self.rows[0], q);
            let (mut ns, mut usual) = (json!({"max": all.max()}), json!({}));
            for (name, q) in QUANTILES {
                ns[name] = all.value_at_quantile(q).into();
                usual[name] = row.usual(q).into();
            }
            json!({"name": row.name.trim(), "n": all.len(), "ns": ns, "round_ns": usual,
                   "times_bot4": {"p50": of(0.5), "p95": of(0.95), "p99": of(0.99)}})
        };
        let About { machine, date, revision, venue } = self.about;
        let Load { per_second, burst, orders, .. } = self.load;
        json!({"machine": machine, "date": date, "revision": revision, "venue": venue,
               "per_second": per_second, "burst": burst, "orders": orders,
               "rounds": self.rows[0].rounds.len(),
               "rows": self.rows.iter().map(row).collect::<Vec<_>>()})
    }

    /// Lines of a record: scenario, client, orders, the rounds' percentiles in ns, of all orders
    /// the 99.9th and the longest, and ratios with the lowest and highest round.
    pub fn csv(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let (all, Load { per_second, burst, .. }) = (row.all(), self.load);
            let rounds = row.rounds.len();
            let _ = write!(out, "{per_second},{burst},{rounds},{},{}", row.name.trim(), all.len());
            for (_, q) in &QUANTILES[..3] {
                let _ = write!(out, ",{}", row.usual(*q));
            }
            let _ = write!(out, ",{},{}", all.value_at_quantile(0.999), all.max());
            for (_, q) in &QUANTILES[..3] {
                let [usual, low, high] = row.ratio(&self.rows[0], *q);
                let _ = write!(out, ",{usual:.3},{low:.3},{high:.3}");
            }
            out.push('\n');
        }
        out
    }
}
