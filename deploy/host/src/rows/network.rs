//! The network: packets reach the wire lanes without a detour, connections do not slow down.

use crate::cpu_set::CpuSet;
use crate::row::{Change, Class, Found, Row, Rule, Scope, Sight, Style, UNMEASURED};

/// Bytes that a socket may hold: a venue's snapshot and what comes behind it.
const RMEM_MIN: i64 = 8 << 20;
const CARDS: &str = "/sys/class/net";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "net.busy_poll",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a thread that waits for a socket polls the card for this long, microseconds",
        mend: "sysctl -w net.core.busy_poll=50",
        undo: "sysctl -w net.core.busy_poll=OLD",
        risk: "costs the CPU that waits; needs a driver that supports it",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/core/busy_poll",
            good: |n| n >= 50,
            want: "at least 50",
            set: "50",
        },
    },
    Row {
        id: "net.busy_read",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the same for a read of one socket",
        mend: "sysctl -w net.core.busy_read=50",
        undo: "sysctl -w net.core.busy_read=OLD",
        risk: "as net.busy_poll",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/core/busy_read",
            good: |n| n >= 50,
            want: "at least 50",
            set: "50",
        },
    },
    Row {
        id: "net.slow_start",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "an order after a quiet minute leaves at full speed",
        mend: "sysctl -w net.ipv4.tcp_slow_start_after_idle=0",
        undo: "sysctl -w net.ipv4.tcp_slow_start_after_idle=OLD",
        risk: "a burst after a pause may meet a path that has become narrower",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/ipv4/tcp_slow_start_after_idle",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "net.rmem",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a burst of market data waits in the socket instead of closing the window",
        mend: "sysctl -w net.core.rmem_max=16777216",
        undo: "sysctl -w net.core.rmem_max=OLD",
        risk: "more kernel memory for each socket",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/core/rmem_max",
            good: |n| n >= RMEM_MIN,
            want: "at least 8388608",
            set: "16777216",
        },
    },
    Row {
        id: "net.rps",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the kernel does not hand packets of the card to CPUs of hot lanes",
        mend: "echo MASK > /sys/class/net/CARD/queues/rx-N/rps_cpus",
        undo: "echo OLD > /sys/class/net/CARD/queues/rx-N/rps_cpus",
        risk: "the remaining CPUs do that work",
        measured: UNMEASURED,
        rule: Rule::Look { check: rps, changes: rps_off_hot },
    },
];

/// Queues whose packets may be handled on a hot lane's CPU: file and CPUs.
fn steered(sight: &Sight<'_>) -> Vec<(String, CpuSet)> {
    let hot = sight.need.hot();
    let queues = sight.root.names(CARDS).into_iter().flat_map(|card| {
        let folder = format!("{CARDS}/{card}/queues");
        let of = |name: &String| name.starts_with("rx-");
        let file = |name: String| format!("{folder}/{name}/rps_cpus");
        sight.root.names(&folder).into_iter().filter(of).map(file).collect::<Vec<_>>()
    });
    let cpus = |file: String| {
        let cpus = CpuSet::of_mask(&sight.root.text(&file)?);
        Some((file, cpus))
    };
    queues.filter_map(cpus).filter(|(_, cpus)| !cpus.and(&hot).is_empty()).collect()
}

fn rps(sight: &Sight<'_>) -> Found {
    if sight.root.names(CARDS).is_empty() {
        return Found::none("no network card");
    }
    let wrong = steered(sight);
    let names: Vec<String> = wrong.iter().map(|(file, cpus)| format!("{file}: {cpus}")).collect();
    let found = if names.is_empty() { "no queue".to_owned() } else { names.join(", ") };
    Found::that(wrong.is_empty(), found, "no packet on hot lanes' CPUs")
}

fn rps_off_hot(sight: &Sight<'_>) -> Vec<Change> {
    let hot = sight.need.hot();
    let change = |(file, cpus): (String, CpuSet)| {
        Change::write(file, cpus.without(&hot).to_mask(), Style::Mask)
    };
    steered(sight).into_iter().map(change).collect()
}
