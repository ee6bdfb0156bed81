//! Bad input is refused with exit code 2, and says where and how to mend it.

use crate::common::{Killed, bot4, config, demo, output, signal, sleep, stderr, venue};
use std::path::Path;
use std::process::Stdio;

fn refused(state: &Path, text: &str, wanted: &[&str]) {
    let file = state.join("trade.toml");
    std::fs::write(&file, text).expect("written");
    for command in ["check", "run"] {
        let out = output(bot4(state).args([command, "--config"]).arg(&file));
        let error = stderr(&out);
        assert_eq!(out.status.code(), Some(2), "{command}: {error}");
        for w in wanted.iter().chain(&["trade.toml:", "help"]) {
            assert!(error.contains(w), "{command}: `{w}` in:\n{error}");
        }
    }
}

#[test]
fn configurations_with_mistakes() {
    let state = tempfile::tempdir().expect("a folder");
    let demo = include_str!("../../../deploy/config/demo.toml");
    let state = state.path();
    refused(state, &demo.replace("collar_pct", "colar_pct"), &["colar_pct", "collar_pct"]);
    refused(state, &demo.replace("\"30s\"", "\"30 parsecs\""), &["30 parsecs", "20s"]);
    refused(state, &demo.replace("\"binance\"", "\"binence\""), &["binence", "name"]);
    refused(state, &demo.replace("\"binance\"", "\"binance-usdm\""), &["usdm", "binance, "]);
    let remote = demo
        .replace("embedded = true", "market = \"wss://127.0.0.1:9\"\napi = \"wss://127.0.0.1:9\"")
        .replace("[risk]", "api_key = \"k\"\nprivate_key = \"nowhere.pem\"\n[risk]");
    refused(state, &remote, &["nowhere.pem", "private_key"]);
}

#[test]
fn usage_mistakes() {
    let state = tempfile::tempdir().expect("a folder");
    for args in [
        &["run", "--lanes", "13"][..],
        &["run", "--for", "30"],
        &["book", "--venue", "binance"],
        &["book", "--venue", "nowhere", "x"],
        &["book", "--venue", "binance", "no-such-file"],
        &["journal", "verify", "no-such-folder"],
        &["latency", "show", "no-such-file"],
        &["venue", "--trade"],
        &["sim", "--seeds", "5..1"],
        &["frobnicate"],
    ] {
        let out = output(bot4(state.path()).args(args));
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", stderr(&out));
        assert!(!stderr(&out).is_empty(), "{args:?}");
    }
}

#[test]
fn a_venue_with_an_untrusted_certificate() {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = venue(state.path(), "127.0.0.1:0");
    let other = tempfile::tempdir().expect("a folder");
    let (_other, elsewhere) = venue(other.path(), "127.0.0.1:0");
    let file = state.path().join("trade.toml");
    let foreign = elsewhere["ca"].as_str().expect("a path");
    std::fs::write(&file, config(&endpoints, Some(foreign))).expect("written");
    let out = output(bot4(state.path()).args(["run", "--config"]).arg(&file));
    let error = stderr(&out);
    assert_eq!(out.status.code(), Some(2), "{error}");
    assert!(error.contains("certificate"), "{error}");
}

#[test]
fn a_wrong_key() {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = venue(state.path(), "127.0.0.1:0");
    let file = state.path().join("trade.toml");
    let key = endpoints["api_key"].as_str().expect("text");
    let text = config(&endpoints, None).replace(key, &"x".repeat(64));
    std::fs::write(&file, text).expect("written");
    let out = output(bot4(state.path()).args(["run", "--config"]).arg(&file));
    let error = stderr(&out);
    assert_eq!(out.status.code(), Some(2), "{error}");
    assert!(error.contains("session.logon") && error.contains("help"), "{error}");
}

/// Nobody writes into the pipe: the venue waits for its market and can still be stopped.
#[test]
fn a_market_that_never_comes_can_be_stopped() {
    let state = tempfile::tempdir().expect("a folder");
    let pipe = state.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let child = bot4(state.path()).args(["venue", "--market"]).arg(&pipe).spawn();
    let mut venue = Killed(child.expect("the venue starts"));
    sleep(1_000);
    signal(&venue.0, "-TERM");
    let ended = (0..300).any(|_| {
        sleep(100);
        venue.0.try_wait().expect("a child").is_some()
    });
    assert!(ended, "it did not end by SIGTERM");
}

/// `check`, `host plan` and a refusal with `stdout` and `stderr`: their exit codes.
fn told_to(stdout: impl Fn() -> Stdio, stderr: impl Fn() -> Stdio) -> [Option<i32>; 3] {
    let state = tempfile::tempdir().expect("a folder");
    [&["check"][..], &["host", "plan"], &["journal", "verify", "no-such-folder"]].map(|args| {
        let mut command = bot4(state.path());
        command.args(args).stdout(stdout()).stderr(stderr());
        command.status().expect("bot4 runs").code()
    })
}

/// A pipe whose reader has gone.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    std::fs::File::options().write(true).open("/dev/full").expect("a device").into()
}

#[test]
fn a_reader_that_has_gone_ends_nothing_and_a_full_disk_is_told() {
    assert_eq!(told_to(gone, Stdio::null), told_to(Stdio::null, Stdio::null));
    assert_eq!(told_to(Stdio::null, gone), told_to(Stdio::null, Stdio::null));
    assert_eq!(told_to(Stdio::null, full), told_to(Stdio::null, Stdio::null));
    let state = tempfile::tempdir().expect("a folder");
    let file = demo(state.path());
    let file = file.to_str().expect("UTF-8");
    for (args, code, said) in [
        (&["check"][..], 1, "standard output: No space left"),
        (&["run", "--for", "1s", "--config", file], 1, "standard output: No space left"),
        (&["watch", "--listen", "127.0.0.1:0"], 2, "could not be printed"),
    ] {
        let child = bot4(state.path()).args(args).stdout(full()).stderr(Stdio::piped()).spawn();
        let out = child.expect("bot4 runs").wait_with_output().expect("an end");
        assert_eq!(out.status.code(), Some(code), "{args:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(said), "{args:?}: {}", stderr(&out));
    }
}

/// A log that runs writes on a thread of its own, and by its level.
#[test]
fn a_refusal_is_said_before_the_end_whatever_the_log_says() {
    let state = tempfile::tempdir().expect("a folder");
    for _ in 0..8 {
        let args = ["run", "--latency-interval", "1ms", "--log-level", "error"];
        let out = output(bot4(state.path()).args(args));
        assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
        assert!(stderr(&out).contains("latency-interval"), "{}", stderr(&out));
    }
}
