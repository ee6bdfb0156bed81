//! Connections that are replaced without a gap, paced texts, signs of life, fresh snapshots by
//! subscribing again.

mod rig;

use std::io::{Read, Write};

use bot4_feeds::wire_agent::scout::{Part, Reach};
use bot4_feeds::wire_agent::{CONN_SIDE, WireConfig};
use bot4_lanes::Agent;
use bot4_types::{FrameKind, Nanos, ResyncReason};
use rig::{KEEP_ALIVE, Rig, STREAM, Session, config};

fn open(session: Session, config: WireConfig) -> Rig {
    let mut rig = Rig::new(config, session);
    rig.until("the line is up", |r| r.agent.is_up() && r.stream().is_some());
    rig
}

/// Sends `text` on every open stream connection, as a venue does to all subscribers.
fn publish(rig: &mut Rig, text: &str) {
    for peer in rig.peers.iter_mut().filter(|p| p.path == STREAM && p.server.is_open()) {
        peer.server.send(text);
    }
}

fn texts(rig: &Rig) -> Vec<&str> {
    let market = rig.got.iter().filter(|(k, _)| *k == FrameKind::Market);
    market.map(|(_, t)| t.as_str()).collect()
}

/// Streams that the venue still holds open.
fn open_streams(rig: &Rig) -> usize {
    rig.peers.iter().filter(|p| p.path == STREAM && p.server.is_open()).count()
}

#[test]
fn a_shutdown_notice_opens_the_successor_first_and_loses_nothing() {
    for seed in 0..10 {
        let mut rig = open(Session::requested(6_000), config(seed));
        rig.turns(6_000);
        rig.send("shutdown soon");
        let mut published = Vec::new();
        for i in 0..6_000 {
            if i % 7 == 0 {
                let text = format!("m{i}");
                publish(&mut rig, &text);
                published.push(text);
            }
            rig.turn();
        }
        rig.until("the old one is closed", |r| open_streams(r) == 1);
        rig.turns(100);
        assert_eq!((rig.count("line_ups"), rig.count("line_downs")), (1, 0), "seed {seed}");
        assert_eq!((rig.count("handovers"), rig.count("shutdown_notices")), (1, 1));
        let got = texts(&rig);
        for text in &published {
            assert!(got.contains(&text.as_str()), "seed {seed}: {text} is missing");
        }
        assert!(!got.iter().any(|t| t.starts_with("shutdown")), "kept from the parser");
        let twice = got.len() - published.len();
        assert!(twice > 100, "both delivered for two seconds: {twice} twice");
        assert!(rig.conns.iter().all(|c| c.0 == 0), "one number where updates are numbered");
        rig.finish();
    }
}

#[test]
fn where_snapshots_are_streamed_the_parser_is_told_of_the_switch() {
    let mut rig = open(Session::streamed(), config(1));
    rig.turns(6_000);
    for round in 0..3u64 {
        rig.turns(11_000);
        let before = rig.got.len();
        rig.send("shutdown soon");
        for i in 0..5_000 {
            if i % 50 == 0 {
                publish(&mut rig, "x");
            }
            rig.turn();
        }
        rig.until("it is done", |r| r.count("handovers") == round + 1);
        let (old, new) = if round % 2 == 0 { (0, CONN_SIDE) } else { (CONN_SIDE, 0) };
        let news: Vec<_> = rig.got[before..].iter().zip(&rig.conns[before..]).collect();
        let place = |kind| news.iter().position(|((k, _), _)| *k == kind).expect("told");
        let (begin, end) = (place(FrameKind::SwitchBegin), place(FrameKind::SwitchEnd));
        assert_eq!((news[begin].1.0, news[end].1.0), (new, new));
        assert!(news[..begin].iter().all(|(_, c)| c.0 == old));
        assert!(news[begin..end].iter().any(|(_, c)| c.0 == old), "both deliver");
        assert!(news[begin + 1..end].iter().any(|(_, c)| c.0 == new), "both deliver");
        assert!(news[end..].iter().all(|(_, c)| c.0 == new));
    }
    assert_eq!((rig.count("line_ups"), rig.count("line_downs")), (1, 0));
    rig.finish();
}

#[test]
fn a_connection_is_replaced_before_its_life_ends() {
    let life = Nanos::from_secs(100);
    let mut rig = open(Session::requested(6_000), WireConfig { life, ..config(8) });
    for _ in 0..101_000 {
        if rig.now.millis().is_multiple_of(100) {
            publish(&mut rig, "tick");
        }
        rig.turn();
    }
    assert!(rig.count("handovers") == 1 && rig.agent.is_up());
    assert!(rig.count("renewals") >= 2, "stream and snapshot connection");
    assert_eq!(rig.count("line_downs"), 0);
    rig.finish();
}

