//! What `/proc` says of tasks.

use crate::cpu_set::CpuSet;
use crate::root::Root;

/// The kernel's mark of its own threads in a task's flags (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;
/// Seconds a tick of CPU time takes: `USER_HZ` is 100 on every machine this is built for.
pub const TICK_S: f64 = 0.01;

/// A thread, as `/proc/PID/task/TID` shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// Its process.
    pub pid: u32,
    /// Its number.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// CPUs that it may use.
    pub allowed: CpuSet,
    /// CPU that it last ran on.
    pub cpu: usize,
    /// Scheduling policy, sched(7): 0 is the ordinary one.
    pub policy: u32,
    /// Nice value.
    pub nice: i32,
    /// Whether it is the kernel's own.
    pub of_kernel: bool,
    /// CPU time so far, ticks of 10 ms.
    pub ticks: u64,
    /// Page faults so far.
    pub faults: u64,
    /// Times it gave its CPU up.
    pub voluntary: u64,
    /// Times its CPU was taken.
    pub involuntary: u64,
    /// Moves to another CPU; `None` where the kernel does not count them.
    pub migrations: Option<u64>,
}

impl Task {
    /// Reads the task `tid` of `pid`; `None` when it is gone.
    pub fn read(root: &Root, pid: u32, tid: u32) -> Option<Self> {
        let folder = format!("/proc/{pid}/task/{tid}");
        let stat = root.text(&format!("{folder}/stat"))?;
        let (name, fields) = stat_of(&stat)?;
        let status = root.text(&format!("{folder}/status"))?;
        let number = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        let of_status = |key: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
            line.unwrap_or("").trim()
        };
        let count = |key: &str| of_status(key).parse().unwrap_or(0);
        let sched = root.text(&format!("{folder}/sched"));
        Some(Self {
            pid,
            tid,
            name: name.to_owned(),
            allowed: CpuSet::of_list(of_status("Cpus_allowed_list")),
            cpu: number(39) as usize,
            policy: number(41) as u32,
            nice: fields.get(19 - 3).and_then(|f| f.parse().ok()).unwrap_or(0),
            of_kernel: number(9) & KERNEL_THREAD != 0,
            ticks: number(14) + number(15),
            faults: number(10) + number(12),
            voluntary: count("voluntary_ctxt_switches"),
            involuntary: count("nonvoluntary_ctxt_switches"),
            migrations: sched.as_deref().and_then(migrations),
        })
    }

    /// Every thread of `pid`.
    pub fn of_process(root: &Root, pid: u32) -> Vec<Self> {
        let tids = root.names(&format!("/proc/{pid}/task"));
        tids.iter().filter_map(|tid| Self::read(root, pid, tid.parse().ok()?)).collect()
    }

    /// Times it was switched to or from.
    pub fn switches(&self) -> u64 {
        self.voluntary + self.involuntary
    }
}

/// Processes there are.
pub fn pids(root: &Root) -> Vec<u32> {
    root.names("/proc").iter().filter_map(|name| name.parse().ok()).collect()
}

/// Name and fields from the third on of a task's `stat`; the name may hold blanks and brackets.
fn stat_of(stat: &str) -> Option<(&str, Vec<&str>)> {
    let (before, rest) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((name, rest.split_whitespace().collect()))
}

fn migrations(sched: &str) -> Option<u64> {
    let line = sched.lines().find_map(|l| l.trim_start().strip_prefix("se.nr_migrations"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

/// CPU time of every process so far: pid, name, ticks. The kernel's own threads are left out.
pub fn cpu_time(root: &Root) -> Vec<(u32, String, u64)> {
    let of = |pid: u32| {
        let stat = root.text(&format!("/proc/{pid}/stat"))?;
        let (name, fields) = stat_of(&stat)?;
        let number = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<u64>().ok());
        let of_kernel = number(9)? & KERNEL_THREAD != 0;
        (!of_kernel).then_some((pid, name.to_owned(), number(14)? + number(15)?))
    };
    pids(root).into_iter().filter_map(of).collect()
}

/// What `/proc/interrupts` counts so far: a line's name, and for each CPU the count.
pub fn interrupts(root: &Root) -> Vec<(String, Vec<(usize, u64)>)> {
    let text = root.text("/proc/interrupts").unwrap_or_default();
    let mut lines = text.lines();
    let head = lines.next().unwrap_or("");
    let cpus: Vec<usize> =
        head.split_whitespace().filter_map(|c| c.strip_prefix("CPU")?.parse().ok()).collect();
    let of = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let counts = rest.split_whitespace().map_while(|c| c.parse().ok());
        Some((name.trim().to_owned(), cpus.iter().copied().zip(counts).collect()))
    };
    lines.filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn this_thread_is_read_as_it_is() {
        let root = Root::at(Path::new("/"));
        let pid = std::process::id();
        let all = Task::of_process(&root, pid);
        let main = all.iter().find(|t| t.tid == pid).expect("the main thread");
        assert!(!main.of_kernel && !main.allowed.is_empty() && main.allowed.contains(main.cpu));
        assert!(all.len() >= 2, "the test's own thread beside the main one");
        assert!(pids(&root).contains(&pid));
        assert!(cpu_time(&root).iter().any(|(p, ..)| *p == pid));
    }

    #[test]
    fn names_with_brackets_and_blanks() {
        let (name, fields) = stat_of("7 (a) b (c) S 1 2").expect("a line");
        assert_eq!((name, fields), ("a) b (c", vec!["S", "1", "2"]));
        assert_eq!(migrations("x : 1\nse.nr_migrations     :    12\n"), Some(12));
    }

    #[test]
    fn interrupts_by_cpu() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("proc")).expect("made");
        let text = "           CPU0       CPU2\n 24:   5   6  IO-APIC 24-edge x\nERR:   0\n";
        std::fs::write(dir.path().join("proc/interrupts"), text).expect("written");
        let all = interrupts(&Root::at(dir.path()));
        assert_eq!(all[0], ("24".to_owned(), vec![(0, 5), (2, 6)]));
    }
}
