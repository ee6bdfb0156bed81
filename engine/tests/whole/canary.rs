//! Keys stay where they are: a run at every dialect with keys that occur nowhere else, then a
//! search of everything that was written, said and passed on for them, as text, as bytes and as
//! digits.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bot4_capture::{CaptureReader, Item};
use bot4_venues::Venue;

use crate::common::rig::{Rig, open_at_the_venue, sent, signal, told};
use crate::common::{Killed, bot4, output, side_by_side, sleep, stderr};
use serde_json::Value;

const TRADED: [(Venue, [&str; 2]); 5] = [
    (Venue::Binance, ["BTCUSDT", "ETHUSDT"]),
    (Venue::Bybit, ["BTCUSDT", "ETHUSDT"]),
    (Venue::Okx, ["BTC-USDT", "ETH-USDT"]),
    (Venue::Coinbase, ["BTC-USD", "ETH-USD"]),
    (Venue::Kraken, ["BTC/USD", "ETH/USD"]),
];

/// What must be found nowhere: what it is, and its bytes.
type Needle = (String, Vec<u8>);

/// The secrets in the text of a key file, each as the text it is, as the bytes that the text
/// encodes, and as digits.
fn needles(text: &str) -> Vec<Needle> {
    let lines: Vec<_> = text.lines().filter(|l| !l.starts_with("-----")).map(str::trim).collect();
    let mut secrets: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
    secrets.push(lines.concat());
    let mut found = Vec::new();
    for secret in secrets.iter().filter(|s| s.len() >= 12) {
        let mut forms = vec![("the text", secret.as_bytes().to_vec())];
        if let Ok(bytes) = BASE64.decode(secret) {
            // Behind the head of a PKCS#8 file, where it is one: the head is every key's.
            let seed = bytes[bytes.len().saturating_sub(32)..].to_vec();
            forms.push(("the bytes", seed));
        }
        for (what, bytes) in forms.clone() {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            let list = format!("{bytes:?}");
            forms.push(("the digits", hex.to_ascii_uppercase().into_bytes()));
            forms.push(("the digits", hex.into_bytes()));
            if what == "the bytes" {
                forms.push(("the list", list.as_bytes()[1..list.len() - 1].to_vec()));
            }
        }
        found.extend(forms.into_iter().map(|(what, bytes)| (format!("{what} of a secret"), bytes)));
    }
    found
}

fn first_in<'a>(needles: &'a [Needle], hay: &[u8]) -> Option<&'a str> {
    let is_in = |needle: &[u8]| memchr::memmem::find(hay, needle).is_some();
    needles.iter().find(|(_, needle)| is_in(needle)).map(|(what, _)| what.as_str())
}

/// No needle is in `hay`, which is `what`.
fn clean(needles: &[Needle], what: &str, hay: &[u8]) {
    let found = first_in(needles, hay);
    assert_eq!(found, None, "in {what}: {}", String::from_utf8_lossy(hay));
}

