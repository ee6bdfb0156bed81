//! All cases, by group. The first case of a group is its baseline.

use std::rc::Rc;

use bot4_book::{Ladder, NaiveBook};
use bot4_lanes::Histogram;
use bot4_risk::gate::{self, CANCEL_ROSTER, PLACE_ROSTER};
use bot4_simd::{Kernels, Level};

use crate::batch::{
    self, ChannelSingles, QueueSingles, RingChunks, RingInPlace, RingSingles, RtrbChunks,
};
use crate::book::{Changes, Recorded, Snapshot};
use crate::book_risk::{Kept, Questions, Recomputed, Size, Upkeep};
use crate::breaker::{Behind, Gate, GateUnwell, Own, Shared};
use crate::case::Case;
use crate::dialect::{Change, Dialect};
use crate::flow::Flow;
use crate::gate::{Cancel, KillWord, LookUp, MarkIn, Part, Place, PlaceAndEnd, Stamps, no_check};
use crate::hops::{Answered, Sent, Told};
use crate::journal::{BufferedAppend, FreshCopy, JournalAppend, WrittenAppend};
use crate::kernels::{INSTRUMENTS, Kernel, Plain, Portfolio, SAMPLES};
use crate::parents;
use crate::parse::{Parse, Reader};
use crate::plain_gate::PlainPlace;
use crate::received::{self, Receive, Way};
use crate::recording::{
    self, BlockWrite, Count, Link, LockedCount, MANY, Recorded as Noted, Stage, Stamp, WordsCopy,
};
use crate::ring::{
    ChannelPushPop, LogCopy, LogEncode, RingPushPop, SlotChannelTrip, SlotRoundTrip,
};
use crate::shown::{ShownAccount, ShownBook, ShownPosition};
use crate::texts::{self, Feed};
use crate::trace::{LEVELS, START_LEVELS, Trace};
use crate::trip::{self, ChannelPort, LinePort, RingPort, Trip};
use crate::turn::Turn;

/// A case with its name.
pub struct Named {
    /// For example `scanner`.
    pub name: &'static str,
    /// The case.
    pub case: Box<dyn Case>,
    /// What the design notes give for it, if they do.
    pub noted: &'static str,
}

impl Named {
    /// The same with the design notes' figure beside it.
    #[must_use]
    pub fn noted(self, noted: &'static str) -> Self {
        Self { noted, ..self }
    }
}

/// Cases that are compared with each other.
pub struct Group {
    /// For example `parse/depth20`.
    pub name: String,
    /// What a call is, for readers.
    pub what: String,
    /// The baseline, then the others.
    pub cases: Vec<Named>,
}

fn named(name: &'static str, case: impl Case + 'static) -> Named {
    Named { name, case: Box::new(case), noted: "" }
}

fn group(name: &str, what: impl Into<String>, cases: Vec<Named>) -> Group {
    Group { name: name.to_owned(), what: what.into(), cases }
}

/// Recorded messages in the real mix.
const RECORDED: usize = 8_192;

/// Readers of market messages.
#[must_use]
pub fn parse() -> Vec<Group> {
    let mut feeds = vec![
        ("parse/depth20", "change of 20 levels", texts::depth(256, 20, 1)),
        ("parse/depth100", "change of 100 levels", texts::depth(64, 100, 2)),
        ("parse/trade", "trade", texts::trade(1_024, 3)),
        ("parse/quote", "best quote", texts::quote(1_024, 4)),
    ];
    match texts::recorded(RECORDED) {
        Some(feed) => feeds.push(("parse/recorded", "message of a recorded hour", feed)),
        None => eprintln!("parse/recorded skipped: no shared data"),
    }
    let mut groups: Vec<Group> =
        feeds.into_iter().map(|(name, what, feed)| readers(name, what, feed)).collect();
    for (name, dialect, levels) in [
        ("parse/kraken2", Dialect::Kraken, 2),
        ("parse/kraken20", Dialect::Kraken, 20),
        ("parse/bybit20", Dialect::Bybit, 20),
    ] {
        groups.push(dialect_readers(name, dialect, levels));
    }
    groups
}

fn dialect_readers(name: &str, dialect: Dialect, levels: usize) -> Group {
    let feed = Rc::new(dialect.changes(256, levels, 5));
    let venue = dialect.venue().name();
    let (len, count) = (feed.len_mean(), feed.len());
    let what = format!("{venue}: change of {levels} levels, {len} B on average, {count} in turn");
    let case = |reader| Change::new(dialect, reader, &feed);
    let cases = vec![
        named("serde_json_typed", case(Reader::SerdeTyped)),
        named("simd_json_tape", case(Reader::Tape)),
        named("scanner", case(Reader::Scanner)),
    ];
    group(name, what, cases)
}

