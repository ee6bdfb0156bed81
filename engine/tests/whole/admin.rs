//! The admin socket of a running engine: limits read anew, the journal's segments, who may ask
//! what, and the evidence of it in the journal, which replays to the same decisions.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::rig::{Rig, ended, journal, sent, signal, told, verify};
use crate::common::{bot4, check_account, output, report, sleep, stderr};

fn socket(rig: &Rig) -> PathBuf {
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten();
    runs.map(|e| e.path().join("control.sock")).find(|p| p.exists()).expect("a socket")
}

/// What the engine answers to a line as it stands.
fn answer(rig: &Rig, line: &Value) -> Value {
    let mut stream = UnixStream::connect(socket(rig)).expect("connected");
    writeln!(stream, "{line}").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    serde_json::from_str(&text).expect("JSON")
}

/// A hundred acts at once, each with a number of its own, about an order that is not there: how
/// many are refused as too many.
fn flood(rig: &Rig, round: u64) -> usize {
    let (path, at_ms) = (socket(rig), unix_ms());
    let ask = |n: u64| {
        let mut stream = UnixStream::connect(&path).expect("connected");
        let nonce = format!("f100d{:016x}", round * 1_000 + n);
        let line = json!({"do": "order_act", "id": "o999", "action": "cancel", "reason": "x",
                          "stamp": {"nonce": nonce, "at_ms": at_ms}});
        // An engine that refuses may be quicker than this line.
        let _ = writeln!(stream, "{line}");
        stream
    };
    let asked: Vec<_> = (0..100).map(ask).collect();
    let told = asked.into_iter().map(|mut stream| {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    });
    told.filter(|told| told["refused"] == "too_many").count()
}

fn unix_ms() -> i64 {
    let out = Command::new("date").arg("+%s%3N").output().expect("date runs");
    String::from_utf8_lossy(&out.stdout).trim().parse().expect("a number")
}

/// What was asked from outside, by the journal: act, outcome, text.
fn acts(rig: &Rig) -> Vec<[String; 3]> {
    let acts = journal(rig).into_iter().filter(|r| r["kind"] == "act");
    let of = |r: Value| {
        assert!(r["body"]["pid"].as_u64() > Some(0), "{r}");
        ["act", "outcome", "text"].map(|key| r["body"][key].as_str().unwrap_or("?").to_owned())
    };
    acts.map(of).collect()
}

#[test]
fn limits_tighten_at_once_and_loosen_with_a_reason() {
    let limits = "[risk]\norder_notional_max = 5000.0\ndrawdown_pct = 10.0\n\n[[strategy]]";
    let rig = Rig::at_a_venue_with("", |text| text.replacen("[[strategy]]", limits, 1));
    let mut engine = rig.start("report.json");
    let write = |notional: &str, drawdown: &str| {
        let text = std::fs::read_to_string(&rig.config).expect("read");
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        for line in &mut lines {
            for (key, value) in [("order_notional_max", notional), ("drawdown_pct", drawdown)] {
                if line.starts_with(key) {
                    *line = format!("{key} = {value}");
                }
            }
        }
        std::fs::write(rig.config.with_extension("new"), lines.join("\n") + "\n").expect("written");
        std::fs::rename(rig.config.with_extension("new"), &rig.config).expect("in its place");
    };
    let reload = |args: &[&str]| {
        let out = rig.say(&[&["limits", "reload", "--json"], args].concat());
        let line: Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)));
        (out.status.code(), line["limits"].clone())
    };
    // Nothing has changed.
    let (code, told_first) = reload(&[]);
    assert_eq!((code, &told_first["outcome"]), (Some(0), &"unchanged".into()), "{told_first}");
    // One is tighter, one is looser: no order of the market maker is worth so little.
    write("350.0", "20.0");
    let (code, partly) = reload(&[]);
    assert_eq!((code, &partly["outcome"]), (Some(1), &"partly".into()), "{partly}");
    assert_eq!(partly["looser"], json!(["drawdown_pct"]), "{partly}");
    rig.until("the tighter one holds", |s| s["refused_by"]["fat_notional"].as_u64() > Some(0));
    // The whole file, with a reason.
    write("5000.0", "20.0");
    let (code, taken) = reload(&["--reason", "the desk agreed"]);
    assert_eq!((code, &taken["outcome"]), (Some(0), &"taken".into()), "{taken}");
    let before = sent(&rig.status());
    let changed = rig.until("it trades on", |s| sent(s) > before + 5);
    assert_eq!(changed["limits_changed"], 2, "{changed}");
    // A file that is refused changes nothing; an empty reason is none.
    write("-1.0", "20.0");
    let (code, refused) = reload(&["--reason", "a slip"]);
    assert_eq!((code, &refused["outcome"]), (Some(1), &"refused".into()), "{refused}");
    assert!(refused["text"].as_str().is_some_and(|t| t.contains("order_notional_max")));
    assert_eq!(rig.say(&["limits", "reload", "--reason", " "]).status.code(), Some(2));
    write("5000.0", "20.0");
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("report.json")));
    let text = told(&mut engine);
    assert!(text.contains("looser limits wait for a person's word: drawdown_pct"), "{text}");
    assert!(text.contains("(by operator: the desk agreed)"), "{text}");
    let acts = acts(&rig);
    let outcomes: Vec<_> = acts.iter().map(|[act, outcome, _]| [act, outcome]).collect();
    assert!(outcomes.iter().all(|[act, _]| *act == "limits_reload"), "{acts:?}");
    let outcomes: Vec<_> = outcomes.iter().map(|[_, outcome]| outcome.as_str()).collect();
    let mut firsts = outcomes.clone();
    // A long text takes several records.
    firsts.dedup();
    assert_eq!(firsts, ["unchanged", "partly", "taken", "refused"], "{acts:?}");
    assert!(acts.iter().any(|[.., text]| text.contains("the desk agreed")), "{acts:?}");
    verify(&rig);
}

