//! A run, from the configuration to the report.
//!
//! 1. [`plan`]: topology and placement, printed by `bot4 check`.
//! 2. [`child`]: the embedded venue, when the configuration asks for it.
//! 3. [`takeover`]: the newest earlier run of the account left a journal: it is read, mended or
//!    refused; [`retention`] removes old ones.
//! 4. [`cold`]: the venue's clock, instruments, balances; open orders of an earlier run are
//!    cancelled. A run that observes ([`observe`]) reads the [`catalogue`] alone.
//! 5. [`wiring`]: arenas, rings, agents, lanes, as the plan says.
//! 6. [`control`]: supervises on the main thread: seals after warm-up, watches faults and time,
//!    drains and stops.
//! 7. [`outcome`]: the agents come back; their final state is compared with the venue's and told.

pub mod access;
pub mod account_lock;
pub mod account_sets;
pub mod account_state;
pub mod balances;
pub mod capture;
pub mod catalogue;
pub mod chain;
pub mod changes;
pub mod chat;
pub mod child;
pub mod cold;
mod cold_binance;
mod cold_bybit;
mod cold_coinbase;
mod cold_kraken;
mod cold_okx;
mod cold_rest;
#[cfg(test)]
mod cold_twin;
mod compare;
pub mod control;
pub mod courier;
pub mod dirs;
pub mod disk;
pub mod earned;
pub mod gap;
pub mod guard;
pub mod history;
pub mod host;
pub mod leftovers;
pub mod memory;
pub mod observe;
pub mod opening;
pub mod outcome;
pub mod patience;
pub mod plan;
pub mod plant;
mod play;
pub mod reached;
pub mod refresh;
pub mod reload;
pub mod rest;
mod resumed;
pub mod retention;
pub mod rings;
pub mod settings;
pub mod settle;
pub mod sharding;
pub mod shared;
pub mod shedding;
pub mod site;
pub mod start_mode;
pub mod takeover;
pub mod wiring;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bot4_lanes::{Clock, Control, Metrics};
use bot4_telemetry::report::RunReport;
use bot4_types::AssetId;
use bot4_types::limits::VENUES_MAX;

use crate::config::{Config, VenueAccess};
use crate::operator::guard::GuardFeed;
use crate::operator::message::Sayer;
use crate::operator::orders::Board;
use crate::operator::status::About;
use crate::operator::{self, Latch, fence};
use crate::recovery;
use account_lock::AccountLock;
use balances::{Balances, Stated};
use changes::Known;

use reload::Reload;

use control::Ending;
use dirs::RunDir;
use guard::Tally;
use history::RunRecord;
use opening::Claim;
use plan::Plan;
use refresh::Refresh;
use retention::Keeper;
use settle::Settled;
use site::Site;
use takeover::Takeover;

type Failure = Box<dyn std::error::Error>;

/// What the caller wants beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The files that the configuration was read from; none for the embedded default.
    pub config: Vec<PathBuf>,
    /// Where the report goes as JSON.
    pub report: Option<PathBuf>,
    /// Where histogram dumps go.
    pub latency_dir: Option<PathBuf>,
    /// How often, unless as usual.
    pub latency_every: Option<std::time::Duration>,
    /// A file to make once all lanes run, with process, threads and CPUs.
    pub ready_file: Option<PathBuf>,
    /// Trap system calls of compute lanes after warm-up: a test aid.
    pub trap_syscalls: bool,
    /// Extra arguments for the embedded venue.
    pub venue_args: Vec<String>,
    /// A planted mistake: a test aid.
    pub plant: Option<plant::Plant>,
    /// Orders of runs that are not known here may be cancelled: a person says that no other engine
    /// trades the account.
    pub take_over: bool,
    /// Rows of the host that may be as they are, beside those of the configuration.
    pub waive: Vec<String>,
}

/// What a run ended with.
pub struct RunEnd {
    /// The report.
    pub report: RunReport,
    /// How it ended.
    pub ending: Ending,
    /// Where the run's state lies.
    pub dir: PathBuf,
    /// Promises that did not hold, as sentences.
    pub broken: Vec<String>,
    /// The account was compared with the venue, or there is none.
    pub compared: bool,
}

