//! What comes within a window: foreign tasks, ticks, switches, moves, faults.

use super::{Ready, Sights};
use crate::cpu_set::CpuSet;
use crate::process::{self, Task};
use crate::root::Root;
use crate::row::{Class, Found};

/// Timer interrupts a second on a hot lane's CPU that a machine without the tick still has.
const TICKS_MAX: f64 = 2.0;
/// As many names are told.
const NAMES_MAX: usize = 5;

/// A look at the machine.
pub(super) struct Moment {
    /// The engine's threads.
    pub own: Vec<Task>,
    /// Threads of others that were last on a hot lane's CPU.
    foreign: Vec<Task>,
    irqs: Vec<(String, Vec<(usize, u64)>)>,
}

impl Moment {
    pub fn now(root: &Root, ready: &Ready) -> Self {
        let hot = ready.hot();
        let others = process::pids(root).into_iter().filter(|pid| *pid != ready.pid);
        let tasks = others.flat_map(|pid| Task::of_process(root, pid));
        Self {
            own: Task::of_process(root, ready.pid),
            foreign: tasks.filter(|task| hot.contains(task.cpu)).collect(),
            irqs: process::interrupts(root),
        }
    }

    /// Local timer interrupts of a CPU so far.
    fn ticks(&self, cpu: usize) -> Option<u64> {
        let (_, counts) = self.irqs.iter().find(|(name, _)| name == "LOC")?;
        counts.iter().find(|(of, _)| *of == cpu).map(|(_, count)| *count)
    }
}

pub(super) fn all(sights: &Sights<'_>) -> Vec<(&'static str, Class, Found)> {
    vec![
        ("audit.tasks", Class::Warn, tasks(sights)),
        ("audit.ticks", Class::Warn, ticks(sights)),
        ("audit.switches", Class::Warn, switches(sights)),
        ("audit.migrations", Class::Fail, migrations(sights)),
        ("audit.faults", Class::Warn, faults(sights)),
    ]
}

/// The same thread at the two ends of the window.
fn both<'a>(before: &'a [Task], after: &'a [Task]) -> impl Iterator<Item = (&'a Task, &'a Task)> {
    let earlier =
        move |task: &Task| before.iter().find(|old| (old.pid, old.tid) == (task.pid, task.tid));
    after.iter().filter_map(move |task| Some((earlier(task)?, task)))
}

/// Threads of others that ran on a hot lane's CPU. The kernel's own that belong to that CPU are
/// no surprise.
fn tasks(sights: &Sights<'_>) -> Found {
    let bound = |task: &Task| {
        let own: CpuSet = std::iter::once(task.cpu).collect();
        task.of_kernel && task.allowed == own
    };
    let ran = both(&sights.before.foreign, &sights.after.foreign)
        .filter(|(old, new)| new.switches() > old.switches() || new.ticks > old.ticks)
        .filter(|(_, new)| !bound(new));
    let names: Vec<String> =
        ran.map(|(_, task)| format!("{} ({}) on {}", task.name, task.pid, task.cpu)).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    let mut found = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        found.push_str(&format!(" and {more} more"));
    }
    let found = if names.is_empty() { "none".to_owned() } else { found };
    Found::that(names.is_empty(), found, "nobody else on hot lanes' CPUs")
}

fn ticks(sights: &Sights<'_>) -> Found {
    let rate = |cpu: usize| {
        let come = sights.after.ticks(cpu)?.saturating_sub(sights.before.ticks(cpu)?);
        Some((come as f64 / sights.seconds, cpu))
    };
    let most = sights.ready.hot().iter().filter_map(rate).max_by(|a, b| a.0.total_cmp(&b.0));
    match most {
        Some((rate, cpu)) => {
            let found = format!("at most {rate:.1} a second (CPU {cpu})");
            Found::that(rate <= TICKS_MAX, found, format!("at most {TICKS_MAX} a second"))
        }
        None => Found::none("the machine does not count local timers, or no lane is hot"),
    }
}

/// How much `count` rose on hot lanes within the window, and on which most.
fn rise(sights: &Sights<'_>, count: impl Fn(&Task) -> Option<u64>) -> Option<(u64, String)> {
    let hot = |task: &Task| sights.ready.lane(task.tid).is_some_and(|lane| lane.hot);
    let rises = both(&sights.before.own, &sights.after.own).filter(|(_, task)| hot(task));
    let rises: Vec<(u64, &str)> = rises
        .filter_map(|(old, new)| Some((count(new)?.saturating_sub(count(old)?), new.name.as_str())))
        .collect();
    let most = rises.iter().max_by_key(|(rise, _)| *rise)?;
    Some((rises.iter().map(|(rise, _)| rise).sum(), format!("most on {}: {}", most.1, most.0)))
}

fn no_rise(sights: &Sights<'_>, what: &str, count: impl Fn(&Task) -> Option<u64>) -> Found {
    let seconds = sights.seconds;
    match rise(sights, count) {
        Some((0, _)) => Found::that(true, format!("none in {seconds:.1} s"), "none"),
        Some((all, most)) => {
            Found::that(false, format!("{all} {what} in {seconds:.1} s, {most}"), "none")
        }
        None => Found::none("the kernel does not count them, or no lane is hot"),
    }
}

fn switches(sights: &Sights<'_>) -> Found {
    no_rise(sights, "times a hot lane's CPU was taken", |task| Some(task.involuntary))
}

fn migrations(sights: &Sights<'_>) -> Found {
    no_rise(sights, "moves of hot lanes", |task| task.migrations)
}

fn faults(sights: &Sights<'_>) -> Found {
    no_rise(sights, "page faults of hot lanes", |task| Some(task.faults))
}
