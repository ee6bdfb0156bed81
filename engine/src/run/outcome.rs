//! Before the first and after the last order: what the venue says, compared with what we say.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::Path;

use bot4_alloc::huge::Rung;
use bot4_alloc::seal;
use bot4_book::BookAgent;
use bot4_execution::ExecutionAgent;
use bot4_journal::JournalAgent;
use bot4_lanes::clock::ClockSource;
use bot4_lanes::{Agent, Clock, Control, Metrics};
use bot4_risk::RiskAgent;
use bot4_telemetry::report::{self, RunReport};
use bot4_telemetry::{hist, host};
use bot4_types::instrument::Amount;
use bot4_types::{AssetId, Nanos, Symbol, Wall};
use bot4_venues::binance::instruments::ExchangeInfo;

use super::access::Access;
use super::account_state::{self, Past};
use super::catalogue;
use super::cold::{self, ColdError, ColdVenue};
use super::control::{ControlAgent, Ending};
use super::dirs::RunDir;
use super::earned::{self, amount_text};
use super::history;
use super::plan::Plan;
use super::wiring::Ended;
use super::{Halted, RunEnd, RunOptions};
use crate::config::Config;
use crate::operator::status::About;
use crate::replay::ended::{DeskState, EndState, RiskState};

/// How long a venue that does not answer is tried again.
const PATIENCE: Nanos = Nanos::from_secs(10);

/// The account and the instruments before the run.
pub struct Opening {
    /// Instruments and limits.
    pub info: ExchangeInfo,
    /// The mapping to the venue's clock.
    pub wall: Wall,
    /// Free and locked together, per asset of the table.
    pub balances: Vec<(AssetId, Amount)>,
    /// The asset in which equity is counted.
    pub equity_asset: AssetId,
    /// When the run began, venue Unix ms.
    pub start_ms: i64,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Seed of the comparison's connection.
    pub seed: u64,
    /// What the account's earlier runs left.
    pub past: Past,
}

impl Opening {
    /// Asks the venue. Open orders of an earlier run are cancelled; those of others are refused.
    ///
    /// # Errors
    /// What the venue refused, or a sentence with the mend.
    pub fn take(
        clock: &Clock,
        access: &Access,
        config: &Config,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        if !config.venue.trades() {
            return Self::observed(clock, access, config);
        }
        let venue = config.venue.venue;
        let mut cold = patiently(clock, || cold::open(clock, access, venue, config.seed))?;
        if config.venue.dead_man {
            cold.set_dead_man()?;
        }
        let mut info = cold.instruments(&config.venue.symbols)?;
        let equity_asset = info.table.asset(config.risk.equity_asset).map_err(|e| {
            format!("error: risk.equity_asset does not enter the asset table: {e:?}")
        })?;
        let notes = cancel_leftovers(&mut *cold, &info)?;
        let balances = totals(&mut *cold, &info)?;
        let wall = cold.wall();
        let start_ms = wall.unix_ms(clock.now());
        let seed = config.seed;
        let past = Past::default();
        Ok(Self { info, wall, balances, equity_asset, start_ms, notes, seed, past })
    }

    /// The opening of a run that only observes: instruments, no account.
    fn observed(
        clock: &Clock,
        access: &Access,
        config: &Config,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let (venue, seed) = (&config.venue, config.seed);
        let ask = || catalogue::read(clock, access, venue.venue, &venue.symbols, seed);
        let mut info = patiently(clock, ask)?;
        let equity_asset = info.table.asset(config.risk.equity_asset).map_err(|e| {
            format!("error: risk.equity_asset does not enter the asset table: {e:?}")
        })?;
        let wall = clock.wall();
        let start_ms = wall.unix_ms(clock.now());
        let (balances, notes) = (Vec::new(), Vec::new());
        let past = Past::default();
        Ok(Self { info, wall, balances, equity_asset, start_ms, notes, seed, past })
    }
}

/// Cancels what an earlier run left open.
fn cancel_leftovers(
    cold: &mut dyn ColdVenue,
    info: &ExchangeInfo,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let open = cold.open_orders(&info.table)?;
    if let Some(foreign) = open.iter().find(|o| o.client.own().is_none()) {
        return Err(format!(
            "error: the account has an open order of another program: {} {}\nhelp: cancel it, or \
             give bot4 an account of its own",
            foreign.symbol,
            foreign.client.as_str()
        )
        .into());
    }
    let mut symbols: Vec<Symbol> = open.iter().map(|o| o.symbol).collect();
    symbols.sort_unstable();
    symbols.dedup();
    for symbol in &symbols {
        cold.cancel_all(symbol, &info.table)?;
    }
    let note = format!("{} open orders of an earlier run were cancelled", open.len());
    Ok(if open.is_empty() { Vec::new() } else { vec![note] })
}

