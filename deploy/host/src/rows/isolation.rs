//! Isolation: nobody else on the CPUs of hot lanes, neither tasks nor the kernel's own work.

use crate::cpu_set::CpuSet;
use crate::row::{Change, Class, Found, Row, Rule, Scope, Sight, Style, UNMEASURED, by_hand};

/// The engine's control group.
pub const GROUP: &str = "bot4";
const V2: &str = "/sys/fs/cgroup";
const V1: &str = "/sys/fs/cgroup/cpuset";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "isolation.cpus",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the scheduler puts nothing else on the CPUs of hot lanes",
        mend: "boot line `isolcpus=managed_irq,domain,LIST`, or a control group of version 2 with \
               cpuset.cpus.partition=isolated (`bot4 host apply` makes it)",
        undo: "remove the words; rmdir /sys/fs/cgroup/bot4",
        risk: "nothing balances load there: a thread that is not pinned to one CPU stacks on the \
               lowest of them",
        measured: "in an emulated guest of 12 CPUs the partition reads `isolated`; with version 1 \
                   the engine is confined, others may still run there; latencies: not measured on \
                   this host",
        rule: Rule::Look { check: isolated, changes: partition },
    },
    Row {
        id: "isolation.tick",
        class: Class::Warn,
        scope: Scope::Boot,
        why: "no timer interrupt on a CPU with one runnable task: 250 to 1000 fewer a second",
        mend: "boot line `nohz_full=LIST`",
        undo: "remove the word",
        risk: "one more runnable task on that CPU brings the tick back, and a TSC that the kernel \
               gives up while it runs does on every CPU (clock.source); accounting costs more",
        measured: "in an emulated machine of 12 CPUs at most 1.5 timer interrupts a second under a \
                   spinning lane, 54 and more on CPU 0, 67 to 214 everywhere once the kernel gave \
                   up the TSC (deploy/gate12.sh, then without tsc=reliable)",
        rule: Rule::Look { check: tick, changes: by_hand },
    },
    Row {
        id: "isolation.rcu",
        class: Class::Warn,
        scope: Scope::Boot,
        why: "the kernel's deferred frees run on other CPUs",
        mend: "boot line `rcu_nocbs=LIST`",
        undo: "remove the word",
        risk: "none known",
        measured: UNMEASURED,
        rule: Rule::Look { check: rcu, changes: by_hand },
    },
    Row {
        id: "isolation.workqueues",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the kernel's unbound work runs on other CPUs",
        mend: "echo MASK > /sys/devices/virtual/workqueue/cpumask",
        undo: "echo OLD > /sys/devices/virtual/workqueue/cpumask",
        risk: "the remaining CPUs do that work",
        measured: UNMEASURED,
        rule: Rule::Look {
            check: |sight| off_hot(sight, WORK),
            changes: |sight| to_housekeeping(sight, WORK),
        },
    },
    Row {
        id: "isolation.writeback",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "writing dirty pages to disks runs on other CPUs",
        mend: "echo MASK > /sys/bus/workqueue/devices/writeback/cpumask",
        undo: "echo OLD > /sys/bus/workqueue/devices/writeback/cpumask",
        risk: "the remaining CPUs do that work",
        measured: UNMEASURED,
        rule: Rule::Look {
            check: |sight| off_hot(sight, WRITEBACK),
            changes: |sight| to_housekeeping(sight, WRITEBACK),
        },
    },
];

const WORK: &str = "/sys/devices/virtual/workqueue/cpumask";
const WRITEBACK: &str = "/sys/bus/workqueue/devices/writeback/cpumask";

/// CPUs that the kernel leaves alone: by the boot line, and by partitions.
fn isolated_now(sight: &Sight<'_>) -> CpuSet {
    let boot = sight.root.cpus("/sys/devices/system/cpu/isolated").unwrap_or_default();
    let groups = sight.root.cpus("/sys/fs/cgroup/cpuset.cpus.isolated").unwrap_or_default();
    let own = format!("{V2}/{GROUP}/cpuset.cpus.partition");
    let partition = match sight.root.text(&own).as_deref() {
        Some("isolated") => sight.root.cpus(&format!("{V2}/{GROUP}/cpuset.cpus.effective")),
        _ => None,
    };
    boot.or(&groups).or(&partition.unwrap_or_default())
}

fn isolated(sight: &Sight<'_>) -> Found {
    covers_hot(sight, &isolated_now(sight), "isolated")
}

fn tick(sight: &Sight<'_>) -> Found {
    match sight.root.text("/sys/devices/system/cpu/nohz_full") {
        Some(text) => covers_hot(sight, &CpuSet::of_list(&text), "without the tick"),
        None => Found::none("this kernel cannot stop the tick (no NO_HZ_FULL): take another"),
    }
}

fn rcu(sight: &Sight<'_>) -> Found {
    let line = sight.root.text("/proc/cmdline").unwrap_or_default();
    let word = line.split_whitespace().find_map(|word| word.strip_prefix("rcu_nocbs="));
    covers_hot(sight, &word.map(CpuSet::of_list).unwrap_or_default(), "without callbacks")
}

fn covers_hot(sight: &Sight<'_>, have: &CpuSet, what: &str) -> Found {
    let hot = sight.need.hot();
    let found = if have.is_empty() { "none".to_owned() } else { have.to_string() };
    Found::that(have.covers(&hot), format!("{what}: {found}"), format!("{hot} among them"))
}

/// A mask of CPUs for the kernel's work: none of them a hot lane's, where there are others.
fn off_hot(sight: &Sight<'_>, path: &str) -> Found {
    let Some(text) = sight.root.text(path) else {
        return Found::none("this kernel or machine has no such setting");
    };
    let (mask, want) = (CpuSet::of_mask(&text), sight.housekeeping());
    Found::that(want.covers(&mask), mask.to_string(), format!("within {want}"))
}

fn to_housekeeping(sight: &Sight<'_>, path: &str) -> Vec<Change> {
    vec![Change::write(path, sight.housekeeping().to_mask(), Style::Mask)]
}

/// A control group with the engine's CPUs: an isolated partition of version 2 where it leaves the
/// kernel a CPU, else one of version 1 that confines.
fn partition(sight: &Sight<'_>) -> Vec<Change> {
    let (planned, root) = (sight.need.all().or(&sight.need.cpus), sight.root);
    let has = |file: &str| {
        let words = root.text(&format!("{V2}/{file}")).unwrap_or_default();
        words.split_whitespace().any(|word| word == "cpuset")
    };
    let list = planned.to_string();
    let mut changes = Vec::new();
    if has("cgroup.controllers") {
        if !has("cgroup.subtree_control") {
            changes.push(Change::write(
                format!("{V2}/cgroup.subtree_control"),
                "+cpuset",
                Style::Switch,
            ));
        }
        let group = format!("{V2}/{GROUP}");
        changes.push(Change::MakeDir { path: group.clone() });
        changes.push(Change::write(format!("{group}/cpuset.cpus"), list, Style::List));
        if !sight.online().without(&planned).is_empty() {
            let path = format!("{group}/cpuset.cpus.partition");
            changes.push(Change::write(path, "isolated", Style::Text));
        }
    } else if root.has(&format!("{V1}/cpuset.mems")) {
        let group = format!("{V1}/{GROUP}");
        let mems = root.text(&format!("{V1}/cpuset.mems")).unwrap_or_default();
        changes.push(Change::MakeDir { path: group.clone() });
        changes.push(Change::write(format!("{group}/cpuset.cpus"), list, Style::List));
        changes.push(Change::write(format!("{group}/cpuset.mems"), mems, Style::List));
    }
    changes
}
