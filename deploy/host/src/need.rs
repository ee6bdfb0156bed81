//! What the engine needs of the machine: which CPUs its lanes have, how much memory, which files.

use std::path::PathBuf;

use crate::cpu_set::CpuSet;
use crate::identity::Identity;

/// How strictly the table is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Real money: a failed row that nobody waived with a reason refuses the start.
    Live,
    /// Trading without money, or a development machine: failed rows are told.
    #[default]
    Paper,
    /// Tests on a shared machine: what fails is a warning.
    Ci,
}

impl Mode {
    /// Modes and their names.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Live, "live"), (Self::Paper, "paper"), (Self::Ci, "ci")];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("", |(_, name)| name)
    }

    /// The mode called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, of)| *of == name).map(|(mode, _)| *mode)
    }
}

/// A lane as it is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLane {
    /// Its thread's name.
    pub name: String,
    /// Its CPU.
    pub cpu: usize,
    /// Whether it works on orders or market data: such a lane's CPU is to be quiet.
    pub hot: bool,
    /// Whether it never sleeps.
    pub spins: bool,
}

/// What the engine needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// How strictly rows are read.
    pub mode: Mode,
    /// Lanes, the control lane first.
    pub lanes: Vec<PlannedLane>,
    /// CPUs that the engine will be started with: those of the lanes, and what is left of them for
    /// helpers; empty: those of the lanes.
    pub cpus: CpuSet,
    /// Somebody will start the engine with real-time threads (`SCHED_FIFO`); it makes none itself.
    pub fifo: bool,
    /// The engine holds the time that a CPU takes to wake at this, microseconds.
    pub cpu_dma_latency_us: Option<u32>,
    /// Pages of 2 MiB that hold all arenas.
    pub huge_pages: u64,
    /// Bytes that the journal's disk must have free: two segments.
    pub journal_bytes: u64,
    /// The folder of the journal, where it is known.
    pub journal: Option<PathBuf>,
    /// Files with keys.
    pub keys: Vec<PathBuf>,
    /// What is rolled out here.
    pub identity: Identity,
    /// What should be, where the operator says so.
    pub manifest: Option<Identity>,
}

impl Need {
    /// CPUs of lanes that work on orders or market data.
    #[must_use]
    pub fn hot(&self) -> CpuSet {
        self.lanes.iter().filter(|lane| lane.hot).map(|lane| lane.cpu).collect()
    }

    /// CPUs of all lanes.
    #[must_use]
    pub fn all(&self) -> CpuSet {
        self.lanes.iter().map(|lane| lane.cpu).collect()
    }

    /// Of the CPUs `online`, those that no hot lane has: where the kernel's own work belongs. All
    /// of them where hot lanes have every CPU.
    #[must_use]
    pub fn housekeeping(&self, online: &CpuSet) -> CpuSet {
        let rest = online.without(&self.hot());
        if rest.is_empty() { online.clone() } else { rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hot_lanes_leave_the_rest_to_the_kernel() {
        let lane = |name: &str, cpu, hot| PlannedLane { name: name.into(), cpu, hot, spins: hot };
        let lanes = vec![lane("control", 0, false), lane("risk", 1, true)];
        let need = Need { lanes, ..Need::default() };
        assert_eq!(need.hot().to_string(), "1");
        assert_eq!(need.housekeeping(&CpuSet::of_list("0-3")).to_string(), "0,2-3");
        assert_eq!(need.housekeeping(&CpuSet::of_list("1")).to_string(), "1");
        assert!(Mode::ALL.iter().all(|(mode, name)| Mode::from_name(name) == Some(*mode)));
    }
}
