//! Other engines' parts beside ours, interleaved in one run: `cargo run --release -- --date D`.
//!
//! Parsing: sonic-rs into typed structs that borrow from the text. Books: hftbacktest's vector over
//! a range of interest; levels outside its range are lost to it, here it is given a range of 40 %
//! around the start, which favours it. Matrices: nalgebra's of fixed size, faer's products (it
//! picks its instructions at run time as we do; nalgebra has those it is compiled for, so a second
//! look with `RUSTFLAGS="-C target-cpu=native"` is fair to it). Circuit breakers: failsafe and
//! recloser. Every rival must agree with our result on the whole input before its speed is of
//! interest; the program ends with 1 when one does not.

mod book;
mod breaker;
mod matrix;
mod messages;
mod parse;
mod shapes;

use std::process::ExitCode;
use std::rc::Rc;

use bot4_bench::case::Case;
use bot4_bench::flow::Flow;
use bot4_bench::kernels::{INSTRUMENTS, Kernel, Plain, Portfolio, SAMPLES};
use bot4_bench::machine::Machine;
use bot4_bench::report::Run;
use bot4_bench::roster::recorded_what;
use bot4_bench::runner::{self, Plan};
use bot4_bench::shapes::{Kind, Scan, Shape};
use bot4_bench::{Group, Named, texts};
use bot4_lanes::Clock;
use bot4_simd::{Kernels, Level, TextKernels};
use bot4_venues::Venue;
use clap::Parser;
use messages::Numbers;

/// Rivals beside our parts.
#[derive(Parser)]
struct Args {
    /// The date to write with the figures, YYYY-MM-DD.
    #[arg(long)]
    date: String,
    /// Interleaved rounds.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Milliseconds for a case in a round.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    ms: u64,
    /// Only groups whose name starts with this, for example `rivals/form`.
    #[arg(long, default_value = "")]
    only: String,
}

fn named(name: &'static str, case: impl Case + 'static) -> Named {
    Named { name, case: Box::new(case), noted: "" }
}

fn groups() -> Result<Vec<Group>, String> {
    let feeds = [
        ("rivals/depth20", "change of 20 levels", texts::depth(256, 20, 1)),
        ("rivals/depth100", "change of 100 levels", texts::depth(64, 100, 2)),
        ("rivals/trade", "trade", texts::trade(1_024, 3)),
        ("rivals/quote", "best quote", texts::quote(1_024, 4)),
    ];
    let mut groups = Vec::new();
    for (name, what, feed) in feeds {
        let feed = Rc::new(feed);
        parse::agree(&feed)?;
        let cases = vec![
            named("sonic_rs_typed", parse::Sonic::new(&feed)),
            named("bot4", parse::ours(&feed)),
        ];
        groups.push(Group { name: name.into(), what: what.into(), cases });
    }
    for shape in Shape::all() {
        groups.push(shaped(shape)?);
    }
    groups.extend(matrices()?);
    groups.push(breakers()?);
    let Some(flow) = Flow::recorded().map(Rc::new) else {
        eprintln!("rivals/book skipped: no shared data");
        return Ok(groups);
    };
    book::agree(&flow)?;
    let cases = vec![
        named("hftbacktest_roi", book::RoiVector::new(&flow)),
        named("btreemap", bot4_bench::book::Recorded::<bot4_book::NaiveBook>::new(&flow)),
        named("bot4", bot4_bench::book::Recorded::<bot4_book::Ladder>::new(&flow)),
    ];
    groups.push(Group { name: "rivals/book".into(), what: recorded_what(&flow), cases });
    Ok(groups)
}

/// The mathematics of a portfolio.
fn matrices() -> Result<Vec<Group>, String> {
    let p = &Portfolio::draw();
    matrix::agree(p)?;
    let best = Kernels::best();
    let forms = vec![
        named("nalgebra_fixed", matrix::Fixed::new(p)),
        named("faer", matrix::FaerForm::new(p)),
        named("plain", Plain::quadratic(p)),
        named("bot4", Kernel::quadratic(p, best)),
    ];
    let correlations = vec![
        named("faer_half", matrix::Correlations::new(p, true)),
        named("faer_all", matrix::Correlations::new(p, false)),
        named("plain", Plain::correlation(p)),
        named("bot4", Kernel::correlation(p, best)),
    ];
    let what = format!("correlations of {INSTRUMENTS} instruments from {SAMPLES} samples");
    Ok(vec![
        Group { name: "rivals/form".into(), what: format!("w'Mw of {INSTRUMENTS}"), cases: forms },
        Group { name: "rivals/correlation".into(), what, cases: correlations },
    ])
}

/// A closed circuit breaker: permit and success.
fn breakers() -> Result<Group, String> {
    breaker::agree()?;
    let cases = vec![
        named("failsafe", breaker::Failsafe::new()),
        named("recloser", breaker::Ring::new()),
        named("bot4", bot4_bench::breaker::Shared::<true>::default()),
    ];
    let what = "permit and success of a closed circuit breaker";
    Ok(Group { name: "rivals/breaker".into(), what: what.into(), cases })
}

/// Messages of one shape: the rival, and ours at each level of this machine.
fn shaped(shape: Shape) -> Result<Group, String> {
    let count = if matches!(shape.kind, Kind::Change(_)) { 256 } else { 1_024 };
    let feed = Rc::new(shape.feed(count, 5));
    let mut rivals = vec![("sonic_rs_typed", Numbers::Text)];
    if shape.venue == Venue::Kraken && matches!(shape.kind, Kind::Change(_)) {
        rivals.push(("sonic_rs_floats", Numbers::Float));
    }
    let mut cases = Vec::new();
    for (name, numbers) in rivals {
        shapes::agree(shape, numbers, &feed)?;
        cases.push(named(name, shapes::Sonic::new(shape, numbers, &feed)));
    }
    for kernels in TextKernels::all() {
        let name = match kernels.level() {
            Level::Scalar => "bot4_scalar",
            Level::Avx2 => "bot4_avx2",
            Level::Avx512 => "bot4_avx512",
        };
        cases.push(named(name, Scan::new(shape, kernels, &feed)));
    }
    let what = format!("{}, {} B on average", shape.name(), feed.len_mean());
    Ok(Group { name: format!("rivals/{}", shape.name()), what, cases })
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut groups = match groups() {
        Ok(groups) => groups,
        Err(what) => {
            eprintln!("rivals: {what}");
            return ExitCode::from(1);
        }
    };
    groups.retain(|group| group.name.starts_with(&args.only));
    let clock = Clock::start();
    let plan = Plan { rounds: usize::from(args.rounds), ms: args.ms };
    let mut run = Run {
        date: args.date,
        machine: Machine::here(),
        plan,
        floor_ns: runner::floor(plan, &clock),
        what: groups.iter().map(|g| (g.name.clone(), g.what.clone())).collect(),
        figures: Vec::new(),
    };
    for group in &mut groups {
        eprintln!("{} ...", group.name);
        run.figures.extend(runner::measure(group, plan, &clock));
    }
    print!("{}", run.table());
    ExitCode::SUCCESS
}
