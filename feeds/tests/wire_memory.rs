//! The wire agent over the memory network, seeded: what the parser sees, whatever the network
//! does.

mod rig;

use std::io::Write;

use bot4_feeds::wire_agent::WireConfig;
use bot4_lanes::Agent;
use bot4_types::rng::SplitMix64;
use bot4_types::{FrameKind, Nanos, ResyncReason};
use rig::{Rig, Session, config};
use tungstenite::Message;

#[test]
fn messages_and_snapshots_arrive_whatever_the_chunking() {
    for seed in 0..20 {
        let mut rig = Rig::open(seed);
        assert_eq!(rig.got, [(FrameKind::LineUp, String::new())]);
        rig.until("the subscription arrived", |r| {
            let peer = r.stream().expect("open");
            peer.server.received.contains(&Message::text("subscribe 2"))
        });
        let sent: Vec<String> = (0..100).map(|i| format!("{i} {}", "x".repeat(i * 9))).collect();
        for text in &sent {
            rig.send(text);
            rig.turns(1);
        }
        rig.until("all arrived", |r| r.got.len() == 101);
        let got: Vec<_> = rig.got.drain(..).skip(1).collect();
        assert!(got.iter().zip(&sent).all(|((k, t), s)| *k == FrameKind::Market && t == s));

        rig.ask(2, ResyncReason::Start);
        rig.until("the request arrived", |r| r.asked() == ["snapshot 2"]);
        let answer = "y".repeat(90_000);
        rig.api().expect("open").server.send(&answer);
        rig.until("the snapshot arrived", |r| !r.got.is_empty());
        assert!(rig.got == [(FrameKind::Snapshot, answer)]);
        assert_eq!(rig.count("messages"), 101);
        rig.finish();
    }
}

#[test]
fn a_cut_in_the_middle_of_a_frame_costs_the_line_and_no_half_message() {
    for seed in 0..20 {
        let mut rig = Rig::open(seed);
        rig.turns(6_000);
        rig.send("whole");
        rig.until("it arrived", |r| r.got.len() == 2);
        let peer = rig.stream().expect("open");
        let index = peer.index;
        let socket = peer.server.socket();
        socket.get_mut().write_all(b"\x81\x7e\x01\x00only the beginning").expect("room");
        rig.turns(20);
        rig.network.cut(index);
        let cut_at = rig.now;
        rig.until("the line is back", |r| r.got.len() == 4);
        assert_eq!(rig.kinds()[2..], [FrameKind::LineDown, FrameKind::LineUp]);
        assert!(rig.now.since(cut_at) < Nanos::from_millis(100), "at once after a proven line");
        assert_eq!((rig.count("reconnects"), rig.count("errors_io")), (1, 1));
        rig.send("again");
        rig.until("it works", |r| r.got.len() == 5);
        rig.finish();
    }
}

#[test]
fn a_silent_server_is_noticed_within_two_seconds() {
    let mut rig = Rig::open(3);
    rig.send("last words");
    rig.until("they arrived", |r| r.got.len() == 2);
    let (index, heard) = (rig.stream().expect("open").index, rig.now);
    rig.network.stall(index, true);
    rig.until("the line is down", |r| r.kinds().contains(&FrameKind::LineDown));
    let took = rig.now.since(heard);
    assert!(took >= Nanos::from_millis(1_900) && took <= Nanos::from_millis(2_003), "{took:?}");
    assert_eq!(rig.count("errors_silent"), 1);
    rig.until("the line is back", |r| r.agent.is_up());
    assert!(rig.count("stale_ms") < 200);
    rig.finish();
}

#[test]
fn a_slow_parser_stops_the_socket_and_loses_nothing() {
    let mut rig = Rig::open(4);
    rig.holding = true;
    for i in 0..30 {
        rig.send(&format!("m{i}"));
    }
    rig.turns(500);
    assert_eq!(rig.got.len(), 1 + 7, "one message a slot; the snapshot connection holds one");
    assert!(rig.count("backpressured") > 0);
    rig.holding = false;
    rig.until("the rest arrived", |r| r.got.len() == 31);
    let texts: Vec<_> = rig.got.iter().skip(1).map(|(_, t)| t.clone()).collect();
    assert_eq!(texts, (0..30).map(|i| format!("m{i}")).collect::<Vec<_>>());
    assert_eq!(rig.count("line_downs"), 0);
    rig.finish();
}

