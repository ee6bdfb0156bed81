//! `bot4 book` and `bot4 replay` on real recordings.

use crate::common::recorded::{self, is_same};
use crate::common::{bot4, number, output, recordings, stderr};
use serde_json::Value;
use std::path::PathBuf;

/// Lines of a recording of Binance.
fn lines(folder: &str, more: &[&str], files: &[&str]) -> Option<Vec<Value>> {
    let folder = recordings()?.join(folder);
    let state = tempfile::tempdir().expect("a folder");
    let paths: Vec<PathBuf> = files.iter().map(|f| folder.join(f)).collect();
    let mut command = bot4(state.path());
    command.args(["book", "--venue", "binance", "--json"]).args(more);
    if folder.join("rest.jsonl.gz").exists() {
        command.arg("--snapshots").arg(folder.join("rest.jsonl.gz"));
    }
    let out = output(command.args(paths));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    Some(text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect())
}

fn expected(folder: &str) -> Value {
    let path = recordings().expect("checked before").join(folder).join("expected.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("readable")).expect("JSON")
}

#[test]
fn one_symbol_with_checkpoints() {
    let folder = "binance_spot_btcusdt_20240808";
    let files = ["btcusdt_20240808.gz", "btcusdt_20240809.gz"];
    let Some(lines) = lines(folder, &["--every", "500"], &files) else { return };
    let expected = expected(folder);
    let last = lines.last().expect("a line");
    let end = &expected["final"];
    assert_eq!(last["final_update_id"], end["u"]);
    for same in ["applied", "best_bid", "best_ask", "bid_levels", "ask_levels", "top20_crc32"] {
        assert_eq!(last[same], end[same], "{same}");
    }
    assert_eq!((number(last, "/ticker_equal"), number(last, "/ticker_differs")), (6_490, 2));
    assert_eq!(last["trades"], expected["trades"]["count"]);
    assert_eq!((number(last, "/gaps"), number(last, "/crossed")), (0, 0));
    for point in expected["checkpoints"].as_array().expect("checkpoints") {
        let applied = point["applied"].as_u64().expect("a count");
        if applied % 500 != 0 {
            continue;
        }
        let line = lines.iter().find(|l| l["checkpoint"].as_u64() == Some(applied));
        let line = line.unwrap_or_else(|| panic!("a checkpoint at {applied}"));
        assert_eq!(line["top20_crc32"], point["top20_crc32"], "at {applied}");
        assert_eq!(line["final_update_id"], point["u"], "at {applied}");
    }
}

#[test]
fn several_symbols_with_late_snapshots() {
    for folder in ["binance_spot_multi_20210417", "binance_spot_multi_20211012"] {
        let Some(lines) = lines(folder, &[], &["ws.feed.gz"]) else { return };
        let expected = expected(folder);
        let expected = expected.as_object().expect("symbols");
        assert_eq!(lines.len(), expected.len());
        for (symbol, want) in expected {
            let line = lines.iter().find(|l| l["symbol"] == symbol.as_str()).expect("a line");
            assert_eq!(line["final_update_id"], want["final_u"], "{symbol}");
            assert_eq!(line["applied"], want["applied"], "{symbol}");
            assert_eq!(line["stale_dropped"], want["dropped_stale"], "{symbol}");
            assert_eq!(line["best_bid"], want["best_bid"], "{symbol}");
            assert_eq!(line["best_ask"], want["best_ask"], "{symbol}");
            assert_eq!(line["bid_levels"], want["levels"][0], "{symbol}");
            assert_eq!(line["ask_levels"], want["levels"][1], "{symbol}");
            assert_eq!(line["ticker_equal"], want["bookTicker_oracle"]["match"], "{symbol}");
            assert_eq!(line["ticker_differs"], want["bookTicker_oracle"]["mismatch"], "{symbol}");
            assert_eq!(line["state"], "live", "{symbol}");
        }
    }
}

/// What every recording's `expected.json` says in any of its forms, all of them.
#[test]
fn recordings_of_every_venue_give_the_expected_books() {
    let (mut books, mut sums) = (0, 0);
    for recording in recorded::all() {
        let state = tempfile::tempdir().expect("a folder");
        let mut command = bot4(state.path());
        command.args(["book", "--json", "--venue", recording.venue.name()]);
        if let Some(path) = &recording.snapshots {
            command.arg("--snapshots").arg(path);
        }
        let out = output(command.args(&recording.files));
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let lines: Vec<Value> =
            text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        let (facts, name) = (recording.facts(), &recording.name);
        assert_eq!(lines.len(), facts.len(), "{name}");
        for (symbol, want) in facts {
            let of = |l: &&Value| symbol.as_deref().is_none_or(|s| l["symbol"] == s);
            let line = lines.iter().find(of).unwrap_or_else(|| panic!("{name} {symbol:?}"));
            sums += compare(line, &want, name);
            books += 1;
        }
    }
    println!("{books} books, {sums} checksums");
    assert!(books == 0 || (books >= 37 && sums >= 4_432), "{books} books, {sums} checksums");
}

/// One book's line is what is wanted. Returns how many checksums agreed.
fn compare(line: &Value, want: &Value, name: &str) -> u64 {
    for side in ["best_bid", "best_ask"] {
        let same = (0..2).all(|i| is_same(&line[side][i], &want[side][i]));
        assert!(same, "{name}: {side} of {line}, not {want}");
    }
    for (side, at) in [("bid_levels", 0), ("ask_levels", 1)] {
        let levels = want.get(side).unwrap_or(&want["levels"][at]);
        assert_eq!(&line[side], levels, "{name}: {side} of {line}");
    }
    let mut sums = 0;
    for key in ["checksum_ok", "updates_with_checksum"] {
        if let Some(ok) = want[key].as_u64() {
            assert_eq!(number(line, "/checksums_ok"), ok, "{name}: {line}");
            assert_eq!(number(line, "/checksums_bad"), 0, "{name}: {line}");
            sums += ok;
        }
    }
    for (ours, theirs) in [
        ("applied", "applied"),
        ("final_update_id", "final_u"),
        ("final_update_id", "u"),
        ("top20_crc32", "top20_crc32"),
    ] {
        if want[theirs].is_u64() {
            assert_eq!(line[ours], want[theirs], "{name}: {ours} of {line}");
        }
    }
    assert_eq!((number(line, "/gaps"), number(line, "/crossed")), (0, 0), "{name}: {line}");
    assert_eq!(line["state"], "live", "{name}: {line}");
    sums
}

#[test]
fn a_missing_update_is_noticed() {
    let Some(recordings) = recordings() else { return };
    let source = recordings.join("binance_spot_btcusdt_20240808/btcusdt_20240808.gz");
    let state = tempfile::tempdir().expect("a folder");
    let raw = std::fs::read(source).expect("readable");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(raw.as_slice()), &mut text)
        .expect("a gzip file");
    let depth = |l: &&str| l.contains("depthUpdate");
    let victim = text.lines().filter(depth).nth(100).expect("many updates");
    let file = state.path().join("hole.feed");
    std::fs::write(&file, text.replacen(victim, "", 1)).expect("written");
    let out = output(bot4(state.path()).args(["book", "--venue", "binance", "--json"]).arg(&file));
    assert_eq!(out.status.code(), Some(1), "the book is not live: {}", stderr(&out));
    let line: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(number(&line, "/gaps"), 1);
    assert_eq!(line["state"], "stale");
}

