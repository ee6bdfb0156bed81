//! One market in every form that a recording may have, through everything that reads recordings:
//! `book`, `replay` and `venue --market` must not tell the forms apart.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::recorded::{self, Recorded};
use crate::common::{bot4, number, output, started, stderr};
use crate::observer::{self, Observer, Options};
use bot4::offline::{Message, Recording, SourceError, What};
use bot4::record::instruments::CaptureInstruments;
use bot4_capture::{CaptureOptions, CaptureWriter, FrameHead};
use bot4_types::{ConnId, FrameKind, Nanos, Shards};
use serde_json::Value;

/// Four quiet symbols, snapshots apart from the stream, half a minute.
const SOURCE: &str = "binance_spot_multi_20211012";

/// A message of the source.
struct Told {
    recv_ns: i64,
    /// Whose snapshot it is; none for a message of the stream.
    snapshot: Option<String>,
    text: String,
}

/// One form: what is given on the command line.
struct Form {
    name: &'static str,
    files: Vec<PathBuf>,
    snapshots: Option<PathBuf>,
}

fn messages(source: &Recorded) -> (Recording, Vec<Told>) {
    let snapshots = source.snapshots.as_deref();
    let recording = Recording::read(source.venue, &source.files, snapshots, None).expect("read");
    let mut told = Vec::new();
    let mut keep = |message: &Message<'_>| {
        let snapshot = match message.what {
            What::Snapshot(name) => Some(name.expect("REST names it").to_owned()),
            _ => None,
        };
        let text = String::from_utf8(message.text.to_vec()).expect("UTF-8");
        told.push(Told { recv_ns: message.recv_ns, snapshot, text });
        Ok::<(), SourceError>(())
    };
    recording.play(&mut keep).expect("read");
    (recording, told)
}

/// `{"recv_ns","url","body"}`.
fn rest_line(told: &Told, symbol: &str) -> String {
    let (ns, body) = (told.recv_ns, &told.text);
    format!("{{\"recv_ns\":{ns},\"url\":\"https://x/depth?symbol={symbol}\",\"body\":{body}}}\n")
}

fn lines(told: &[Told], line: impl Fn(&Told) -> String) -> String {
    let one = |t: &Told| t.snapshot.as_deref().map_or_else(|| line(t), |s| rest_line(t, s));
    told.iter().map(one).collect()
}

/// The messages as a capture has them.
fn capture(folder: &Path, recording: &Recording, told: &[Told]) {
    let table = recording.table().clone();
    let shards = Shards::round_robin(table.all().len(), 1, 1);
    let known =
        CaptureInstruments { venue: recording.venue(), shards, depth_max: 0, table: table.clone() };
    std::fs::create_dir_all(folder).expect("made");
    known.write(folder).expect("written");
    let mut writer = CaptureWriter::open(folder, CaptureOptions::default()).expect("opened");
    let (first_ns, conn) = (told[0].recv_ns, ConnId(0));
    let mut add = |ns: i64, kind, pieces: &[&[u8]]| {
        let recv = Nanos(1 + (ns - first_ns).unsigned_abs());
        let head = FrameHead { recv, wall_unix_ns: ns, conn, kind, len: 0 };
        writer.append(head, pieces).expect("taken");
    };
    add(first_ns, FrameKind::LineUp, &[]);
    for one in told {
        let text = one.text.as_bytes();
        match &one.snapshot {
            None => add(one.recv_ns, FrameKind::Market, &[text]),
            Some(name) => {
                let id = table.find(name.as_bytes()).expect("listed").id.0;
                let head = format!("{{\"id\":{id},\"status\":200,\"result\":");
                add(one.recv_ns, FrameKind::Snapshot, &[head.as_bytes(), text, b"}"]);
            }
        }
    }
    writer.finish().expect("finished");
}

fn forms(source: &Recorded, dir: &Path) -> (Recording, Vec<Form>) {
    let (recording, told) = messages(source);
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let packed = |name: &str, text: &str| {
        let path = dir.join(name);
        let file = std::fs::File::create(&path).expect("made");
        let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        gz.write_all(text.as_bytes()).expect("written");
        gz.finish().expect("written");
        path
    };
    let timed = |t: &Told| format!("{} {}\n", t.recv_ns, t.text);
    let marked = |t: &Told| format!("{} < {}\n{} > {{\"ping\":1}}\n", t.recv_ns, t.text, t.recv_ns);
    let half = told.len() / 2;
    let folder = dir.join("capture");
    capture(&folder, &recording, &told);
    let form = |name, files| Form { name, files, snapshots: None };
    let forms = vec![
        Form {
            name: "as recorded",
            files: source.files.clone(),
            snapshots: source.snapshots.clone(),
        },
        form("in the stream", vec![write("timed", &lines(&told, timed))]),
        form("packed", vec![packed("timed.gz", &lines(&told, timed))]),
        form("with directions", vec![write("marked", &lines(&told, marked))]),
        form("bare", vec![write("bare", &lines(&told, |t| format!("{}\n", t.text)))]),
        form(
            "two files",
            vec![
                packed("a.gz", &lines(&told[..half], timed)),
                write("b", &lines(&told[half..], marked)),
            ],
        ),
        form("a capture", vec![folder.clone()]),
        form("a capture's file", vec![folder.join("capture-000001.b4c")]),
    ];
    (recording, forms)
}

