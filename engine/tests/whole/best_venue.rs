//! Orders to the best venue in an engine that trades at three: `bot4 order` without a venue, and a
//! strategy. What each venue was asked for is read from the journal, what it did from its own log;
//! the run is captured, so that the whole chain comes out again with several venues.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::{
    self, Killed, bot4, check_account, number, output, report, sleep, started, status, stderr,
};
use crate::observer::ControlLine;
use crate::venue_log::{self, VenueLog};
use serde_json::Value;

const VENUES: [(&str, [&str; 2]); 3] = [
    ("okx", ["BTC-USDT", "ETH-USDT"]),
    ("binance", ["BTCUSDT", "ETHUSDT"]),
    ("bybit", ["BTCUSDT", "ETHUSDT"]),
];

/// Three venues of their own and an engine that trades at all of them.
struct Scene {
    state: tempfile::TempDir,
    engine: Killed,
    lines: Vec<ControlLine>,
    _venues: Vec<Killed>,
}

impl Scene {
    fn new() -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let (mut venues, mut lines, mut hosts) = (Vec::new(), Vec::new(), String::new());
        for (n, (name, symbols)) in VENUES.iter().enumerate() {
            let mut command = bot4(state.path());
            let seed = (n + 1).to_string();
            command.args(["venue", "--venue", name, "--seed", &seed, "--state"]);
            let (process, endpoints) = started(command.arg(state.path().join(name)));
            lines.push(ControlLine::new(&endpoints));
            venues.push(process);
            let keys = ["market", "api", "rest", "ca", "api_key", "private_key"];
            let line = |key| Some(format!("{key} = \"{}\"\n", endpoints[key].as_str()?));
            let keys: String = keys.into_iter().filter_map(line).collect();
            let dead_man = if *name == "binance" { "dead_man = \"none_available\"\n" } else { "" };
            hosts += &format!(
                "[[venues]]\nname = \"{name}\"\nsymbols = {symbols:?}\ntaker_fee_pct = 0.1\n\
                 {dead_man}{keys}\n"
            );
        }
        // A person's orders may be larger than what any venue shows; the strategy's are cut.
        let text = format!(
            "[run]\nlanes = 2\ncapture = true\nshed = false\n\n{hosts}\
             [risk]\norder_notional_max = 500000.0\nposition_pct = 20.0\n\n\
             [risk.breaker]\nerrors = 1\nlosses = 0\nopen_for = \"2s\"\n\n\
             [[risk.strategy]]\nstrategy = 1\norder_notional_max = 5000.0\n\n\
             [[strategy]]\nkind = \"best\"\nsymbol = \"ETH/USDT\"\n\
             side = \"buy\"\nnotional = 12000.0\nover = \"5s\"\n\n\
             [journal]\nstall_max = \"30s\"\nsegment_mib = 1\n"
        );
        let toml = state.path().join("venues.toml");
        std::fs::write(&toml, text).expect("written");
        let mut command = bot4(state.path());
        command.args(["run", "--for", "90s", "--report"]).arg(state.path().join("report.json"));
        let log = std::fs::File::create(state.path().join("stderr")).expect("a file");
        command.arg("--config").arg(&toml).stdout(Stdio::null()).stderr(log);
        let engine = Killed(command.spawn().expect("it starts"));
        Self { state, engine, lines, _venues: venues }
    }

    fn folder(&self) -> &Path {
        self.state.path()
    }

    /// A fault strikes venue `v`.
    fn strike(&mut self, v: usize, command: &str) {
        self.lines[v].say(command);
        for _ in 0..1_000 {
            match self.lines[v].hear() {
                Some(answer) if answer["done"] == command => return,
                Some(_) => {}
                None => sleep(2),
            }
        }
        panic!("{command}: no answer");
    }

    fn status(&self) -> Value {
        status::of(self.folder())
    }

    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut status = Value::Null;
        for _ in 0..300 {
            status = self.status();
            if holds(&status) {
                return status;
            }
            sleep(50);
        }
        panic!("not in time: {what}: {status}\n{}", self.said());
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder().join("stderr")).unwrap_or_default()
    }

    /// Begins an order of the pair; its name.
    fn order(&self, text: &str) -> String {
        let args = text.split_whitespace();
        let out = output(
            bot4(self.folder()).arg("order").args(args).args(["--reason", "a test", "--json"]),
        );
        assert_eq!(out.status.code(), Some(0), "{text}: {}", stderr(&out));
        let line: Value = serde_json::from_slice(&out.stdout).expect("JSON");
        let order = &line["order"];
        assert_eq!(order["symbol"], "BTC/USDT", "{line}");
        order["id"].as_str().expect("a name").to_owned()
    }

    /// What is refused, as it is told.
    fn refused(&self, text: &str) -> String {
        let args = text.split_whitespace();
        let out = output(bot4(self.folder()).arg("order").args(args).args(["--reason", "a test"]));
        assert_eq!(out.status.code(), Some(2), "{text}");
        stderr(&out)
    }

    /// The order called `id`, once `holds` is true of it. It is exact whenever it is looked at.
    fn once(&self, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..400 {
            let out = output(bot4(self.folder()).args(["order", "list", "--json"]));
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let all = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
            last = all.map(|l| l["order"].clone()).find(|o| o["id"] == id).unwrap_or_default();
            assert!(last.is_null() || last["exact"] == true, "{last}");
            if holds(&last) {
                return last;
            }
            sleep(50);
        }
        panic!("{id}, {what}: {last}\n{}", self.said());
    }

    /// It is over, and what it leaves is less than any venue takes; what it filled, 10^-8 BTC.
    fn worked(&self, id: &str) -> i64 {
        let done = self.once(id, "is over", |o| o["state"] == "ended");
        let qty = |key: &str| {
            let qty: f64 = done[key].as_str().and_then(|t| t.parse().ok()).expect("a number");
            (qty * 1e8).round() as i64
        };
        let (filled, left) = (qty("filled"), qty("left"));
        assert!(done["end"] == "filled" || (done["end"] == "dust" && left < 1_000), "{done}");
        assert!(filled > 0 && filled + left == qty("total"), "{done}");
        filled
    }

    /// Sells until breakers have opened more than `before` times, of what no lot of a hundredth
    /// divides. Which venue is best changes with the market: some orders may pass by the one that
    /// refuses.
    fn around_a_breaker(&self, before: u64) -> Vec<String> {
        let mut orders = Vec::new();
        for _ in 0..12 {
            let order = self.order("--side sell --symbol BTC/USDT --size 0.1537 --algo best");
            self.once(&order, "is over", |o| o["state"] == "ended");
            orders.push(order);
            if opened(&self.status()["breakers"]) > before {
                return orders;
            }
        }
        panic!("no breaker opened: {}", self.status());
    }

    /// Ends in order; the report.
    fn end(&mut self) -> Value {
        common::signal(&self.engine.0, "-INT");
        let status = self.engine.0.wait().expect("it ends");
        let report = report(&self.folder().join("report.json"));
        assert_eq!(status.code(), Some(0), "{report}\n{}", self.said());
        check_account(&report);
        for (v, (name, _)) in VENUES.iter().enumerate() {
            for zero in ["orders_differ", "positions_differ", "balances_differ"] {
                let venue = &report["venues"][v];
                assert_eq!(venue["reconcile"][zero], 0, "{zero} at {name}: {report}");
            }
        }
        report
    }

    fn run(&self) -> PathBuf {
        let runs = std::fs::read_dir(self.folder().join("bot4/runs")).expect("runs").flatten();
        runs.map(|e| e.path()).max().expect("a run")
    }

    /// Every child that was approved: its parent, venue, quantity in 10^-9 of the base asset.
    fn children(&self) -> Vec<(String, usize, i64)> {
        // The wires' decimals of BTC: nine at OKX, eight at Binance and Bybit.
        let units = [1, 10, 10];
        let journal = self.run().join("journal");
        let out = output(bot4(self.folder()).args(["journal", "dump"]).arg(journal));
        let text = String::from_utf8(out.stdout).expect("UTF-8");
        let lines = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let child = |r: Value| {
            let body = (r["kind"] == "approved").then(|| r["body"].clone())?;
            let parent = body["parent"].as_str()?.to_owned();
            let instrument = body["instrument"].as_u64()? as usize;
            let venue = instrument / 2;
            Some((parent, venue, body["qty"].as_i64()? * units[venue]))
        };
        lines.filter_map(child).collect()
    }
}

