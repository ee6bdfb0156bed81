//! The kernel at large: how it schedules, what presses on it, what the boot line says.

use crate::row::{Class, Found, Row, Rule, Scope, Sight, UNMEASURED, by_hand};

/// Per cent of ten seconds in which some task waited for a resource.
const PRESSURE_MAX_PCT: f64 = 1.0;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "kernel.flavour",
        class: Class::Warn,
        scope: Scope::Boot,
        why: "a PREEMPT_RT kernel often has neither busy polling nor transparent huge pages",
        mend: "boot the distribution's stock or cloud kernel",
        undo: "boot the other",
        risk: "none",
        measured: UNMEASURED,
        rule: Rule::Look { check: flavour, changes: by_hand },
    },
    Row {
        id: "kernel.rt_runtime",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the brake on real-time tasks stays: no lane is one, and a wild one of somebody else \
              must not own the machine",
        mend: "sysctl -w kernel.sched_rt_runtime_us=950000",
        undo: "sysctl -w kernel.sched_rt_runtime_us=OLD",
        risk: "none",
        measured: "a rule, not a knob",
        rule: Rule::Number {
            path: "/proc/sys/kernel/sched_rt_runtime_us",
            good: |n| n > 0,
            want: "above 0",
            set: "950000",
        },
    },
    Row {
        id: "kernel.pressure",
        class: Class::Warn,
        scope: Scope::Hand,
        why: "a machine that is short of CPU, memory or disk before the start will not have more \
              after it",
        mend: "end what else runs here: `systemd-cgtop`, `iostat -x 1`",
        undo: "none",
        risk: "none",
        measured: "a rule, not a knob",
        rule: Rule::Look { check: pressure, changes: by_hand },
    },
    Row {
        id: "kernel.perf",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a perf session needs the kernel's counters",
        mend: "sysctl -w kernel.perf_event_paranoid=1",
        undo: "sysctl -w kernel.perf_event_paranoid=OLD",
        risk: "users of the machine see more of each other's programs",
        measured: "a rule, not a knob",
        rule: Rule::Number {
            path: "/proc/sys/kernel/perf_event_paranoid",
            good: |n| n <= 1,
            want: "at most 1",
            set: "1",
        },
    },
];

fn flavour(sight: &Sight<'_>) -> Found {
    let release = sight.root.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    let realtime = sight.root.text("/sys/kernel/realtime").as_deref() == Some("1");
    let word = if realtime { " (PREEMPT_RT)" } else { "" };
    Found::that(!realtime, format!("{release}{word}"), "not PREEMPT_RT")
}

fn pressure(sight: &Sight<'_>) -> Found {
    let of = |what: &'static str| {
        let text = sight.root.text(&format!("/proc/pressure/{what}"))?;
        let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
        let average = some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
        Some((what, average.parse::<f64>().ok()?))
    };
    let all: Vec<_> = ["cpu", "memory", "io"].into_iter().filter_map(of).collect();
    if all.is_empty() {
        return Found::none("this kernel does not tell pressure (boot line: psi=1)");
    }
    let found: Vec<String> = all.iter().map(|(what, pct)| format!("{what} {pct} %")).collect();
    let good = all.iter().all(|(_, pct)| *pct < PRESSURE_MAX_PCT);
    Found::that(good, found.join(", "), format!("below {PRESSURE_MAX_PCT} % each"))
}