fn command(state: &Path, form: &Form, head: &[&str]) -> Command {
    let mut command = bot4(state);
    command.args(head);
    if let Some(path) = &form.snapshots {
        command.arg("--snapshots").arg(path);
    }
    command
}

fn json_lines(mut command: Command) -> Vec<Value> {
    let out = output(&mut command);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn book_and_replay_read_every_form_alike() {
    let Some(source) = recorded::all().into_iter().find(|r| r.name == SOURCE) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (_, forms) = forms(&source, dir.path());
    let mut first: Option<(Vec<Value>, u64)> = None;
    for form in &forms {
        let mut book = command(dir.path(), form, &["book", "--venue", "binance", "--json"]);
        book.args(&form.files);
        let books = json_lines(book);
        let mut replay = command(dir.path(), form, &["replay", "--venue", "binance", "--json"]);
        replay.args(&form.files);
        let levels = number(&json_lines(replay)[0], "/levels");
        assert_eq!(books.len(), 4, "{}", form.name);
        let (want, want_levels) = first.get_or_insert((books.clone(), levels));
        assert_eq!((&books, levels), (&*want, *want_levels), "{}", form.name);
    }
}

#[test]
fn the_simulated_venue_serves_every_form_alike() {
    let Some(source) = recorded::all().into_iter().find(|r| r.name == SOURCE) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (recording, forms) = forms(&source, dir.path());
    let mut book = command(dir.path(), &forms[0], &["book", "--venue", "binance", "--json"]);
    book.args(&forms[0].files);
    let wanted = json_lines(book);
    let symbols = recording.symbols();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    std::thread::scope(|scope| {
        for form in &forms {
            let (wanted, symbols, dir) = (&wanted, &symbols, dir.path());
            scope.spawn(move || {
                observer::unstarved(form.name, || serve(dir, form, wanted, symbols));
            });
        }
    });
}

/// Observes a form until its end and compares the last numbers.
fn serve(dir: &Path, form: &Form, wanted: &[Value], symbols: &[&str]) {
    let state = dir.join(form.name);
    let mut venue = command(&state, form, &["venue", "--venue", "binance", "--speed", "10"]);
    let (_venue, endpoints) = started(venue.arg("--market").args(&form.files));
    let venue = bot4_venues::Venue::Binance;
    let options = Options { horizon: false, ..Options::default() };
    let mut observer = Observer::new(venue, &endpoints, symbols, &options);
    let ids: Vec<_> = wanted.iter().map(|w| w["final_update_id"].as_u64()).collect();
    observer.until(form.name, 60, |o| {
        let all = o.summaries();
        o.all_live() && all.iter().map(|s| s.final_update_id).eq(ids.iter().copied())
    });
    for (book, want) in observer.summaries().iter().zip(wanted) {
        let best = |key: &str| want[key].clone();
        let found = |side: &Option<[String; 2]>| serde_json::to_value(side).expect("JSON");
        for (ours, theirs) in [(&book.best_bid, "best_bid"), (&book.best_ask, "best_ask")] {
            let same = (0..2).all(|i| recorded::is_same(&found(ours)[i], &best(theirs)[i]));
            assert!(same, "{}: {theirs} of {book:?}, not {want}", form.name);
        }
        assert_eq!((book.gaps, book.crossed), (0, 0), "{}: {book:?}", form.name);
    }
}

/// On a terminal a long recording shows how far it is; elsewhere nothing is in the way.
#[test]
fn a_bar_is_shown_on_a_terminal() {
    let Some(source) = recorded::all().into_iter().find(|r| r.name == SOURCE) else { return };
    if !Command::new("script").arg("--version").output().is_ok_and(|out| out.status.success()) {
        println!("skipped: no `script` to make a terminal");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (_, told) = messages(&source);
    let text = lines(&told, |t| format!("{} {}\n", t.recv_ns, t.text));
    // As long as it takes for a bar to be made.
    let long = dir.path().join("long");
    std::fs::write(&long, text.repeat(1 + (5 << 20) / text.len())).expect("written");
    let mut plain = bot4(dir.path());
    plain.args(["book", "--venue", "binance", "--json"]).arg(&long);
    let program = plain.get_program().to_str().expect("UTF-8").to_owned();
    let shown = format!("{program} book --venue binance --json {} >/dev/null", long.display());
    let out = output(Command::new("script").args(["-qec", &shown, "/dev/null"]));
    let seen = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(seen.contains(" MiB"), "{seen:?}");
    let out = output(&mut plain);
    assert!(!stderr(&out).contains(" MiB"), "{}", stderr(&out));
}