fn totals(
    cold: &mut dyn ColdVenue,
    info: &ExchangeInfo,
) -> Result<Vec<(AssetId, Amount)>, ColdError> {
    let balances = cold.balances(&info.table)?;
    let known = balances.iter().filter(|b| b.asset != AssetId::NONE);
    Ok(known.map(|b| (b.asset, b.free + b.locked)).collect())
}

/// Tries `ask` again while its failure may pass.
fn patiently<T>(
    clock: &Clock,
    mut ask: impl FnMut() -> Result<T, ColdError>,
) -> Result<T, ColdError> {
    let until = clock.now() + PATIENCE;
    let mut cause = None;
    loop {
        match ask() {
            Err(e) if e.is_passing() && clock.now() < until => {
                // What failed is told in the end, not that it was left alone then.
                if !matches!(e, ColdError::LeftAlone(..)) {
                    cause = Some(e);
                }
                std::thread::park_timeout(std::time::Duration::from_millis(250));
            }
            Err(e @ ColdError::LeftAlone(..)) => return Err(cause.unwrap_or(e)),
            other => return other,
        }
    }
}

/// The agents' final states.
struct Finals {
    /// None in a run that observes.
    execution: Option<Box<ExecutionAgent>>,
    books: Vec<BookAgent>,
    risk: Box<RiskAgent>,
    journal: Box<JournalAgent>,
    control: Box<ControlAgent>,
}

impl Finals {
    fn of(agents: Vec<Box<dyn Agent>>, trades: bool) -> Result<Self, Halted> {
        let (mut execution, mut risk, mut journal, mut control) = (None, None, None, None);
        let mut books = Vec::new();
        for agent in agents {
            let role = agent.role();
            let any: Box<dyn Any> = agent;
            match role {
                "execution" => execution = any.downcast().ok(),
                role if role.starts_with("book.") => books.extend(any.downcast().ok().map(|b| *b)),
                "risk" => risk = any.downcast().ok(),
                "journal" => journal = any.downcast().ok(),
                "control" => control = any.downcast().ok(),
                _ => {}
            }
        }
        let gone = |role: &str| {
            Halted(format!(
                "error: safety halt: the {role} lane did not give its agent back, so this run has \
                 no report\nhelp: open orders were cancelled at the venue; compare the account \
                 with the journal before the next start"
            ))
        };
        if trades && execution.is_none() {
            return Err(gone("execution"));
        }
        Ok(Self {
            execution,
            books,
            risk: risk.ok_or_else(|| gone("risk"))?,
            journal: journal.ok_or_else(|| gone("journal"))?,
            control: control.ok_or_else(|| gone("control"))?,
        })
    }
}

/// What [`close`] works with.
pub struct Closing<'a> {
    /// The engine's clock.
    pub clock: &'a Clock,
    /// The kill word.
    pub control: &'a Control,
    /// Endpoints, keys and network.
    pub access: &'a Access,
    /// The account before.
    pub opening: &'a Opening,
    /// Topology and placement.
    pub plan: &'a Plan,
    /// The run's folder.
    pub dir: &'a RunDir,
    /// Where its journal lies.
    pub journal: &'a Path,
    /// What the caller wants.
    pub options: &'a RunOptions,
    /// The account traded.
    pub account: &'a str,
    /// The run as its status tells it.
    pub about: &'a About,
    /// The configuration.
    pub config: &'a Config,
}

