//! The table read on a machine: every row's state, what was waived, and the sum.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::need::Mode;
use crate::row::{Class, Found, Row, Sight, State};
use crate::rows;

/// Version of the JSON's shape.
pub const SCHEMA: u32 = 1;

/// Rows that may be as they are, each with the reason that somebody gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waivers(BTreeMap<String, String>);

impl Waivers {
    /// The waivers `ID:reason`.
    ///
    /// # Errors
    /// A sentence: no such row, or no reason.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for text in texts {
            let (id, reason) = text.split_once(':').unwrap_or((text, ""));
            if reason.trim().is_empty() {
                return Err(format!(
                    "error: waiver `{text}`: no reason\nhelp: write `{id}:why this machine may be \
                     as it is`"
                ));
            }
            if rows::find(id).is_none() && !crate::audit::IDS.contains(&id) {
                return Err(format!(
                    "error: waiver `{text}`: there is no row `{id}`\nhelp: `bot4 host check` lists \
                     the rows"
                ));
            }
            all.insert(id.to_owned(), reason.trim().to_owned());
        }
        Ok(Self(all))
    }

    /// Why the row `id` may be as it is.
    #[must_use]
    pub fn reason(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// The state of what was `found`, and the reason where it was waived.
    #[must_use]
    pub fn judge(&self, id: &str, found: &Found, class: Class, mode: Mode) -> (State, String) {
        let state = State::of(found, class, mode);
        match (state, self.reason(id)) {
            (State::Warn | State::Fail, Some(reason)) => (State::Waived, reason.to_owned()),
            _ => (state, String::new()),
        }
    }
}

/// A row, looked at.
pub struct Checked {
    /// The row.
    pub row: &'static Row,
    /// What is there.
    pub found: Found,
    /// What that means.
    pub state: State,
    /// Why it may be so, where it was waived.
    pub reason: String,
}

/// How many rows are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// As they should be.
    pub ok: usize,
    /// Longer tails.
    pub warn: usize,
    /// Broken promises.
    pub fail: usize,
    /// Waived.
    pub waived: usize,
    /// Not there, or not measured.
    pub absent: usize,
}

impl Summary {
    /// The sum of `states`.
    pub fn of(states: impl IntoIterator<Item = State>) -> Self {
        let mut sum = Self::default();
        for state in states {
            *match state {
                State::Ok => &mut sum.ok,
                State::Warn => &mut sum.warn,
                State::Fail => &mut sum.fail,
                State::Waived => &mut sum.waived,
                State::Absent => &mut sum.absent,
            } += 1;
        }
        sum
    }

    /// For a program.
    #[must_use]
    pub fn to_json(self) -> Value {
        json!({"ok": self.ok, "warn": self.warn, "fail": self.fail, "waived": self.waived,
               "absent": self.absent})
    }
}

/// All rows, looked at.
pub struct Report {
    /// How strictly.
    pub mode: Mode,
    /// In the order of the table.
    pub checks: Vec<Checked>,
}

impl Report {
    /// Looks at every row.
    #[must_use]
    pub fn of(sight: &Sight<'_>, waivers: &Waivers) -> Self {
        let mode = sight.need.mode;
        let check = |row: &'static Row| {
            let found = row.check(sight);
            let (state, reason) = waivers.judge(row.id, &found, row.class, mode);
            Checked { row, found, state, reason }
        };
        Self { mode, checks: rows::all().map(check).collect() }
    }

    /// How many rows are in which state.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(self.checks.iter().map(|c| c.state))
    }

    /// The rows that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Checked> {
        self.checks.iter().filter(|c| c.state == State::Fail)
    }

    /// The rows for a program.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let of = |c: &Checked| {
            let mut row = json!({
                "id": c.row.id, "class": c.row.class.name(), "scope": c.row.scope.name(),
                "state": c.state.name(), "found": c.found.found, "want": c.found.want,
                "mend": c.row.mend, "undo": c.row.undo, "why": c.row.why,
            });
            if !c.reason.is_empty() {
                row["waived"] = c.reason.clone().into();
            }
            row
        };
        self.checks.iter().map(of).collect()
    }

    /// The rows for a person: what is not as it should be comes with its mend.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for Checked { row, found, state, reason } in &self.checks {
            let name = match state {
                State::Warn | State::Fail => state.name().to_uppercase(),
                _ => state.name().to_owned(),
            };
            let _ = writeln!(out, "{name:<7} {:<24} {}", row.id, found.found);
            match state {
                State::Warn | State::Fail => {
                    let _ =
                        writeln!(out, "{:>9}want: {}\n{:>9}mend: {}", "", found.want, "", row.mend);
                }
                State::Waived => {
                    let _ =
                        writeln!(out, "{:>9}want: {}\n{:>9}waived: {reason}", "", found.want, "");
                }
                State::Ok | State::Absent => {}
            }
        }
        let Summary { ok, warn, fail, waived, absent } = self.summary();
        let mode = self.mode.name();
        let _ = writeln!(
            out,
            "mode {mode}: {ok} ok, {warn} warn, {fail} fail, {waived} waived, {absent} absent"
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waivers_name_a_row_and_a_reason() {
        let of = |text: &str| Waivers::parse([&text.to_owned()]);
        assert!(of("memory.swap").expect_err("no reason").contains("no reason"));
        assert!(of("memory.swap: ").is_err());
        assert!(of("memory.nothing:because").expect_err("no row").contains("memory.nothing"));
        assert!(of("audit.ticks:a shared machine").is_ok());
        let waivers = of("memory.swap: zram: fast").expect("a waiver");
        assert_eq!(waivers.reason("memory.swap"), Some("zram: fast"));
        let found = Found::that(false, "x", "y");
        let judged = |mode| waivers.judge("memory.swap", &found, Class::Fail, mode).0;
        assert_eq!(judged(Mode::Live), State::Waived);
        let good = Found::that(true, "x", "y");
        assert_eq!(waivers.judge("memory.swap", &good, Class::Fail, Mode::Live).0, State::Ok);
    }
}
