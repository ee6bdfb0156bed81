//! The order path alone: from an intent to the bytes handed to the kernel, with the journal and
//! TLS, against the simulated venue in a process of its own.
//!
//! ```text
//! schedule --intents--> risk --approved--> execution ==TLS==> venue (another process and CPU)
//!                         '--log--> journal --journaled--^
//! ```
//! The agents are the engine's own, cycled by a lane in the order of a folded run: risk, journal,
//! execution. The load is open: an intent is due at its time whether or not the one before has
//! left, and its latency counts from when it was due, so a path that stands still is seen by every
//! order that should have left meanwhile. Each order is immediate-or-cancel, away from the touch:
//! it ends by itself and nothing piles up. On request some of them take, so that there are fills.

mod agent;
pub mod floor;
pub mod site;

use std::path::Path;
use std::time::Duration;

use bot4_alloc::seal::{self, Class};
use bot4_execution::foreign::Declared;
use bot4_execution::{BinanceGateway, ExecutionAgent, ExecutionConfig, ExecutionPorts};
use bot4_journal::{JournalAgent, JournalConfig};
use bot4_lanes::idle::IdleKind;
use bot4_lanes::metrics::{BUCKETS, Entry, bucket_value};
use bot4_lanes::{Agent, Clock, Control, Journaled, Lane, LaneSpec, LogTx, Metrics, Rx, ring};
use bot4_risk::breaker::BreakerLimits;
use bot4_risk::limits::RATE_MAX;
use bot4_risk::{EquityStart, RiskAgent, RiskConfig, RiskLimits, RiskPorts, Scopes};
use bot4_types::limits::ORDERS_OPEN_MAX;
use bot4_types::{ControlMode, Nanos, RunEpoch};
use bot4_wire::{Connector, Endpoint, TcpConnector, TlsRoots, WsConfig};
use hdrhistogram::Histogram;

use agent::Schedule;
use site::Site;

use crate::case::histogram;

/// Capacities as in the engine's table.
const LOG: usize = 8_192;
const LINK: usize = 256;
const REPORTS: usize = 2_048;
/// Longest wait for a session, and for the last order.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(5);
/// From the first intent on, until agents are sealed.
const WARM_UP: Nanos = Nanos::from_millis(500);
/// Silence after the last order.
const REST: Nanos = Nanos::from_millis(200);

/// How orders come.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Orders a second, evenly.
    pub per_second: u32,
    /// How many.
    pub orders: u64,
    /// So many are due at the same moment, as when a maker quotes anew; the rate stays.
    pub burst: u32,
    /// One order in so many takes what rests at the touch, on both sides in turn; 0: none does.
    pub taking: u64,
}

impl Load {
    /// Nanoseconds between two bursts.
    #[must_use]
    pub const fn pace_ns(self) -> u64 {
        1_000_000_000 * self.burst as u64 / self.per_second as u64
    }

    /// Nanoseconds from the first to the last order.
    #[must_use]
    pub const fn length_ns(self) -> u64 {
        1_000_000_000 / self.per_second as u64 * self.orders
    }
}

/// What a round gave: nanoseconds of each order by part of the path.
#[derive(Clone, Debug)]
pub struct Round {
    /// From the intent to the last byte handed to the kernel.
    pub total: Histogram<u64>,
    /// From the intent to risk's approval.
    pub risk: Histogram<u64>,
    /// From there on: journal, encoding, TLS, kernel.
    pub encode: Histogram<u64>,
}

type Failure = Box<dyn std::error::Error>;

/// What a load left behind.
pub struct Ended {
    /// The latencies.
    pub round: Round,
    /// Risk with its ledger.
    pub risk: Box<RiskAgent>,
    /// Orders that left.
    pub sent: u64,
    /// Answers to them that were read.
    pub acks: u64,
    /// Intents that risk refused, and approved orders that execution did not send.
    pub refused: u64,
    /// Orders that have not ended.
    pub open: u64,
    /// Fills that came a second time.
    pub duplicates: u64,
    /// Allocations and deallocations of risk after its warm-up, where the program's allocator
    /// counts them.
    pub hot_allocations: u64,
    /// Journal records, and those that were lost.
    pub journal: (u64, u64),
    /// Seconds from the first intent's time to the last order's end.
    pub seconds: f64,
}

