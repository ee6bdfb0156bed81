//! The truth about orders over real sockets: scripted mishaps of the account, and outages of every
//! kind, at engines of their own process that trade through TLS. Whatever happened, every order
//! and fill of the journal is held against the venue's own log.
//!
//! A session is one mishap at a trading engine: it begins with the strike and ends with the next
//! one, and counts when an order came to the venue in it. `BOT4_SESSIONS` sets how many there are
//! (default 20), `BOT4_TRADE_OUTAGES` how many outages (default 20); `.ci/deep` sets both. To look
//! at some alone: `BOT4_TRADE_VENUE=kraken`, `BOT4_TRADE_KIND=half-open`.

mod common;
mod observer;
mod order_truth {
    pub mod audit;
    pub mod proxy;
    pub mod rig;
    pub mod venue_log;
}

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use bot4_types::rng::SplitMix64;
use bot4_venues::Venue;
use common::sleep;
use order_truth::audit::{Figures, percentiles};
use order_truth::proxy::Mode;
use order_truth::rig::{Rig, unix_ms};
use order_truth::venue_log::{Order, Since, is_own};
use serde_json::json;

const TRADED: [(Venue, [&str; 2]); 5] = [
    (Venue::Binance, ["BTCUSDT", "ETHUSDT"]),
    (Venue::Bybit, ["BTCUSDT", "ETHUSDT"]),
    (Venue::Okx, ["BTC-USDT", "ETH-USDT"]),
    (Venue::Kraken, ["BTC/USD", "ETH/USD"]),
    (Venue::Coinbase, ["BTC-USD", "ETH-USD"]),
];

/// From the venue's return to an order of every symbol there.
const BACK_WITHIN_MS: u64 = 5_000;

/// Another, declared program trades: the ledger follows the venue's balances.
const OTHER_TRADES: &str = "foreign-trade";
/// What goes wrong with the account's messages; every one heals by itself.
const MISHAPS: [&str; 19] = [
    "lose-ack",
    "late-ack 800ms",
    "late-ack 60s",
    "ack-after-fill 700ms",
    "fail-ack",
    "fill-after-cancel 2s",
    "lose-report",
    "repeat-report",
    OTHER_TRADES,
    "late-report 700ms",
    "replay-reports",
    "deaf 600ms",
    "mute 600ms",
    "silent-cancel",
    "drop-private 1",
    "outage 300ms",
    "ban 500ms",
    "clock-jump 700ms",
    "clock-back 700ms",
];

/// Balances are compared often enough to follow what the other program did.
const COMPARED: &str = "[account]\ncompare = \"1s\"\ncompare_patience = \"1s\"\n\
                        foreign_orders = [\"web_\"]\n";

/// Until the ledger has followed both balances that another's trade has moved.
const FOLLOWED_AFTER_MS: u64 = 4_000;

/// One of the tests at a time: five engines and five venues are enough for two CPUs.
static ALONE: Mutex<()> = Mutex::new(());
/// To the first orders, s: the processes start side by side.
const STARTED_WITHIN_S: u64 = 60;

/// `name` asks for another one than `it`.
fn only(name: &str, it: &str) -> bool {
    std::env::var(name).is_ok_and(|wanted| wanted != it)
}

