//! Figures as a table, as JSON and as a record that is kept.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::runner::{Figure, Plan};

/// A whole run.
#[derive(Clone, Debug)]
pub struct Run {
    /// When, as the caller says.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// How long.
    pub plan: Plan,
    /// The empty pair of stamps: 50, 99, 99.9 % and the largest, ns.
    pub floor_ns: [f64; 4],
    /// What each group's call is.
    pub what: Vec<(String, String)>,
    /// The figures, group by group, baseline first.
    pub figures: Vec<Figure>,
}

impl Run {
    /// The table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = format!("{}\n{}\n", self.machine, self.head());
        let [p50, p99, p999, max] = self.floor_ns;
        let _ = writeln!(
            out,
            "empty pair of stamps: p50 {p50:.0} p99 {p99:.0} p99.9 {p999:.0} max {max:.0} ns \
             (contained in every percentile)"
        );
        for (group, what) in &self.what {
            let _ = writeln!(out, "\n{group}: {what}");
            let _ = writeln!(
                out,
                "{:<18} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10} {:>9}  ratio (rounds)",
                "", "loop ns", "p50", "p99", "p99.9", "max", "n", "stamped"
            );
            for figure in self.figures.iter().filter(|f| f.group == *group) {
                out.push_str(&line(figure));
            }
        }
        out
    }

    fn head(&self) -> String {
        let Plan { rounds, ms } = self.plan;
        format!(
            "{}, {rounds} interleaved rounds, {ms} ms a case and way of measuring; ratio = \
             baseline's loop / own loop, median (lowest..highest) of the rounds",
            self.date
        )
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let m = &self.machine;
        json!({
            "schema": "bot4.bench/1",
            "date": self.date,
            "machine": {
                "name": m.name(), "cpu": m.cpu, "family": m.family, "model": m.model,
                "cpus": m.cpus, "virtual": m.is_virtual, "kernel": m.kernel,
            },
            "rounds": self.plan.rounds,
            "ms": self.plan.ms,
            "floor_ns": tail(&self.floor_ns),
            "figures": self.figures.iter().map(|f| self.value(f)).collect::<Vec<_>>(),
        })
    }

    fn value(&self, f: &Figure) -> Value {
        json!({
            "group": f.group,
            "case": f.case,
            "baseline": self.baseline(f),
            "batch": f.batch,
            "n": f.samples,
            "loop_ns": f.loop_ns,
            "tail_ns": tail(&f.tail_ns),
            "ratio": { "median": f.ratio[0], "low": f.ratio[1], "high": f.ratio[2] },
            "design_notes": if f.noted.is_empty() { Value::Null } else { f.noted.into() },
        })
    }

    fn baseline(&self, figure: &Figure) -> &'static str {
        self.figures.iter().find(|f| f.group == figure.group).map_or("", |f| f.case)
    }

    /// The record: comments with the machine and the plan, then one line a case.
    #[must_use]
    pub fn csv(&self) -> String {
        let [p50, p99, p999, max] = self.floor_ns;
        let mut out = format!(
            "# {}\n# {}\n# empty pair of stamps, ns: {p50:.0},{p99:.0},{p999:.0},{max:.0}\n",
            self.machine,
            self.head().replace(',', ";")
        );
        out.push_str("group,case,baseline,batch,n,loop_ns,p50_ns,p99_ns,p999_ns,max_ns,");
        out.push_str("ratio,ratio_low,ratio_high\n");
        for f in &self.figures {
            let ([a, b, c, d], [r, low, high]) = (f.tail_ns, f.ratio);
            let _ = writeln!(
                out,
                "{},{},{},{},{},{:.2},{a:.2},{b:.2},{c:.2},{d:.2},{r:.3},{low:.3},{high:.3}",
                f.group,
                f.case,
                self.baseline(f),
                f.batch,
                f.samples,
                f.loop_ns,
            );
        }
        out
    }

    /// Writes the record to `root/<machine>/<date>.csv` and returns the path.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn record(&self, root: &Path) -> std::io::Result<PathBuf> {
        let folder = root.join(self.machine.name());
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.csv", self.date));
        std::fs::write(&path, self.csv())?;
        Ok(path)
    }
}

fn tail(ns: &[f64; 4]) -> Value {
    json!({ "p50": ns[0], "p99": ns[1], "p999": ns[2], "max": ns[3] })
}

fn line(f: &Figure) -> String {
    let ([p50, p99, p999, max], [ratio, low, high]) = (f.tail_ns, f.ratio);
    let digits = if f.batch == 1 { 0 } else { 1 };
    let places = if ratio < 0.1 { 4 } else { 2 };
    let stamped = if f.batch == 1 { "calls".to_owned() } else { format!("by {}", f.batch) };
    format!(
        "{:<18} {:>9.1} {p50:>9.digits$} {p99:>9.digits$} {p999:>9.digits$} {max:>10.digits$} \
         {:>10} {stamped:>9}  {ratio:.places$}x ({low:.places$}..{high:.places$}){}\n",
        f.case,
        f.loop_ns,
        f.samples,
        if f.noted.is_empty() { String::new() } else { format!("  notes: {}", f.noted) },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let figure = |case, loop_ns, ratio| Figure {
            group: "g".into(),
            case,
            batch: 1,
            samples: 10,
            loop_ns,
            tail_ns: [1.0, 2.0, 3.0, 4.0],
            ratio: [ratio; 3],
            noted: "3 us",
        };
        Run {
            date: "2026-01-02".into(),
            machine: Machine::here(),
            plan: Plan { rounds: 3, ms: 1 },
            floor_ns: [9.0; 4],
            what: vec![("g".into(), "a call".into())],
            figures: vec![figure("base", 20.0, 1.0), figure("own", 5.0, 4.0)],
        }
    }

    #[test]
    fn all_three_forms_hold_the_figures() {
        let run = run();
        assert!(run.table().contains("4.00x (4.00..4.00)  notes: 3 us"));
        assert_eq!(run.json()["figures"][1]["baseline"], "base");
        let csv = run.csv();
        let rows: Vec<&str> = csv.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|r| r.split(',').count() == 13), "{rows:?}");
        assert!(rows[2].starts_with("g,own,base,1,10,5.00,1.00,"));
    }
}