/// One round of `load` at `site` on `cpu`, of which every order must leave; `epoch` must be
/// another one each time.
///
/// # Errors
/// When the venue cannot be reached or an order does not leave.
pub fn round(site: &Site, load: Load, epoch: u32, cpu: Option<usize>) -> Result<Round, Failure> {
    let ended = play(site, load, epoch, cpu)?;
    match ended.sent == load.orders {
        true => Ok(ended.round),
        false => Err(format!("{} of {} orders left", ended.sent, load.orders).into()),
    }
}

/// Plays `load` to its end, whatever leaves.
///
/// # Errors
/// When the venue cannot be reached or an agent fails.
pub fn play(site: &Site, load: Load, epoch: u32, cpu: Option<usize>) -> Result<Ended, Failure> {
    let folder = tempfile::tempdir()?;
    let machine = Machine::build(site, load, epoch, folder.path())?;
    let Machine { agents, metrics, control, clock } = machine;
    let spec = LaneSpec {
        name: "order-path".to_owned(),
        cpu,
        idle: IdleKind::Spin,
        agents,
        arena: None,
        trap_syscalls: false,
    };
    let thread = Lane::new(spec, clock.clone(), control, &metrics).spawn()?;
    let gone = metrics.find("execution", "orders_sent");
    let refused = [metrics.find("risk", "intents_refused"), metrics.find("execution", "not_sent")];
    let refusals = || refused.iter().map(bot4_lanes::Total::value).sum::<u64>();
    let (open, made) =
        (metrics.find("execution", "orders_open"), metrics.find("risk", "intents_checked"));
    let most = PATIENCE + Duration::from_nanos(load.length_ns());
    let (mut waited, mut sealed, mut began) = (Duration::ZERO, false, clock.now());
    while waited < most && gone.value() + refusals() < load.orders {
        std::thread::park_timeout(STEP);
        waited += STEP;
        if made.value() == 0 {
            began = clock.now();
        } else if !sealed && clock.now().since(began) > WARM_UP {
            sealed = true;
            thread.handle.seal();
        }
    }
    // The gauge of open orders follows every ten milliseconds.
    let ended = clock.now();
    while waited < most + PATIENCE && (open.value() > 0 || clock.now().since(ended) < REST) {
        std::thread::park_timeout(STEP);
        waited += STEP;
    }
    let seconds = ended.since(began).0 as f64 / 1e9;
    let hot = seal::hot_allocations() + seal::hot_deallocations();
    thread.handle.stop();
    let faults = thread.handle.faults();
    let mut agents = thread.join();
    if !faults.is_empty() {
        return Err(format!("{faults:?}").into());
    }
    let at = agents.iter().position(|a| a.role() == "risk").ok_or("risk is gone")?;
    let any: Box<dyn std::any::Any> = agents.swap_remove(at);
    let risk = any.downcast::<RiskAgent>().map_err(|_| "risk is somebody else")?;
    let of = |tag| histogram_of(&metrics, tag);
    Ok(Ended {
        round: Round { total: of("tick_to_trade"), risk: of("risk"), encode: of("order_encode") },
        sent: gone.value(),
        acks: of("ack").len(),
        refused: refusals(),
        open: open.value(),
        duplicates: risk.duplicates_dropped(),
        hot_allocations: hot,
        journal: (metrics.total("journal_records"), metrics.total("journal_lost")),
        seconds,
        risk,
    })
}

/// What was counted under `tag`.
fn histogram_of(metrics: &Metrics, tag: &str) -> Histogram<u64> {
    let mut all = histogram();
    for entry in metrics.entries() {
        if let Entry::Histogram { tag: of, histogram } = entry
            && of == tag
        {
            for bucket in (0..BUCKETS).filter(|b| histogram.count(*b) > 0) {
                all.saturating_record_n(bucket_value(bucket), histogram.count(bucket));
            }
        }
    }
    all
}

type Tagged = (Box<dyn Agent>, seal::AgentTag);

struct Machine {
    agents: Vec<Tagged>,
    metrics: Metrics,
    control: Control,
    clock: Clock,
}

