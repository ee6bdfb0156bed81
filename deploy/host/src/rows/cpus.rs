//! CPUs: which the lanes may have, and whether they have them alone.

use std::collections::BTreeMap;

use crate::cpu_set::CpuSet;
use crate::row::{Class, Found, RULE, Row, Rule, Scope, Sight, UNMEASURED, by_hand};
use crate::samples::FifoTrial;

/// Per cent of stolen time that is too much.
const STEAL_MAX_PCT: f64 = 1.0;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "cpus.allowed",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "a lane cannot be pinned to a CPU that its process may not use",
        mend: "start the engine from a cpuset with the planned CPUs, or plan with fewer lanes \
               (`--lanes N`)",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: allowed, changes: by_hand },
    },
    Row {
        id: "cpus.quota",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "a quota takes the CPU from a spinning lane for tens of milliseconds in each period",
        mend: "echo max > cpu.max in the engine's control group (v1: -1 to cpu.cfs_quota_us)",
        undo: "the old quota",
        risk: "the engine may use its CPUs wholly",
        measured: UNMEASURED,
        rule: Rule::Look { check: quota, changes: by_hand },
    },
    Row {
        id: "cpus.cores",
        class: Class::Fail,
        scope: Scope::Cloud,
        why: "two spinning lanes on one core halve each other",
        mend: "plan with fewer lanes, or take a machine with a core for each lane that spins",
        undo: "none",
        risk: "none",
        measured: UNMEASURED,
        rule: Rule::Look { check: cores, changes: by_hand },
    },
    Row {
        id: "cpus.steal",
        class: Class::Fail,
        scope: Scope::Cloud,
        why: "what the hypervisor gives to others is missing at the worst moment",
        mend: "take a dedicated machine, or dedicated virtual CPUs",
        undo: "none",
        risk: "costs money",
        measured: UNMEASURED,
        rule: Rule::Look { check: steal, changes: by_hand },
    },
    Row {
        id: "cpus.threads",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "a lane or a helper that cannot be made ends the start",
        mend: "TasksMax= in the unit (pids.max of the control group), `ulimit -u`",
        undo: "the old limit",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: threads, changes: by_hand },
    },
    Row {
        id: "cpus.siblings",
        class: Class::Warn,
        scope: Scope::Cloud,
        why: "whoever runs on the other thread of a hot lane's core takes half of it",
        mend: "switch SMT off (echo off > /sys/devices/system/cpu/smt/control, at AWS \
               ThreadsPerCore=1 at launch), or give the siblings to lanes that wait",
        undo: "echo on > /sys/devices/system/cpu/smt/control",
        risk: "half as many CPUs for everything else",
        measured: UNMEASURED,
        rule: Rule::Look { check: siblings, changes: by_hand },
    },
    Row {
        id: "cpus.policy",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "lanes inherit the policy of their starter: a real-time spinner starves the kernel's \
              own threads, an idle one is starved by everybody",
        mend: "start the engine without chrt and nice (CPUSchedulingPolicy=other in the unit)",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: policy, changes: by_hand },
    },
    Row {
        id: "rt.group",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "with real-time threads planned (`--fifo`), a control group that has no share of real \
              time refuses them, and the start ends there",
        mend: "echo 950000 > cpu.rt_runtime_us in the engine's control group of version 1 and in \
               those above it; else CAP_SYS_NICE or LimitRTPRIO=50 for the engine",
        undo: "echo 0 > cpu.rt_runtime_us",
        risk: "a real-time thread that spins starves the kernel's threads on its CPU: no lane is one",
        measured: "in a new group of version 1 a real-time thread is refused (EPERM), with 10000 us \
                   in cpu.rt_runtime_us it is granted; latencies: not measured on this host",
        rule: Rule::Look { check: real_time, changes: by_hand },
    },
];

fn allowed(sight: &Sight<'_>) -> Found {
    let planned = sight.need.all();
    if planned.is_empty() {
        return Found::none("no lane is planned");
    }
    let own = || sight.root.cpus_of_field("/proc/self/status", "Cpus_allowed_list");
    let usable = of_cpuset(sight).unwrap_or_else(own).and(&sight.online());
    let want = format!("{planned} among them");
    Found::that(usable.covers(&planned), format!("allowed and on: {usable}"), want)
}

/// CPUs that the own cpuset grants: a thread may pin itself to any of them, whatever its present
/// mask.
fn of_cpuset(sight: &Sight<'_>) -> Option<CpuSet> {
    let groups = sight.root.text("/proc/self/cgroup")?;
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (folder, file) = match controllers {
            "" => ("/sys/fs/cgroup", "cpuset.cpus.effective"),
            c if c.split(',').any(|c| c == "cpuset") => {
                ("/sys/fs/cgroup/cpuset", "cpuset.effective_cpus")
            }
            _ => return None,
        };
        // The nearest group above that has the controller.
        let above = std::path::Path::new(path).ancestors();
        let files = above.map(|group| format!("{folder}{}/{file}", group.display()));
        files.into_iter().find_map(|file| sight.root.cpus(&file.replace("//", "/")))
    };
    groups.lines().find_map(of_line)
}

