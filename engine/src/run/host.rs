//! The machine under a run: what the plan needs of it, and whether that is there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bot4_host::identity::Identity;
use bot4_host::{Mode, Need, PlannedLane, Report, Root, Sight, Waivers, measure};
use bot4_lanes::idle::IdleKind;
use ring::digest;

use super::RunOptions;
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
#[derive(Debug, Default)]
pub struct Permitted {
    told: Option<serde_json::Value>,
}

impl Permitted {
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
    let report = Report::of(&Sight { root: &root, need: &need, samples: &samples }, &waivers);
    let lines: Vec<String> = report
        .failed()
        .map(|c| {
            let (id, found) = (c.row.id, &c.found);
            format!("  {id}: {} (want: {}; {})", found.found, found.want, c.row.mend)
        })
        .collect();
    if !lines.is_empty() {
        return Err(Box::new(PolicyRefusal(format!(
            "error: this machine is not fit for live trading: {} rows failed\n{}\nhelp: mend them \
             (`bot4 host plan`, `bot4 host apply`), or say why one may be so: --waive ID:reason, \
             [host] waive",
            lines.len(),
            lines.join("\n")
        ))));
    }
    let sum = report.summary();
    if sum.warn + sum.waived > 0 {
        crate::tell!(
            "warning: host: {} rows lengthen tails, {} are waived; see `bot4 host check`",
            sum.warn,
            sum.waived
        );
    }
    let told = serde_json::json!({"schema": bot4_host::check::SCHEMA, "host": need.identity,
        "mode": need.mode.name(), "checks": report.to_json(), "summary": sum.to_json()});
    Ok(Permitted { told: Some(told) })
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
