//! Every kind of order in an engine that runs, at every venue that is traded: a planted strategy
//! uses them in turn, another leaves its positions by stops, a third works icebergs. Each kind is
//! counted by the venue's own log, and the account is exact.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use crate::common::rig::{ended, signal, told};
use crate::common::{Killed, bot4, check_account, output, report, sleep, started, stderr};
use bot4_types::ClientId;
use serde_json::Value;

/// Who is traded, by which name; whether it amends in place or by replacing.
const VENUES: [(&str, &str, bool); 5] = [
    ("binance", "BTCUSDT", true),
    ("kraken", "BTC/USD", true),
    ("bybit", "BTCUSDT", true),
    ("okx", "BTC-USDT", true),
    ("coinbase", "BTC-USD", true),
];

/// Where stops lie at the venue; elsewhere the router guards them.
const LIE_THERE: [&str; 4] = ["binance", "kraken", "bybit", "coinbase"];

/// An order as the venue's log has it in the end.
#[derive(Clone, Debug, Default)]
struct Order {
    kind: String,
    tif: String,
    status: String,
    amends: u64,
    filled: i64,
    /// Its trigger was not reached.
    waiting: bool,
}

/// The own orders of the venue with this folder, by client id. Ids that are no engine's are the
/// venue's words for them, which the dialect keeps: they count as well.
fn orders(folder: &Path) -> BTreeMap<String, Order> {
    let text = std::fs::read_to_string(folder.join("account.log")).expect("a log");
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else { continue };
        for order in record["orders"].as_array().into_iter().flatten() {
            let text = |key: &str| order[key].as_str().unwrap_or_default().to_owned();
            let read = Order {
                kind: text("kind"),
                tif: text("tif"),
                status: text("status"),
                amends: order["amends"].as_u64().unwrap_or(0),
                filled: order["filled"].as_i64().unwrap_or(0),
                waiting: order["waiting"].as_bool().unwrap_or(false),
            };
            found.insert(text("client_id"), read);
        }
    }
    found
}

/// The orders that risk approved, by venue: client id and the intent, with a word for whether the
/// engine was told that its trigger was reached.
fn approved(state: &Path, run: &Path) -> Vec<Vec<(String, Value)>> {
    let out = output(bot4(state).args(["journal", "dump"]).arg(run.join("journal")));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let mut found = vec![Vec::new(); VENUES.len()];
    let records: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let is_told = |r: &&Value| r["kind"] == "report" && r["body"]["what"] == "triggered";
    let told: BTreeSet<_> =
        records.iter().filter(is_told).map(|r| r["body"]["order"].as_u64()).collect();
    for record in &records {
        let body = &record["body"];
        if record["kind"] == "approved" && body["action"] == "place" {
            let v = body["instrument"].as_u64().expect("an instrument") as usize;
            let id = body["client_id"].as_str().expect("an id").to_owned();
            let mut intent = body.clone();
            intent["triggered"] = told.contains(&body["order"].as_u64()).into();
            found[v].push((id, intent));
        }
    }
    found
}

#[test]
fn every_kind_of_order_is_worked_at_every_venue() {
    let state = tempfile::tempdir().expect("a folder");
    let state = state.path();
    let (mut processes, mut hosts) = (Vec::new(), String::new());
    for (n, (name, symbol, _)) in VENUES.iter().enumerate() {
        let mut command = bot4(state);
        let seed = (n + 11).to_string();
        command.args(["venue", "--venue", name, "--seed", &seed, "--state"]);
        let (process, endpoints) = started(command.arg(state.join(name)));
        processes.push(process);
        let keys = ["market", "api", "rest", "ca", "api_key", "private_key"];
        let line = |key| Some(format!("{key} = \"{}\"\n", endpoints[key].as_str()?));
        let keys: String = keys.into_iter().filter_map(line).collect();
        let has_none = matches!(*name, "binance" | "coinbase");
        let dead_man = if has_none { "dead_man = \"none_available\"\n" } else { "" };
        hosts +=
            &format!("[[venues]]\nname = \"{name}\"\nsymbols = [\"{symbol}\"]\n{dead_man}{keys}\n");
    }
    let text = format!(
        "[run]\nlanes = 2\n\n{hosts}\
         [[strategy]]\nkind = \"market_maker\"\nnative_exit = \"stop\"\n\n\
         [[strategy]]\nkind = \"ema_cross\"\nstop_pct = 0.01\nnative_exit = \"stop\"\n\
         cooldown = \"500ms\"\n\n\
         [[strategy]]\nkind = \"iceberg\"\nside = \"buy\"\nnotional = 1500.0\n\
         display_notional = 300.0\nlimit_pct = 0.01\nover = \"5s\"\nrepeat = \"100ms\"\n\n\
         [journal]\nstall_max = \"30s\"\nsegment_mib = 1\n"
    );
    let (toml, file) = (state.join("venues.toml"), state.join("report.json"));
    std::fs::write(&toml, text).expect("written");
    let mut command = bot4(state);
    command.args(["run", "--for", "2m", "--plant", "every", "--report"]).arg(&file);
    command.arg("--config").arg(&toml).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut engine = Killed(command.spawn().expect("it starts"));
    sleep(USUALLY_MS);
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs").flatten();
    let run = runs.map(|e| e.path()).max().expect("a run");
    let mut lacking = lacks(state, &run);
    for _ in 0..LOOKS {
        if lacking.is_empty() {
            break;
        }
        sleep(2_000);
        lacking = lacks(state, &run);
    }
    signal(&engine.0, "INT");
    let (code, told) = (ended(&mut engine), told(&mut engine));
    let report = report(&file);
    assert_eq!(code, Some(0), "{told}\n{report}");
    check_account(&report);
    assert_eq!(lacking, Vec::<String>::new());
    let asked = approved(state, &run);
    for (v, (name, ..)) in VENUES.iter().enumerate().filter(|(_, v)| LIE_THERE.contains(&v.0)) {
        triggers_agree(name, &asked[v], &orders(&state.join(name)));
    }
    let out = output(bot4(state).args(["replay", "--verify"]).arg(&run));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
}