/// Compares with the venue and makes the report.
///
/// # Errors
/// When an agent's state is gone or the report cannot be written.
pub fn close(c: &Closing<'_>, ended: Ended) -> Result<RunEnd, Box<dyn std::error::Error>> {
    let Ended { agents, metrics, rung, stuck } = ended;
    c.access.guards.disarm();
    let gone = agents.len() < c.plan.topology.roles.len();
    if gone {
        cancel_for_the_dead(c, &stuck);
    }
    let mut finals = Finals::of(agents, c.config.venue.trades())?;
    let ending = match finals.control.ending() {
        Ending::InOrder if c.control.phase().is_stopped() => Ending::Failed(Vec::new()),
        other => other,
    };
    let child = finals.control.take_child();
    let (open, unknown) = finals.execution.as_mut().map_or((0, 0), |e| e.open_and_unknown());
    let mut notes = Vec::new();
    let reconcile = match c.config.venue.trades().then(|| compare(c, &finals, open)).transpose() {
        Ok(reconcile) => reconcile,
        Err(e) => {
            notes.push(format!("the account could not be compared with the venue: {e}"));
            None
        }
    };
    drop(child);
    let mut report = report_of(c, &finals, &metrics, rung);
    report.orders.unknown = unknown as u64;
    report.orders.open_at_end = open as u64;
    report.reconcile = reconcile.clone().unwrap_or_default();
    let mut broken = broken_promises(&report, &ending);
    broken.extend(broken_on_compute_lanes(c.plan, &report, &metrics));
    broken.extend(journal_failure(&finals.journal, &broken));
    broken.extend(notes);
    if let Some(path) = &c.options.report {
        std::fs::write(path, report.to_json())
            .map_err(|e| format!("error: cannot write the report to {}: {e}", path.display()))?;
    }
    std::fs::write(c.dir.path.join("report.json"), report.to_json())?;
    let records = finals.journal.stats().records;
    if let Some(execution) = &finals.execution {
        let end = EndState {
            journal: c.journal.to_owned(),
            records,
            risk: RiskState::of(finals.risk.core(), &c.opening.info.table),
            execution: DeskState {
                counts: execution.desk_counts(),
                duplicates: execution.duplicates_dropped(),
            },
        };
        end.write(&c.dir.path)?;
    }
    if broken.is_empty() {
        history::mark_closed(&c.dir.path, &serde_json::json!({"records": records}))?;
    }
    let settled = open == 0 && unknown == 0 && reconcile == Some(report::Reconcile::default());
    let core = finals.risk.core();
    account_state::keep(
        c.account,
        core,
        &c.dir.id,
        &c.config.strategies,
        c.config.risk.mode,
        settled,
    )?;
    let compared = reconcile.is_some() || !c.config.venue.trades();
    Ok(RunEnd { report, ending, dir: c.dir.path.clone(), broken, compared })
}

/// What went wrong with the journal, unless a fault has said so already.
fn journal_failure(journal: &JournalAgent, told: &[String]) -> Option<String> {
    let failure = journal.failure()?;
    let known = told.iter().any(|sentence| sentence.contains(failure));
    (!known).then(|| format!("journal: {failure}"))
}

/// What a lane that hangs or died cannot do any more: cancels whatever is open at the venue.
/// Its thread cannot send meanwhile, should it wake: the kill word is latched.
fn cancel_for_the_dead(c: &Closing<'_>, stuck: &[String]) {
    c.control.kill();
    for lane in stuck {
        eprintln!("error: lane {lane} hangs and does not stop");
    }
    if !c.config.venue.trades() {
        return;
    }
    let (seed, venue) = (c.opening.seed.wrapping_add(2), c.config.venue.venue);
    let table = &c.opening.info.table;
    let cancelled =
        patiently(c.clock, || cold::open(c.clock, c.access, venue, seed)).and_then(|mut cold| {
            // Every instrument, whatever became of the one before it; once more what failed.
            let mut all = || {
                let mut all = Ok(());
                for instrument in table.all() {
                    all = all.and(cold.cancel_all(&instrument.symbol, table));
                }
                all
            };
            all().or_else(|_| all())
        });
    if let Err(e) = cancelled {
        eprintln!("{e}\nerror: open orders may remain at the venue: cancel them by hand");
    }
}

/// Orders, positions and balances of the venue against ours.
fn compare(c: &Closing<'_>, finals: &Finals, open: usize) -> Result<report::Reconcile, ColdError> {
    let seed = c.opening.seed.wrapping_add(1);
    let venue = c.config.venue.venue;
    let mut cold = patiently(c.clock, || cold::open(c.clock, c.access, venue, seed))?;
    let table = &c.opening.info.table;
    let at_venue = cold.open_orders(table)?.len();
    if at_venue > 0 {
        // A lane that failed may have left orders: nothing stays open behind the engine's back.
        eprintln!("{at_venue} orders were open at the end and are cancelled now");
        for instrument in table.all() {
            cold.cancel_all(&instrument.symbol, table)?;
        }
    }
    let mut positions_differ = 0;
    for instrument in table.all() {
        let trades = cold.trades_since(&instrument.symbol, c.opening.start_ms, table)?;
        let net: i64 = trades.iter().map(|t| t.side.sign() * t.qty).sum();
        let held = c.opening.past.held.iter().filter(|h| h.instrument == instrument.id);
        let ours = finals.risk.position(instrument.id).0 - held.map(|h| h.qty.0).sum::<i64>();
        if net != ours {
            positions_differ += 1;
            let symbol = &instrument.symbol;
            eprintln!("difference: position of {symbol}: ours {ours}, the venue's trades {net}");
        }
    }
    let mut balances_differ = 0;
    let venue: BTreeMap<AssetId, Amount> =
        totals(&mut *cold, &c.opening.info)?.into_iter().collect();
    for i in 0..table.assets_len() {
        let asset = AssetId(i as u8);
        let (theirs, ours) =
            (venue.get(&asset).copied().unwrap_or(0), finals.risk.expected_balance(asset));
        if theirs != ours {
            balances_differ += 1;
            let name = table.asset_name(asset);
            let (ours, theirs) = (amount_text(ours), amount_text(theirs));
            eprintln!("difference: balance of {name}: ours {ours}, the venue's {theirs}");
        }
    }
    Ok(report::Reconcile {
        orders_differ: at_venue.abs_diff(open) as u64 + open as u64,
        positions_differ,
        balances_differ,
    })
}

