//! `bot4 host`

use std::path::{Path, PathBuf};
use std::time::Duration;

use bot4_host::apply;
use bot4_host::audit::{Audit, Ready};
use bot4_host::check::SCHEMA;
use bot4_host::plan::Plan as HostPlan;
use bot4_host::undo::{self, Outcome as Became, Record, Undo, Undone};
use bot4_host::{CpuSet, Mode, Need, Report, Root, Samples, Sight, Waivers, jitter, measure, rows};
use clap::Subcommand;
use serde_json::{Value, json};

use super::out::{self, say};
use super::{Outcome, Refusal, exit, host_hold, host_ticks};
use crate::config;
use crate::run::host::{ask_venue_clocks, cpus_of, need_of, state_file};
use crate::run::plan::Plan;

/// Arguments of `bot4 host`.
#[derive(clap::Args)]
#[command(after_help = "Examples: bot4 host check --config trade.toml --mode live\n          \
                  bot4 host plan && sudo bot4 host apply && sudo bot4 host restore\n          \
                  bot4 host jitter --cpus 2-11 --for 2s\n\n\
                  Exit codes: 0 every row held or was waived, every change was made; 1 a row \
                  failed (check, audit), a change was refused (apply) or not taken back \
                  (restore); 2 bad usage.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read every row of the table; change nothing.
    Check(Look),
    /// What `apply` would write, with the present values and the way back; change nothing.
    Plan(Change),
    /// Make the changes; the way back is on disk before each.
    Apply(Change),
    /// Take back what `apply` changed, last change first, where the value is still ours.
    Restore(Restore),
    /// Every thread of a running engine, seen from outside.
    Audit(AuditArgs),
    /// Hold the CPUs' time to wake (/dev/cpu_dma_latency) until told to end, beside an engine that
    /// may not; tells systemd when it does.
    Hold(host_hold::Args),
    /// What a spinning thread loses on each CPU.
    Jitter(JitterArgs),
    /// Prove that hot lanes are left alone: timer interrupts, moves and faults of each.
    Ticks(host_ticks::Args),
}

/// What is looked at, and how strictly.
#[derive(clap::Args)]
struct Look {
    /// The configuration; without it the embedded default. Given again, each file is laid over
    /// those before it, key by key.
    #[arg(long)]
    config: Vec<PathBuf>,
    /// Lanes to place instead of the configured number.
    #[arg(long)]
    lanes: Option<config::value::Lanes>,
    /// CPUs that the engine will be started with, like 1-11; default: those of this process.
    #[arg(long, value_parser = cpu_list)]
    cpus: Option<CpuSet>,
    /// live, paper or ci, instead of the configured mode.
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
    /// A row that may be as it is, and why: ID:reason. May be given again.
    #[arg(long, value_name = "ID:REASON")]
    waive: Vec<String>,
    /// Compare program, configuration and kernel with an earlier `bot4 host check --json`.
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Somebody will start the engine in real time (`chrt --fifo`): try whether that is allowed.
    #[arg(long)]
    fifo: bool,
    /// Ask the configured venues for their time, over the network; takes as long as they do.
    #[arg(long)]
    venue_clock: bool,
    /// How long rates are looked at.
    #[arg(long, value_parser = super::duration, default_value = "500ms")]
    window: Duration,
    /// A folder that stands for the machine; its samples lie in samples.json.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Change {
    #[command(flatten)]
    look: Look,
    /// This row alone. May be given again.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// The undo record; default: /run/bot4/tune-state.json.
    #[arg(long)]
    state: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Restore {
    /// A folder that stands for the machine.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// The undo record; default: /run/bot4/tune-state.json.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct AuditArgs {
    /// As `bot4 run --ready-file` wrote it.
    #[arg(long)]
    ready_file: PathBuf,
    /// How long ticks, switches, moves and faults are counted.
    #[arg(long = "for", value_parser = super::duration, default_value = "2s")]
    window: Duration,
    /// live, paper or ci.
    #[arg(long, value_parser = mode, default_value = "paper")]
    mode: Mode,
    /// A finding that may be as it is, and why: ID:reason. May be given again.
    #[arg(long, value_name = "ID:REASON")]
    waive: Vec<String>,
    /// A folder that stands for the machine.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct JitterArgs {
    /// CPUs to sample, like 1-11; default: those of this process.
    #[arg(long, value_parser = cpu_list)]
    cpus: Option<CpuSet>,
    /// How long.
    #[arg(long = "for", value_parser = super::duration, default_value = "2s")]
    window: Duration,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn cpu_list(text: &str) -> Result<CpuSet, String> {
    let cpus = CpuSet::of_list(text);
    let digits = text.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '-');
    match cpus.is_empty() || !digits {
        true => Err(format!("`{text}` is no list of CPUs: write one like 0-2,5")),
        false => Ok(cpus),
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::from_name(text).ok_or_else(|| format!("`{text}` is no mode: live, paper or ci"))
}

/// Looks at the machine, changes it, or proves what it is.
///
/// # Errors
/// A refusal when an argument, the configuration or the undo record is wrong.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Check(look) => check(look),
        Command::Plan(change) => plan(change),
        Command::Apply(change) => apply(change),
        Command::Restore(args) => restore(args),
        Command::Audit(args) => audit(args),
        Command::Hold(args) => host_hold::run(args),
        Command::Jitter(args) => sample(args),
        Command::Ticks(args) => host_ticks::run(args),
    }
}

