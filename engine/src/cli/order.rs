//! `bot4 order`

use std::time::Duration;

use bot4_types::CommandId;
use serde_json::{Value, json};

use super::out::say;
use super::person::{self, Whom, Why};
use super::{Outcome, Refusal, duration, exit};
use crate::operator::client::ask;
use crate::operator::commands::{self, CommandText};
use crate::operator::message::{Reply, Request};
use crate::operator::orders::{OrderText, sentence};
use crate::run::history::EarlierRun;

/// What the arguments' page ends with.
const HELP: &str = "\
Begins a parent order in a running engine, worked by children (--algo), or gives a command on one
order (--type), which can be undone. Everything passes the gate, on the operator's own account:
what it makes has a protective stop like every position. Nothing of it outlives the run, nor a
stop of trading.

Example: bot4 order --side buy --symbol BTCUSDT --size 0.5 --algo twap --over 10m \\
           --limit 61000 --reason \"rebalance\"
Example: bot4 order --side sell --symbol ETHUSDT --size 40 --algo pov --rate-pct 5 \\
           --reason \"out of it\"
Example: bot4 order --side buy --symbol BTCUSDT --size 2 --algo iceberg --limit 59000 \\
           --display 0.1 --reason \"a bid\"
Example: bot4 order --side buy --symbol BTC/USDT --size 2 --algo best --over 5s \\
           --reason \"wherever it is cheapest\"
Example: bot4 order --side buy --symbol BTCUSDT --size 0.01 --type limit --price 59000 \\
           --reason \"a bid\"
Example: bot4 order --side sell --symbol BTCUSDT --size 0.01 --type limit --price 62000 \\
           --oco stop:58000:57900 --reason \"out, either way\"
Example: bot4 order amend c1 --price 59100 --reason \"nearer\"
Example: bot4 order undo c2 --reason \"a mistake\"
Example: bot4 order list --json
Example: bot4 order cancel o1 --reason \"enough\"";

/// Arguments of `bot4 order`.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = HELP
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    begin: Begin,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Parent orders and commands of this run, those of strategies and the ended ones too.
    List(Whom),
    /// What is open of it is withdrawn; of a parent there are no new children.
    Cancel(Act),
    /// Take a command back by the change the other way: place and cancel, amend and amend back.
    Undo(Act),
    /// Give what a command left resting another price or size.
    Amend(Amend),
    /// Hold it: what rests is withdrawn.
    Pause(Act),
    /// Work it again: what is left is spread over the time that is left.
    Resume(Act),
}

#[derive(clap::Args)]
struct Act {
    /// Its name, as `bot4 order list` shows it: o1 a parent, c1 a command; s1, k1 a strategy's.
    id: String,
    #[command(flatten)]
    why: Why,
}

#[derive(clap::Args)]
struct Amend {
    #[command(flatten)]
    act: Act,
    /// Its price from now on.
    #[arg(long)]
    price: Option<String>,
    /// Its whole size from now on, base units.
    #[arg(long)]
    size: Option<String>,
}

/// One order by a command.
#[derive(clap::Args)]
struct One {
    /// limit, market, stop, take_profit: one order instead of a parent.
    #[arg(long = "type", conflicts_with_all = ["algo", "over", "after", "limit"])]
    order_type: Option<String>,
    /// Its limit; of a market order the price that it is decided on.
    #[arg(long, requires = "order_type")]
    price: Option<String>,
    /// Stop, take_profit: where the market triggers it.
    #[arg(long, requires = "order_type")]
    stop: Option<String>,
    /// Limit: gtc (rests, post-only), ioc, fok.
    #[arg(long, requires = "order_type")]
    tif: Option<String>,
    /// Limit: one of two is to be done; the other is quote:PRICE on the other side, or
    /// stop:TRIGGER:LIMIT on this one.
    #[arg(long, requires = "order_type")]
    oco: Option<String>,
    /// Limit: taken at once, and what it makes is left at STOP or at TARGET (STOP:TARGET).
    #[arg(long, requires = "order_type")]
    bracket: Option<String>,
}

