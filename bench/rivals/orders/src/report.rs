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

/// Everything.
pub struct Table {
    /// Ours first, then its parts, then the rivals.
    pub rows: Vec<Row>,
    /// How orders came.
    pub load: Load,
    /// Where.
    pub machine: String,
    /// When.
    pub date: String,
    /// Of what.
    pub revision: String,
    /// How the venue waits.
    pub venue: &'static str,
}

impl Table {
    /// For people.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{}\n{} {}; {} orders a second, {} a round, {} rounds in turn; the venue {}\n",
            self.machine,
            self.date,
            self.revision,
            self.load.per_second,
            self.load.orders,
            self.rows[0].rounds.len(),
            self.venue,
        );
        out.push_str(
            "From due to the kernel, us: the median of the rounds' percentiles, then of all orders\n",
        );
        let _ = write!(out, "{:<36}{:>9}{:>9}{:>9}", "", "p50", "p95", "p99");
        let _ = writeln!(out, "{:>10}{:>10}   p50 ratio    p99 ratio (rounds)", "p99.9", "max");
        for row in &self.rows {
            let all = row.all();
            let _ = write!(out, "{:<36}", row.name);
            for (_, q) in &QUANTILES[..3] {
                let _ = write!(out, "{:>9.1}", row.usual(*q) as f64 / 1e3);
            }
            let _ = write!(out, "{:>10.1}", all.value_at_quantile(0.999) as f64 / 1e3);
            let ([half, ..], [ratio, low, high]) =
                (row.ratio(&self.rows[0], 0.5), row.ratio(&self.rows[0], 0.99));
            let max = all.max() as f64 / 1e3;
            let _ =
                writeln!(out, "{max:>10.1}  {half:>9.2}x   {ratio:>9.2}x ({low:.2}..{high:.2})");
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
                   "times_bot4": {"p50": of(0.5), "p99": of(0.99)}})
        };
        json!({"machine": self.machine, "date": self.date, "revision": self.revision,
               "per_second": self.load.per_second, "orders": self.load.orders,
               "rounds": self.rows[0].rounds.len(), "venue": self.venue,
               "rows": self.rows.iter().map(row).collect::<Vec<_>>()})
    }
}
