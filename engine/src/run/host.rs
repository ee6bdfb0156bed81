//! The machine under a run: what the plan needs of it, and whether that is there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bot4_host::check::{Checked, SCHEMA};
use bot4_host::identity::Identity;
use bot4_host::{Mode, Need, PlannedLane, Report, Root, Samples, Sight, Waivers, latency, measure};
use bot4_lanes::Clock;
use bot4_lanes::idle::IdleKind;
use ring::digest;

use super::RunOptions;
use super::access::Access;
use super::cold::{self, ColdError};
use super::dirs::state_home;
use super::plan::Plan;
use super::takeover::PolicyRefusal;
use crate::config::schema::HugePages;
use crate::config::{Config, VenueAccess};

/// How long rates are looked at before a live run.
const WINDOW: Duration = Duration::from_millis(500);
/// What was found, in the run's folder.
const FILE: &str = "host.json";

/// Pages of 2 MiB that the arenas of `plan` are to lie on; none where `config` wants no such pages.
#[must_use]
pub fn huge_pages(config: &Config, plan: &Plan) -> usize {
    match config.huge_pages {
        HugePages::Best | HugePages::Hugetlb => plan.huge_pages(),
        HugePages::Thp | HugePages::None => 0,
    }
}

/// What a run of `config`, read from `files`, needs of the machine below `root`.
///
/// # Errors
/// A manifest that cannot be read.
pub fn need_of(
    config: &Config,
    files: &[PathBuf],
    plan: &Plan,
    root: &Root,
) -> Result<Need, String> {
    let lane = |lane: &bot4_lanes::placement::LanePlan| PlannedLane {
        name: lane.name.clone(),
        cpu: lane.cpu,
        hot: !lane.is_cold(),
        spins: lane.idle == IdleKind::Spin,
    };
    let key = |venue: &crate::config::VenueConfig| match &venue.access {
        VenueAccess::Remote(remote) => remote.keys.as_ref().map(|k| k.private_key.clone()),
        VenueAccess::Embedded => None,
    };
    let mut identity = Identity::of(root);
    identity.binary_sha256 = std::env::current_exe().ok().and_then(|path| sha256(&[path]));
    identity.config_sha256 = sha256(files).filter(|_| !files.is_empty());
    Ok(Need {
        mode: config.host.mode,
        lanes: plan.placement.lanes.iter().map(lane).collect(),
        cpus: plan.cpus.allowed.iter().copied().collect(),
        fifo: false,
        cpu_dma_latency_us: config.host.cpu_dma_latency_us,
        huge_pages: huge_pages(config, plan) as u64,
        journal_bytes: 2 * config.segment_bytes as u64,
        journal: Some(config.journal_dir.clone().unwrap_or_else(|| state_home().join("runs"))),
        keys: config.venues().filter_map(key).collect(),
        identity,
        manifest: config.host.manifest.as_deref().map(Identity::read).transpose()?,
    })
}

/// The digest of files, one behind the other, in hexadecimal digits.
fn sha256(paths: &[PathBuf]) -> Option<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    for path in paths {
        context.update(&std::fs::read(path).ok()?);
    }
    let digest = context.finish();
    Some(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A machine that may be traded on.
#[derive(Default)]
pub struct Permitted {
    /// What was seen of it; nothing where a run cannot cost money.
    seen: Option<Seen>,
    told: Option<serde_json::Value>,
}

/// All that the rows are a function of.
struct Seen {
    need: Need,
    samples: Samples,
    waivers: Waivers,
}

impl Seen {
    /// The rows; a refusal names those that failed.
    fn judge(&self) -> Result<Report, PolicyRefusal> {
        let root = Root::at(Path::new("/"));
        let sight = Sight { root: &root, need: &self.need, samples: &self.samples };
        let report = Report::of(&sight, &self.waivers);
        let line = |c: &Checked| {
            let (id, found) = (c.row.id, &c.found);
            format!("  {id}: {} (want: {}; {})", found.found, found.want, c.row.mend)
        };
        let lines: Vec<String> = report.failed().map(line).collect();
        if lines.is_empty() {
            return Ok(report);
        }
        Err(PolicyRefusal(format!(
            "error: this machine is not fit for live trading: {} rows failed\n{}\nhelp: mend them \
             (`bot4 host plan`, `bot4 host apply`), or say why one may be so: --waive ID:reason, \
             [host] waive",
            lines.len(),
            lines.join("\n")
        )))
    }
}

impl Permitted {
    /// With the venues' clocks as the opening of the run has measured them: at most `us`
    /// microseconds from this machine's; `None` where no order is to be sent.
    ///
    /// # Errors
    /// A [`PolicyRefusal`] when one is too far away.
    pub fn with_venue_clocks(mut self, us: Option<i64>) -> Result<Self, PolicyRefusal> {
        let Some(seen) = self.seen.as_mut() else { return Ok(self) };
        seen.samples.venue_offset_us = us;
        let (report, need) = (seen.judge()?, &seen.need);
        self.told = Some(serde_json::json!({"schema": SCHEMA, "host": need.identity,
            "mode": need.mode.name(), "checks": report.to_json(),
            "summary": report.summary().to_json()}));
        Ok(self)
    }

    /// Keeps what was found in the run's folder.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self, folder: &Path) -> std::io::Result<()> {
        match &self.told {
            Some(told) => std::fs::write(folder.join(FILE), told.to_string()),
            None => Ok(()),
        }
    }
}