impl Machine {
    fn build(site: &Site, load: Load, epoch: u32, folder: &Path) -> Result<Self, Failure> {
        let (clock, control) = (Clock::start(), Control::new());
        let (metrics, journaled) = (Metrics::in_memory(), Journaled::new());
        let (intents, intents_rx) = ring(LINK);
        let (approved, approved_rx) = ring(LINK);
        let (reports, reports_rx) = ring(REPORTS);
        let (account, account_rx) = ring(REPORTS);
        let (marks, marks_rx) = ring(LINK);
        let (log_risk, log_risk_rx) = ring(LOG);
        let (log_execution, log_execution_rx) = ring(LOG);
        let (_commands, commands) = ring(1);
        let schedule = Schedule::new(site, load, intents, marks, account_rx);
        let ports = RiskPorts {
            marks: vec![marks_rx],
            reports: vec![reports_rx],
            commands,
            intents: intents_rx,
            approved: vec![approved],
            account,
            log: LogTx::new(log_risk, 0),
            control: control.clone(),
        };
        let risk = RiskAgent::new(config(site), ports, &metrics)
            .map_err(|error| format!("the gate's configuration: {error:?}"))?;
        let wall = clock.wall();
        let epoch = RunEpoch(epoch);
        let logs: Vec<Rx<_>> = vec![log_risk_rx, log_execution_rx];
        let config = JournalConfig::new(folder.join("journal"), epoch, wall);
        let journal = JournalAgent::new(&config, logs, journaled.clone(), &metrics)?;
        let ports = ExecutionPorts {
            approved: approved_rx,
            reports,
            log: LogTx::new(log_execution, 1),
            journaled,
            risk_lane: 0,
            control: control.clone(),
        };
        let execution = execution(site, epoch, wall, ports, &metrics)?;
        let agents: Vec<Tagged> = vec![
            (Box::new(schedule), seal::register(Class::Cold)),
            (Box::new(risk), seal::register(Class::Hot)),
            (Box::new(journal), seal::register(Class::Cold)),
            (Box::new(execution), seal::register(Class::Io)),
        ];
        Ok(Self { agents, metrics, control, clock })
    }
}

fn execution(
    site: &Site,
    epoch: RunEpoch,
    wall: bot4_types::Wall,
    ports: ExecutionPorts,
    metrics: &Metrics,
) -> Result<ExecutionAgent, Failure> {
    let endpoint = Endpoint::parse(&site.ready.api)?;
    let connector: Box<dyn Connector> =
        Box::new(TcpConnector::new(&TlsRoots::File(site.ready.ca.clone()))?);
    let gateway = Box::new(BinanceGateway::new(site.credentials()?, &site.table, epoch));
    let config = ExecutionConfig {
        table: site.table.clone(),
        epoch,
        wall,
        limits: site.limits,
        endpoint,
        ws: WsConfig::default(),
        seed: u64::from(epoch.0),
        declared: Declared::default(),
        compare: bot4_execution::agent::COMPARE_EVERY,
    };
    Ok(ExecutionAgent::new(config, ports, gateway, connector, metrics))
}

/// Every check is on; rates and open orders are wide, for the load is the bench's own.
fn config(site: &Site) -> RiskConfig {
    let limits = RiskLimits {
        strategy_orders_per_s: RATE_MAX,
        strategy_orders_burst: RATE_MAX,
        orders_per_s: RATE_MAX,
        orders_burst: RATE_MAX,
        weight_per_s: RATE_MAX,
        weight_burst: RATE_MAX,
        runaway_intents_per_s: RATE_MAX,
        open_orders_instrument_max: ORDERS_OPEN_MAX as u32,
        open_orders_max: ORDERS_OPEN_MAX as u32,
        ..RiskLimits::default()
    };
    RiskConfig {
        limits,
        scopes: Scopes::default(),
        breakers: BreakerLimits::default(),
        mode: ControlMode::FullAuto,
        table: site.table.clone(),
        balances: site.balances(),
        quote: site.instrument().quote,
        operator: false,
        strategies: 1,
        equity: EquityStart::default(),
        held: Vec::new(),
        recovered: bot4_risk::Recovered::default(),
    }
}