/// The machine, seen: everything that checks are a function of.
struct Seen {
    root: Root,
    need: Need,
    samples: Samples,
    waivers: Waivers,
}

impl Seen {
    fn of(look: &Look) -> Result<Self, Refusal> {
        let mut config = config::load(&look.config)?;
        config.lanes = look.lanes.unwrap_or(config.lanes);
        config.host.mode = look.mode.unwrap_or(config.host.mode);
        config.host.manifest = look.manifest.clone().or(config.host.manifest);
        let waivers = Waivers::parse(config.host.waive.iter().chain(&look.waive))?;
        if !look.root.is_dir() {
            return Err(format!(
                "error: --root {}: no such folder\nhelp: give a folder with proc and sys in it",
                look.root.display()
            )
            .into());
        }
        let root = Root::at(&look.root);
        let plan = match root.is_live() && look.cpus.is_none() {
            true => Plan::of(&config)?,
            false => Plan::on(&config, cpus_of(&root, look.cpus.as_ref()), true)?,
        };
        let mut need = need_of(&config, &look.config, &plan, &root)?;
        need.fifo = look.fifo;
        let mut samples = measure::samples(&root, &need, look.window);
        if look.venue_clock && root.is_live() {
            match ask_venue_clocks(&config) {
                Ok(us) => samples.venue_offset_us = Some(us),
                Err(why) => samples.venue_unknown = Some(why),
            }
        }
        Ok(Self { root, need, samples, waivers })
    }

    fn sight(&self) -> Sight<'_> {
        Sight { root: &self.root, need: &self.need, samples: &self.samples }
    }

    fn report(&self) -> Report {
        Report::of(&self.sight(), &self.waivers)
    }

    /// The document that every command prints, with what it adds.
    fn document(&self, report: &Report, more: &[(&str, Value)]) -> Value {
        let mut all = json!({
            "schema": SCHEMA, "host": self.need.identity, "mode": self.need.mode.name(),
            "checks": report.to_json(), "jitter": [], "applied": [], "audit": {},
            "summary": report.summary().to_json(),
        });
        for (key, value) in more {
            all[*key] = value.clone();
        }
        all
    }
}

fn code(report: &Report) -> u8 {
    if report.failed().next().is_none() { exit::DONE } else { exit::FAILED }
}

fn check(look: &Look) -> Outcome {
    let seen = Seen::of(look)?;
    let report = seen.report();
    if look.json {
        say!("{}", seen.document(&report, &[]));
    } else {
        out::text(report.to_text());
    }
    Ok(code(&report))
}

fn plan(change: &Change) -> Outcome {
    let seen = Seen::of(&change.look)?;
    let report = seen.report();
    let plan = HostPlan::of(&seen.sight(), &report, known(&change.only)?);
    if change.look.json {
        say!("{}", seen.document(&report, &[("plan", plan.to_json())]));
    } else {
        out::text(plan.to_text());
    }
    Ok(exit::DONE)
}

/// The rows `ids`, which must be some.
fn known(ids: &[String]) -> Result<&[String], Refusal> {
    match ids.iter().find(|id| rows::find(id).is_none()) {
        Some(id) => Err(format!(
            "error: --only {id}: there is no such row\nhelp: `bot4 host check` lists the rows"
        )
        .into()),
        None => Ok(ids),
    }
}

