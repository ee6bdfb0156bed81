//! `bot4 resume`

use serde_json::json;

use super::out::say;
use super::person::{self, Whom};
use super::{Outcome, exit};
use crate::operator::client::{ask, running};
use crate::operator::latch::Latch;
use crate::operator::message::Request;

/// Arguments of `bot4 resume`.
#[derive(clap::Args)]
#[command(
    after_help = "Ends the stop of running engines, and the latches that keep engines from\n\
                        starting: the next start then accepts what risk had latched, as a running\n\
                        engine does (a fall counts anew from there, balances that no fill explains\n\
                        are followed), and keeps the reason in its journal. With --breaker it closes\n\
                        circuit breakers instead; those also close by themselves. Exit code 0: nothing\n\
                        stands against trading any more; 1: an engine refuses or does not answer, and\n\
                        says why.\n\n\
                        Example: bot4 resume --reason \"line mended, account looked at\"\n\
                        Example: bot4 resume --instrument BTCUSDT --reason \"a deposit of ours\"\n\
                        Example: bot4 resume --breaker BTCUSDT --reason \"filters are right again\""
)]
pub struct Args {
    /// Why it is safe; kept beside the reason of the stop.
    #[arg(long)]
    reason: String,
    /// Close circuit breakers, end no stop: all, venue, strategy:N (counted from 1) or a symbol.
    #[arg(long, value_name = "SCOPE")]
    breaker: Option<String>,
    /// Accept what the venue says of this instrument's base asset, end no stop: it stood still
    /// because no fill explains its balance.
    #[arg(long, value_name = "SYMBOL", conflicts_with = "breaker")]
    instrument: Option<String>,
    #[command(flatten)]
    whom: Whom,
}

/// Ends stops.
///
/// # Errors
/// A reason that cannot be kept, or a latch that cannot be read.
pub fn run(args: &Args) -> Outcome {
    let reason = person::reason(&args.reason)?;
    let (mut ended, mut refused) = (Vec::new(), Vec::new());
    let partly = args.breaker.as_ref().or(args.instrument.as_ref());
    if partly.is_some() || args.whom.run.is_some() {
        args.whom.engines()?;
    }
    for engine in running() {
        if args.whom.run.as_ref().is_some_and(|name| *name != engine.record.id) {
            continue;
        }
        let request = match (&args.breaker, &args.instrument) {
            (_, Some(symbol)) => {
                Request::AcceptBalance { symbol: symbol.clone(), reason: reason.clone() }
            }
            (Some(scope), _) => {
                Request::BreakerReset { scope: scope.clone(), reason: reason.clone() }
            }
            _ => Request::Resume { reason: reason.clone() },
        };
        match ask(&engine.path, &request) {
            Ok(reply) => match reply.error {
                None => ended.push(engine.record.id),
                Some(why) => refused.push(format!("run {}: {why}", engine.record.id)),
            },
            Err(e) => refused.push(format!("run {} does not answer: {e}", engine.record.id)),
        }
    }
    // What stands now belongs to engines that do not run, or refused.
    if args.whom.run.is_none() && partly.is_none() && refused.is_empty() {
        for mut latch in Latch::all_standing()? {
            let clock = bot4_lanes::Clock::monotonic();
            latch.clear_for_the_next(&reason, clock.wall().unix_ms(clock.now()))?;
            ended.push(latch.account().to_owned());
        }
    }
    if let Some(scope) = &args.breaker {
        if args.whom.json {
            say!("{}", json!({"breaker": scope, "reset": ended, "refused": refused}));
        } else {
            ended.iter().for_each(|run| say!("run {run}: breaker {scope} is closed"));
        }
    } else if let Some(symbol) = &args.instrument {
        if args.whom.json {
            say!("{}", json!({"instrument": symbol, "accepted": ended, "refused": refused}));
        } else {
            ended.iter().for_each(|run| say!("run {run}: {symbol} may trade"));
        }
    } else if args.whom.json {
        say!("{}", json!({"ended": ended, "refused": refused}));
    } else {
        ended.iter().for_each(|what| say!("{what}: may trade"));
        if ended.is_empty() && refused.is_empty() {
            say!("nothing is stopped");
        }
    }
    refused.iter().for_each(|why| crate::tell!("refused: {why}"));
    Ok(if refused.is_empty() { exit::DONE } else { exit::FAILED })
}