fn report_of(c: &Closing<'_>, finals: &Finals, m: &Metrics, rung: Rung) -> RunReport {
    let desk = finals.execution.as_ref().map(|e| e.desk_counts()).unwrap_or_default();
    let tsc = match c.clock.source() {
        ClockSource::Tsc => "invariant",
        ClockSource::Monotonic => "fallback",
    };
    let journal = finals.journal.stats();
    let pnl = finals.risk.pnl();
    let refused = finals.risk.refused().filter(|(_, n)| *n > 0);
    // The main thread is pinned by now, so its own mask says nothing about the process.
    let allowed: Vec<u32> = c.plan.cpus.allowed.iter().map(|cpu| *cpu as u32).collect();
    let host = report::Host {
        cpus: allowed.len() as u32,
        allowed,
        ..host::collect(std::path::Path::new("/"), tsc, &rung.to_string())
    };
    RunReport {
        bot4: report::Program {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: env!("BOT4_GIT").to_owned(),
        },
        host,
        lanes: lane_lines(c.plan, m),
        duration_s: finals.control.traded_for().0 as f64 / 1e9,
        market: report::Market {
            messages: m.total_of("parse.", "messages"),
            levels: m.total_of("book.", "levels"),
            trades: m.total_of("book.", "trades"),
            gaps: m.total_of("book.", "gaps"),
            resyncs: m.total_of("book.", "resyncs"),
            stale_ms: m.total_of("book.", "stale_ns") / 1_000_000,
        },
        lines: market_lines(m),
        books: book_lines(c, &finals.books),
        orders: report::Orders {
            sent: m.total_of("execution", "orders_sent"),
            acked: desk.acked,
            rejected: desk.rejected,
            canceled: desk.canceled,
            filled: desk.filled,
            contradictions: desk.contradictions,
            ..report::Orders::default()
        },
        fills: report::Fills {
            applied: finals.risk.fills_applied(),
            duplicates_dropped: finals.risk.duplicates_dropped()
                + finals.execution.as_ref().map_or(0, |e| e.duplicates_dropped()),
        },
        risk: report::Risk {
            checked: finals.risk.checked(),
            approved: finals.risk.approved(),
            refused: refused.map(|(r, n)| (r.name().to_owned(), n)).collect(),
            ..earned::risk(finals.risk.core(), c.about, m)
        },
        pnl: earned::pnl(&pnl),
        pnl_fifo: earned::fifo(&pnl),
        equity: earned::equity(finals.risk.core(), &c.opening.info.table),
        stops: earned::stops(m),
        latency_ns: hist::latency_summaries(m),
        t0_source: "user".to_owned(),
        hot_allocations: seal::hot_allocations(),
        io_allocations: seal::io_allocations(),
        journal: report::Journal {
            records: journal.records,
            bytes: journal.bytes,
            lost: journal.lost,
        },
        ..RunReport::default()
    }
}

/// What each of two lines brought; nothing where every instrument has one.
fn market_lines(m: &Metrics) -> Vec<report::MarketLine> {
    let line = |name: &str| {
        let counter = |what: &str| format!("line_{name}_{what}");
        let of = |what| m.total_of("book.", &counter(what));
        let books = crate::topology::BOOK.iter();
        let lag_max = books.map(|book| m.total_of(book, &counter("lag_ns_max"))).max();
        report::MarketLine {
            line: name.to_owned(),
            wins: of("wins"),
            lates: of("lates"),
            gaps_filled: of("fills"),
            lag_us_mean: of("lag_ns") / 1_000 / of("lates").max(1),
            lag_us_max: lag_max.unwrap_or(0) / 1_000,
        }
    };
    let lines = ["a", "b"].map(line);
    let told = lines.iter().any(|l| l.wins > 0);
    if told { lines.into() } else { Vec::new() }
}