/// How often breakers of instruments and venues have opened.
fn opened(breakers: &Value) -> u64 {
    let of = |level: &str| breakers["opened"][level].as_u64();
    ["instrument", "venue"].into_iter().filter_map(of).sum()
}

/// The share of an order that is filled.
fn share(order: &Value) -> f64 {
    let of = |key: &str| order[key].as_str().and_then(|t| t.parse::<f64>().ok());
    of("filled").zip(of("total")).map_or(0.0, |(filled, total)| filled / total)
}

/// Children of `parent` by venue.
fn by_venue(children: &[(String, usize, i64)], parent: &str) -> BTreeMap<usize, Vec<i64>> {
    let mut found: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (_, v, qty) in children.iter().filter(|(p, ..)| p == parent) {
        found.entry(*v).or_default().push(*qty);
    }
    found
}

/// Net quantity of BTC bought by own orders, 10^-8, by the venues' own logs.
fn bought(folder: &Path) -> i64 {
    let of = |(name, symbols): &(&str, [&str; 2])| {
        let mut log = VenueLog::of(&folder.join(name));
        log.read_on();
        let own = |(key, trade): (&(String, u64), &venue_log::Trade)| {
            let order = log.orders.get(&trade.order).filter(|_| key.0 == symbols[0])?;
            Some(if order.buys { trade.qty } else { -trade.qty })
        };
        log.trades.iter().filter_map(own).sum::<i64>()
    };
    VENUES.iter().map(of).sum()
}