#[test]
fn a_journal_goes_on_in_a_new_segment_when_a_person_asks() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    let before = rig.status()["journal"]["segments"].as_u64().expect("a count");
    let out = rig.say(&["journal", "rotate", "--reason", "a copy", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let line: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert!(line["segment"].as_u64() > Some(before) && line["rotated"] == true, "{line}");
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten();
    let journal = runs.map(|e| e.path().join("journal")).find(|p| p.is_dir()).expect("one");
    let first = journal.join("00000001.b4j");
    let whole = || output(bot4(rig.state()).args(["journal", "verify"]).arg(&first));
    // A helper syncs and cuts it meanwhile.
    let finished = (0..50).any(|_| {
        whole().status.success() || {
            sleep(100);
            false
        }
    });
    assert!(finished, "{}", String::from_utf8_lossy(&whole().stdout));
    let orders = sent(&rig.status());
    rig.until("it trades on", |s| sent(s) > orders + 5);
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("report.json")));
    assert_eq!(acts(&rig), [["journal_rotate", "done", "a copy"].map(str::to_owned)]);
    verify(&rig);
}

/// The socket is its owner's; an act needs a fresh stamp, an onlooker changes nothing, floods and
/// silence hold nobody up, and trading goes on through it all.
#[test]
fn the_socket_serves_its_owner_each_act_once_and_through_a_flood() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    let about = std::fs::metadata(socket(&rig)).expect("there");
    assert!(about.file_type().is_socket() && about.permissions().mode() & 0o777 == 0o600);
    let act = |nonce: &str, at_ms: i64, role: &str| {
        answer(
            &rig,
            &json!({"do": "mode", "mode": "semi_auto", "reason": "a look", "role": role,
                             "via": "a page", "stamp": {"nonce": nonce, "at_ms": at_ms}}),
        )
    };
    let now = unix_ms();
    assert_eq!(act("00000000000000aa", now, "read")["refused"], "read_only");
    assert_eq!(act("00000000000000aa", now - 3_600_000, "act")["refused"], "stale");
    assert_eq!(act("00000000000000aa", now, "act")["error"], Value::Null);
    let replayed = act("00000000000000aa", unix_ms(), "act");
    assert_eq!(replayed["refused"], "replayed");
    assert!(replayed["error"].as_str().is_some_and(|e| e.contains("number of its own")));
    let bare = json!({"do": "resume", "reason": "x"});
    assert_eq!(answer(&rig, &bare)["refused"], "unstamped");
    assert_eq!(answer(&rig, &json!({"do": "dance"}))["refused"], "no_request");
    // Silent ones and a flood of questions, and a person's word between them.
    let silent: Vec<_> = (0..200).filter_map(|_| UnixStream::connect(socket(&rig)).ok()).collect();
    let refused = (0..20).map(|round| flood(&rig, round)).find(|refused| *refused > 0);
    let refused = refused.expect("no flood was stopped");
    let out = rig.say(&["kill", "--reason", "through a flood", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    drop(silent);
    let out = rig.say(&["resume", "--reason", "a test"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let orders = sent(&rig.status());
    let status = rig.until("it trades on", |s| sent(s) > orders + 5);
    let counts = &status["admin"]["refused"];
    for why in ["read_only", "stale", "replayed", "unstamped"] {
        assert_eq!(counts[why], 1, "{why}: {counts}");
    }
    // The silent ones are some of these.
    assert!(counts["no_request"].as_u64() >= Some(1), "{counts}");
    assert!(counts["too_many"].as_u64() >= Some(refused as u64), "{counts}");
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("report.json")));
    let acts = acts(&rig);
    let names = acts.iter().map(|[act, outcome, _]| [act.as_str(), outcome]);
    let (flood, names): (Vec<_>, Vec<_>) = names.partition(|[act, _]| *act == "order_act");
    assert_eq!(names, [["mode", "done"], ["kill", "done"], ["resume", "done"]], "{acts:?}");
    assert!(flood.iter().all(|[_, outcome]| *outcome == "no_such"), "{flood:?}");
    assert_eq!(acts[0][2], "[a page] semi_auto: a look");
    verify(&rig);
}

/// A client that says `bytes`, and perhaps its end.
fn hostile(rig: &Rig, bytes: &[u8], ends: bool) -> UnixStream {
    let mut stream = UnixStream::connect(socket(rig)).expect("connected");
    // An engine that refuses may be quicker than this line.
    let _ = stream.write_all(bytes);
    if ends {
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    stream
}

/// The word for the refusal that a client hears; empty where it was dropped without one.
fn refusal(mut stream: UnixStream) -> String {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let told = serde_json::from_str::<Value>(&text).unwrap_or_default();
    assert_ne!(told["error"], Value::Null, "obeyed: {text}");
    told["refused"].as_str().unwrap_or_default().to_owned()
}

/// Lines that are none, each refused by its word.
fn nonsense(rig: &Rig) {
    let deep = [vec![b'['; 2_000], b"\n".to_vec()].concat();
    let kill = br#"{"do":"kill","reason":"x"}"#;
    for (line, ends, why) in [
        (vec![b'x'; 5_000], false, "too_long"),
        (vec![b'\n'; 5_000], false, "no_request"),
        ([kill.as_slice(), &[b' '; 5_000], b"\n"].concat(), false, "too_long"),
        (b"\xff\xfe\x00\x01\n".to_vec(), false, "no_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n".to_vec(), false, "no_request"),
        (b"GET / HTTP/1.1\r\n".to_vec(), false, "no_request"),
        (deep, false, "no_request"),
        // A kill without its end, one with a tail, two at once.
        (kill.to_vec(), true, "no_request"),
        (kill.to_vec(), false, "no_request"),
        ([kill.as_slice(), b"\nx"].concat(), false, "no_request"),
        ([kill.as_slice(), b"\n", kill, b"\n"].concat(), false, "no_request"),
        (br#"{"do":"kill","reason":"x","role":"root"}"#.to_vec(), true, "no_request"),
        (b"\n".to_vec(), false, "no_request"),
    ] {
        assert_eq!(refusal(hostile(rig, &line, ends)), why, "{}", String::from_utf8_lossy(&line));
    }
}

/// Acts that were obeyed before, come from tomorrow, yesterday or the end of time.
fn out_of_time(rig: &Rig) {
    let now = unix_ms();
    let act = |nonce: &str, at_ms: Value| {
        answer(
            rig,
            &json!({"do": "mode", "mode": "semi_auto", "reason": "an attack",
                            "stamp": {"nonce": nonce, "at_ms": at_ms}}),
        )
    };
    let day = 86_400_000;
    for (n, at_ms) in [now + day, now - day, now + 31_000, i64::MAX, i64::MIN, 0].iter().enumerate()
    {
        assert_eq!(act(&format!("{n:016x}"), json!(at_ms))["refused"], "stale", "{at_ms}");
    }
    for at_ms in [json!(1.5e300), json!("now"), json!(u64::MAX), json!({})] {
        assert_eq!(act("00000000000000bb", at_ms.clone())["refused"], "no_request", "{at_ms}");
    }
    assert_eq!(act("00000000000000cc", json!(now))["error"], Value::Null);
    for at_ms in [now, now + 5, now - day] {
        assert_eq!(act("00000000000000cc", json!(at_ms))["refused"], "replayed");
    }
}

/// A thousand clients at once, most of whom never finish, some letter by letter.
fn crowd(rig: &Rig) -> usize {
    let line = br#"{"do":"kill","reason":"x"}"#;
    let mut all: Vec<_> =
        (0..1_000).map(|n| hostile(rig, &line[..n % line.len()], false)).collect();
    let mut alive = 0;
    for letter in line.iter().take(4) {
        sleep(20);
        alive = all.iter_mut().filter_map(|s| s.write_all(&[*letter]).ok()).count();
    }
    alive
}

/// Whoever was told that there is no answer is not obeyed later.
fn while_suspended(rig: &Rig, engine: &crate::common::Killed) {
    let before = rig.status()["admin"]["refused"]["stale"].as_u64();
    signal(&engine.0, "STOP");
    for args in [&["mode", "manual"][..], &["limits", "reload"], &["journal", "rotate"]] {
        let out = rig.say(&[args, &["--reason", "too late"]].concat());
        assert_eq!(out.status.code(), Some(1), "{args:?}: {}", stderr(&out));
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("no answer within a second"), "{args:?}: {text}");
    }
    signal(&engine.0, "CONT");
    let late = |s: &Value| s["admin"]["refused"]["stale"].as_u64() >= before.map(|n| n + 2);
    let status = rig.until("it goes on", late);
    assert_eq!(status["mode"], "full_auto", "{status}");
}

/// What a hostile program of the same user can do at the socket: no more than be refused.
#[test]
fn attacks_at_the_socket_reach_no_lane() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    nonsense(&rig);
    out_of_time(&rig);
    assert_eq!(rig.status()["phase"], "run", "half a kill is none");
    let alive = crowd(&rig);
    // None of them may be in the way of a person.
    let out = rig.say(&["mode", "full_auto", "--reason", "through a crowd", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{alive} of the crowd: {}", stderr(&out));
    let orders = sent(&rig.status());
    let status = rig.until("it trades on", |s| sent(s) > orders + 5);
    assert_eq!((&status["phase"], &status["latch"]), (&"run".into(), &Value::Null), "{status}");
    let counts = &status["admin"]["refused"];
    assert!(counts["stale"] == 6 && counts["replayed"] == 3, "{counts}");
    while_suspended(&rig, &engine);
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("report.json")));
    let acts = acts(&rig);
    let names: Vec<_> = acts.iter().map(|[act, outcome, _]| [act.as_str(), outcome]).collect();
    assert_eq!(names, [["mode", "done"], ["mode", "done"]], "{acts:?}");
    verify(&rig);
}

/// Everything that a run tells is a line of JSON, with its level.
#[test]
fn what_a_run_tells_can_be_lines_of_json() {
    let rig = Rig::new();
    let mut command = bot4(rig.state());
    command.args(["run", "--log-format", "json", "--for", "5m", "--config"]).arg(&rig.config);
    let mut engine = crate::common::Killed(
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts"),
    );
    rig.until("it trades", |s| sent(s) > 5);
    let out = rig.say(&["mode", "manual", "--reason", "a \"look\""]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    let text = told(&mut engine);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let said = |part: &str| {
        let found = lines.iter().find(|l| l["message"].as_str().is_some_and(|m| m.contains(part)));
        found.unwrap_or_else(|| panic!("`{part}` in {text}"))
    };
    let mode = said("control mode manual (by operator): a \"look\"");
    assert_eq!((&mode["level"], &mode["thread"]), (&"info".into(), &"operator".into()), "{mode}");
    assert!(mode["time"].as_str().is_some_and(|t| t.ends_with('Z')), "{mode}");
    said("state: ");
}
