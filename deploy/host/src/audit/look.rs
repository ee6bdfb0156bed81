//! What stands: threads, masks, policies, names, memory.

use super::{ReadyLane, Sights};
use crate::cpu_set::CpuSet;
use crate::latency;
use crate::process::{self, Task};
use crate::row::{Class, Found};

/// Threads that the engine has beside its lanes; each waits most of its life.
const HELPERS: [&str; 11] = [
    "journal-sync",
    "journal-prepare",
    "capture",
    "operator",
    "instruments",
    "balances",
    "retention",
    "snapshot",
    "courier",
    "resolver",
    "log",
];
/// As much of a thread's name as the kernel keeps.
const NAME_MAX: usize = 15;
/// Kilobytes in a page of 2 MiB.
const PAGE_KIB: u64 = 2_048;

pub(super) fn all(sights: &Sights<'_>) -> Vec<(&'static str, Class, Found)> {
    vec![
        ("audit.lanes", Class::Fail, lanes(sights)),
        ("audit.mask", Class::Fail, masks(sights)),
        ("audit.policy", Class::Fail, policies(sights)),
        ("audit.name", Class::Fail, names(sights)),
        ("audit.helpers", Class::Fail, helpers(sights)),
        ("audit.undeclared", Class::Warn, undeclared(sights)),
        ("audit.lock", Class::Warn, lock(sights)),
        ("audit.huge_pages", Class::Fail, huge_pages(sights)),
        ("audit.latency", Class::Warn, sleep(sights)),
    ]
}

/// `good` where nothing is wrong, else what is.
fn none_wrong(wrong: &[String], good: &str, want: &str) -> Found {
    let found = if wrong.is_empty() { good.to_owned() } else { wrong.join(", ") };
    Found::that(wrong.is_empty(), found, want)
}

/// Each lane with its thread, where that is there.
fn pairs<'a>(sights: &'a Sights<'_>) -> impl Iterator<Item = (&'a ReadyLane, &'a Task)> {
    let own = &sights.after.own;
    let task = move |tid| own.iter().find(|task| task.tid == tid);
    sights.ready.lanes.iter().filter_map(move |lane| Some((lane, task(lane.tid)?)))
}

fn lanes(sights: &Sights<'_>) -> Found {
    let there: Vec<u32> = pairs(sights).map(|(lane, _)| lane.tid).collect();
    let gone = sights.ready.lanes.iter().filter(|lane| !there.contains(&lane.tid));
    let gone: Vec<String> = gone.map(|lane| format!("{} is MISSING", lane.name)).collect();
    none_wrong(&gone, &format!("{} lanes run", there.len()), "every lane runs")
}

fn masks(sights: &Sights<'_>) -> Found {
    let off = |(lane, task): (&ReadyLane, &Task)| {
        let cpu = lane.cpu?;
        let own: CpuSet = std::iter::once(cpu).collect();
        (task.allowed != own)
            .then(|| format!("{} may run on {}, planned on {cpu}", lane.name, task.allowed))
    };
    let wrong: Vec<String> = pairs(sights).filter_map(off).collect();
    none_wrong(&wrong, "every lane on its CPU alone", "each lane allowed on its planned CPU alone")
}

fn policies(sights: &Sights<'_>) -> Found {
    let other = sights.after.own.iter().filter(|task| task.policy != 0);
    let wrong: Vec<String> =
        other.map(|task| format!("{} has policy {}", task.name, task.policy)).collect();
    none_wrong(&wrong, "all ordinary", "policy 0 (other) for every thread")
}

fn names(sights: &Sights<'_>) -> Found {
    let off = |(lane, task): (&ReadyLane, &Task)| {
        let want: String = lane.name.chars().take(NAME_MAX).collect();
        // The main thread keeps the program's name.
        (task.tid != sights.ready.pid && task.name != want)
            .then(|| format!("thread {} is called {}, not {want}", task.tid, task.name))
    };
    let wrong: Vec<String> = pairs(sights).filter_map(off).collect();
    none_wrong(&wrong, "as planned", "each thread has its lane's name")
}