fn readers(name: &str, what: &str, feed: Feed) -> Group {
    let what = format!("{what}, {} B on average, {} in turn", feed.len_mean(), feed.len());
    let feed = Rc::new(feed);
    let cases = vec![
        named("serde_json_typed", Parse::new(Reader::SerdeTyped, &feed)),
        named("simd_json_tape", Parse::new(Reader::Tape, &feed)),
        named("scanner", Parse::new(Reader::Scanner, &feed)),
    ];
    group(name, what, cases)
}

/// Changes of the trace: at `changes` levels each, 1.4 MB of them.
const CHANGES: usize = 4_096;

/// Books.
#[must_use]
pub fn book() -> Vec<Group> {
    let trace = Rc::new(Trace::draw(CHANGES, 7));
    let what = format!(
        "change of {LEVELS} levels and both bests, {CHANGES} in turn, {:.0} % removals, \
         {} to {} levels",
        trace.delete_share * 100.0,
        2 * START_LEVELS,
        trace.end_levels,
    );
    let changes = vec![
        named("btreemap", Changes::<NaiveBook>::new(&trace)),
        named("ladder", Changes::<Ladder>::new(&trace)),
    ];
    let load = vec![
        named("btreemap", Snapshot::<NaiveBook>::new(&trace)),
        named("ladder", Snapshot::<Ladder>::new(&trace)),
    ];
    let snapshot = format!("clear and load of {START_LEVELS} levels a side");
    let mut groups =
        vec![group("book/change", what, changes), group("book/snapshot", snapshot, load)];
    match Flow::recorded().map(Rc::new) {
        Some(flow) => {
            let cases = vec![
                named("btreemap", Recorded::<NaiveBook>::new(&flow)),
                named("ladder", Recorded::<Ladder>::new(&flow)),
            ];
            groups.push(group("book/recorded", recorded_what(&flow), cases));
        }
        None => eprintln!("book/recorded skipped: no shared data"),
    }
    groups
}

/// What a call of a recorded flow's groups is.
#[must_use]
pub fn recorded_what(flow: &Flow) -> String {
    let levels = flow.levels() as f64 / flow.changes.len() as f64;
    format!("recorded change of {levels:.0} levels on average and both bests")
}

/// The gate.
#[must_use]
pub fn gate() -> Vec<Group> {
    let cases = vec![
        named("two_stamps", Stamps::<2>::default()),
        named("one_stamp", Stamps::<1>::default()),
        named("kill_word", KillWord::default()).noted("3 ns"),
        named("cancel", Cancel::default()),
        named("place_young", Place::young()),
        named("place", Place::grown_up()),
        named("place_and_end", PlaceAndEnd::default()),
    ];
    let large = vec![
        named("mutex_hash_f64", PlainPlace::default()),
        named("place", Place::large()).noted("3 to 10 us"),
    ];
    let what = "new order approved, 64 instruments, 256 open orders; beside a gate of mutex, hash \
                maps and floats";
    let about = "one check of the large account, through a pointer; then rosters in one piece";
    let mut groups = vec![
        group("gate/small", "decision of the risk core, approved", cases),
        group("gate/large", what, large),
        group("gate/check", about, gate_parts()),
    ];
    groups.extend(breaker());
    groups
}

/// Circuit breakers, all closed but where told.
#[must_use]
pub fn breaker() -> Vec<Group> {
    let permit = vec![
        named("mutex", Behind::<false>::default()),
        named("shared", Shared::<false>::default()).noted("47 ns"),
        named("gate", Gate::default()).noted("47 ns"),
        named("gate_one_open", GateUnwell::default()),
    ];
    let call = vec![
        named("mutex", Behind::<true>::default()),
        named("shared", Shared::<true>::default()).noted("47 + 52 ns"),
        named("own", Own::default()),
    ];
    vec![
        group("breaker/permit", "permit of a circuit breaker, nothing recorded", permit),
        group("breaker/call", "permit and the success that follows", call),
    ]
}

fn gate_parts() -> Vec<Named> {
    let mut parts = vec![named("no_check", Part::new(no_check))];
    for check in PLACE_ROSTER.iter().chain(CANCEL_ROSTER) {
        let noted = if check.name == "kill" { "3 ns" } else { "" };
        parts.push(named(check.name, Part::new(check.run)).noted(noted));
    }
    parts.push(named("look_up", LookUp::default()));
    parts.push(named("limit_checks", Part::new(gate::judge_limits)).noted("3 us"));
    parts.push(named("place_roster", Part::new(gate::judge_place)).noted("3 to 10 us"));
    parts.push(named("mark_in", MarkIn::default()));
    parts
}