fn hold(root: &Root, state: Option<&Path>) -> Result<Undo, Refusal> {
    let path = state.map_or_else(|| state_file(root), Path::to_path_buf);
    Ok(Undo::hold(&path)?)
}

fn apply(change: &Change) -> Outcome {
    let only = known(&change.only)?;
    let root = Root::at(&change.look.root);
    let undo = hold(&root, change.state.as_deref())?;
    // Before the machine is looked at: what a killed one left is no state to plan from.
    let first = apply::recover(&root, &undo)?;
    let seen = Seen::of(&change.look)?;
    let plan = HostPlan::of(&seen.sight(), &seen.report(), only);
    let records = apply::apply(&seen.root, &undo, &plan.steps)?;
    let after = Seen::of(&change.look)?;
    let report = after.report();
    if change.look.json {
        let applied: Vec<Value> = records.iter().map(told).collect();
        let more = [
            ("applied", applied.into()),
            ("restored_first", first.iter().map(told_undone).collect()),
            ("boot", plan.boot.join(" ").into()),
        ];
        say!("{}", after.document(&report, &more));
    } else {
        first.iter().for_each(|one| say!("{}", sentence_undone(one)));
        records.iter().for_each(|record| say!("{}", sentence(record)));
        out::text(report.to_text());
    }
    let refused = records.iter().any(|r| matches!(r.outcome, Became::Refused(_)));
    Ok(if refused { exit::FAILED } else { exit::DONE })
}

fn told(record: &Record) -> Value {
    let (state, more) = record.outcome.told();
    json!({"row": record.row, "path": record.change.path(), "old": record.old,
           "new": record.change.value(), "state": state, "more": more})
}

fn sentence(record: &Record) -> String {
    let (state, more) = record.outcome.told();
    let old = record.old.as_deref().unwrap_or("(nothing)");
    let (path, new) = (record.change.path(), record.change.value());
    format!("{state:<9} {path}: {old} -> {new} {more}").trim_end().to_owned()
}

fn told_undone((record, undone): &(Record, Undone)) -> Value {
    let (state, more) = undone.told();
    json!({"row": record.row, "path": record.change.path(), "old": record.old, "state": state,
           "more": more})
}

fn sentence_undone((record, undone): &(Record, Undone)) -> String {
    let (state, more) = undone.told();
    let old = record.old.as_deref().unwrap_or("(nothing)");
    format!("{state:<9} {}: {old} {more}", record.change.path()).trim_end().to_owned()
}

fn restore(args: &Restore) -> Outcome {
    let root = Root::at(&args.root);
    let undo = hold(&root, args.state.as_deref())?;
    let all = undo::restore(&root, &undo)?;
    if args.json {
        let restored: Vec<Value> = all.iter().map(told_undone).collect();
        say!("{}", json!({"schema": SCHEMA, "restored": restored}));
    } else {
        all.iter().for_each(|one| say!("{}", sentence_undone(one)));
        if all.is_empty() {
            say!("nothing is changed here");
        }
    }
    let failed = all.iter().any(|(_, undone)| matches!(undone, Undone::Failed(_)));
    Ok(if failed { exit::FAILED } else { exit::DONE })
}

fn audit(args: &AuditArgs) -> Outcome {
    let waivers = Waivers::parse(&args.waive)?;
    let ready = Ready::read(&args.ready_file)?;
    let root = Root::at(&args.root);
    let audit = Audit::of(&root, &ready, args.window, args.mode, &waivers)?;
    let sum = audit.summary();
    if args.json {
        let all = json!({"schema": SCHEMA, "mode": args.mode.name(), "audit": audit.to_json(),
                         "summary": sum.to_json()});
        say!("{all}");
    } else {
        out::text(audit.to_text());
    }
    Ok(if sum.fail == 0 { exit::DONE } else { exit::FAILED })
}

fn sample(args: &JitterArgs) -> Outcome {
    let own = || bot4_lanes::placement::allowed_cpus().into_iter().collect();
    let all = jitter::sample(&args.cpus.clone().unwrap_or_else(own), args.window)?;
    if args.json {
        say!("{}", json!({"schema": SCHEMA, "jitter": jitter::to_json(&all)}));
    } else {
        out::text(jitter::to_text(&all));
    }
    Ok(if all.iter().all(|j| j.pinned) { exit::DONE } else { exit::FAILED })
}
