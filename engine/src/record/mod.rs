//! `bot4 record`: a venue's market data to disk, without an account.
//!
//! ```text
//! venue ==TLS/WS==> wire.0, wire.1 --frames--> record --blocks--> capture-NNNNNN.b4c
//!                        ^---slots, resync-------'                 instruments.json
//! lane "wire"                                  lane "record"       main: signals, time, live line
//! ```
//!
//! The wire agents are those of a run, with the same connections; in the parser's place stands
//! [`agent::RecordAgent`].

pub mod agent;
pub mod instruments;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bot4_alloc::seal::{self, Class};
use bot4_capture::{CaptureOptions, CaptureTotals, CaptureWriter, Resumed};
use bot4_feeds::wire_agent::{WireAgent, WireConfig, WirePorts};
use bot4_lanes::idle::IdleKind;
use bot4_lanes::{Agent, Clock, Control, Fault, Lane, LaneSpec, LaneThread, Metrics, Tx, ring};
use bot4_types::{ConnId, Instrument, Nanos, Resync, Shards, SnapshotSource, Wall};
use bot4_venues::catalogue::Catalogue;
use bot4_wire::Endpoint;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::config::resolve::Remote;
use crate::config::{Config, VenueAccess};
use crate::run::access::Access;
use crate::run::catalogue;
use crate::run::child::VenueChild;
use crate::run::settings;
use crate::topology as t;
use agent::{ROLE, RecordAgent, RecordPorts, WallPort};
use instruments::CaptureInstruments;

type Failure = Box<dyn std::error::Error>;

/// A backlog older than this costs the connection. Longer than in a run: a recorder may be late,
/// and a disk that writes back its cache stands still for seconds.
const STALE_AFTER: Nanos = Nanos::from_secs(10);
/// Between two looks at time, signals and faults.
const LOOK: Duration = Duration::from_millis(50);
/// Between two updates of the live line.
const LINE_EVERY: Nanos = Nanos::from_millis(200);
/// Between two comparisons of the engine's clock with the system's: they drift by milliseconds an
/// hour at worst.
const WALL_EVERY: Nanos = Nanos::from_secs(1);
/// How long a lane may take to end: the recorder may be inside a write.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// How to record.
pub struct RecordOptions {
    /// The capture's folder.
    pub out: PathBuf,
    /// How long; `None`: until stopped.
    pub length: Option<Duration>,
    /// Between two snapshots of an instrument, where they are asked for.
    pub snapshots_every: Duration,
    /// How blocks are written.
    pub capture: CaptureOptions,
    /// Set by SIGINT and SIGTERM.
    pub stop: Arc<AtomicBool>,
}

/// What a recording ended with.
#[derive(Clone, Debug)]
pub struct RecordEnd {
    /// Seconds.
    pub seconds: f64,
    /// What was written.
    pub totals: CaptureTotals,
    /// What the folder held before.
    pub resumed: Resumed,
    /// The number of this start in the folder.
    pub session: u32,
    /// Lines up, lines down, connections lost for their backlog, snapshots, snapshots refused.
    counts: [u64; 5],
    /// What went wrong.
    pub faults: Vec<String>,
}