/// Until every venue has usually seen every kind; what needs the market to turn may take longer.
const USUALLY_MS: u64 = 8_000;
const LOOKS: usize = 20;

/// What the venues have not seen yet.
fn lacks(state: &Path, run: &Path) -> Vec<String> {
    let asked = approved(state, run);
    let at = |(v, (name, _, amends)): (usize, &(&str, &str, bool))| {
        look_at(name, *amends, &asked[v], &orders(&state.join(name)))
    };
    VENUES.iter().enumerate().flat_map(at).collect()
}

/// The order of this client id stands for one that was amended by replacing it.
fn is_replacement(id: &str) -> bool {
    ClientId::parse(id.as_bytes())
        .is_some_and(|(epoch, order)| ClientId::new(epoch, order).as_str() != id)
}

/// What was asked for is what the venue has; what it lacks.
fn look_at(
    name: &str,
    amends: bool,
    asked: &[(String, Value)],
    at_venue: &BTreeMap<String, Order>,
) -> Vec<String> {
    let mut lacking = Vec::new();
    let mut count = |what: &str, of: &dyn Fn(&Order) -> bool| {
        if !at_venue.values().any(of) {
            lacking.push(format!("{name}: no {what} in its own log"));
        }
    };
    count("order that rests and adds", &|o| o.kind == "LimitMaker" || o.tif == "Gtc");
    count("order that takes at once", &|o| o.tif == "Ioc");
    count("order of all or nothing", &|o| o.tif == "Fok");
    count("order that was withdrawn", &|o| o.status == "Canceled");
    count("fill", &|o| o.filled > 0);
    if amends {
        let replaced = at_venue.keys().any(|id| is_replacement(id));
        count("amended order", &|o| replaced || o.amends > 0);
    }
    if LIE_THERE.contains(&name) {
        let stops = |o: &Order| o.kind.contains("Stop");
        count("stop that lies there", &stops);
        count("stop that was withdrawn", &|o| stops(o) && o.status == "Canceled");
        count("stop that was triggered and filled", &|o| stops(o) && o.filled > 0);
    }
    // What the venue does not know of is the engine's own: dated, parts of a parent.
    for (what, of) in OWN_KINDS {
        let [approved, known] = sent(asked, at_venue, of);
        if known == 0 {
            lacking.push(format!("{name}: {what}: {approved} approved, none at the venue"));
        }
    }
    lacking
}

/// The engine was told that a stop was triggered exactly where it was.
fn triggers_agree(name: &str, asked: &[(String, Value)], at_venue: &BTreeMap<String, Order>) {
    let known = asked.iter().filter_map(|(id, i)| Some((i, at_venue.get(id)?)));
    let stops: Vec<_> = known.filter(|(_, order)| order.kind.contains("Stop")).collect();
    for (intent, order) in &stops {
        let is_told = intent["triggered"] == true;
        assert_eq!(is_told, !order.waiting, "{name}: triggered, here and there: {intent}");
    }
    let of = |is: fn(&Order) -> bool| stops.iter().filter(|(_, order)| is(order)).count();
    let (canceled, filled) = (of(|o| o.status == "Canceled"), of(|o| o.filled > 0));
    println!("{name}: {} stops, {canceled} withdrawn, {filled} filled", stops.len());
}

/// An intent is of some kind.
type IsOf = fn(&Value) -> bool;
/// Kinds that the venue has no word for; the last two need something held.
const OWN_KINDS: [(&str, IsOf); 4] = [
    ("good till a time", |i| i["until"].is_number()),
    ("an iceberg's part", |i| i["parent"].is_string()),
    ("may only reduce", |i| i["reduce_only"] == true),
    ("a guarded exit", |i| i["strategy"] == 1 && i["cause"] != "market"),
];

/// Orders of this kind: approved, and of them those that the venue has.
fn sent(asked: &[(String, Value)], at_venue: &BTreeMap<String, Order>, is_of: IsOf) -> [usize; 2] {
    let ids: BTreeSet<_> = asked.iter().filter(|(_, i)| is_of(i)).map(|(id, _)| id).collect();
    [ids.len(), ids.iter().filter(|id| at_venue.contains_key(id.as_str())).count()]
}