fn wanted(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
fn scripted_sessions_end_in_the_venues_truth() {
    let _alone = ALONE.lock();
    let wished = |(_, (kind, _)): &(usize, (Venue, _))| !only("BOT4_TRADE_VENUE", kind.name());
    let traded: Vec<_> = TRADED.into_iter().enumerate().filter(wished).collect();
    let each = wanted("BOT4_SESSIONS", 20).div_ceil(TRADED.len());
    let mut mishaps = MISHAPS.to_vec();
    mishaps.retain(|mishap| !only("BOT4_TRADE_KIND", mishap));
    let mishaps = &mishaps;
    let (sums, sessions) = (Mutex::new(Figures::default()), Mutex::new(0));
    std::thread::scope(|scope| {
        for (rig, (kind, symbols)) in traded.iter().copied() {
            let (sums, sessions) = (&sums, &sessions);
            scope.spawn(move || {
                let mut rig_of = Rig::start(kind, symbols, false, COMPARED);
                rig_of.traded_since(Since::default(), STARTED_WITHIN_S).expect("it trades");
                let (mut strikes, mut story) = (Vec::new(), Vec::new());
                for n in 0..each {
                    // Each rig begins elsewhere in the list, so that a short run has them all.
                    let first = rig * MISHAPS.len() / TRADED.len();
                    let mishap = mishaps[(n + first) % mishaps.len()];
                    strikes.push(rig_of.newest());
                    let at_ms = match mishap {
                        OTHER_TRADES => rig_of.strike(&format!("{mishap} {}", symbols[0])),
                        _ => rig_of.strike(mishap),
                    };
                    story.push((at_ms, mishap));
                    sleep(if each > MISHAPS.len() { 1_300 } else { 900 });
                }
                strikes.push(rig_of.newest());
                sleep(FOLLOWED_AFTER_MS);
                rig_of.log.read_on();
                let orders = &rig_of.log.orders;
                let own = |(_, order): (_, &Order)| is_own(&order.client_id);
                let between = |w: &[u64]| (Bound::Excluded(w[0]), Bound::Included(w[1]));
                let within = |w: &&[u64]| orders.range(between(w)).any(own);
                let full = strikes.windows(2).filter(within).count();
                *sessions.lock().expect("no panic") += full;
                let figures = rig_of.end();
                if !figures.findings.is_empty() {
                    println!("{}: {story:?}", kind.name());
                }
                println!("{}: {full} of {each} sessions with orders", kind.name());
                sums.lock().expect("no panic").add(figures);
            });
        }
    });
    let (mut sums, sessions) =
        (sums.into_inner().expect("whole"), *sessions.lock().expect("whole"));
    println!("{}", json!({"sessions": sessions, "truth": sums.line()}));
    assert!(sums.findings.is_empty(), "{:#?}", sums.findings);
    assert!(sessions * 10 >= each * traded.len() * 7, "{sessions} sessions had orders");
    assert!(sums.orders > 50 && sums.fills > 10, "{} orders, {} fills", sums.orders, sums.fills);
}

/// Ways of being away.
const OUTAGES: [&str; 11] = [
    "reset",
    "black hole",
    "half-open",
    "venue restarted",
    "tls failure",
    "private stream down",
    "entry down",
    "ban",
    "clock step",
    "all connections closed",
    NAMES,
];
/// Names are not found: needs a file of hosts of the engine's own.
const NAMES: &str = "dns failure";

/// Lets `kind` strike; when the venue could be reached again.
fn struck(rig: &mut Rig, kind: &str, rng: &mut SplitMix64) -> Since {
    let order = rig.newest();
    Since { ms: strike(rig, kind, rng), order }
}

/// By the venue's clock.
fn strike(rig: &mut Rig, kind: &str, rng: &mut SplitMix64) -> u64 {
    let mut ms = |least: u64, most: u64| least + rng.below(most - least);
    match kind {
        "reset" => {
            rig.network.reset_all();
            rig.venue_ms()
        }
        "black hole" => {
            rig.network.set(Mode::Hole);
            sleep(ms(500, 4_000));
            rig.network.set(Mode::Pass);
            rig.venue_ms()
        }
        "half-open" => {
            rig.network.kill_all();
            rig.venue_ms()
        }
        "venue restarted" => rig.restart_venue(ms(100, 2_000)),
        "tls failure" => {
            rig.network.set(Mode::Garbage);
            rig.network.reset_all();
            sleep(ms(300, 2_500));
            rig.network.set(Mode::Pass);
            rig.venue_ms()
        }
        "private stream down" => lasting(rig, "deaf", ms(500, 2_500)),
        "entry down" => lasting(rig, "mute", ms(500, 2_500)),
        "ban" => lasting(rig, "ban", ms(500, 2_500)),
        // Forth and back to the true time: where fills are listed by time, those of before the
        // run's start would not be asked for.
        "clock step" => {
            let by_ms = ms(1_500, 4_000);
            rig.strike(&format!("clock-jump {by_ms}ms"));
            sleep(1_000);
            rig.strike(&format!("clock-back {by_ms}ms"));
            rig.venue_ms()
        }
        NAMES => {
            let hosts = rig.hosts.clone().expect("a file of hosts");
            std::fs::write(&hosts, "").expect("written");
            rig.network.reset_all();
            sleep(ms(300, 2_000));
            std::fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
            rig.venue_ms()
        }
        _ => {
            let back = rig.strike("drop-connections");
            assert!(back <= unix_ms() + 600_000, "a time of the venue");
            back
        }
    }
}

/// A fault of the venue that ends by itself; when it does.
fn lasting(rig: &mut Rig, fault: &str, ms: u64) -> u64 {
    let back = rig.strike(&format!("{fault} {ms}ms")) + ms;
    sleep(ms);
    back
}

/// May this machine give a process a file of hosts of its own?
fn can_name() -> bool {
    let script = "mount --bind /dev/null /etc/hosts";
    let tried = std::process::Command::new("unshare").args(["-m", "sh", "-c", script]).status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        println!("skipped: no mount namespaces here, so no failure of names");
    }
    can
}

