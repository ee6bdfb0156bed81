//! Interrupts: the devices' and the kernel's timers, away from the CPUs of hot lanes.

use crate::cpu_set::CpuSet;
use crate::row::{Change, Class, Found, Row, Rule, Scope, Sight, Style, UNMEASURED, by_hand};

const IRQS: &str = "/proc/irq";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "irq.affinity",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a device's interrupt takes a lane's CPU for microseconds and its cache with it",
        mend: "echo LIST > /proc/irq/N/smp_affinity_list; \"Operation not permitted\" is an \
               interrupt that the kernel manages: isolcpus=managed_irq moves those",
        undo: "echo OLD > /proc/irq/N/smp_affinity_list",
        risk: "on AWS an ENA queue on the lane's own CPU may be the faster way: measure both",
        measured: UNMEASURED,
        rule: Rule::Look { check: affinity, changes: move_away },
    },
    Row {
        id: "irq.rate",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the mask says what may come, the rate says what comes",
        mend: "as irq.affinity; /proc/interrupts twice says which device it is",
        undo: "none",
        risk: "none",
        measured: UNMEASURED,
        rule: Rule::Look { check: rate, changes: by_hand },
    },
    Row {
        id: "irq.balance",
        class: Class::Warn,
        scope: Scope::Hand,
        why: "irqbalance moves interrupts back",
        mend: "systemctl stop irqbalance, or IRQBALANCE_BANNED_CPULIST=LIST in its defaults",
        undo: "systemctl start irqbalance",
        risk: "none with masks set by hand",
        measured: "not measured on this host: it does not run there",
        rule: Rule::Look { check: balance, changes: by_hand },
    },
    Row {
        id: "irq.watchdog",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the watchdog for hard lock-ups takes a hardware counter and interrupts every CPU",
        mend: "sysctl -w kernel.nmi_watchdog=0",
        undo: "sysctl -w kernel.nmi_watchdog=OLD",
        risk: "a CPU that hangs wholly is not told",
        measured: "not measured on this host: 0 from the start",
        rule: Rule::Number {
            path: "/proc/sys/kernel/nmi_watchdog",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "irq.watchdog_cpus",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the watchdog for soft lock-ups wakes a thread on each of its CPUs",
        mend: "echo LIST > /proc/sys/kernel/watchdog_cpumask",
        undo: "echo OLD > /proc/sys/kernel/watchdog_cpumask",
        risk: "a lane that never yields is not told there: it is meant to",
        measured: UNMEASURED,
        rule: Rule::Look { check: watchdog, changes: move_watchdog },
    },
    Row {
        id: "irq.timer_migration",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "timers stay where they were armed instead of moving to a busy CPU",
        mend: "sysctl -w kernel.timer_migration=0",
        undo: "sysctl -w kernel.timer_migration=OLD",
        risk: "idle CPUs wake more often",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/kernel/timer_migration",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "irq.stat_interval",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the kernel folds its memory counters on every CPU, by default each second",
        mend: "sysctl -w vm.stat_interval=10",
        undo: "sysctl -w vm.stat_interval=OLD",
        risk: "/proc/vmstat is up to ten seconds old",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/vm/stat_interval",
            good: |n| n >= 10,
            want: "at least 10",
            set: "10",
        },
    },
];

/// Interrupts of devices that a hot lane's CPU may be asked for, and their files.
fn on_hot(sight: &Sight<'_>) -> Vec<(String, CpuSet)> {
    let hot = sight.need.hot();
    let irqs = sight.root.names(IRQS).into_iter().filter(|n| n.parse::<u32>().is_ok());
    irqs.filter_map(|irq| {
        // The mask: what is effective follows it at the next interrupt only.
        let mask = sight.root.cpus(&format!("{IRQS}/{irq}/smp_affinity_list"))?;
        // An interrupt that somebody handles has a folder with its name.
        let folder = format!("{IRQS}/{irq}");
        let is_dir = |name: &String| sight.root.path(&format!("{folder}/{name}")).is_dir();
        let handled = sight.root.names(&folder).iter().any(is_dir);
        (handled && !mask.and(&hot).is_empty()).then_some((irq, mask))
    })
    .collect()
}

fn affinity(sight: &Sight<'_>) -> Found {
    if !sight.root.has(IRQS) {
        return Found::none("this kernel or machine has no such setting");
    }
    let wrong = on_hot(sight);
    let names: Vec<String> = wrong.iter().map(|(irq, cpus)| format!("{irq} on {cpus}")).collect();
    let found =
        if names.is_empty() { "none on hot lanes' CPUs".to_owned() } else { names.join(", ") };
    let want = format!("within {}", sight.housekeeping());
    // Where hot lanes have every CPU there is nowhere else.
    let nowhere = sight.online().without(&sight.need.hot()).is_empty();
    Found::that(wrong.is_empty() || nowhere, found, want)
}

fn move_away(sight: &Sight<'_>) -> Vec<Change> {
    let list = sight.housekeeping().to_string();
    let file = |(irq, _): (String, CpuSet)| format!("{IRQS}/{irq}/smp_affinity_list");
    on_hot(sight).into_iter().map(|of| Change::write(file(of), list.clone(), Style::List)).collect()
}

fn rate(sight: &Sight<'_>) -> Found {
    match sight.samples.hot_irqs_per_s {
        Some(rate) => Found::that(rate == 0.0, format!("{rate:.1} a second"), "0 a second"),
        None => Found::none("not measured: needs the running machine"),
    }
}

/// CPUs that irqbalance is told to leave alone.
fn banned(sight: &Sight<'_>, pid: &str) -> CpuSet {
    let key = "IRQBALANCE_BANNED_CPULIST=";
    let variables = sight.root.text(&format!("/proc/{pid}/environ")).unwrap_or_default();
    let of = |text: &str, split: char| {
        text.split(split).find_map(|v| v.trim().strip_prefix(key).map(str::to_owned))
    };
    let defaults = || sight.root.text("/etc/default/irqbalance").unwrap_or_default();
    let list = of(&variables, '\0').or_else(|| of(&defaults(), '\n')).unwrap_or_default();
    CpuSet::of_list(list.trim_matches('"'))
}

fn balance(sight: &Sight<'_>) -> Found {
    let pids = sight.root.names("/proc").into_iter().filter(|n| n.parse::<u32>().is_ok());
    let is_it = |pid: &String| {
        sight.root.text(&format!("/proc/{pid}/comm")).is_some_and(|name| name == "irqbalance")
    };
    let want = "does not run, or leaves hot lanes' CPUs alone";
    let Some(pid) = pids.into_iter().find(is_it) else {
        return Found::that(true, "does not run", want);
    };
    let (banned, hot) = (banned(sight, &pid), sight.need.hot());
    let found = match banned.is_empty() {
        true => "irqbalance runs, no CPU banned".to_owned(),
        false => format!("irqbalance runs, CPUs {banned} banned"),
    };
    Found::that(banned.covers(&hot), found, want)
}

const WATCHDOG: &str = "/proc/sys/kernel/watchdog_cpumask";

fn watchdog(sight: &Sight<'_>) -> Found {
    match sight.root.cpus(WATCHDOG) {
        Some(cpus) => {
            let want = sight.housekeeping();
            Found::that(want.covers(&cpus), cpus.to_string(), format!("within {want}"))
        }
        None => Found::none("this kernel or machine has no such setting"),
    }
}

fn move_watchdog(sight: &Sight<'_>) -> Vec<Change> {
    vec![Change::write(WATCHDOG, sight.housekeeping().to_string(), Style::List)]
}
