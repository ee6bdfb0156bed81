use super::*;
use bot4_types::OrderId;
use bot4_wire::transport::memory::{MemoryServerStream, Network};
use std::io::{Read, Write};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-ratelimit-limit: 30\r\n\
    x-ratelimit-remaining: 7\r\n\r\n{}";

struct Rig {
    network: Network,
    requester: Requester,
    servers: Vec<MemoryServerStream>,
    /// What each server was asked.
    heard: Vec<Vec<u8>>,
    now: Nanos,
}

impl Rig {
    fn new() -> Self {
        let network = Network::new(3);
        let endpoint = Endpoint::parse("wss://venue.example").expect("good url");
        let connector = Box::new(network.connector());
        let requester = Requester::new(connector, endpoint, HttpConfig::default(), 1);
        let (servers, heard) = (Vec::new(), Vec::new());
        let mut rig = Self { network, requester, servers, heard, now: Nanos::ZERO };
        rig.turn(100);
        rig
    }

    /// Milliseconds pass; answers that came.
    fn turn(&mut self, ms: u64) -> Vec<Answer> {
        let mut answers = Vec::new();
        for _ in 0..ms {
            self.now = self.now + Nanos::from_millis(1);
            let now = self.now;
            self.requester.poll(now);
            answers.extend(self.requester.receive(now, &mut || now));
            while let Some(server) = self.network.accept() {
                self.servers.push(server);
                self.heard.push(Vec::new());
            }
            for (server, heard) in self.servers.iter_mut().zip(&mut self.heard) {
                let mut buffer = [0; 512];
                if let Ok(n) = server.read(&mut buffer) {
                    heard.extend_from_slice(&buffer[..n]);
                }
            }
        }
        answers
    }

    fn send(&mut self, id: u64, purpose: &Purpose) -> bool {
        self.requester.send(id, b"POST /o\nA: b\n\n{}", purpose, self.now)
    }

    /// Answers on every connection that was asked something.
    fn answer(&mut self) {
        for (server, heard) in self.servers.iter_mut().zip(&mut self.heard) {
            if !std::mem::take(heard).is_empty() {
                server.write_all(ANSWER).expect("sent");
            }
        }
    }
}

#[test]
fn requests_go_out_at_once_and_answers_name_them() {
    let mut rig = Rig::new();
    assert_eq!(rig.requester.counts.connects, LINES as u64);
    let order = Purpose::Place(OrderId(1));
    assert!(rig.send(7, &order) && rig.send(8, &order));
    assert!(rig.turn(50).is_empty());
    let asked: Vec<&Vec<u8>> = rig.heard.iter().filter(|heard| !heard.is_empty()).collect();
    assert_eq!(asked.len(), 2, "one request a connection");
    let expected =
        b"POST /o HTTP/1.1\r\nHost: venue.example\r\nA: b\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(asked[0], expected);
    rig.answer();
    let answers = rig.turn(50);
    let mut ids: Vec<u64> = answers.iter().map(|a| a.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [7, 8]);
    assert_eq!((answers[0].status, &answers[0].body[..]), (200, &b"{}"[..]));
    let granted = Granted { limit: Some(30), left: Some(7), ..Granted::default() };
    assert_eq!(answers[0].granted, granted);
    assert!(!rig.requester.send(9, b"no request", &order, rig.now));
}

#[test]
fn cancels_find_room_where_orders_find_none_and_orders_where_questions_find_none() {
    let mut rig = Rig::new();
    let [question, order, cancel] =
        [Purpose::Balances, Purpose::Place(OrderId(1)), Purpose::Cancel(OrderId(1))];
    let mut sent = |purpose: &Purpose| (0..20).take_while(|n| rig.send(*n, purpose)).count();
    assert_eq!(sent(&question), LINES - KEPT_FOR_ORDERS);
    assert_eq!(sent(&order), KEPT_FOR_ORDERS - KEPT_FOR_CANCELS);
    assert_eq!(sent(&cancel), KEPT_FOR_CANCELS);
}

#[test]
fn a_request_whose_connection_breaks_or_stays_silent_ends_without_an_answer() {
    let mut rig = Rig::new();
    let order = Purpose::Place(OrderId(1));
    assert!(rig.send(7, &order) && rig.send(8, &order));
    rig.turn(50);
    let first = rig.heard.iter().position(|heard| !heard.is_empty()).expect("asked");
    let index = rig.servers[first].index();
    rig.network.cut(index);
    let broken = rig.turn(50);
    assert_eq!(broken, [Answer { id: broken[0].id, ..Answer::default() }]);
    let silent = rig.turn(3_100);
    assert_eq!((silent.len(), silent[0].status), (1, 0));
    assert_eq!((rig.requester.counts.unanswered, rig.requester.is_open()), (2, true));
    rig.turn(500);
    assert_eq!(rig.requester.counts.connects, LINES as u64 + 2, "both were replaced");
}

/// Connections over a dead path would cost each request its whole time: all are made anew at once.
#[test]
fn a_dead_path_takes_every_connection_along() {
    let mut rig = Rig::new();
    let order = Purpose::Place(OrderId(1));
    assert!(rig.send(7, &order));
    rig.turn(50);
    rig.requester.renew();
    assert!(!rig.requester.is_open() && !rig.send(8, &order));
    assert!(rig.turn(500).is_empty(), "no answer to what was under way");
    assert_eq!(rig.requester.counts.connects, 2 * LINES as u64);
    assert_eq!((rig.requester.counts.losses, rig.requester.counts.unanswered), (LINES as u64, 1));
    assert!(rig.send(9, &order));
}

#[test]
fn idle_connections_are_replaced_before_the_venue_closes_them_and_an_outage_is_told() {
    let mut rig = Rig::new();
    rig.turn(25_000);
    assert_eq!(rig.requester.counts.connects, 2 * LINES as u64);
    assert_eq!(rig.requester.counts.losses, 0);
    rig.network.refuse(true);
    (0..rig.network.connects()).for_each(|index| rig.network.cut(index));
    rig.turn(1_000);
    assert!(!rig.requester.is_open() && !rig.requester.is_down(rig.now));
    rig.turn(1_500);
    assert!(rig.requester.is_down(rig.now));
    rig.network.refuse(false);
    rig.turn(4_000);
    assert!(rig.requester.is_open() && !rig.requester.is_down(rig.now));
}