impl RecordEnd {
    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let [line_ups, line_downs, backlogs, snapshots, refused] = self.counts;
        let t = &self.totals;
        json!({"seconds": self.seconds, "frames": t.frames, "text_bytes": t.text_bytes,
               "stored_bytes": t.stored_bytes, "blocks": t.blocks, "files": t.files,
               "lost": t.lost_frames, "line_ups": line_ups, "line_downs": line_downs,
               "dropped_backlog": backlogs, "snapshots": snapshots,
               "snapshots_refused": refused, "session": self.session,
               "resumed_frames": self.resumed.frames, "torn_bytes": self.resumed.torn_bytes,
               "faults": self.faults})
    }

    /// For a person.
    #[must_use]
    pub fn to_text(&self) -> String {
        let [line_ups, line_downs, backlogs, snapshots, refused] = self.counts;
        let t = &self.totals;
        let share = t.stored_bytes as f64 * 100.0 / t.text_bytes.max(1) as f64;
        format!(
            "{} frames in {:.1} s, {} of text, {} stored ({share:.0} %), {} blocks, {} lost\n\
             lines: {line_ups} up, {line_downs} down, {backlogs} for their backlog; snapshots: \
             {snapshots}, {refused} refused",
            t.frames,
            self.seconds,
            mib(t.text_bytes),
            mib(t.stored_bytes),
            t.blocks,
            t.lost_frames
        )
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Records the venue of `config`.
///
/// # Errors
/// What kept it from starting, as a text with its mend.
pub fn record(config: &Config, options: &RecordOptions) -> Result<RecordEnd, Failure> {
    let clock = Clock::start();
    let scratch = Scratch::new();
    if !config.further.is_empty() {
        return Err("error: a recording is of one venue\nhelp: name one [venue]".into());
    }
    let child = match config.venue.access {
        VenueAccess::Embedded => {
            let args = ["--venue".to_owned(), config.venue.venue.name().to_owned()];
            Some(VenueChild::start(&scratch.0, config.seed, &args)?)
        }
        VenueAccess::Remote(_) => None,
    };
    let access = Access::of(&remote_of(config, child.as_ref()))?;
    let (venue, symbols) = (config.venue.venue, &config.venue.symbols);
    let found = catalogue::read(&clock, &access, venue, symbols, config.seed)?;
    let writer = open(config, options, &found)?;
    let (resumed, session) = (writer.resumed().clone(), writer.session());
    if resumed.torn_bytes > 0 {
        crate::tell!("warning: {} bytes of a torn block were cut", resumed.torn_bytes);
    }
    let metrics = Metrics::in_memory();
    let mut machine = Machine::build(&clock, config, options, &access, &found, writer, &metrics)?;
    let start = clock.now();
    machine.start(&clock, &metrics)?;
    watch(&clock, options, &metrics, &mut machine);
    let seconds = clock.now().since(start).0 as f64 / 1e9;
    let never_up = metrics.total("line_ups") == 0;
    let (recorder, faults) = machine.stop(never_up);
    drop(child);
    let recorder = recorder.ok_or("error: the recording lane did not end")?;
    let wires = |name| t::WIRE.iter().map(|role| metrics.total_of(role, name)).sum();
    let own = |name| metrics.total_of(ROLE, name);
    let counts = [
        wires("line_ups"),
        wires("line_downs"),
        wires("dropped_backlog"),
        own("snapshots"),
        own("snapshots_refused"),
    ];
    Ok(RecordEnd { seconds, totals: recorder.totals(), resumed, session, counts, faults })
}

/// Where an embedded venue keeps its keys meanwhile; nothing is left of it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("bot4-record-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Opens the capture and notes its instruments.
fn open(
    config: &Config,
    options: &RecordOptions,
    found: &Catalogue,
) -> Result<CaptureWriter, Failure> {
    let shown = options.out.display();
    let writer = CaptureWriter::open(&options.out, options.capture).map_err(|e| {
        let help = match e.kind() {
            std::io::ErrorKind::WouldBlock => "another recorder writes there: give another --out",
            _ => "give a folder that can be written",
        };
        format!("error: cannot open the capture {shown}: {e}\nhelp: {help}")
    })?;
    let venue = config.venue.venue;
    let instruments = CaptureInstruments {
        venue,
        shards: shards_of(found),
        depth_max: venue.rules().depth_max,
        table: found.table.clone(),
    };
    instruments.write(&options.out).map_err(|e| {
        format!("error: {shown}: {e}\nhelp: give another --out for other instruments")
    })?;
    Ok(writer)
}

fn shards_of(found: &Catalogue) -> Shards {
    Shards::round_robin(found.table.all().len(), 1, t::WIRES)
}

fn remote_of(config: &Config, child: Option<&VenueChild>) -> Remote {
    // No account: keys are not even read.
    match (&config.venue.access, child) {
        (VenueAccess::Remote(remote), _) => Remote { keys: None, ..remote.clone() },
        (VenueAccess::Embedded, Some(child)) => {
            let e = child.endpoints.clone();
            Remote { market: e.market, api: e.api, rest: e.rest, ca: Some(e.ca), keys: None }
        }
        (VenueAccess::Embedded, None) => unreachable!("an embedded venue has a child"),
    }
}

/// Two lanes: wires, and the recorder.
struct Machine {
    /// The mapping to wall time, followed.
    walls: Tx<Wall>,
    specs: Vec<LaneSpec>,
    threads: Vec<LaneThread>,
    control: Control,
}

impl Machine {
    fn build(
        clock: &Clock,
        config: &Config,
        options: &RecordOptions,
        access: &Access,
        found: &Catalogue,
        writer: CaptureWriter,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let shards = shards_of(found);
        let (mut wires, mut ports) = (Vec::new(), Vec::new());
        for index in 0..t::WIRES {
            let conn = ConnId(index as u16);
            let of = |id| found.table.get(id).copied();
            let share: Vec<Instrument> = shards.carried_by(conn).filter_map(of).collect();
            if share.is_empty() {
                continue;
            }
            let (agent, port) = wire(index, config, access, found, share, metrics)?;
            wires.push((Box::new(agent) as Box<dyn Agent>, seal::register(Class::Cold)));
            ports.push(port);
        }
        let asked_for = config.venue.venue.rules().snapshots == SnapshotSource::Requested;
        let every = Nanos(options.snapshots_every.as_nanos() as u64);
        let every = asked_for.then_some(every);
        let (walls, walls_rx) = ring(2);
        let wall = WallPort { wall: clock.wall(), newer: walls_rx };
        let recorder: Box<dyn Agent> =
            Box::new(RecordAgent::new(ports, writer, wall, every, metrics));
        let spec = |name: &str, idle, agents| LaneSpec {
            name: name.to_owned(),
            cpu: None,
            idle,
            agents,
            arena: None,
            trap_syscalls: false,
        };
        let specs = vec![
            spec("wire", IdleKind::YieldPark, wires),
            spec(ROLE, IdleKind::Park, vec![(recorder, seal::register(Class::Cold))]),
        ];
        Ok(Self { walls, specs, threads: Vec::new(), control: Control::new() })
    }

    fn start(&mut self, clock: &Clock, metrics: &Metrics) -> std::io::Result<()> {
        for spec in self.specs.drain(..) {
            let lane = Lane::new(spec, clock.clone(), self.control.clone(), metrics);
            self.threads.push(lane.spawn()?);
        }
        Ok(())
    }

    fn faults(&self) -> Vec<Fault> {
        self.threads.iter().flat_map(|thread| thread.handle.faults()).collect()
    }

    /// Stops the wires first, then the recorder, which takes what they left. Where no line was
    /// ever up, the wires say why.
    fn stop(self, never_up: bool) -> (Option<Box<RecordAgent>>, Vec<String>) {
        let mut faults: Vec<String> = self.faults().into_iter().map(|f| f.what).collect();
        let mut recorder = None;
        for thread in self.threads {
            thread.handle.stop();
            let Ok(agents) = thread.join_within(END_PATIENCE) else { continue };
            for agent in agents {
                let any: Box<dyn Any> = agent;
                match any.downcast::<RecordAgent>() {
                    Ok(agent) => recorder = Some(agent),
                    Err(other) if never_up => faults.extend(why_down(other)),
                    Err(_) => {}
                }
            }
        }
        let failure = recorder.as_ref().and_then(|r| r.failure());
        faults.extend(failure.map(str::to_owned));
        faults.dedup();
        (recorder, faults)
    }
}

/// Why a wire agent's line is down.
fn why_down(agent: Box<dyn Any>) -> Option<String> {
    let agent = agent.downcast::<WireAgent>().ok()?;
    agent.last_error().map(|error| format!("no connection: {error}"))
}

/// One wire agent and the other ends of its links.
fn wire(
    index: usize,
    config: &Config,
    access: &Access,
    found: &Catalogue,
    share: Vec<Instrument>,
    metrics: &Metrics,
) -> Result<(WireAgent, RecordPorts), Failure> {
    let (connector, endpoint) = access.connector(&access.market)?;
    let snapshots = access.api.as_deref().map(Endpoint::parse).transpose()?;
    let snapshots = snapshots.unwrap_or_else(|| endpoint.clone());
    // Nobody else spends the address's weight.
    let weight = found.limits.weight_minute / t::WIRES as u32;
    let session = config.venue.venue.market_session(weight)?;
    let instruments = share.iter().map(|i| i.id).collect();
    let config = WireConfig {
        slots_small: settings::SLOTS_SMALL,
        slots_large: settings::SLOTS_LARGE,
        seed: config.seed.wrapping_add(10 + index as u64),
        stale_after: STALE_AFTER,
        ..WireConfig::new(index, endpoint, snapshots, share)
    };
    let conn = config.conn;
    let (frames_tx, frames) = ring(t::FRAMES);
    let (slots, slots_rx) = ring(config.slots());
    let (resync, resync_rx) = ring::<Resync>(t::RESYNC);
    let ports = WirePorts { frames: frames_tx, slots: slots_rx, resync: vec![resync_rx] };
    let agent = WireAgent::new(config, ports, session, connector, metrics);
    Ok((agent, RecordPorts { frames, slots, resync, conn, instruments }))
}

/// Until the time is over, a signal comes or a lane fails; a live line on a terminal meanwhile.
fn watch(clock: &Clock, options: &RecordOptions, metrics: &Metrics, machine: &mut Machine) {
    let start = clock.now();
    let length = options.length.map_or(Nanos::MAX, |d| Nanos(d.as_nanos() as u64));
    // indicatif draws on stderr, and only where that is a terminal.
    let line = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {msg}");
    line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let (mut line_at, mut wall_at) = (start, start);
    let of = |name| metrics.total_of(ROLE, name);
    while clock.now().since(start) < length && !options.stop.load(Ordering::Relaxed) {
        if !machine.faults().is_empty() {
            break;
        }
        std::thread::park_timeout(LOOK);
        if clock.now() >= wall_at {
            wall_at = clock.now() + WALL_EVERY;
            let _ = machine.walls.push(clock.wall());
        }
        if clock.now() >= line_at {
            line_at = clock.now() + LINE_EVERY;
            let lines = metrics.total("line_ups").saturating_sub(metrics.total("line_downs"));
            line.set_message(format!(
                "{} s, {} frames, {} of text, {} stored, {lines} lines up",
                clock.now().since(start).millis() / 1_000,
                of("frames"),
                mib(of("text_bytes")),
                mib(of("stored_bytes")),
            ));
            line.tick();
        }
    }
    line.finish_and_clear();
}