/// What risk knows of a book.
#[must_use]
pub fn portfolio() -> Vec<Group> {
    let order = vec![
        named("recomputed", Recomputed::default()),
        named("kept", Kept::default()).noted("3.1 us"),
        named("all_checks", Questions::default()),
    ];
    let upkeep = vec![
        named("sample", Upkeep::sample()),
        named("refresh", Upkeep::refresh()),
        named("fill", Upkeep::fill()),
    ];
    let what = format!("variance and correlation of an order, {INSTRUMENTS} instruments");
    vec![
        group("portfolio/order", what, order),
        group("portfolio/upkeep", "statistics of a book, off the order's way", upkeep),
        group("portfolio/size", "a quarter of Kelly under every cap", vec![named("size", Size)]),
    ]
}

/// Rings, log entry, journal.
#[must_use]
pub fn ring() -> Vec<Group> {
    let same_thread = vec![
        named("crossbeam_bounded", ChannelPushPop::default()),
        named("ring", RingPushPop::default()),
    ];
    let log = vec![named("copy", LogCopy::default()), named("encode", LogEncode::default())];
    let mut groups =
        vec![group("ring/same_thread", "push and pop of 64 B, empty ring", same_thread)];
    let slots = vec![
        named("crossbeam_bounded", SlotChannelTrip::default()),
        named("rings", SlotRoundTrip::default()),
    ];
    let batches = vec![
        named("crossbeam_queue", QueueSingles::default()),
        named("crossbeam_bounded", ChannelSingles::default()),
        named("rtrb_chunks", RtrbChunks::default()),
        named("ring_singles", RingSingles::default()),
        named("ring_chunks", RingChunks::default()),
        named("ring_in_place", RingInPlace::default()),
    ];
    let what = format!("{} messages of 64 B in and out, same thread", batch::MESSAGES);
    groups.push(group("ring/batch", what, batches));
    groups.push(group("ring/slot", "frame slot there and back, same thread", slots));
    for (name, what, moves) in [
        ("ring/turn", "turn over eight ring ends that finds nothing", false),
        ("ring/turn8", "turn over eight ring ends that moves eight messages", true),
    ] {
        let cases =
            vec![named("plain", Turn::plain(moves)), named("sampled", Turn::sampled(moves))];
        groups.push(group(name, what, cases));
    }
    for (name, alive) in [("signal/parents0", 0), ("signal/parents64", 64)] {
        let what = format!("turn of the signal agent with one top, {alive} parent orders alive");
        let cases = vec![
            named("plain", parents::Plain::new(alive)),
            named("agent", parents::Worked::new(alive)),
        ];
        groups.push(group(name, what, cases));
    }
    groups.extend(round_trip());
    groups.push(group("log_entry", "report into an entry of 256 B", log));
    let append = vec![
        named("bufwriter_crc32", BufferedAppend::default()),
        named("write_crc32", WrittenAppend::default()),
        named("journal", JournalAppend::default()),
        named("fresh_copy", FreshCopy::default()),
    ];
    groups.push(group("journal/append", "a record of 148 B, disk behind it", append));
    groups
}

/// What lanes pay to be seen.
#[must_use]
pub fn seen() -> Vec<Group> {
    type Hdr = hdrhistogram::Histogram<u64>;
    let mut groups = Vec::new();
    for (name, what, values) in [
        ("histogram", "record of one value, as stages have them", recording::usual()),
        ("histogram/same", "record of one value, always the same", recording::same()),
        ("histogram/spread", "record of one value, 64 ns to 17 s", recording::spread()),
    ] {
        let cases = vec![
            named("hdrhistogram", Noted::<Hdr, 1>::of(values.clone())),
            named("histogram", Noted::<Histogram, 1>::of(values)),
        ];
        groups.push(group(name, what, cases));
    }
    let many = vec![
        named("hdrhistogram", Noted::<Hdr, MANY>::of(recording::spread())),
        named("histogram", Noted::<Histogram, MANY>::of(recording::spread())),
    ];
    groups.push(group("histogram/many", format!("the same, {MANY} histograms in turn"), many));
    for steps in [0, 150] {
        let cases = vec![
            named("stamp", Stamp::after(steps)),
            named("hdrhistogram", Stage::<Hdr>::of(steps)),
            named("histogram", Stage::<Histogram>::of(steps)),
        ];
        let what = format!("{steps} multiplications, a stamp, and the span recorded");
        groups.push(group(&format!("histogram/stage{steps}"), what, cases));
    }
    let count = vec![named("locked", LockedCount::default()), named("count", Count::default())];
    groups.push(group("counters/add", "one more in a counter", count));
    let depth = vec![named("plain", Link::plain()), named("noted", Link::noted())];
    groups.push(group("ring/depth", "room, push, waiting, pop; both ends note the depth", depth));
    groups.extend(shown());
    groups
}

