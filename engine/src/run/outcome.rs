//! After the last order: the agents come back, the venues are asked, and the run is told.

use std::any::Any;
use std::path::Path;

use bot4_alloc::huge::Rung;
use bot4_alloc::seal;
use bot4_book::BookAgent;
use bot4_execution::ExecutionAgent;
use bot4_execution::desk::DeskCounts;
use bot4_journal::JournalAgent;
use bot4_lanes::{Agent, Clock, Control, Metrics};
use bot4_risk::RiskAgent;
use bot4_signals::SignalAgent;
use bot4_simd::Kernels;
use bot4_telemetry::TelemetryAgent;
use bot4_telemetry::report::{self, RunReport};
use bot4_telemetry::{hist, host};
use bot4_types::Instrument;

use super::cold::{self, ColdError};
use super::compare::{Compared, compare};
use super::control::{ControlAgent, Ending};
use super::dirs::RunDir;
use super::earned;
use super::history;
use super::leftovers;
use super::opening::patiently;
pub use super::opening::{Opening, VenueOpening};
use super::plan::Plan;
use super::site::Site;
use super::wiring::Ended;
use super::{Halted, RunEnd, RunOptions};
use super::{account_sets, account_state};
use crate::config::Config;
use crate::operator::orders;
use crate::operator::status::About;
use crate::replay::ended::{DeskState, EndState, RiskState};
use crate::topology as t;

/// The agents' final states.
pub(super) struct Finals {
    /// By venue; none in a run that observes.
    executions: Vec<ExecutionAgent>,
    books: Vec<BookAgent>,
    /// None when its lane died.
    signal: Option<Box<SignalAgent>>,
    pub(super) risk: Box<RiskAgent>,
    journal: Box<JournalAgent>,
    control: Box<ControlAgent>,
    telemetry: Option<Box<TelemetryAgent>>,
}

impl Finals {
    /// Of `agents`, with the order entry of `trading` venues.
    fn of(agents: Vec<Box<dyn Agent>>, trading: usize) -> Result<Self, Halted> {
        let (mut risk, mut journal, mut control) = (None, None, None);
        let (mut books, mut executions) = (Vec::new(), Vec::<ExecutionAgent>::new());
        let (mut signal, mut telemetry) = (None, None);
        for agent in agents {
            let role = agent.role();
            let any: Box<dyn Any> = agent;
            match role {
                role if role.starts_with("execution") => {
                    executions.extend(any.downcast().ok().map(|e| *e))
                }
                role if role.starts_with("book.") => books.extend(any.downcast().ok().map(|b| *b)),
                "signal" => signal = any.downcast().ok(),
                "risk" => risk = any.downcast().ok(),
                "journal" => journal = any.downcast().ok(),
                "control" => control = any.downcast().ok(),
                "telemetry" => telemetry = any.downcast().ok(),
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
        executions.sort_by_key(|e| t::EXECUTION.iter().position(|role| *role == e.role()));
        if executions.len() != trading {
            return Err(gone("execution"));
        }
        Ok(Self {
            executions,
            books,
            signal,
            risk: risk.ok_or_else(|| gone("risk"))?,
            journal: journal.ok_or_else(|| gone("journal"))?,
            control: control.ok_or_else(|| gone("control"))?,
            telemetry,
        })
    }
}

impl Finals {
    /// What the order entry of venue `v` did.
    pub(super) fn venue_line(&self, v: usize, name: &str) -> report::VenueLine {
        let Some(execution) = self.executions.get(v) else { return report::VenueLine::default() };
        let desk = execution.desk_counts();
        report::VenueLine {
            name: name.to_owned(),
            acked: desk.acked,
            rejected: desk.rejected,
            canceled: desk.canceled,
            filled: desk.filled,
            not_sent: desk.not_sent,
            fills: desk.fills,
            connects: execution.link_counts().connects,
            losses: execution.link_counts().losses,
            ..report::VenueLine::default()
        }
    }
}

/// What [`close`] works with.
pub struct Closing<'a> {
    /// The engine's clock.
    pub clock: &'a Clock,
    /// The kill word.
    pub control: &'a Control,
    /// The venues, with endpoints, keys and network.
    pub sites: &'a [Site],
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
    c.sites.iter().for_each(|site| site.access.guards.disarm());
    let gone = agents.len() < c.plan.topology.roles.len();
    if gone {
        cancel_for_the_dead(c, &stuck);
    }
    let trading = c.sites.iter().filter(|site| site.config.trades()).count();
    let mut finals = Finals::of(agents, trading)?;
    if let Some(telemetry) = &mut finals.telemetry {
        // Lanes that ended behind its own went on counting.
        telemetry.close(c.clock.now());
    }
    let ending = match finals.control.ending() {
        Ending::InOrder if c.control.phase().is_stopped() => Ending::Failed(Vec::new()),
        other => other,
    };
    let children = finals.control.take_children();
    let open: Vec<_> = finals.executions.iter_mut().map(|e| e.open_and_unknown()).collect();
    let Compared { reconcile, venues, notes, asked_ms } = compare(c, &finals, &open);
    let unknown: usize = open.iter().map(|(_, unknown)| unknown).sum();
    let open: usize = open.iter().map(|(open, _)| open).sum();
    drop(children);
    let mut report = report_of(c, &finals, &metrics, rung);
    report.parents = parents_of(c, &finals);
    report.shedding = super::shedding::status(&metrics);
    report.orders.unknown = unknown as u64;
    report.orders.open_at_end = open as u64;
    report.reconcile = reconcile.clone().unwrap_or_default();
    report.venues = venues;
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
    let desks = finals
        .executions
        .iter()
        .map(|e| DeskState { counts: e.desk_counts(), duplicates: e.duplicates_dropped() });
    if let Some((execution, further)) = desks.collect::<Vec<_>>().split_first() {
        let end = EndState {
            journal: c.journal.to_owned(),
            records,
            risk: RiskState::of(finals.risk.core(), &c.opening.info.table),
            execution: *execution,
            further: further.to_vec(),
        };
        end.write(&c.dir.path)?;
    }
    if broken.is_empty() {
        history::mark_closed(&c.dir.path, &serde_json::json!({"records": records}))?;
    }
    let settled = open == 0 && unknown == 0 && reconcile == Some(report::Reconcile::default());
    let core = finals.risk.core();
    let mode = c.config.risk.mode;
    let end = account_state::End { run: &c.dir.id, mode, settled, asked_ms };
    account_state::keep(c.account, core, &c.config.strategies, end)?;
    account_sets::note(c.account, &c.dir.id)?;
    let compared = reconcile.is_some() || !c.config.venue.trades();
    Ok(RunEnd { report, ending, dir: c.dir.path.clone(), broken, compared })
}

/// Parent orders: those that the router still remembers.
fn parents_of(c: &Closing<'_>, finals: &Finals) -> Vec<serde_json::Value> {
    let (now, table) = (c.clock.now(), &c.opening.info.table);
    let told = |signal: &SignalAgent| -> Vec<_> {
        signal.router().parents(now).map(|report| orders::to_json(&report, table)).collect()
    };
    finals.signal.as_deref().map(told).unwrap_or_default()
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
        crate::tell!("error: lane {lane} hangs and does not stop");
    }
    // Every venue, whatever became of the one before it.
    for site in c.sites.iter().filter(|site| site.config.trades()) {
        if let Err(e) = cancel_all_at(c, site) {
            let name = site.venue().name();
            crate::tell!("{e}\nerror: open orders may remain at {name}: cancel them by hand");
        }
    }
}