impl RunEnd {
    /// Nothing is open and nothing unknown at the venue, by its own word.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        let orders = &self.report.orders;
        orders.open_at_end == 0 && orders.unknown == 0 && self.compared
    }
}

/// A run that ended in a safety halt and has no report, because an agent's final state is gone.
/// The command ends with 79.
#[derive(Debug)]
pub struct Halted(pub String);

impl std::fmt::Display for Halted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Halted {}

/// Runs `config`.
///
/// # Errors
/// What kept the run from starting, as a text with its mend.
pub fn run(config: &Config, options: &RunOptions) -> Result<RunEnd, Box<dyn std::error::Error>> {
    prepare_memory()?;
    let (stop, plan, clock) = (stop_flag()?, Plan::of(config)?, Clock::start());
    let permitted = host::permit(config, options, &plan)?;
    let _awake = host::stay_awake(config);
    let dir = RunDir::create(clock.wall().unix_ms(clock.now()))?;
    host::keep_off_hot_cpus(&plan);
    let (children, sites, account) = site::all(config, &options.venue_args, &dir)?;
    // The account is locked until the end.
    let (_lock, latch, opening) =
        begin(config, &clock, &sites, (&account, options.take_over), &dir)?;
    let offsets = opening.venues.iter().map(|v| cold::offset_us(&clock, v.wall));
    let offset = host::farthest(offsets).filter(|_| config.venue.trades());
    let permitted = permitted.with_venue_clocks(offset);
    // A refused run leaves no trace.
    let permitted = permitted.inspect_err(|_| drop(std::fs::remove_dir(&dir.path)))?;
    permitted.keep(&dir.path)?;
    let counters = recorded(config, options, &dir, &account, &opening)?;
    plan.placement.warnings.iter().chain(&opening.notes).for_each(|w| crate::tell!("warning: {w}"));
    let scene =
        play::Scene { config, options, plan, clock, dir, sites, account, opening, counters };
    play::play(&scene, stop, children, latch)
}

/// Makes the run's counters and writes its record, which tells where they are.
fn recorded(
    config: &Config,
    options: &RunOptions,
    dir: &RunDir,
    account: &str,
    opening: &outcome::Opening,
) -> std::io::Result<shared::SharedCounters> {
    let counters = shared::create(config, dir);
    let record = record_of(config, options, dir, account.to_owned(), opening);
    history::write_record(dir, &record.with_counters(counters.path()))?;
    Ok(counters)
}

/// Lanes that may hang without danger to an order.
fn cold_lanes(plan: &Plan) -> Vec<String> {
    plan.placement.lanes.iter().filter(|l| l.is_cold()).map(|l| l.name.clone()).collect()
}

/// What the helper tells of parent orders.
fn board_of(
    config: &Config,
    opening: &outcome::Opening,
    heard: std::sync::mpsc::Receiver<bot4_types::RouterReport>,
) -> Board {
    Board::new(opening.info.table.clone(), settings::operator_of(config), heard)
        .with_unfinished(opening.past.parents.clone())
}

/// The allocator's options are as they must be, and the program's pages present and kept.
fn prepare_memory() -> Result<(), Box<dyn std::error::Error>> {
    bot4_alloc::check_options()?;
    // Best effort: what stays out shows in the lanes' fault counts.
    let _ = bot4_alloc::populate_program();
    Ok(())
}

fn about_of(config: &Config, dir: &RunDir, account: &str, opening: &outcome::Opening) -> About {
    let table = &opening.info.table;
    About {
        assets: (0..table.assets_len()).map(|a| table.asset_label(AssetId(a as u8))).collect(),
        run: dir.id.clone(),
        account: account.to_owned(),
        venue: names_of(config).join("+"),
        symbols: config.labels(),
        strategies: config.strategies.len(),
    }
}

fn names_of(config: &Config) -> Vec<&'static str> {
    config.venues().map(|v| v.venue.name()).collect()
}

