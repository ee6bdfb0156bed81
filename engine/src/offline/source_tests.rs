use super::*;
use bot4_capture::{CaptureOptions, CaptureWriter, FrameHead};
use bot4_types::{Instrument, InstrumentId, Nanos, Symbol};

/// (time, connection, what, text) of every message.
fn played(recording: &Recording) -> Vec<(i64, u16, String, String)> {
    let mut all = Vec::new();
    let taken = recording.play(|m| {
        let text = String::from_utf8_lossy(m.text).into_owned();
        all.push((m.recv_ns, m.conn.0, format!("{:?}", m.what), text));
        Ok::<(), SourceError>(())
    });
    taken.expect("readable");
    all
}

fn diff(name: &str, id: u64) -> String {
    format!(r#"{{"e":"depthUpdate","s":"{name}","U":{id},"u":{id},"b":[],"a":[]}}"#)
}

#[test]
fn files_are_merged_and_bad_lines_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (stream, rest) = (dir.path().join("a"), dir.path().join("rest"));
    let (a, b) = (diff("A", 10), diff("B", 90));
    let body = r#"{"lastUpdateId":11,"bids":[],"asks":[]}"#;
    let loose = r#"{"lastUpdateId":88,"bids":[],"asks":[]}"#;
    let inside = format!(r#"{{"recv_ns":6,"url":"x/depth?symbol=B","body":{body}}}"#);
    let text = format!("1 {a}\n\n 5 > {{}}\n 5 {b}\n6 {inside}\n7 {loose}");
    std::fs::write(&stream, text).expect("written");
    let line = |recv_ns, url| format!(r#"{{"recv_ns":{recv_ns},"url":"{url}","body":{body}}}"#);
    let rest_text = [line(9, "x/depth?symbol=A&limit=5"), line(3, "x/depth?limit=5&symbol=A")];
    std::fs::write(&rest, format!("{}\n{}", rest_text.join("\n"), line(4, "x/exchangeInfo")))
        .expect("written");
    let files = [stream.clone()];
    let read = || Recording::read(Venue::Binance, &files, Some(&rest), None).expect("readable");
    let mut recording = read();
    assert_eq!(recording.symbols(), ["A", "B"]);
    assert_eq!(recording.notes(), ["1 REST lines are no snapshots that binance needs"]);
    let all = played(&recording);
    let heads: Vec<(i64, &str)> = all.iter().map(|m| (m.0, m.2.as_str())).collect();
    let expected = [
        (1, "Market"),
        (3, "Snapshot(Some(\"A\"))"),
        (5, "Market"),
        (6, "Snapshot(Some(\"B\"))"),
        (7, "Snapshot(Some(\"B\"))"),
        (9, "Snapshot(Some(\"A\"))"),
    ];
    assert_eq!(heads, expected);
    assert_eq!((all[0].3.as_str(), all[1].3.as_str(), all[4].3.as_str()), (&*a, body, loose));
    // Too long for memory: read again from the files.
    assert!(recording.is_in_memory());
    recording.cache = None;
    assert_eq!(played(&recording), all);
    std::fs::write(&stream, "1 {}\nnonsense\n").expect("written");
    let error = Recording::read(Venue::Binance, &files, None, None).err().expect("refused");
    let error = error.to_string();
    assert!(error.contains(":2:") && error.contains("help"), "{error}");
}

fn frame(n: u64, kind: FrameKind, conn: u16) -> FrameHead {
    let (recv, wall_unix_ns) = (Nanos(n), 1_000 + n as i64);
    FrameHead { recv, wall_unix_ns, conn: ConnId(conn), kind, len: 0 }
}

#[test]
fn a_capture_is_read_with_its_instruments() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("capture");
    for session in 0..2 {
        let mut writer = CaptureWriter::open(&path, CaptureOptions::default()).expect("opened");
        let text = diff("B", 5);
        writer.append(frame(1, FrameKind::LineUp, 1), &[]).expect("taken");
        writer.append(frame(2, FrameKind::Market, 1), &[text.as_bytes()]).expect("taken");
        writer.append(frame(3 + session, FrameKind::Snapshot, 1), &[b"{}"]).expect("taken");
        writer.finish().expect("finished");
    }
    let files = [path.clone()];
    let guessed = Recording::read(Venue::Binance, &files, None, None).expect("readable");
    assert_eq!(guessed.symbols(), ["B"]);
    let mut table = InstrumentTable::new();
    for name in ["A", "B"] {
        let symbol = Symbol::new(name).expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
    }
    std::fs::remove_file(path.join("capture-000001.b4c")).expect("removed");
    let shards = Shards::round_robin(2, 1, 2);
    let known = CaptureInstruments { venue: Venue::Binance, shards, depth_max: 0, table };
    known.write(&path).expect("written");
    for kind in [FrameKind::LineUp, FrameKind::Market] {
        let mut writer = CaptureWriter::open(&path, CaptureOptions::default()).expect("opened");
        writer.append(frame(7, kind, 1), &[b"{}"]).expect("taken");
    }
    let recording = Recording::read(Venue::Binance, &files, None, None).expect("readable");
    assert_eq!(recording.symbols(), ["A", "B"]);
    assert_eq!(recording.shards().lines_of(InstrumentId(1)), [ConnId(1)]);
    let all = played(&recording);
    let heads: Vec<(i64, u16, &str)> = all.iter().map(|m| (m.0, m.1, m.2.as_str())).collect();
    assert_eq!(heads, [(1_007, 1, "Line(LineUp)"), (1_007, 0, "Broken"), (1_007, 1, "Market")]);
    assert!(recording.notes()[0].contains("session 2"), "{:?}", recording.notes());
    let other = Recording::read(Venue::Okx, &files, None, None).err().expect("refused");
    assert!(other.to_string().contains("--venue binance"), "{other}");
}

#[test]
fn no_symbol_is_an_error_with_a_mend() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a");
    std::fs::write(&file, diff("A", 1)).expect("written");
    let read = |only| Recording::read(Venue::Binance, std::slice::from_ref(&file), None, only);
    assert_eq!(read(Some("A")).expect("readable").symbols(), ["A"]);
    let error = read(Some("C")).err().expect("refused").to_string();
    assert!(error.contains("help:"), "{error}");
    let error = Recording::read(Venue::Binance, &[dir.path().to_owned()], None, None);
    assert!(error.err().expect("refused").to_string().contains("capture's folder"));
}

/// The futures' books follow another rule; a wrong `--venue` must not give a wrong book.
#[test]
fn futures_called_spot_are_read_as_futures() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("futures");
    let change = "{\"stream\":\"b@depth\",\"data\":{\"e\":\"depthUpdate\",\"E\":1,\"T\":1,\"s\":\"B\",\
                  \"U\":5,\"u\":6,\"pu\":3,\"b\":[[\"1.5\",\"2.25\"]],\"a\":[]}}";
    std::fs::write(&path, format!("1 {change}\n")).expect("written");
    let recording = Recording::read(Venue::Binance, &[path], None, None).expect("readable");
    assert_eq!(recording.venue(), Venue::BinanceUsdm);
    assert!(recording.notes().iter().any(|note| note.contains("binance-usdm")));
    let instrument = recording.table().all()[0];
    assert_eq!((instrument.price_decimals, instrument.qty_decimals), (1, 2));
}