/// Two venues in one stream, a torn line: what the books lack is told.
#[test]
fn messages_of_another_venue_are_told() {
    let state = tempfile::tempdir().expect("a folder");
    let file = state.path().join("mixed.feed");
    let spot = |id: u64| {
        format!(r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{id},"u":{id},"b":[],"a":[]}}"#)
    };
    let other = r#"{"topic":"orderbook.50.BTCUSDT","ts":1,"type":"delta","data":{}}"#;
    let told = |lines: &[String]| {
        std::fs::write(&file, lines.join("\r\n")).expect("written");
        let out = output(bot4(state.path()).args(["book", "--venue", "binance"]).arg(&file));
        assert!(!out.stdout.is_empty(), "{}", stderr(&out));
        stderr(&out)
    };
    assert_eq!(told(&[spot(1), spot(2)]), "");
    let torn = spot(3)[..40].to_owned();
    let said = told(&[spot(1), other.to_owned(), spot(2), torn]);
    let want = "warning: 2 messages could not be read (error_json 1, error_schema 1)";
    assert!(said.contains(want), "{said}");
}

#[test]
fn replay_tells_its_rate() {
    let Some(recordings) = recordings() else { return };
    let file = recordings.join("binance_spot_btcusdt_20240808/btcusdt_20240808.gz");
    let state = tempfile::tempdir().expect("a folder");
    let out = output(bot4(state.path()).args(["replay", "--json"]).arg(file));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let line: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert!(number(&line, "/messages") > 30_000 && number(&line, "/levels") > 50_000, "{line}");
}