/// Where what a person says goes: to the control lane, and to the account's list.
struct Said<'a> {
    about: &'a About,
    dumps: bot4_telemetry::DumpLine,
    commands: Sayer,
    board: Board,
    latch: Latch,
}

/// What a person may say while the run lasts, and the guard of its orders.
fn operator(
    config: &Config,
    options: &RunOptions,
    dir: &RunDir,
    clock: &Clock,
    control: &Control,
    metrics: &Metrics,
    said: Said<'_>,
) -> Result<operator::Helper, String> {
    let Said { about, dumps, commands, board, latch } = said;
    // The run has begun with what a person said before it.
    latch.taken_up().map_err(|e| format!("error: the account's folder: {e}"))?;
    let guarded = !options.config.is_empty() && fence::remote_of(config).is_some();
    let start = || GuardFeed::start(&options.config, &dir.path, dir.epoch);
    let guard = guarded.then(start).transpose();
    let guard =
        guard.map_err(|e| format!("error: the guard of the run's orders cannot start: {e}"))?;
    let inputs = operator::Inputs {
        folder: dir.path.clone(),
        about: about.clone(),
        clock: clock.clone(),
        control: control.clone(),
        metrics: metrics.clone(),
        dumps,
        commands,
        board,
        flatten_on_kill: config.risk.flatten_on_kill,
        latch,
        guard,
    };
    operator::Helper::start(inputs).map_err(|e| {
        format!("error: cannot open the control socket in {}: {e}", dir.path.display())
    })
}

/// Takes the account over, unless it is stopped: its latch, and what it is before the run.
fn begin(
    config: &Config,
    clock: &Clock,
    sites: &[Site],
    (account, any): (&str, bool),
    dir: &RunDir,
) -> Result<(AccountLock, Latch, outcome::Opening), Failure> {
    let lock = AccountLock::take(account);
    let lock = lock.inspect_err(|_| drop(std::fs::remove_dir(&dir.path)))?;
    let latch = Latch::of(account)?;
    let permitted = latch.permit().and_then(|()| permit_shared(account));
    permitted.inspect_err(|_| drop(std::fs::remove_dir(&dir.path)))?;
    let earlier = take_over(config, account, dir, clock.wall().unix_ms(clock.now()))?;
    // A refused run leaves no trace.
    let opening = open(config, clock, sites, (account, &Claim::new(account, any)), &earlier);
    // A stop from outside may have been written down meanwhile.
    let opening = opening.and_then(|opening| Ok(permit_shared(account).map(|()| opening)?));
    let refused = |e: &Failure| e.is::<takeover::PolicyRefusal>();
    if opening.as_ref().is_err_and(refused) {
        let _ = std::fs::remove_dir(&dir.path);
    }
    Ok((lock, latch, opening?))
}

/// Refuses to trade while a latch stands on any account that is one of this run's.
fn permit_shared(account: &str) -> Result<(), takeover::PolicyRefusal> {
    let shared = |latch: &&Latch| history::share(latch.account(), account);
    Latch::all_standing()?.iter().filter(shared).try_for_each(Latch::permit)
}

/// The account before the run, compared with what its earlier runs left.
fn open(
    config: &Config,
    clock: &Clock,
    sites: &[Site],
    (account, claim): (&str, &Claim),
    earlier: &[Takeover],
) -> Result<outcome::Opening, Failure> {
    let mut opening = outcome::Opening::take(clock, sites, config, claim)?;
    for settled in reached::settle_all(config, clock, sites, earlier, &opening, false)? {
        settled.sentences().iter().for_each(|s| crate::tell!("{s}"));
    }
    opening.past = account_state::past_of(account, earlier, &opening, config)?;
    opening.past.mode_told.iter().for_each(|told| crate::tell!("{told}"));
    opening.notes.extend(opening.past.notes.clone());
    Ok(opening)
}