#[test]
fn trading_is_back_within_five_seconds_of_every_outage() {
    let _alone = ALONE.lock();
    let all = wanted("BOT4_TRADE_OUTAGES", 20);
    const RIGS: usize = TRADED.len();
    let named = can_name();
    let mut kinds = OUTAGES.to_vec();
    kinds.retain(|kind| (named || *kind != NAMES) && !only("BOT4_TRADE_KIND", kind));
    let kinds = &kinds;
    // The connects that each outage costs must stay within what a venue allows in five minutes:
    // beyond that the engine would have to wait, and rightly.
    let spared_ms = |kind| match (all > 40, kind) {
        (false, _) => 150,
        // The fewest of all: 75 in five minutes.
        (true, Venue::Kraken) => 25_000,
        (true, _) => 10_500,
    };
    let times = Mutex::new(BTreeMap::<&str, Vec<u64>>::new());
    let sums = Mutex::new(Figures::default());
    std::thread::scope(|scope| {
        for (rig, (kind, symbols)) in TRADED.into_iter().enumerate() {
            if only("BOT4_TRADE_VENUE", kind.name()) {
                continue;
            }
            let (times, sums) = (&times, &sums);
            scope.spawn(move || {
                let mut rng = SplitMix64::new(7 + rig as u64);
                let mut rig_of = Rig::start(kind, symbols, named, "");
                let mut since = Since::default();
                for n in (rig..all).step_by(RIGS) {
                    // Round by round another rig meets a kind.
                    let outage = kinds[(n + n / kinds.len()) % kinds.len()];
                    rig_of
                        .traded_since(since, STARTED_WITHIN_S)
                        .expect("it trades before the outage");
                    sleep(spared_ms(kind) + rng.below(300));
                    let before = rig_of.status();
                    let back = struck(&mut rig_of, outage, &mut rng);
                    let traded = rig_of.traded_since(back, 40);
                    let took = traded.map_or(40_000, |at| at - back.ms);
                    if took >= BACK_WITHIN_MS {
                        println!("{} {outage}: {took} ms; before and behind it:", kind.name());
                        println!("{before}\n{}", rig_of.status());
                    }
                    times.lock().expect("no panic").entry(outage).or_default().push(took);
                    since = rig_of.now();
                }
                sums.lock().expect("no panic").add(rig_of.end());
            });
        }
    });
    let mut sums = sums.into_inner().expect("whole");
    let mut every = Vec::new();
    for (kind, mut of) in times.into_inner().expect("whole") {
        println!("{}", json!({"outage": kind, "n": of.len(), "ms": percentiles(&mut of, 1)}));
        every.extend(of);
    }
    let ms = percentiles(&mut every, 1);
    println!("{}", json!({"outages": every.len(), "back_ms": ms, "truth": sums.line()}));
    assert!(sums.findings.is_empty(), "{:#?}", sums.findings);
    assert!(ms["p99"].as_u64().is_some_and(|p99| p99 < BACK_WITHIN_MS), "{ms}");
}