#[test]
fn orders_go_where_they_are_best_and_elsewhere_when_that_fails() {
    let mut scene = Scene::new();
    scene.until("all books are live", |s| s["books_live"] == 6 && s["session_ready"] == true);
    let told = scene.refused("--side buy --symbol BTC/USDT --size 1 --algo iceberg --limit 9");
    assert!(told.contains("choose one of okx:BTC-USDT, binance:BTCUSDT"), "{told}");
    // More than one venue shows: it is split by depth.
    let split = scene.order("--side buy --symbol BTC/USDT --size 3 --algo best --over 20s");
    let first = scene.worked(&split);
    // What is sent from now on is a person's alone.
    let own = scene.once("s1", "is over", |o| o["state"] == "ended");
    assert!(share(&own) > 0.99, "{own}");
    let sliced = scene
        .order("--side sell --symbol BTC/USDT --size 0.2 --algo best --over 20s --slice-min 0.02");
    let mut net = -scene.worked(&sliced);
    // The venue that a schedule goes to dies: the others go on.
    let sent = |s: &Value, v: usize| s["venues"][v]["sent"].as_u64().unwrap_or(0);
    let before = scene.status();
    let scheduled = scene.order("--side buy --symbol BTC/USDT --size 0.3 --algo twap --over 5s");
    scene.once(&scheduled, "has begun", |o| o["children"].as_u64() > Some(2));
    let begun = scene.status();
    let asked = |v: &usize| sent(&begun, *v) - sent(&before, *v);
    let dies = (0..VENUES.len()).max_by_key(asked).expect("venues");
    scene.strike(dies, "outage 2500ms");
    let down = scene.until("its session is lost", |s| s["venues"][dies]["session_ready"] == false);
    let others =
        |s: &Value| (0..VENUES.len()).filter(|v| *v != dies).map(|v| sent(s, v)).sum::<u64>();
    let after = scene.until("the others go on", |s| others(s) > others(&down));
    assert_eq!(sent(&after, dies), sent(&down, dies), "an order left for a venue that is down");
    net += first + scene.worked(&scheduled);
    scene.until("it is back", |s| s["session_ready"] == true && s["books_live"] == 6);
    // The venue that is best just now refuses: its breaker opens, and orders go elsewhere.
    let before = scene.status();
    let best = scene.order("--side sell --symbol BTC/USDT --size 0.1537 --algo best");
    net -= scene.worked(&best);
    let after = scene.status();
    let asked = |v: &usize| sent(&after, *v) - sent(&before, *v);
    let refuses = (0..VENUES.len()).max_by_key(asked).expect("venues");
    scene.strike(refuses, &format!("filters {} lot=0.01", VENUES[refuses].1[0]));
    let before = opened(&after["breakers"]);
    let around = scene.around_a_breaker(before);
    net -= around.iter().map(|order| scene.worked(order)).sum::<i64>();
    let report = scene.end();
    assert!(opened(&report["risk"]["breakers"]) > before, "{report}");
    look_at_children(&scene, [&split, &sliced, &scheduled]);
    let children = scene.children();
    let venues: BTreeSet<usize> =
        around.iter().flat_map(|order| by_venue(&children, order).into_keys()).collect();
    assert!(venues.len() > 1, "around what refuses: {children:?}");
    assert_eq!(bought(scene.folder()), net, "the orders' account and the venues' own logs");
    let out = output(bot4(scene.folder()).args(["replay", "--verify", "--json"]).arg(scene.run()));
    let replayed: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!((out.status.code(), &replayed["same"]), (Some(0), &true.into()), "{replayed:#}");
    assert_eq!(replayed["chain"]["unverified"], 0, "{replayed:#}");
    assert!(number(&replayed, "/chain/frames") > 1_000, "{replayed:#}");
}

fn look_at_children(scene: &Scene, [split, sliced, scheduled]: [&str; 3]) {
    let children = scene.children();
    let of = |parent: &str| by_venue(&children, parent);
    assert!(of(split).len() > 1, "one venue alone: {:?}", of(split));
    // Below the smallest slice only the tail.
    let largest = of(sliced).into_values().flatten().max();
    assert!(largest >= Some(20_000_000), "no slice as large as the smallest: {:?}", of(sliced));
    assert!(of(scheduled).len() > 1, "{children:?}");
    assert!(!of("s1").is_empty(), "the strategy has its children, where it was best: {children:?}");
}