#[derive(clap::Args)]
struct Begin {
    #[command(flatten)]
    one: One,
    /// buy or sell.
    #[arg(long, required = true)]
    side: Option<String>,
    /// Of which instrument, by the venue's name (venue:symbol where a run has several venues); or
    /// a pair like BTC/USDT: at all venues that trade it (best, twap, vwap, pov).
    #[arg(long, required = true)]
    symbol: Option<String>,
    /// Whole quantity, base units.
    #[arg(long, required = true)]
    size: Option<String>,
    /// twap (evenly over its time), vwap (as volume comes), pov (a share of the volume), iceberg
    /// (one part at a time at its limit), pegged (follows the middle or the touch), best (taken at
    /// once where fees, depth and answers make it best; what its time leaves is given up).
    #[arg(long, default_value = "twap")]
    algo: String,
    /// Time it has, for example 10m. Without one (pov, iceberg, pegged, best) it has no deadline.
    #[arg(long, value_parser = duration)]
    over: Option<Duration>,
    /// Begin after this time.
    #[arg(long, value_parser = duration)]
    after: Option<Duration>,
    /// No child is worse than this price.
    #[arg(long)]
    limit: Option<String>,
    /// When it takes: passive (four slices late), normal (one), aggressive (at once).
    #[arg(long)]
    urgency: Option<String>,
    /// What becomes of the rest when its time is over: take (the default but for best) or give_up.
    #[arg(long)]
    deadline: Option<String>,
    /// Smallest child, base units.
    #[arg(long)]
    slice_min: Option<String>,
    /// Iceberg, pegged: what rests at a time, base units.
    #[arg(long)]
    display: Option<String>,
    /// Pov: share of the market's volume, per cent.
    #[arg(long)]
    rate_pct: Option<f64>,
    /// Pegged: mid or touch.
    #[arg(long)]
    peg: Option<String>,
    /// Pegged: ticks away from there; negative: towards the other side.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    offset_ticks: i32,
    /// What rests is amended where it moves and the venue can, instead of cancelled and placed.
    #[arg(long)]
    amend: bool,
    /// Vwap: expected volume of each of 24 equal parts of its time.
    #[arg(long, value_delimiter = ',')]
    curve: Vec<u16>,
    /// Why; kept in the journal and in the account's list.
    #[arg(long, required = true)]
    reason: Option<String>,
    #[command(flatten)]
    whom: Whom,
}

/// How long the router may take to say what became of a request.
const ANSWER_LOOKS: u32 = 20;

/// Begins a parent order, lists them, or does something with one.
///
/// # Errors
/// Words that mean nothing, no engine that runs, or several where one must be named.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        None if args.begin.one.order_type.is_some() => give(&args.begin),
        None => begin(&args.begin),
        Some(Command::List(list)) => show(list),
        Some(Command::Cancel(act)) if is_command(&act.id) => change(act, "cancel", [&None; 2]),
        Some(Command::Cancel(act)) => do_with(act, "cancel"),
        Some(Command::Undo(act)) => change(act, "undo", [&None; 2]),
        Some(Command::Amend(amend)) => change(&amend.act, "amend", [&amend.price, &amend.size]),
        Some(Command::Pause(act)) => do_with(act, "pause"),
        Some(Command::Resume(act)) => do_with(act, "resume"),
    }
}

fn begin(args: &Begin) -> Outcome {
    let reason = person::reason(args.reason.as_deref().unwrap_or_default())?;
    let engine = the_engine(&args.whom)?;
    let ms = |d: Option<Duration>| d.map_or(0, |d| d.as_millis() as u64);
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    let order = Box::new(OrderText {
        symbol: said(&args.symbol),
        side: said(&args.side),
        size: said(&args.size),
        algo: args.algo.clone(),
        limit: args.limit.clone(),
        over_ms: ms(args.over),
        delay_ms: ms(args.after),
        deadline: args.deadline.clone(),
        urgency: args.urgency.clone(),
        slice_min: args.slice_min.clone(),
        display: args.display.clone(),
        rate_pct: args.rate_pct,
        peg: args.peg.clone(),
        offset_ticks: args.offset_ticks,
        amend: args.amend,
        curve: args.curve.clone(),
    });
    let reply = answered(&engine, &Request::Order { order, reason })?;
    let id = reply.orders.as_str().unwrap_or_default().to_owned();
    tell(&engine, &id, args.whom.json, |p| p["state"].is_string())
}

/// Gives a command on one order.
fn give(args: &Begin) -> Outcome {
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    let one = &args.one;
    let command = CommandText {
        kind: said(&one.order_type),
        symbol: said(&args.symbol),
        side: said(&args.side),
        size: args.size.clone(),
        price: one.price.clone(),
        stop: one.stop.clone(),
        tif: one.tif.clone(),
        oco: one.oco.clone(),
        bracket: one.bracket.clone(),
        of: None,
    };
    command_told(command, args.reason.as_deref().unwrap_or_default(), &args.whom)
}

