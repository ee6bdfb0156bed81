//! Clocks: cheap stamps on the lanes, a wall clock that venues agree with.

use crate::row::{Class, Found, Row, Rule, Scope, Sight, by_hand};

/// Largest error of the wall clock, microseconds: a request of a second's life must not look old.
const MAX_ERROR_US: u64 = 5_000;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "clock.source",
        class: Class::Fail,
        scope: Scope::Boot,
        why: "a stamp costs about ten nanoseconds instead of a system call",
        mend: "boot line `clocksource=tsc tsc=reliable`, only where the TSC is invariant; else \
               another machine",
        undo: "remove the words",
        risk: "a TSC that is not what it is said to be makes stamps wrong",
        measured: "10 ns for rdtsc and 30 ns for clock_gettime on this host",
        rule: Rule::Look { check: source, changes: by_hand },
    },
    Row {
        id: "clock.sync",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "venues refuse requests whose time is not theirs, and deadlines are read by their clock",
        mend: "run chrony with one source; on AWS the PHC device or 169.254.169.123, never both: \
               the one is not smeared, the other is",
        undo: "none",
        risk: "two sources that smear differently pull the clock to and fro at a leap second",
        measured: "a rule, not a knob",
        rule: Rule::Look { check: sync, changes: by_hand },
    },
];

fn source(sight: &Sight<'_>) -> Found {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = sight.root.text(path).unwrap_or_else(|| "unknown".to_owned());
    let flags = sight.root.field("/proc/cpuinfo", "flags").unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
    let invariant = has("constant_tsc") && has("nonstop_tsc");
    let word = if invariant { "invariant" } else { "not invariant" };
    let good = source == "tsc" && invariant;
    Found::that(good, format!("{source}, TSC {word}"), "tsc, TSC invariant")
}

fn sync(sight: &Sight<'_>) -> Found {
    let Some(clock) = sight.samples.clock else {
        return Found::none("not measured: needs the running machine");
    };
    let word = if clock.synchronised { "synchronised" } else { "NOT synchronised" };
    let good = clock.synchronised && clock.max_error_us < MAX_ERROR_US;
    let found = format!("{word}, error at most {} us", clock.max_error_us);
    Found::that(good, found, format!("synchronised, error below {MAX_ERROR_US} us"))
}