#[test]
fn a_server_that_closes_early_is_an_ordinary_outage() {
    for streamed in [false, true] {
        let session = if streamed { Session::streamed() } else { Session::requested(6_000) };
        let mut rig = open(session, config(3));
        rig.turns(6_000);
        rig.network.refuse(true);
        rig.send("shutdown soon");
        rig.turns(300);
        assert_eq!(rig.count("line_downs"), 0, "the old one goes on");
        let index = rig.stream().expect("open").index;
        rig.network.cut(index);
        rig.turns(50);
        assert_eq!(rig.count("line_downs"), 1);
        rig.network.refuse(false);
        rig.until("the line is back", |r| r.agent.is_up() && r.count("line_ups") == 2);
        assert_eq!(rig.count("handovers"), 0);
        rig.finish();
    }
}

#[test]
fn an_old_connection_that_dies_meanwhile_is_replaced_by_its_successor() {
    let mut rig = open(Session::streamed(), config(4));
    rig.turns(6_000);
    let old = rig.stream().expect("open").index;
    rig.send("shutdown soon");
    rig.until("both are open", |r| open_streams(r) == 2);
    for _ in 0..100 {
        publish(&mut rig, "x");
        rig.turns(5);
    }
    rig.network.cut(old);
    rig.turns(100);
    assert_eq!((rig.count("line_downs"), rig.count("handovers")), (0, 1));
    assert!(rig.agent.is_up());
    assert!(rig.got.iter().any(|(k, _)| *k == FrameKind::SwitchEnd));
    rig.finish();
}

#[test]
fn a_successor_that_dies_is_tried_again_and_the_parser_is_told() {
    let mut rig = open(Session::streamed(), config(5));
    rig.turns(6_000);
    rig.send("shutdown soon");
    rig.until("both are open", |r| open_streams(r) == 2);
    publish(&mut rig, "x");
    rig.turns(100);
    let successor = rig.stream().expect("open").index;
    rig.network.cut(successor);
    for _ in 0..600 {
        publish(&mut rig, "y");
        rig.turns(10);
    }
    let switches: Vec<_> = rig
        .got
        .iter()
        .zip(&rig.conns)
        .filter(|((k, _), _)| matches!(k, FrameKind::SwitchBegin | FrameKind::SwitchEnd))
        .map(|((k, _), c)| (*k, c.0))
        .collect();
    let (begin, end) = (FrameKind::SwitchBegin, FrameKind::SwitchEnd);
    let expected = [(begin, CONN_SIDE), (end, 0), (begin, CONN_SIDE), (end, CONN_SIDE)];
    assert_eq!(switches, expected);
    assert_eq!((rig.count("line_downs"), rig.count("handovers")), (0, 1));
    rig.finish();
}

/// Counted where the venue counts: by arrival.
#[test]
fn no_second_holds_more_messages_than_the_venue_allows() {
    for limit in [3, 5, 10] {
        let session = Session {
            greetings: 30,
            messages_per_s: limit,
            keep_alive_s: Some(1),
            ..Session::streamed()
        };
        let mut rig = Rig::new(config(u64::from(limit)), session);
        let (mut seen, mut arrivals) = (0, Vec::new());
        for _ in 0..40_000 {
            rig.turn();
            if let Some(peer) = rig.stream() {
                let all = peer.server.received.len();
                arrivals.extend(std::iter::repeat_n(rig.now, all - seen));
                seen = all;
            }
        }
        assert!(arrivals.len() > 70, "texts, pings of both kinds: {}", arrivals.len());
        for from in &arrivals {
            let within = |at: &&Nanos| **at >= *from && at.since(*from) < Nanos::from_secs(1);
            let count = arrivals.iter().filter(within).count();
            assert!(count <= limit as usize, "{count} messages in a second from {from:?}");
        }
        rig.finish();
    }
}

/// Takes the client's short frames apart: opcode and payload of each.
fn client_frames(bytes: &mut Vec<u8>) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while bytes.len() >= 6 {
        let len = usize::from(bytes[1] & 0x7F);
        if bytes.len() < 6 + len {
            break;
        }
        let frame: Vec<u8> = bytes.drain(..6 + len).collect();
        let payload = frame[6..].iter().zip(frame[2..6].iter().cycle()).map(|(b, m)| b ^ m);
        frames.push((frame[0] & 0x0F, payload.collect()));
    }
    frames
}

/// A quiet market at a venue that leaves WebSocket pings unanswered: its own ping is sent in time
/// and keeps the line; when that is not answered either, the line is silent.
#[test]
fn a_venue_that_answers_its_own_pings_only_is_alive() {
    let session = Session { keep_alive_s: Some(20), ..Session::streamed() };
    let mut rig = open(session, config(6));
    rig.turns(20);
    rig.by_hand = true;
    let (mut bytes, mut pings, mut kept, mut buffer) = (Vec::new(), 0, 0, [0; 512]);
    let mut answering = true;
    for ms in 0..13_000 {
        answering &= ms < 10_000;
        rig.turn();
        let Some(peer) = rig.stream() else { break };
        let socket = peer.server.socket().get_mut();
        while let Ok(n @ 1..) = socket.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..n]);
        }
        for (opcode, payload) in client_frames(&mut bytes) {
            pings += usize::from(opcode == 9);
            if payload == KEEP_ALIVE.as_bytes() {
                kept += 1;
                if answering {
                    socket.write_all(b"\x81\x04pong").expect("room");
                }
            }
        }
        if ms == 9_999 {
            assert_eq!(rig.count("line_downs"), 0, "alive");
            assert!(pings >= 9 && kept >= 5, "{pings} pings, {kept} of the venue's kind");
        }
    }
    assert_eq!((rig.count("line_downs"), rig.count("errors_silent")), (1, 1));
    rig.by_hand = false;
    rig.finish();
}