fn cancel_all_at(c: &Closing<'_>, site: &Site) -> Result<(), ColdError> {
    let (seed, access) = (c.opening.seed.wrapping_add(2), &site.access);
    let table = c.opening.info.table.seen_from(site.id);
    let mut cold = patiently(c.clock, || cold::open(c.clock, access, site.venue(), seed))?;
    // What others have declared stays: then by id. Whatever became of the one before it; once more
    // what failed.
    let declared = &c.config.account.declared;
    let mut all = || {
        if declared.is_any() {
            return leftovers::open_orders(&mut *cold, &table, declared)?
                .cancel(&mut *cold, &table);
        }
        let mut all = Ok(());
        for instrument in table.own() {
            all = all.and(cold.cancel_all(&instrument.symbol, &table));
        }
        all
    };
    all().or_else(|_| all())
}

fn fills_of(c: &Closing<'_>, finals: &Finals) -> report::Fills {
    report::Fills {
        applied: finals.risk.fills_applied(),
        duplicates_dropped: finals.risk.duplicates_dropped()
            + finals.executions.iter().map(|e| e.duplicates_dropped()).sum::<u64>(),
        late: c.opening.past.recovered.late.len() as u64
            + finals.executions.iter().map(|e| e.desk_counts().late_fills).sum::<u64>(),
    }
}

fn report_of(c: &Closing<'_>, finals: &Finals, m: &Metrics, rung: Rung) -> RunReport {
    let desks = finals.executions.iter().map(|e| e.desk_counts());
    let desk = desks.fold(DeskCounts::default(), |sum, one| sum.plus(&one));
    let journal = finals.journal.stats();
    let pnl = finals.risk.pnl();
    let refused = finals.risk.refused().filter(|(_, n)| *n > 0);
    // The main thread is pinned by now, so its own mask says nothing about the process.
    let allowed: Vec<u32> = c.plan.cpus.allowed.iter().map(|cpu| *cpu as u32).collect();
    let host = report::Host {
        cpus: allowed.len() as u32,
        allowed,
        simd: Kernels::best().level().name().to_owned(),
        ..host::collect(Path::new("/"), c.clock.source().name(), &rung.to_string())
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
        fills: fills_of(c, finals),
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
        t0_source: t0_source(m).to_owned(),
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
/// What `t0` is: the kernel's stamp, unless more messages came without one than with one.
fn t0_source(m: &Metrics) -> &'static str {
    let of = |name| m.total_of("wire.", name);
    if of("kernel_stamped") * 2 > of("messages") { "kernel" } else { "user" }
}

fn market_lines(m: &Metrics) -> Vec<report::MarketLine> {
    let line = |name: &str| {
        let counter = |what: &str| format!("line_{name}_{what}");
        let of = |what| m.total_of("book.", &counter(what));
        let books = t::BOOK.iter();
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
    let venue = |i: &Instrument| c.sites[i.venue.index()].venue().name();
    let all = c.opening.info.table.all().iter().filter_map(|i| Some((venue(i), of(i.id)?)));
    all.map(|(venue, summary)| crate::cli::book::line_of(venue, &summary)).collect()
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
