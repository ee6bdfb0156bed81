//! The run's counters in a file that other processes read: made before the lanes, told in the run's
//! record, removed at the end.
//!
//! Invariant: it holds nothing that a decision needs. Where the file cannot be made the run goes on
//! with counters in memory, and a person hears it. A file that a killed engine left behind is
//! removed by the next run.

use std::path::{Path, PathBuf};

use bot4_lanes::Metrics;
use bot4_lanes::topology::Flow;
use bot4_telemetry::shared::layout::{
    InstrumentPlate, LanePlate, LinePlate, LinkPlate, Plate, VenuePlate,
};
use bot4_telemetry::shared::sweep;
use bot4_types::{ConnId, Shards};

use super::dirs::RunDir;
use super::wiring::Inputs;
use crate::config::Config;
use crate::shedding::RUNGS;
use crate::topology as t;

/// Where counters lie unless the configuration names a folder.
const FOLDER: &str = "/dev/shm";
/// Their names begin so; the run's name follows.
const PREFIX: &str = "bot4-counters-";

/// The file, removed when this is dropped.
#[derive(Debug)]
pub struct CountersFile {
    path: Option<PathBuf>,
}

impl Drop for CountersFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Readers that have it mapped keep it; the head tells them that the run is over.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Counters and the file that they lie in.
pub struct SharedCounters {
    metrics: Metrics,
    file: CountersFile,
}

impl SharedCounters {
    /// The counters.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where they lie; none in memory.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.file.path.clone()
    }
}

/// Makes the counters of the run in `dir`, in the folder that `config` names.
#[must_use]
pub fn create(config: &Config, dir: &RunDir) -> SharedCounters {
    let folder = config.counters_dir.as_deref().unwrap_or_else(|| Path::new(FOLDER));
    sweep(folder, PREFIX);
    let path = folder.join(format!("{PREFIX}{}", dir.id));
    match Metrics::at(&path) {
        Ok(metrics) => {
            warn_of_disk(folder);
            SharedCounters { metrics, file: CountersFile { path: Some(path) } }
        }
        Err(e) => {
            crate::tell!(
                "warning: no counters for `bot4 top` and `bot4 watch`: {}: {e}\n\
                 help: counters_dir in [run] names another folder in memory",
                path.display()
            );
            SharedCounters { metrics: Metrics::in_memory(), file: CountersFile { path: None } }
        }
    }
}

/// A file on a disk is written back now and then, and the next store to each page then faults.
fn warn_of_disk(folder: &Path) {
    // `TMPFS_MAGIC` of `linux/magic.h`.
    let in_memory = rustix::fs::statfs(folder).map(|s| s.f_type == 0x0102_1994);
    if in_memory == Ok(false) {
        crate::tell!(
            "warning: counters_dir {} is not in memory: lanes fault when the disk takes a page\n\
             help: name a folder on tmpfs, such as {FOLDER}",
            folder.display()
        );
    }
}

/// What readers are told of the run beside its counters.
#[must_use]
pub fn plate_of(inputs: &Inputs<'_>, shards: &Shards) -> Plate {
    let (table, config) = (&inputs.opening.info.table, inputs.config);
    let instruments = table.all().iter().map(|i| InstrumentPlate {
        label: table.label(i),
        price_decimals: i.price_decimals,
        qty_decimals: i.qty_decimals,
    });
    let venues = inputs.sites.iter().zip(t::EXECUTION).map(|(site, role)| VenuePlate {
        name: site.venue().name().to_owned(),
        role: role.to_owned(),
    });
    Plate {
        run: inputs.dir.id.clone(),
        account: inputs.account.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        asset: table.asset_label(inputs.opening.equity_asset),
        strategies: config.strategies.len(),
        rungs: RUNGS.iter().map(|rung| rung.name.to_owned()).collect(),
        lanes: lanes(inputs),
        links: links(inputs),
        venues: venues.collect(),
        lines: lines(inputs, shards),
        instruments: instruments.collect(),
    }
}

fn lanes(inputs: &Inputs<'_>) -> Vec<LanePlate> {
    let of = |lane: &bot4_lanes::placement::LanePlan| LanePlate {
        name: lane.name.clone(),
        cpu: u32::try_from(lane.cpu).ok(),
        idle: lane.idle.name().to_owned(),
        agents: lane.roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    inputs.plan.placement.lanes.iter().map(of).collect()
}

fn links(inputs: &Inputs<'_>) -> Vec<LinkPlate> {
    let of = |link: &bot4_lanes::topology::LinkRow| LinkPlate {
        name: link.name.clone(),
        from: link.from.to_owned(),
        to: link.to.to_owned(),
        capacity: link.capacity as u64,
        when_full: link.when_full.name().to_owned(),
        feedback: link.flow == Flow::Feedback,
    };
    inputs.plan.topology.links.iter().map(of).collect()
}

fn lines(inputs: &Inputs<'_>, shards: &Shards) -> Vec<LinePlate> {
    let roles = t::WIRE.iter().zip(t::PARSE).enumerate().take(shards.wires());
    let of = |(i, (wire, parse)): (usize, (&&str, &str))| {
        let table = &inputs.opening.info.table;
        let first = shards.carried_by(ConnId(i as u16)).next().and_then(|id| table.get(id));
        let site = first.and_then(|instrument| inputs.sites.get(instrument.venue.index()));
        LinePlate {
            wire: (*wire).to_owned(),
            parse: parse.to_owned(),
            venue: site.map_or_else(String::new, |site| site.venue().name().to_owned()),
            used: first.is_some(),
        }
    };
    roles.map(of).collect()
}