#[test]
fn fresh_snapshots_are_subscribed_spaced_and_within_the_budget() {
    let mut rig = open(Session::streamed(), config(7));
    let subscribed = |r: &Rig, id: u16| {
        let texts = r.peers.iter().flat_map(|p| &p.server.received).map(ToString::to_string);
        texts.filter(|t| t.ends_with(&format!("subscribe {id}"))).count()
    };
    rig.ask(0, ResyncReason::Start);
    rig.turns(1_000);
    assert_eq!(rig.count("resubscribes"), 0, "the first one comes by itself");
    rig.ask(0, ResyncReason::Gap);
    rig.ask(0, ResyncReason::Gap);
    rig.turns(50);
    assert_eq!((rig.count("resubscribes"), subscribed(&rig, 0)), (1, 2));
    rig.ask(0, ResyncReason::SnapshotTimeout);
    rig.turns(50);
    assert_eq!(rig.count("resubscribes"), 1, "not that soon");
    for _ in 0..5 {
        rig.turns(3_000);
        rig.ask(0, ResyncReason::SnapshotTimeout);
    }
    rig.turns(100);
    assert_eq!(rig.count("resubscribes"), 6, "the budget's start");
    assert_eq!(rig.count("line_downs"), 0);
    // Beyond it a fresh connection is cheaper than a subscription.
    rig.ask(0, ResyncReason::Checksum);
    for _ in 0..5_000 {
        publish(&mut rig, "x");
        rig.turn();
    }
    assert_eq!((rig.count("handovers"), rig.count("line_downs")), (1, 0));
    rig.finish();
}

#[test]
fn where_nothing_can_be_subscribed_again_the_connection_is_replaced() {
    let session = Session { resubscribes: false, ..Session::streamed() };
    let mut rig = open(session, config(8));
    rig.turns(4_000);
    rig.ask(2, ResyncReason::Gap);
    for _ in 0..5_000 {
        publish(&mut rig, "x");
        rig.turn();
    }
    assert_eq!((rig.count("handovers"), rig.count("line_downs")), (1, 0));
    assert_eq!(rig.count("resubscribes"), 0);
    rig.finish();
}

#[test]
fn a_follower_comes_when_the_scout_is_in() {
    let reach = Reach::default();
    let part = |part| WireConfig { part, ..config(9) };
    let mut scout = Rig::new(part(Part::Scout(reach.clone())), Session::requested(6_000));
    let mut follower = Rig::new(part(Part::Follower(reach)), Session::requested(6_000));
    scout.network.refuse(true);
    for _ in 0..2_500 {
        scout.turn();
        follower.turn();
    }
    assert!(scout.count("errors_connect") >= 5);
    assert_eq!(follower.count("connects"), 0);
    scout.network.refuse(false);
    for _ in 0..3_000 {
        scout.turn();
        follower.turn();
    }
    assert!(scout.agent.is_up() && follower.agent.is_up());
    scout.finish();
    follower.finish();
}

#[test]
fn too_many_streams_for_one_connection_are_refused_with_the_numbers() {
    let session = Session { streams_max: 5, ..Session::requested(0) };
    let network = bot4_wire::transport::memory::Network::new(1);
    let metrics = bot4_lanes::Metrics::in_memory();
    let (frames, _frames_rx) = bot4_lanes::ring(4);
    let (_slots_tx, slots) = bot4_lanes::ring(64);
    let ports = bot4_feeds::wire_agent::WirePorts { frames, slots, resync: Vec::new() };
    let connector = Box::new(network.connector());
    let mut agent = bot4_feeds::wire_agent::WireAgent::new(
        config(1),
        ports,
        Box::new(session),
        connector,
        &metrics,
    );
    let fault = agent.start(Nanos::ZERO).expect_err("refused");
    assert!(fault.what.contains("6 streams") && fault.what.contains("allows 5"), "{fault}");
}

/// A book that never gets what it waits for must not wear out the venue with connections.
#[test]
fn replacements_that_do_not_help_become_rare() {
    let session = Session { resubscribes: false, ..Session::streamed() };
    let mut rig = open(session, config(10));
    rig.turns(4_000);
    for second in 0..300 {
        rig.ask(0, ResyncReason::SnapshotTimeout);
        for _ in 0..10 {
            publish(&mut rig, "x");
            rig.turns(100);
        }
        if second == 100 {
            assert!(rig.count("handovers") <= 4, "{} in 100 s", rig.count("handovers"));
        }
    }
    let handovers = rig.count("handovers");
    assert!((3..=6).contains(&handovers), "{handovers} in five minutes");
    assert_eq!(rig.count("line_downs"), 0);
    rig.finish();
}