/// Every file below `folder`, but the venue's own; none where another test has just removed it.
fn files(folder: &Path, venue: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return found,
        entries => entries.expect("readable"),
    };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() && path != venue {
            found.extend(files(&path, venue));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

/// What is packed in captures below `folder`.
fn captured(folder: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for path in files(folder, Path::new("")) {
        let Ok(mut reader) = CaptureReader::open(&path) else { continue };
        while let Ok(Some(item)) = reader.next() {
            if let Item::Frame(_, frame) = item {
                text.extend_from_slice(frame);
            }
        }
    }
    text
}

/// Command line and environment of the engine and of every process that it started.
fn passed_on(engine: u32) -> Vec<(String, Vec<u8>)> {
    let stat = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = |pid: u32| -> Option<u32> {
        stat(pid).rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let all = std::fs::read_dir("/proc").expect("readable").flatten();
    let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let ours: Vec<u32> = pids.filter(|p| *p == engine || parent(*p) == Some(engine)).collect();
    assert!(ours.len() > 1, "the guard is among them");
    let of = |pid: u32| {
        ["cmdline", "environ"].map(|name| {
            let path = format!("/proc/{pid}/{name}");
            (path.clone(), std::fs::read(path).unwrap_or_default())
        })
    };
    ours.into_iter().flat_map(of).collect()
}

#[test]
fn keys_are_in_nothing_that_a_run_writes_says_or_leaves() {
    side_by_side(TRADED.to_vec(), 2, |(venue, symbols)| searched(venue, &symbols));
}

fn searched(venue: Venue, symbols: &[&str]) {
    let rig =
        Rig::at(venue, symbols, |text| text.replacen("[run]\n", "[run]\ncapture = true\n", 1));
    let key = PathBuf::from(rig.endpoints["private_key"].as_str().expect("a path"));
    let name = rig.endpoints["api_key"].as_str().expect("a name").to_owned();
    let mut secrets = needles(&std::fs::read_to_string(&key).expect("the key"));
    assert!(secrets.len() >= 4, "{venue:?}");
    secrets.push(("the key's name".to_owned(), name.clone().into_bytes()));
    let workplace = tempfile::tempdir().expect("a folder");
    let mut engine = started(&rig, workplace.path(), &[]);
    rig.until("it trades", |s| sent(s) > 0);
    for (what, bytes) in passed_on(engine.0.id()) {
        clean(&secrets, &what, &bytes);
    }
    for path in files(Path::new("/dev/shm"), Path::new("")) {
        let name = path.display().to_string();
        if name.contains("bot4") {
            // Another test's may go meanwhile.
            clean(&secrets, &name, &std::fs::read(&path).unwrap_or_default());
        }
    }
    for args in [
        &["status", "--json"][..],
        &["limits", "reload", "--json"],
        &["mode", "manual", "--reason", "a look"],
        &["mode", "full_auto", "--reason", "a look"],
        &["journal", "rotate", "--reason", "a look"],
        &["order", "list", "--json"],
    ] {
        let out = rig.say(args);
        clean(&secrets, &format!("{venue:?}: {args:?}"), &[out.stdout, out.stderr].concat());
    }
    no_memory_is_dumped(&engine, workplace.path());
    let text = told(&mut engine);
    assert!(text.contains("control mode manual"), "{text}");
    clean(&secrets, "standard error", text.as_bytes());
    // The guard writes what it did; then a run that ends in order, and one that is refused.
    assert_eq!(left_by_the_guard(&rig), Some(0), "{venue:?}: {text}");
    assert_eq!(open_at_the_venue(&rig), 0, "{venue:?}");
    let mut command = bot4(rig.state());
    command.args(["run", "--for", "1s", "--log-format", "json", "--config"]).arg(&rig.config);
    command.arg("--report").arg(rig.state().join("report.json"));
    command.arg("--latency-dir").arg(rig.state().join("latency"));
    let out = output(&mut command);
    assert!(rig.state().join("report.json").exists(), "{}", stderr(&out));
    clean(&secrets, "an orderly run", &[out.stdout, out.stderr].concat());
    refusals(&rig, &secrets, &key, &name);
    let runs = rig.state().join("bot4/runs");
    for run in std::fs::read_dir(&runs).expect("runs").flatten().map(|e| e.path()) {
        let out = output(bot4(rig.state()).args(["journal", "dump"]).arg(run.join("journal")));
        clean(&secrets, "the journal as text", &out.stdout);
    }
    let frames = captured(&runs);
    assert!(!frames.is_empty(), "{venue:?}: nothing was captured");
    clean(&secrets, "captured frames", &frames);
    let venues_own = rig.state().join("bot4/venue");
    let written = files(rig.state(), &venues_own);
    assert!(written.len() > 10, "{written:?}");
    for path in written.iter().filter(|p| **p != rig.config && **p != key) {
        clean(&secrets, &path.display().to_string(), &std::fs::read(path).expect("readable"));
    }
    // The search finds what is there.
    let config = std::fs::read(&rig.config).expect("readable");
    assert_eq!(first_in(&secrets, &config), Some("the key's name"));
    assert!(first_in(&secrets, &std::fs::read(&key).expect("readable")).is_some());
}

/// The agent that holds the keys panics on its lane, and tells all that a backtrace can: no key is
/// in it, nor in what the halt leaves behind, and nothing stays open at the venue.
#[test]
fn a_panic_on_the_lane_that_holds_the_keys_tells_none() {
    let (venue, symbols) = (Venue::Okx, ["BTC-USDT", "ETH-USDT"]);
    let rig = Rig::at(venue, &symbols, |text| text);
    let key = PathBuf::from(rig.endpoints["private_key"].as_str().expect("a path"));
    let name = rig.endpoints["api_key"].as_str().expect("a name").to_owned();
    let mut secrets = needles(&std::fs::read_to_string(&key).expect("the key"));
    secrets.push(("the key's name".to_owned(), name.into_bytes()));
    let workplace = tempfile::tempdir().expect("a folder");
    let mut engine = started(&rig, workplace.path(), &["--plant", "panic"]);
    assert_eq!(engine.0.wait().expect("it ends by itself").code(), Some(79));
    let text = told(&mut engine);
    for part in ["planted panic after", "stack backtrace", "PlantedAgent"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    clean(&secrets, "a panic", text.as_bytes());
    assert_eq!(std::fs::read_dir(workplace.path()).expect("readable").count(), 0, "a core file");
    let written = files(rig.state(), &rig.state().join("bot4/venue"));
    for path in written.iter().filter(|p| **p != rig.config && **p != key) {
        clean(&secrets, &path.display().to_string(), &std::fs::read(path).unwrap_or_default());
    }
    // The run could not cancel any more: its guard did, unless the venue said nothing was open.
    let orders = of_the_run(&rig, "report.json").map(|report| report["orders"].clone());
    let clear = orders.is_some_and(|o| o["open_at_end"] == 0 && o["unknown"] == 0);
    let left = if clear { Some(0) } else { left_by_the_guard(&rig) };
    assert_eq!(left, Some(0), "{text}");
    assert_eq!(open_at_the_venue(&rig), 0, "{text}");
}

/// What the file called `name` of the only run says.
fn of_the_run(rig: &Rig, name: &str) -> Option<Value> {
    let path = files(rig.state(), Path::new("")).into_iter().find(|p| p.ends_with(name))?;
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Orders of the run that its guard left open, once it has written that.
fn left_by_the_guard(rig: &Rig) -> Option<u64> {
    (0..200).find_map(|_| {
        sleep(100);
        of_the_run(rig, "guard.json")?["outcome"]["left"].as_u64()
    })
}

/// An engine that could leave a core file, as far as its shell is concerned, in `workplace`.
fn started(rig: &Rig, workplace: &Path, args: &[&str]) -> Killed {
    let program = bot4(rig.state());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).arg(program.get_program());
    command.arg("run").args(args).arg("--config").arg(&rig.config);
    command.env("XDG_STATE_HOME", rig.state()).env("RUST_BACKTRACE", "full");
    command.current_dir(workplace).stdin(Stdio::null()).stdout(Stdio::null());
    Killed(command.stderr(Stdio::piped()).spawn().expect("it starts"))
}

/// The process that crashes leaves no memory behind, wherever the kernel would put it.
fn no_memory_is_dumped(engine: &Killed, workplace: &Path) {
    let of = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", engine.0.id()));
    let limits = of("limits").expect("alive");
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).expect("listed");
    let sizes: Vec<_> = core.split_whitespace().filter(|w| w.parse::<u64>().is_ok()).collect();
    assert!(sizes == ["1", "1"] || sizes == ["0", "0"], "{core}");
    assert_eq!(of("coredump_filter").expect("alive").trim(), "00000000");
    signal(&engine.0, "ABRT");
    // It ends before what it wrote is read.
    (0..100).take_while(|_| of("stat").is_ok_and(|s| !s.contains(") Z "))).for_each(|_| sleep(50));
    let left = std::fs::read_dir(workplace).expect("readable").count();
    assert_eq!(left, 0, "a core file is left");
}

/// Errors about keys name the file and the line, and show no key.
fn refusals(rig: &Rig, secrets: &[Needle], key: &Path, name: &str) {
    let text = std::fs::read_to_string(&rig.config).expect("read");
    let secret = std::fs::read_to_string(key).expect("read");
    let broken = rig.state().join("broken.key");
    // A key that is cut off, and keys where no keys belong.
    let cut = &secret[..secret.len() / 2];
    std::fs::write(&broken, cut).expect("written");
    let secrets = &[secrets, &needles(cut)].concat();
    let owner_alone = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&broken, owner_alone).expect("set");
    let path = key.display().to_string();
    let line = secret.lines().find(|l| !l.starts_with("-----")).expect("a line");
    let api = format!("api_key = \"{name}\"");
    let wrong = [
        text.replace(&path, &broken.display().to_string()),
        text.replace(&api, &format!("{api}\nsecret = \"{line}\"")),
        text.replace(&api, &format!("api_key = \"{name}")),
    ];
    for text in &wrong {
        let file = rig.state().join("wrong.toml");
        std::fs::write(&file, text).expect("written");
        let out = output(bot4(rig.state()).args(["run", "--for", "1s", "--config"]).arg(&file));
        assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
        clean(secrets, "a refusal", &[out.stdout, out.stderr].concat());
        std::fs::remove_file(&file).expect("removed");
    }
    std::fs::remove_file(&broken).expect("removed");
}
