//! CPUs: which the lanes may have, and whether they have them alone.

use std::collections::BTreeMap;

use crate::cpu_set::CpuSet;
use crate::row::{Class, Found, Row, Rule, Scope, Sight, UNMEASURED, by_hand};

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
        measured: "a rule, not a knob",
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
];

fn allowed(sight: &Sight<'_>) -> Found {
    let planned = sight.need.all();
    if planned.is_empty() {
        return Found::none("no lane is planned");
    }
    let own = sight.root.field("/proc/self/status", "Cpus_allowed_list").unwrap_or_default();
    let usable = CpuSet::of_list(&own).and(&sight.online());
    let want = format!("{planned} among them");
    Found::that(usable.covers(&planned), format!("allowed and on: {usable}"), want)
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
        let path =
            format!("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", lane.cpu);
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