#[test]
fn a_parser_that_stays_slow_costs_the_line() {
    let mut rig = Rig::open(5);
    rig.holding = true;
    rig.send("unread");
    rig.turns(900);
    assert!(rig.agent.is_up());
    rig.turns(200);
    assert!(!rig.agent.is_up(), "older than a second");
    rig.turns(3_000);
    assert_eq!(rig.count("connects"), 2, "no connection while the parser lags");
    assert_eq!(rig.kinds(), [FrameKind::LineUp, FrameKind::Market, FrameKind::LineDown]);
    rig.holding = false;
    rig.until("the line is back", |r| r.agent.is_up() && r.got.len() == 4);
    assert_eq!((rig.count("dropped_backlog"), rig.count("connects")), (1, 3));
    assert!(rig.count("stale_ms") >= 2_900);
    rig.finish();
}

/// The line is lost and found while the ring is full: the parser must still learn, once there is
/// room, that messages in between are missing.
#[test]
fn a_line_that_flaps_behind_a_full_ring_is_told() {
    let stale_after = Nanos::from_secs(60);
    for seed in 0..10 {
        let mut rig =
            Rig::new(WireConfig { stale_after, ..config(seed) }, Session::requested(6_000));
        rig.until("the line is up", |r| r.agent.is_up() && r.stream().is_some());
        rig.turns(8_000);
        rig.deaf = true;
        for i in 0..6 {
            rig.send(&format!("{i}"));
        }
        rig.turns(1_000);
        let index = rig.stream().expect("open").index;
        rig.network.cut(index);
        // Nothing is read; the next ping shows the loss.
        rig.turns(2_000);
        assert!(rig.agent.is_up() && rig.count("reconnects") > 0);
        rig.deaf = false;
        rig.turns(20);
        let (up, down, data) = (FrameKind::LineUp, FrameKind::LineDown, FrameKind::Market);
        assert_eq!(rig.kinds(), [up, data, data, data, data, down, up], "seed {seed}");
        rig.send("again");
        rig.until("it works", |r| r.got.len() == 8);
        rig.finish();
    }
}

#[test]
fn an_oversize_message_costs_the_line() {
    let mut rig = Rig::open(6);
    rig.send(&"z".repeat(100_001));
    rig.until("the line is down", |r| r.kinds().contains(&FrameKind::LineDown));
    assert_eq!(rig.count("oversize"), 1);
    assert_eq!(rig.count("messages"), 0);
    rig.until("the line is back", |r| r.agent.is_up());
    rig.finish();
}

#[test]
fn a_refusal_is_obeyed() {
    let mut rig = Rig::new(config(9), Session::requested(6_000));
    rig.agent.work(Nanos(1), &mut rig.probe).expect("no fault");
    let mut stream = rig.network.accept().expect("connecting");
    stream.write_all(b"HTTP/1.1 429 Too Many\r\nRetry-After: 40\r\n\r\n").expect("room");
    rig.turns(39_000);
    assert_eq!((rig.network.connects(), rig.count("errors_refused")), (1, 1));
    rig.turns(2_000);
    rig.until("the line is up", |r| r.agent.is_up());
    rig.finish();
}

#[test]
fn an_outage_is_probed_by_one_connection_within_the_budget() {
    let mut rig = Rig::open(10);
    rig.turns(6_000);
    rig.network.refuse(true);
    for index in 0..rig.network.connects() {
        rig.network.cut(index);
    }
    let before = rig.count("errors_connect");
    rig.turns(60_000);
    let tries = rig.count("errors_connect") - before;
    // Five within 1.5 s, then one each 1.5 to 2.5 s.
    assert!((25..=45).contains(&tries), "{tries}");
    assert_eq!(rig.count("line_downs"), 1);
    rig.network.refuse(false);
    let back = rig.now;
    rig.until("the line is up", |r| r.agent.is_up());
    assert!(rig.now.since(back) < Nanos::from_millis(2_700));
    assert!(rig.count("stale_ms") >= 60_000);
    rig.finish();
}

#[test]
fn requests_are_merged_and_kept_within_the_weight() {
    let mut rig = Rig::new(config(11), Session::requested(200));
    rig.until("both are open", |r| r.agent.is_up() && r.api().is_some());
    rig.turns(5);
    for _ in 0..5 {
        rig.ask(0, ResyncReason::Gap);
    }
    rig.turns(400);
    assert_eq!(rig.asked(), ["snapshot 0"]);
    assert_eq!((rig.count("resyncs"), rig.count("snapshots_requested")), (5, 1));
    for _ in 0..59 {
        rig.ask(2, ResyncReason::SnapshotTooOld);
        rig.turns(1_000);
    }
    // A budget of 200 at 50 a request: three at once, one more within the minute.
    assert!((3..=4).contains(&rig.asked().len()), "{:?}", rig.asked());
    rig.finish();
}

