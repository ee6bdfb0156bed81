//! The kernel at large: how it schedules, what presses on it, what the boot line says.

use crate::row::{Class, Found, RULE, Row, Rule, Scope, Sight, UNMEASURED, by_hand};

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
        measured: RULE,
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
        measured: RULE,
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
        measured: RULE,
        rule: Rule::Number {
            path: "/proc/sys/kernel/perf_event_paranoid",
            good: |n| n <= 1,
            want: "at most 1",
            set: "1",
        },
    },
    Row {
        id: "kernel.cmdline",
        class: Class::Warn,
        scope: Scope::Boot,
        why: "a machine that was booted with other words than the tested one behaves otherwise",
        mend: "boot with the manifest's line, or write a new manifest",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: cmdline, changes: by_hand },
    },
    Row {
        id: "kernel.heavy_tasks",
        class: Class::Warn,
        scope: Scope::Hand,
        why: "a program that computes beside the engine takes caches and memory bandwidth, and \
              CPUs where they are not isolated",
        mend: "stop it, or move it to another machine",
        undo: "start it again",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: heavy, changes: by_hand },
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

fn cmdline(sight: &Sight<'_>) -> Found {
    let Some(manifest) = &sight.need.manifest else {
        return Found::none("no manifest was given (--manifest FILE)");
    };
    let pairs = [
        (&sight.need.identity.kernel, &manifest.kernel),
        (&sight.need.identity.cmdline, &manifest.cmdline),
    ];
    let asked = pairs.iter().filter_map(|(found, want)| want.as_ref().map(|want| (found, want)));
    let differs: Vec<_> = asked.filter(|(found, want)| found.as_ref() != Some(*want)).collect();
    match differs.first() {
        None => Found::that(true, "as in the manifest", "as in the manifest"),
        Some((found, want)) => {
            Found::that(false, found.as_deref().unwrap_or_default(), want.as_str())
        }
    }
}

fn heavy(sight: &Sight<'_>) -> Found {
    let Some(heavy) = &sight.samples.heavy else {
        return Found::none("not measured: needs the running machine");
    };
    let names: Vec<String> = heavy.iter().map(|(name, pct)| format!("{name}: {pct} %")).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Found::that(names.is_empty(), found, "no other program takes a fifth of a CPU")
}