/// Gives a command about another one.
fn change(act: &Act, kind: &str, [price, size]: [&Option<String>; 2]) -> Outcome {
    let (price, size, of) = (price.clone(), size.clone(), Some(act.id.clone()));
    let command = CommandText { kind: kind.to_owned(), price, size, of, ..CommandText::default() };
    command_told(command, &act.why.reason()?, &act.why.whom)
}

fn is_command(id: &str) -> bool {
    CommandId::parse(id).is_some()
}

fn command_told(command: CommandText, reason: &str, whom: &Whom) -> Outcome {
    let (reason, engine) = (person::reason(reason)?, the_engine(whom)?);
    let request = Request::OrderCommand { command: Box::new(command), reason };
    let reply = answered(&engine, &request)?;
    let id = reply.orders.as_str().unwrap_or_default().to_owned();
    tell(&engine, &id, whom.json, |c| c["state"].is_string() && c["state"] != "working")
}

fn do_with(act: &Act, action: &str) -> Outcome {
    let (reason, engine) = (act.why.reason()?, the_engine(&act.why.whom)?);
    let (id, action) = (act.id.clone(), action.to_owned());
    let done = match action.as_str() {
        "cancel" => ["ended", "ending"].as_slice(),
        "pause" => &["paused"],
        _ => &["working", "waiting", "finishing"],
    };
    answered(&engine, &Request::OrderAct { id: id.clone(), action: action.clone(), reason })?;
    tell(&engine, &id, act.why.whom.json, |p| {
        p["state"].as_str().is_some_and(|s| done.contains(&s))
    })
}

/// Looks until the order called `id` is as it should be, and prints it.
fn tell(engine: &EarlierRun, id: &str, json: bool, done: impl Fn(&Value) -> bool) -> Outcome {
    let look = || {
        let list = answered(engine, &Request::OrderList)?.orders;
        let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok::<_, Refusal>(all.iter().find(|p| p["id"] == id).cloned().unwrap_or_default())
    };
    let found = super::seen(ANSWER_LOOKS, look, &done)?;
    let failed = ["refused", "rejected"].map(Value::from);
    let obeyed = done(&found) && found["end"] != "refused" && !failed.contains(&found["state"]);
    if json {
        say!("{}", json!({"run": engine.record.id, "obeyed": obeyed, "order": found}));
    } else if found.is_null() {
        say!("run {}: {id}: the router has not said anything yet", engine.record.id);
    } else {
        say!("run {}: {}", engine.record.id, line_of(&found));
        if let Some(mend) = found["refused_because"].as_str().and_then(commands::mend) {
            say!("help: {mend}");
        }
    }
    Ok(if obeyed { exit::DONE } else { exit::FAILED })
}

fn line_of(order: &Value) -> String {
    if order["command"].is_string() { commands::sentence(order) } else { sentence(order) }
}

fn show(args: &Whom) -> Outcome {
    for engine in args.engines()? {
        let list = answered(&engine, &Request::OrderList)?.orders;
        for parent in list.as_array().into_iter().flatten() {
            if args.json {
                say!("{}", json!({"run": engine.record.id, "order": parent}));
            } else {
                say!("{}", line_of(parent));
            }
        }
    }
    Ok(exit::DONE)
}

fn answered(engine: &EarlierRun, request: &Request) -> Result<Reply, Refusal> {
    let run = &engine.record.id;
    let reply = ask(&engine.path, request).map_err(|e| {
        format!("error: run {run} does not answer: {e}\nhelp: `bot4 status` says how it does")
    })?;
    match reply.error {
        None => Ok(reply),
        Some(e) => Err(format!("error: run {run}: {e}").into()),
    }
}

/// The engine that is meant: an order goes to one.
fn the_engine(whom: &Whom) -> Result<EarlierRun, Refusal> {
    let mut engines = whom.engines()?;
    if engines.len() > 1 {
        let names: Vec<_> = engines.iter().map(|e| e.record.id.as_str()).collect();
        let names = names.join(", ");
        return Err(format!("error: several engines run: {names}\nhelp: --run NAME").into());
    }
    Ok(engines.remove(0))
}