/// Threads that are no lanes.
fn others<'a>(sights: &'a Sights<'_>) -> impl Iterator<Item = &'a Task> {
    sights.after.own.iter().filter(|task| sights.ready.lane(task.tid).is_none())
}

/// Helpers and child processes that may run where a hot lane does, though there are other CPUs.
fn helpers(sights: &Sights<'_>) -> Found {
    let hot = sights.ready.hot();
    let online = sights.root.cpus("/sys/devices/system/cpu/online").unwrap_or_default();
    let rest = online.without(&hot);
    if rest.is_empty() {
        return Found::none("hot lanes have every CPU: helpers have nowhere else to be");
    }
    let children = children(sights);
    let stray = |task: &&Task| !task.allowed.and(&hot).is_empty();
    let told = |task: &Task| format!("{} may run on {}", task.name, task.allowed);
    let wrong: Vec<String> = others(sights).chain(&children).filter(stray).map(told).collect();
    none_wrong(&wrong, "off hot lanes' CPUs", &format!("within {rest}"))
}

/// The main threads of the engine's child processes.
fn children(sights: &Sights<'_>) -> Vec<Task> {
    let is_child = |pid: &u32| {
        let parent = sights.root.field(&format!("/proc/{pid}/status"), "PPid");
        parent.and_then(|p| p.parse().ok()) == Some(sights.ready.pid)
    };
    let pids = process::pids(sights.root).into_iter().filter(is_child);
    pids.filter_map(|pid| Task::read(sights.root, pid, pid)).collect()
}

fn undeclared(sights: &Sights<'_>) -> Found {
    let known = |task: &&Task| {
        task.tid == sights.ready.pid || HELPERS.iter().any(|name| task.name.starts_with(name))
    };
    let wrong: Vec<String> =
        others(sights).filter(|t| !known(t)).map(|task| task.name.clone()).collect();
    none_wrong(&wrong, "none", "no thread that the engine does not declare")
}

fn of_status(sights: &Sights<'_>, key: &str) -> Option<u64> {
    let text = sights.root.field(&format!("/proc/{}/status", sights.ready.pid), key)?;
    text.split_whitespace().next()?.parse().ok()
}

fn lock(sights: &Sights<'_>) -> Found {
    match of_status(sights, "VmLck") {
        Some(kib) => Found::that(kib > 0, format!("{kib} kB locked"), "the program is locked"),
        None => Found::none("the kernel does not say"),
    }
}

fn huge_pages(sights: &Sights<'_>) -> Found {
    let Some(plan) = sights.ready.huge_pages else {
        return Found::none("the ready file names no number of pages");
    };
    let held = of_status(sights, "HugetlbPages").unwrap_or(0) / PAGE_KIB;
    Found::that(held >= plan, format!("{held} held"), format!("{plan} of 2 MiB"))
}

/// Who keeps the CPUs from deep sleep: the engine, or somebody beside it.
fn sleep(sights: &Sights<'_>) -> Found {
    let (root, asked) = (sights.root, sights.ready.cpu_dma_latency_us);
    let want = format!("{} held while the engine runs", latency::DEVICE);
    let limit = latency::limit(root).map_or(String::new(), |us| format!(" at {us} us"));
    if latency::is_held_by(root, &sights.ready.pid.to_string()) {
        return Found::that(true, format!("held by the engine{limit}"), want);
    }
    let others = latency::holders(root);
    match (others.is_empty(), asked) {
        (false, _) => Found::that(true, format!("held by {}{limit}", others.join(", ")), want),
        (true, Some(_)) => Found::that(false, "asked for, and held by nobody", want),
        (true, None) => Found::none("nobody holds it, and nobody asked"),
    }
}