/// The model: a stream connection numbers its messages; between LineUp and LineDown the parser
/// sees the messages of one connection and of those that were to replace it, each from its first
/// one, without a gap.
#[test]
fn whatever_happens_the_parser_sees_whole_lines() {
    let (mut downs, mut handovers) = (0, 0);
    for seed in 0..30 {
        let mut rig = Rig::open(seed);
        let mut rng = SplitMix64::new(seed ^ 0xFA17);
        for _ in 0..12_000 {
            torment(&mut rig, &mut rng);
            rig.turn();
        }
        (rig.holding, rig.deaf) = (false, false);
        rig.network.refuse(false);
        rig.until("the line is up in the end", |r| r.agent.is_up());
        check_lines(&rig.got, seed);
        downs += rig.count("line_downs");
        handovers += rig.count("handovers");
        assert!(rig.count("messages") > 500, "seed {seed} delivers");
        rig.finish();
    }
    assert!(downs >= 30 && handovers >= 10, "{downs} downs, {handovers} handovers");
}

fn torment(rig: &mut Rig, rng: &mut SplitMix64) {
    let newest = rig.network.connects().saturating_sub(1);
    match rng.below(4_000) {
        0..2 => rig.network.cut(newest),
        2..4 => rig.network.stall(newest, true),
        4..6 => rig.network.refuse(true),
        6..30 => rig.network.refuse(false),
        30..33 => rig.holding = true,
        33..43 => rig.holding = false,
        2_000..2_004 => rig.deaf = true,
        2_004..2_024 => rig.deaf = false,
        43..45 => {
            if let Some(peer) = rig.stream() {
                peer.server.send("shutdown now");
            }
        }
        45..60 => rig.ask(2, ResyncReason::Gap),
        60..1_060 => {
            let fill = "f".repeat(rng.below(3_000) as usize);
            if let Some(peer) = rig.stream() {
                let text = format!("{} {} {fill}", peer.index, peer.sent);
                peer.sent += 1;
                peer.server.send(&text);
            }
        }
        _ => {}
    }
}

fn check_lines(got: &[(FrameKind, String)], seed: u64) {
    let (mut up, mut lines) = (false, Vec::<(u64, u64)>::new());
    for (kind, text) in got {
        match kind {
            FrameKind::LineUp => {
                assert!(!up, "seed {seed}: up twice");
                up = true;
                lines.clear();
            }
            FrameKind::LineDown => {
                assert!(up, "seed {seed}: down twice");
                up = false;
            }
            FrameKind::Snapshot => assert!(up, "seed {seed}: snapshot without a line"),
            FrameKind::SwitchBegin | FrameKind::SwitchEnd => panic!("seed {seed}: one number"),
            FrameKind::Market => {
                assert!(up, "seed {seed}: message without a line");
                let mut words = text.split(' ').map(|w| w.parse::<u64>().ok());
                let (conn, number) = (words.next().flatten(), words.next().flatten());
                let conn = conn.expect("a connection");
                let known = lines.iter().position(|(c, _)| *c == conn);
                let at = known.unwrap_or_else(|| {
                    assert!(lines.iter().all(|(c, _)| *c < conn), "seed {seed}: an old line");
                    lines.push((conn, 0));
                    lines.len() - 1
                });
                assert_eq!(number, Some(lines[at].1), "seed {seed}: gap");
                lines[at].1 += 1;
            }
        }
    }
}

/// A snapshot that was asked for before the stream was lost lacks what was lost with it: its
/// answer must not reach the books of the new stream.
#[test]
fn an_answer_from_before_the_stream_was_lost_is_not_taken() {
    let mut rig = Rig::open(11);
    rig.ask(0, ResyncReason::Start);
    rig.until("the request is there", |r| r.asked().len() == 1);
    let old = rig.api().expect("open").index;
    let stream = rig.stream().expect("open").index;
    rig.network.cut(stream);
    rig.until("the stream is another one", |r| {
        r.agent.is_up() && r.stream().is_some_and(|s| s.index != stream)
    });
    for peer in rig.peers.iter_mut().filter(|p| p.index == old && p.server.is_open()) {
        peer.server.send("late answer");
    }
    rig.until("requests have a new connection", |r| r.api().is_some_and(|a| a.index != old));
    rig.turns(200);
    assert!(rig.got.iter().all(|(kind, _)| *kind != FrameKind::Snapshot), "{:?}", rig.got);
    rig.ask(0, ResyncReason::Gap);
    rig.until("asked anew", |r| r.asked().len() == 2);
    rig.api().expect("open").server.send("answer");
    rig.until("answered", |r| r.got.iter().any(|(_, text)| text == "answer"));
    rig.finish();
}