/// What only now and then happens on a lane: blocks of shared memory, orders, receive calls.
fn shown() -> Vec<Group> {
    let blocks = vec![
        named("copy", WordsCopy::default()),
        named("block", BlockWrite::default()),
        named("book", ShownBook::default()),
        named("position", ShownPosition::default()),
        named("account", ShownAccount::default()),
    ];
    let hops = vec![
        named("name", Sent::telling(Told::Name)),
        named("stamps", Sent::telling(Told::Stamps)),
        named("stamps_taken", Sent::telling(Told::Taken)),
        named("answered", Answered::default()),
    ];
    let receive = vec![
        named("recv", Receive::by(Way::Recv)),
        named("recvmsg", Receive::by(Way::Recvmsg)),
        named("recvmsg_stamped", Receive::by(Way::Stamped)),
    ];
    let what = format!("receive call for {} B that wait, over loopback", received::LEN);
    vec![
        group("shown", "block of shared memory: copy and block of 44 words, then whole", blocks),
        group("hops", "record of a send with so much of its hops; record of an answer", hops),
        group("receive", what, receive),
    ]
}

fn round_trip() -> Option<Group> {
    let Some((here, there)) = trip::cpus() else {
        eprintln!("ring/round_trip skipped: one CPU");
        return None;
    };
    let cases = vec![
        named("crossbeam_bounded", Trip::<ChannelPort>::to(there)),
        named("ring", Trip::<RingPort>::to(there)),
        named("raw_line", Trip::<LinePort>::to(there)),
    ];
    let what = format!("64 B from CPU {here} to CPU {there} and back, both spin with a pause");
    Some(group("ring/round_trip", what, cases))
}

/// A kernel at every level of this machine behind its baselines.
fn levels(
    name: &str,
    what: String,
    portfolio: &Rc<Portfolio>,
    mut cases: Vec<Named>,
    kernel: fn(&Rc<Portfolio>, Kernels) -> Kernel,
) -> Group {
    for kernels in Level::ALL.into_iter().filter_map(Kernels::at) {
        cases.push(named(kernels.level().name(), kernel(portfolio, kernels)));
    }
    group(name, what, cases)
}

/// The mathematics of a portfolio.
#[must_use]
pub fn kernels() -> Vec<Group> {
    let p = &Portfolio::draw();
    let (n, best) = (INSTRUMENTS, Kernels::best());
    let one = |name, case: Plain| vec![named(name, case)];
    let anew = vec![
        named("anew", Plain::covariance(p)),
        named("anew_by_kernel", Kernel::correlation(p, best)),
        named("plain", Plain::rank1(p)),
    ];
    let averages = vec![named("plain", Plain::ema(p)), named("plain_held", Plain::ema_held(p))];
    let pairs = format!("correlations of {n} instruments from {SAMPLES} samples");
    let update = format!("one sample into covariances of {n}, or those of {SAMPLES} anew");
    let worst = format!("P&L of {n} positions in {SAMPLES} samples, mean of the worst 1 %");
    let (ema, form, product) = (
        format!("moving averages of {n} instruments"),
        format!("w'Mw of {n}"),
        format!("Mw of {n}"),
    );
    vec![
        levels("kernels/ema", ema, p, averages, Kernel::ema),
        levels("kernels/form", form, p, one("plain", Plain::quadratic(p)), Kernel::quadratic),
        levels("kernels/product", product, p, one("plain", Plain::mat_vec(p)), Kernel::mat_vec),
        levels(
            "kernels/correlation",
            pairs,
            p,
            one("plain", Plain::correlation(p)),
            Kernel::correlation,
        ),
        levels("kernels/rank1", update, p, anew, Kernel::rank1),
        levels("kernels/shortfall", worst, p, one("plain", Plain::shortfall(p)), Kernel::shortfall),
    ]
}

/// Everything.
#[must_use]
pub fn all() -> Vec<Group> {
    [parse(), book(), gate(), ring(), seen(), kernels(), portfolio()]
        .into_iter()
        .flatten()
        .collect()
}