/// Looks at the machine before a run that can cost money; other runs start at once.
///
/// # Errors
/// A [`PolicyRefusal`] that names the failed rows that nobody waived.
pub fn permit(
    config: &Config,
    options: &RunOptions,
    plan: &Plan,
) -> Result<Permitted, Box<dyn std::error::Error>> {
    let texts: Vec<String> = config.host.waive.iter().chain(&options.waive).cloned().collect();
    let waivers = Waivers::parse(&texts)?;
    if config.host.mode != Mode::Live {
        return Ok(Permitted::default());
    }
    let root = Root::at(Path::new("/"));
    let need = need_of(config, &options.config, plan, &root)?;
    let samples = measure::samples(&root, &need, WINDOW);
    let seen = Seen { need, samples, waivers };
    let sum = seen.judge()?.summary();
    if sum.warn + sum.waived > 0 {
        crate::tell!(
            "warning: host: {} rows lengthen tails, {} are waived; see `bot4 host check`",
            sum.warn,
            sum.waived
        );
    }
    Ok(Permitted { seen: Some(seen), told: None })
}

/// How far the clock of a venue of `config` is from this machine's at most, microseconds; each is
/// asked over the network.
///
/// # Errors
/// Why it was not measured: a venue sends or takes no such time, or cannot be reached.
pub fn ask_venue_clocks(config: &Config) -> Result<i64, String> {
    let clock = Clock::start();
    let mut all = Vec::new();
    for venue in config.venues() {
        let name = venue.venue.name();
        let VenueAccess::Remote(remote) = &venue.access else {
            return Err(format!("{name} is simulated here and has this machine's clock"));
        };
        if remote.keys.is_none() {
            return Err(format!("no request to {name} carries a time: it is only observed"));
        }
        let asked = Access::of(remote).and_then(|mut access| {
            access.hurried = true;
            cold::clock_of(&clock, &access, venue.venue, config.seed)
        });
        let first = |e: ColdError| {
            let text = e.to_string();
            text.lines().next().unwrap_or("").trim_start_matches("error: ").to_owned()
        };
        all.push(cold::offset_us(&clock, asked.map_err(first)?));
    }
    farthest(all).ok_or_else(|| "no venue is configured".to_owned())
}

/// The largest of several offsets, with its sign.
#[must_use]
pub fn farthest(offsets: impl IntoIterator<Item = i64>) -> Option<i64> {
    offsets.into_iter().max_by_key(|us| us.unsigned_abs())
}

/// Holds the CPUs' time to wake as `config` asks, while what this returns lives; nothing where it
/// does not ask or the launcher's hold was inherited. A refusal is told and stops nothing.
#[must_use]
pub fn stay_awake(config: &Config) -> Option<latency::Hold> {
    let root = Root::at(Path::new("/"));
    let us = config.host.cpu_dma_latency_us.filter(|_| !latency::is_held_by(&root, "self"))?;
    let hold = latency::Hold::take(&root, us);
    let refused = |e: &std::io::Error| {
        crate::tell!(
            "warning: host.cpu_dma_latency_us: {}: {e}; CPUs may sleep, see power.latency in `bot4 \
             host check`",
            latency::DEVICE
        );
    };
    hold.inspect_err(refused).ok()
}

/// Keeps the threads that there are, and with them the helpers and children that they will start,
/// off the CPUs of hot lanes; lanes pin themselves. Nothing where hot lanes have every CPU, or
/// where the system refuses: the audit tells.
pub fn keep_off_hot_cpus(plan: &Plan) {
    let hot =
        |cpu: &usize| plan.placement.lanes.iter().any(|lane| !lane.is_cold() && lane.cpu == *cpu);
    let rest: Vec<usize> = plan.cpus.allowed.iter().copied().filter(|cpu| !hot(cpu)).collect();
    if rest.is_empty() {
        return;
    }
    let mut set = rustix::thread::CpuSet::new();
    for cpu in rest.into_iter().filter(|cpu| *cpu < rustix::thread::CpuSet::MAX_CPU) {
        set.set(cpu);
    }
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ids = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    for id in ids.filter_map(rustix::thread::Pid::from_raw) {
        let _ = rustix::thread::sched_setaffinity(Some(id), &set);
    }
}

/// The machine's CPUs below `root`: those of `only`, or those that this process may use there.
#[must_use]
pub fn cpus_of(root: &Root, only: Option<&bot4_host::CpuSet>) -> bot4_lanes::placement::Cpus {
    let online = root.cpus("/sys/devices/system/cpu/online").unwrap_or_default();
    let own = || root.cpus_of_field("/proc/self/status", "Cpus_allowed_list");
    let allowed: Vec<usize> = only.cloned().unwrap_or_else(own).and(&online).iter().collect();
    let core_of = |cpu: &usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        root.cpus(&path).and_then(|siblings| siblings.iter().next()).unwrap_or(*cpu)
    };
    bot4_lanes::placement::Cpus { core_of: allowed.iter().map(core_of).collect(), allowed }
}

/// The default place of the undo record below `root`.
#[must_use]
pub fn state_file(root: &Root) -> PathBuf {
    root.path(bot4_host::undo::STATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_need_is_the_plan() {
        let config = crate::config::demo().expect("valid");
        let cpus =
            bot4_lanes::placement::Cpus { allowed: (0..12).collect(), core_of: (0..12).collect() };
        let plan = Plan::on(&config, cpus, true).expect("a plan");
        let root = Root::at(Path::new("/"));
        let need = need_of(&config, &[], &plan, &root).expect("a need");
        assert_eq!(need.lanes.len(), plan.placement.lanes.len());
        assert_eq!(need.huge_pages, plan.huge_pages() as u64);
        assert!(need.identity.binary_sha256.as_ref().is_some_and(|digest| digest.len() == 64));
        assert!(need.hot().len() < need.all().len(), "control is not hot");
        assert!(permit(&config, &RunOptions::default(), &plan).is_ok(), "the demo asks nothing");
    }
}