/// The quotas of the own control group and of those above it.
fn quota(sight: &Sight<'_>) -> Found {
    let groups = sight.root.text("/proc/self/cgroup").unwrap_or_default();
    let quotas = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let (folder, file) = match controllers {
            "" => ("/sys/fs/cgroup", "cpu.max"),
            c if c.split(',').any(|c| c == "cpu") => ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us"),
            _ => return Vec::new(),
        };
        let mut found = Vec::new();
        let mut path = path.trim_end_matches('/');
        loop {
            let file = format!("{folder}{path}/{file}");
            let text = sight.root.text(&file);
            found.extend(text.filter(|t| !t.starts_with("max") && t != "-1").map(|t| (file, t)));
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
        found
    });
    let quotas: Vec<String> = quotas.map(|(file, text)| format!("{file}: {text}")).collect();
    let found = if quotas.is_empty() { "none".to_owned() } else { quotas.join("; ") };
    Found::that(quotas.is_empty(), found, "no quota")
}

fn cores(sight: &Sight<'_>) -> Found {
    let spinning = sight.need.lanes.iter().filter(|lane| lane.spins);
    let mut lanes_of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for lane in spinning {
        let path = format!("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", lane.cpu);
        let core = sight.root.text(&path).unwrap_or_else(|| lane.cpu.to_string());
        lanes_of.entry(core).or_default().push(&lane.name);
    }
    let shared: Vec<String> = lanes_of
        .iter()
        .filter(|(_, lanes)| lanes.len() > 1)
        .map(|(core, lanes)| format!("{} on CPUs {core}", lanes.join(" and ")))
        .collect();
    let count: usize = lanes_of.values().map(Vec::len).sum();
    let found = match shared.is_empty() {
        true => format!("{count} spinning lanes on {} cores", lanes_of.len()),
        false => shared.join("; "),
    };
    Found::that(shared.is_empty(), found, "at most one spinning lane a core")
}

fn steal(sight: &Sight<'_>) -> Found {
    match sight.samples.steal_pct {
        Some(pct) => {
            let want = format!("below {STEAL_MAX_PCT} %");
            Found::that(pct < STEAL_MAX_PCT, format!("{pct:.2} % stolen"), want)
        }
        None => Found::none("not measured: needs the running machine"),
    }
}

/// Threads of the engine beside its lanes, and processes beside it, with room.
const BESIDE_LANES: u64 = 32;

fn threads(sight: &Sight<'_>) -> Found {
    let need = sight.need.lanes.len() as u64 + BESIDE_LANES;
    let groups = sight.root.text("/proc/self/cgroup").unwrap_or_default();
    let of_group = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let folder = match controllers {
            "" => "/sys/fs/cgroup",
            c if c.split(',').any(|c| c == "pids") => "/sys/fs/cgroup/pids",
            _ => return None,
        };
        let group = format!("{folder}{}", path.trim_end_matches('/'));
        let most: u64 = sight.root.text(&format!("{group}/pids.max"))?.parse().ok()?;
        let now = sight.root.number(&format!("{group}/pids.current")).unwrap_or(0);
        Some(most.saturating_sub(now.unsigned_abs()))
    };
    let limit = sight.root.field("/proc/self/limits", "Max processes").unwrap_or_default();
    let limit = limit.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
    let most = groups.lines().filter_map(of_group).chain(limit).min();
    let found = most.map_or("no limit".to_owned(), |n| format!("{n} more"));
    Found::that(most.is_none_or(|n| n >= need), found, format!("{need} threads"))
}

/// CPUs on the cores of hot lanes on which others may run, or that another hot lane has.
fn siblings(sight: &Sight<'_>) -> Found {
    let (hot, all, online) = (sight.need.hot(), sight.need.all(), sight.online());
    let isolated = sight.root.cpus("/sys/devices/system/cpu/isolated").unwrap_or_default();
    let beside = |cpu: usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        sight.root.cpus(&path).unwrap_or_default().without(&std::iter::once(cpu).collect())
    };
    let quiet =
        |cpu: &usize| !hot.contains(*cpu) && (all.contains(*cpu) || isolated.contains(*cpu));
    let beside = hot.iter().flat_map(|cpu| beside(cpu).and(&online).iter().collect::<Vec<_>>());
    let loud: CpuSet = beside.filter(|cpu| !quiet(cpu)).collect();
    let found = if loud.is_empty() { "quiet".to_owned() } else { format!("CPUs {loud} are not") };
    Found::that(
        loud.is_empty(),
        found,
        "siblings of hot lanes off, isolated, or with lanes that wait",
    )
}

fn real_time(sight: &Sight<'_>) -> Found {
    if !sight.need.fifo {
        return Found::that(true, "not planned", "");
    }
    let want = "a thread may be SCHED_FIFO in the engine's control group";
    match &sight.samples.fifo {
        Some(FifoTrial::Granted) => Found::that(true, "tried and granted", want),
        Some(FifoTrial::Refused(why)) => Found::that(false, format!("tried: {why}"), want),
        None => Found::none("not tried: needs the running machine"),
    }
}

fn policy(sight: &Sight<'_>) -> Found {
    let stat = sight.root.text("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    // The 19th and the 41st, proc_pid_stat(5); the first of `fields` is the third.
    let number = |n: usize| fields.get(n - 3)?.parse::<i64>().ok();
    let (Some(nice), Some(policy)) = (number(19), number(41)) else {
        return Found::none("/proc/self/stat does not say");
    };
    let name = match policy {
        0 => "other",
        1 => "fifo",
        2 => "rr",
        3 => "batch",
        5 => "idle",
        6 => "deadline",
        _ => "unknown",
    };
    let good = policy == 0 && nice <= 0;
    Found::that(good, format!("policy {name}, nice {nice}"), "policy other, nice at most 0")
}