/// The books at the end, in the order of the instruments.
fn book_lines(c: &Closing<'_>, books: &[BookAgent]) -> Vec<serde_json::Value> {
    let of = |id| books.iter().find_map(|b| b.summary(id));
    let all = c.opening.info.table.all().iter().filter_map(|i| of(i.id));
    all.map(|summary| crate::cli::book::line_of(c.config.venue.venue.name(), &summary)).collect()
}

fn lane_lines(plan: &Plan, m: &Metrics) -> Vec<report::LaneLine> {
    let line = |lane: &bot4_lanes::placement::LanePlan| {
        let count = |name| m.total_of(&lane.name, name);
        let of = |name| count(name) as f64;
        let (busy, pressed, kept) = (of("busy_ns"), of("backpressured_ns"), of("housekeeping_ns"));
        let all = (busy + pressed + kept + of("idle_ns")).max(1.0);
        let percent = |part: f64| (part / all * 1_000.0).round() / 10.0;
        report::LaneLine {
            name: lane.name.clone(),
            agents: lane.roles.iter().map(|r| (*r).to_owned()).collect(),
            cpu: Some(lane.cpu as u32),
            busy_pct: percent(busy),
            backpressured_pct: percent(pressed),
            housekeeping_pct: percent(kept),
            gap_ns_max: count("gap_ns_max"),
            turn_ns_max: count("turn_ns_max"),
            minor_faults_after_seal: count("minor_faults_after_seal"),
            major_faults_after_seal: count("major_faults_after_seal"),
            forbidden_syscalls: count("forbidden_syscalls"),
            switches_voluntary_after_seal: count("switches_voluntary_after_seal"),
            switches_forced_after_seal: count("switches_forced_after_seal"),
        }
    };
    plan.placement.lanes.iter().map(line).collect()
}

/// The promises of a run that did not hold, as sentences.
fn broken_promises(r: &RunReport, ending: &Ending) -> Vec<String> {
    let mut broken = Vec::new();
    let mut zero = |count: u64, what: &str| {
        if count > 0 {
            broken.push(format!("{count} {what}"));
        }
    };
    zero(r.reconcile.orders_differ, "orders differ from the venue's");
    zero(r.reconcile.positions_differ, "positions differ from the venue's");
    zero(r.reconcile.balances_differ, "balances differ from the venue's");
    zero(r.orders.unknown, "orders of unknown fate");
    zero(r.orders.open_at_end, "orders open at the end");
    zero(r.hot_allocations, "allocations on hot agents after warm-up");
    zero(r.journal.lost, "journal records lost");
    match ending {
        Ending::InOrder => {}
        Ending::Undrained => broken.push("not everything drained in time".to_owned()),
        Ending::NotReady(why) => broken.push(why.clone()),
        Ending::Failed(faults) if faults.is_empty() => broken.push("killed".to_owned()),
        Ending::Failed(faults) => broken.extend(faults.iter().map(ToString::to_string)),
    }
    broken
}

/// Page faults and system calls after warm-up on lanes that only compute. A lane that shares its
/// thread with sockets or files has theirs, too, and promises nothing.
fn broken_on_compute_lanes(plan: &Plan, r: &RunReport, m: &Metrics) -> Vec<String> {
    let compute = plan.placement.lanes.iter().zip(&r.lanes).filter(|(l, _)| l.is_compute());
    let mut broken = Vec::new();
    for (_, lane) in compute {
        let faults = lane.minor_faults_after_seal + lane.major_faults_after_seal;
        if faults > 0 {
            broken.push(format!("{faults} page faults on lane {} after warm-up", lane.name));
        }
        if lane.forbidden_syscalls > 0 {
            let first = m.total_of(&lane.name, "forbidden_syscall_first");
            broken.push(format!(
                "{} system calls on lane {} after warm-up, the first number {first}",
                lane.forbidden_syscalls, lane.name
            ));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_a_sentence() {
        let mut report = RunReport::default();
        assert!(broken_promises(&report, &Ending::InOrder).is_empty());
        report.journal.lost = 2;
        report.orders.unknown = 1;
        let broken = broken_promises(&report, &Ending::Undrained);
        assert_eq!(broken.len(), 3, "{broken:?}");
    }
}