/// What watches the configuration files, where the run was started with any.
fn reload_of(
    config: &Config,
    options: &RunOptions,
    opening: &outcome::Opening,
    metrics: &bot4_lanes::Metrics,
) -> std::io::Result<Option<Reload>> {
    let paths = &options.config;
    if paths.is_empty() || !config.venue.trades() {
        return Ok(None);
    }
    let asked = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&asked))?;
    // What the command line changed is not a change of the file.
    let read = crate::config::load(paths).unwrap_or_else(|_| config.clone());
    Ok(Some(Reload::new(paths, read, opening.info.table.clone(), asked, metrics)))
}

/// What [`reconcile`] found.
pub struct Reconciled {
    /// The newest earlier run of each account against its venue; none without an earlier run.
    pub settled: Vec<Settled>,
    /// What was done and what a person should know.
    pub notes: Vec<String>,
}

/// `bot4 run --reconcile-only`: no lane starts and no order is sent. Own open orders are
/// cancelled, the newest earlier run's journal is compared with the venue, and the run is marked,
/// so that the next start may trade.
///
/// # Errors
/// What kept it from being done, as a text with its mend.
pub fn reconcile(
    config: &Config,
    take_over: bool,
) -> Result<Reconciled, Box<dyn std::error::Error>> {
    if !config.venue.trades() {
        return Err("error: --reconcile-only: a run that observes has no account\n\
                    help: give the --config that trades"
            .into());
    }
    if matches!(config.venue.access, VenueAccess::Embedded) {
        return Err(
            "error: --reconcile-only: the account of an embedded venue ends with its run\n\
                    help: give the --config of the venue"
                .into(),
        );
    }
    let clock = Clock::start();
    let remotes = site::remotes(config, &[]);
    let sites = site::sites(config, &remotes)?;
    let account = history::account_of(config, &remotes);
    let _lock = AccountLock::take(&account)?;
    let earlier = Takeover::all_of(&account)?;
    let claim = Claim::new(&account, take_over);
    let opening = outcome::Opening::take(&clock, &sites, config, &claim)?;
    let settled = reached::settle_all(config, &clock, &sites, &earlier, &opening, true)?;
    let mut notes: Vec<String> = earlier.iter().flat_map(Takeover::notes).collect();
    notes.extend(opening.notes);
    Ok(Reconciled { settled, notes })
}

