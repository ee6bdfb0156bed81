//! The plan: topology and placement resolved for this host, before anything starts.

use std::fmt::Write as _;

use bot4_host::CpuSet;
use bot4_lanes::placement::{self, Cpus, LanePlan, Placement, PlacementError};
use bot4_lanes::topology::{Flow, Topology, TopologyError};
use serde_json::{Value, json};

use super::settings;
use crate::config::value::Lanes;
use crate::config::{Config, VenueAccess, VenueConfig};
use crate::topology::topology_of;

/// A validated topology and its placement.
pub struct Plan {
    /// Roles and links.
    pub topology: Topology,
    /// Lanes and CPUs.
    pub placement: Placement,
    /// CPUs this process may use.
    pub cpus: Cpus,
    instruments: usize,
    captured: bool,
}

/// Why there is no plan.
#[derive(Debug)]
pub enum PlanError {
    /// The table is wrong (a bug).
    Topology(TopologyError),
    /// The lanes cannot be placed.
    Placement(PlacementError),
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topology(e) => write!(f, "error: topology: {e}"),
            Self::Placement(e) => write!(f, "error: {e}"),
        }
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    /// The plan for `config` on this host.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn of(config: &Config) -> Result<Self, PlanError> {
        let mut plan = Self::on(config, Cpus::of_this_process(), quota_free())?;
        let isolated = std::fs::read_to_string("/sys/devices/system/cpu/isolated");
        let isolated = CpuSet::of_list(&isolated.unwrap_or_default());
        let warning = left_aside(&plan.cpus.allowed.iter().copied().collect(), &isolated);
        plan.placement.warnings.extend(warning);
        Ok(plan)
    }

    /// The plan for `config` on `cpus`, which no quota takes away where they are `quota_free`.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn on(config: &Config, cpus: Cpus, quota_free: bool) -> Result<Self, PlanError> {
        let shape = config.shape();
        let topology = topology_of(shape);
        topology.validate().map_err(PlanError::Topology)?;
        let is_embedded = |v: &VenueConfig| matches!(v.access, VenueAccess::Embedded);
        let embedded = config.venues().any(is_embedded);
        let count = match config.lanes {
            Lanes::Auto => placement::auto_lanes(&cpus, embedded),
            Lanes::Count(n) => n,
        };
        let quota_free = quota_free && !(embedded && count >= cpus.allowed.len());
        let extra = shape.extra_roles();
        let placement = placement::place(count, &cpus, quota_free, config.wishes, &extra)
            .map_err(PlanError::Placement)?;
        let (instruments, captured) = (config.labels().len(), config.capture);
        Ok(Self { topology, placement, cpus, instruments, captured })
    }

    /// Bytes of arena of a lane.
    #[must_use]
    pub fn arena_of(&self, lane: &LanePlan) -> usize {
        let of_role = |role| {
            let copies = if self.captured { settings::capture_memory_of(role) } else { 0 };
            settings::memory_of(role, self.instruments) + copies
        };
        lane.roles.iter().map(|role| of_role(role)).sum()
    }

    /// Pages of 2 MiB that hold all arenas, jemalloc's own tables (one page a lane) included.
    #[must_use]
    pub fn huge_pages(&self) -> usize {
        let pages = |l: &LanePlan| self.arena_of(l).div_ceil(2 << 20) + 1;
        self.placement.lanes.iter().map(pages).sum()
    }

    /// The plan for a person.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "lanes ({} CPUs allowed)", self.cpus.allowed.len());
        for lane in &self.placement.lanes {
            let (name, roles) = (&lane.name, lane.roles.join(" "));
            let (idle, mib) = (lane.idle.name(), self.arena_of(lane) >> 20);
            let _ =
                writeln!(out, "  {name:<18} cpu {:<3} {idle:<11} {mib:>4} MiB  {roles}", lane.cpu);
        }
        let _ = writeln!(out, "memory: {} huge pages of 2 MiB", self.huge_pages());
        let _ = writeln!(out, "links");
        for link in &self.topology.links {
            let arrow = if link.flow == Flow::Forward { "->" } else { "<~" };
            let (name, from, to) = (&link.name, link.from, link.to);
            let full = link.when_full.name();
            let _ = writeln!(
                out,
                "  {name:<16} {from:>9} {arrow} {to:<9} {:>6}  {full}",
                link.capacity
            );
        }
        for warning in &self.placement.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
        out
    }

    /// The plan for a program.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lanes: Vec<Value> = self
            .placement
            .lanes
            .iter()
            .map(|l| {
                json!({"name": l.name, "cpu": l.cpu, "idle": l.idle.name(), "agents": l.roles,
                       "arena_bytes": self.arena_of(l)})
            })
            .collect();
        let links: Vec<Value> = self
            .topology
            .links
            .iter()
            .map(|l| {
                let feedback = l.flow == Flow::Feedback;
                json!({"name": l.name, "from": l.from, "to": l.to, "capacity": l.capacity,
                       "when_full": l.when_full.name(), "feedback": feedback})
            })
            .collect();
        json!({"lanes": lanes, "links": links, "cpus": self.cpus.allowed,
               "huge_pages": self.huge_pages(),
               "warnings": self.placement.warnings})
    }
}

/// A process starts off the CPUs that the boot line isolates; whoever wants lanes there says so.
fn left_aside(allowed: &CpuSet, isolated: &CpuSet) -> Option<String> {
    (!isolated.is_empty() && isolated.and(allowed).is_empty()).then(|| {
        format!(
            "CPUs {isolated} are isolated from the scheduler and this process may use {allowed} \
             alone: start it with `taskset -c {}`, or by deploy/launch.sh",
            allowed.or(isolated)
        )
    })
}

/// No cgroup takes CPU time away: spinning is safe. Reads the v2 and v1 files of this process's
/// cgroup; absent files mean no quota.
fn quota_free() -> bool {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().all(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next(), parts.next(), parts.next().unwrap_or("/"));
        match controllers {
            Some("") => {
                let file = format!("/sys/fs/cgroup{path}/cpu.max");
                std::fs::read_to_string(file).is_ok_and(|t| !t.starts_with("max"))
            }
            Some(c) if c.split(',').any(|c| c == "cpu") => {
                let file = format!("/sys/fs/cgroup/cpu{path}/cpu.cfs_quota_us");
                std::fs::read_to_string(file).is_ok_and(|t| t.trim() != "-1")
            }
            _ => false,
        }
        .eq(&false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolated_cpus_that_nobody_asked_for_are_told() {
        let of = CpuSet::of_list;
        let told = left_aside(&of("0-1"), &of("2-11")).expect("a warning");
        assert!(told.contains("taskset -c 0-11"), "{told}");
        assert_eq!(left_aside(&of("0-11"), &of("2-11")), None);
        assert_eq!(left_aside(&of("0-1"), &of("")), None);
    }

    #[test]
    fn the_demo_can_be_planned_with_every_number_of_lanes() {
        let mut config = crate::config::demo().expect("valid");
        for n in 1..=12 {
            config.lanes = Lanes::Count(n);
            let plan = Plan::of(&config).expect("placeable");
            assert_eq!(plan.placement.lanes.len(), n);
            assert!(plan.to_text().contains("tick") || plan.to_text().contains("frames[0]"));
        }
    }
}
