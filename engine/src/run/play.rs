//! The lanes of a run: wired, turned until the end, and closed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;

use bot4_alloc::Pressure;
use bot4_lanes::{Clock, Control};

use super::capture::CaptureSink;
use super::control::{self, ControlAgent};
use super::dirs::RunDir;
use super::disk::DiskWatch;
use super::memory::MemoryWatch;
use super::plan::Plan;
use super::shedding::ShedWatch;
use super::site::Site;
use super::{
    Failure, RunEnd, RunOptions, Said, about_of, all_balances, board_of, child, cold_lanes, host,
    keepers, operator, outcome, refreshes, reload_of, shared, wiring,
};
use crate::config::Config;
use crate::operator::Latch;
use crate::operator::message::channel as words;

/// What a run has found and opened before its lanes begin.
pub(super) struct Scene<'a> {
    pub config: &'a Config,
    pub options: &'a RunOptions,
    pub plan: Plan,
    pub clock: Clock,
    pub dir: RunDir,
    pub sites: Vec<Site>,
    pub account: String,
    pub opening: outcome::Opening,
    pub counters: shared::SharedCounters,
}

/// Plays it until `stop`, the end of its time or a halt; `children` are its embedded venues,
/// `latch` what stands against trading.
///
/// # Errors
/// What kept the lanes from starting, or a halt.
pub(super) fn play(
    scene: &Scene<'_>,
    stop: Arc<AtomicBool>,
    children: Vec<child::VenueChild>,
    latch: Latch,
) -> Result<RunEnd, Box<dyn std::error::Error>> {
    let Scene { config, options, plan, clock, dir, sites, account, opening, .. } = scene;
    let (control, (commands, said), (parents, heard)) = (Control::new(), words(), channel());
    let capture = config.capture.then(|| CaptureSink::new(dir.path.clone()));
    let dumps = bot4_telemetry::DumpLine::default();
    let mut wired = wire(scene, &control, capture.as_ref(), &dumps)?;
    let capture = capture.map(|sink| sink.start(clock)).transpose()?;
    wired.trap_syscalls(options.trap_syscalls, plan);
    let _keepers = keepers(config, account, dir, clock, &wired.metrics)?;
    let about = about_of(config, dir, account, opening);
    let supervisor = ControlAgent::new(control::Inputs {
        control: control.clone(),
        metrics: wired.metrics.clone(),
        stop,
        length: config.length,
        instruments: opening.info.table.all().len() as u64,
        planned: plan.placement.lanes.iter().map(|l| (l.name.clone(), l.cpu)).collect(),
        cold: cold_lanes(plan),
        huge_pages: host::huge_pages(config, plan),
        cpu_dma_latency_us: config.host.cpu_dma_latency_us,
        disk: DiskWatch::new(wiring::journal_dir(config, dir), config.disk),
        memory: MemoryWatch::new(Pressure::of_this_process(), &wired.metrics),
        shedding: ShedWatch::new(config, &opening.info.table, &control, &wired.metrics),
        refresh: refreshes(config, clock, sites, opening, &wired.metrics)?,
        balances: all_balances(config, clock, sites, opening, &wired.metrics)?,
        about: about.clone(),
        reload: reload_of(config, options, opening, &wired.metrics)?,
        said,
        parents,
        ready_file: options.ready_file.clone(),
        venues: sites.len() as u64,
        children,
    });
    let board = board_of(config, opening, heard);
    let said = Said { about: &about, dumps, commands, board, latch };
    let helper = operator(config, options, dir, clock, &control, &wired.metrics, said)?;
    let ended = wired.run(supervisor)?;
    capture.into_iter().for_each(|c| c.finish_and_tell(&ended.metrics));
    let closing = outcome::Closing {
        clock,
        control: &control,
        sites,
        opening,
        plan,
        dir,
        journal: &wiring::journal_dir(config, dir),
        options,
        account,
        about: &about,
        config,
    };
    outcome::close(&closing, ended).inspect(|end| helper.finish(end.is_clear()))
}

/// The agents on their lanes, with what lies between them.
fn wire(
    scene: &Scene<'_>,
    control: &Control,
    capture: Option<&CaptureSink>,
    dumps: &bot4_telemetry::DumpLine,
) -> Result<wiring::Wired, Failure> {
    let Scene { config, options, plan, clock, dir, sites, account, opening, counters } = scene;
    wiring::wire(&wiring::Inputs {
        config,
        plan,
        clock,
        control,
        dir,
        sites,
        opening,
        latency_dir: options.latency_dir.clone(),
        latency_every: options.latency_every.map(|d| bot4_types::Nanos(d.as_nanos() as u64)),
        dumps: dumps.clone(),
        journal_helper: true,
        capture,
        account,
        metrics: counters.metrics().clone(),
        plant: options.plant,
        disk: None,
    })
}