/// What looks after journals while the run lasts: the earlier ones and its own.
fn keepers(
    config: &Config,
    account: &str,
    dir: &RunDir,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<(Keeper, Option<recovery::Keeper>), String> {
    Ok((keeper(config, metrics, clock)?, snapshots(config, account, dir, clock, metrics)?))
}

/// Removes old journals while the run lasts.
fn keeper(config: &Config, metrics: &Metrics, clock: &Clock) -> Result<Keeper, String> {
    let (keep, metrics, clock) = (config.keep, metrics.clone(), clock.clone());
    let wall = clock.wall();
    Keeper::start(
        move || metrics.total_of("journal", "journal_segments"),
        move || retention::apply(keep, wall.unix_ms(clock.now())),
    )
    .map_err(|e| format!("error: cannot start a helper thread: {e}"))
}

/// Keeps a snapshot of the journal where a later start may have to read it.
fn snapshots(
    config: &Config,
    account: &str,
    dir: &RunDir,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Option<recovery::Keeper>, String> {
    if !history::lives_on(account) {
        return Ok(None);
    }
    let (journal, metrics) = (wiring::journal_dir(config, dir), metrics.clone());
    let begun = move || metrics.total_of("journal", "journal_segments");
    recovery::Keeper::start(&journal, dir.epoch, clock, begun)
        .map(Some)
        .map_err(|e| format!("error: cannot start a helper thread: {e}"))
}

/// Takes over from the newest earlier run of each account and sees to room on the journal's disk.
fn take_over(
    config: &Config,
    account: &str,
    dir: &RunDir,
    now_ms: i64,
) -> Result<Vec<Takeover>, Box<dyn std::error::Error>> {
    let prepared = || -> Result<_, Box<dyn std::error::Error>> {
        let earlier = Takeover::all_of(account)?;
        for run in &earlier {
            run.permit(account)?;
            run.told().iter().for_each(|told| crate::tell!("{told}"));
            run.notes().iter().for_each(|note| crate::tell!("warning: {note}"));
        }
        child::sweep();
        retention::apply(config.keep, now_ms);
        let reserve = bot4_journal::agent::RESERVE_BYTES.min(config.segment_bytes);
        // The first segment and the next are made at the start.
        let bytes = (2 * config.segment_bytes + reserve) as u64;
        disk::check(config.journal_dir.as_deref().unwrap_or(&dir.path), bytes, config.disk)?;
        Ok(earlier)
    };
    // A refused run leaves no trace; its folder goes when nothing lies in it.
    prepared().inspect_err(|_| drop(std::fs::remove_dir(&dir.path)))
}

fn record_of(
    config: &Config,
    options: &RunOptions,
    dir: &RunDir,
    account: String,
    opening: &outcome::Opening,
) -> RunRecord {
    let table = &opening.info.table;
    let symbols = table.all().iter().map(|i| table.label(i));
    RunRecord {
        id: dir.id.clone(),
        epoch: dir.epoch.0,
        account,
        symbols: symbols.collect(),
        journal: wiring::journal_dir(config, dir),
        start_ms: opening.start_ms,
        pid: std::process::id(),
        config: options.config.iter().filter_map(|path| std::fs::canonicalize(path).ok()).collect(),
        counters: None,
        latency: options.latency_dir.as_ref().and_then(|path| std::path::absolute(path).ok()),
    }
}

/// The helpers that read each venue's instruments again, where the configuration wants it.
fn refreshes(
    config: &Config,
    clock: &Clock,
    sites: &[Site],
    opening: &outcome::Opening,
    metrics: &Metrics,
) -> std::io::Result<Vec<Refresh>> {
    let of = |site: &Site| refresh_of(site, config.seed, clock, opening, metrics).transpose();
    sites.iter().filter_map(of).collect()
}

fn refresh_of(
    site: &Site,
    seed: u64,
    clock: &Clock,
    opening: &outcome::Opening,
    metrics: &Metrics,
) -> std::io::Result<Option<Refresh>> {
    let Some(every) = site.config.refresh else { return Ok(None) };
    let (clock, access) = (clock.clone(), site.access.without_keys().in_a_run());
    let (venue, symbols) = (site.venue(), site.config.symbols.clone());
    let seed = seed.wrapping_add(30 + u64::from(site.id.0));
    let tally = Tally::new(&access.guards, metrics);
    let read = move || {
        let read = catalogue::read_again(&symbols, |asked| {
            catalogue::read(&clock, &access, venue, asked, seed)
        });
        tally.take();
        read
    };
    let known = Known::new(opening.info.table.seen_from(site.id), venue.rules().checksum);
    Refresh::start(every, Box::new(read), known, metrics).map(Some)
}

/// The helpers that read each account's balances, where the configuration wants it.
fn all_balances(
    config: &Config,
    clock: &Clock,
    sites: &[Site],
    opening: &outcome::Opening,
    metrics: &Metrics,
) -> std::io::Result<Vec<Balances>> {
    let Some(every) = config.account.compare else { return Ok(Vec::new()) };
    let of = |site: &Site| {
        let (clock, access, venue) = (clock.clone(), site.access.in_a_run(), site.venue());
        let table = opening.info.table.seen_from(site.id);
        let mut seed = config.seed.wrapping_add(40 + u64::from(site.id.0));
        let ask = move || {
            seed = seed.wrapping_add(VENUES_MAX as u64);
            let mut cold = cold::open(&clock, &access, venue, seed)?;
            Stated::ask(&clock, &mut *cold, &table)
        };
        Balances::start(config.account, every, Box::new(ask), metrics)
    };
    sites.iter().filter(|site| site.config.trades()).map(of).collect()
}

/// A flag that SIGINT and SIGTERM set; a second signal ends the process at once.
///
/// # Errors
/// When the handlers cannot be set.
pub fn stop_flag() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}
