//! What a fault does to the venue.

use crate::decimal::ONE;
use crate::dialect::tamper::{DepthFault, Strike};
use crate::exchange::Ticket;
use crate::matching::{Side, Stp, Tif};
use crate::orders::Kind;
use crate::pulse::Ending;
use crate::script::{Cut, Fault};
use crate::venue::{ConnId, Out, Role, Venue};

impl Venue {
    /// A fault strikes now.
    pub(crate) fn strike(&mut self, fault: Fault) {
        let now_ns = self.pulse.now_ns();
        match fault {
            Fault::DropConnections => self.cut_all(),
            Fault::DropPrivate(line) => {
                for conn in self.private_lines(line) {
                    self.cut(conn, Cut::Fin);
                }
            }
            Fault::Silent(ns) => {
                self.pulse.silent_until_ns = now_ns + ns;
                self.pulse.end_at(now_ns + ns, Ending::Back("silent"));
            }
            Fault::LoseDepth(symbol) => self.strike_depth(DepthFault::Lose, symbol, None),
            Fault::RepeatDepth(symbol) => self.strike_depth(DepthFault::Repeat, symbol, None),
            Fault::Depth(fault, symbol, line) => self.strike_depth(fault, symbol, line),
            Fault::ShutdownNotice => self.announce_shutdown(now_ns / 1_000_000),
            Fault::Exit => self.pulse.exit = true,
            Fault::DelayAcks(ns) => self.pulse.delay_ns = ns,
            Fault::LoseAck => self.pulse.lose_answer = true,
            Fault::LateAck(ns) => self.pulse.late_answer_ns = Some(ns),
            Fault::AckAfterFill(ns) => self.pulse.late_taker_ns = Some(ns),
            Fault::FailAck => self.pulse.fail_answer = true,
            Fault::LoseReport => self.pulse.lose_report = true,
            Fault::RepeatReport => self.pulse.repeat_report = true,
            Fault::ClockJump(ns) => self.jump(ns),
            Fault::Cut(cut, line) => {
                for conn in self.lines(line) {
                    self.cut(conn, cut);
                }
            }
            Fault::Down(ns) => self.go_down(ns, "down"),
            Fault::Outage(ns) => {
                self.cut_all();
                self.go_down(ns, "outage");
            }
            Fault::Retire(ns) => {
                self.announce_shutdown(now_ns / 1_000_000);
                let old = self.conns.iter().filter(|(_, at)| !matches!(at.role, Role::Control));
                let old = old.map(|(&conn, _)| conn).collect();
                self.pulse.end_at(now_ns + ns, Ending::Cut(old));
            }
            Fault::Lag(ns, line) => {
                for conn in self.lines(Some(line)) {
                    if let Some(at) = self.conns.get_mut(&conn) {
                        at.lag_ns = ns;
                        self.control.has_odd_lines = true;
                    }
                }
            }
            Fault::Filters(symbol, change) => {
                if let Some(market) = self.exchange.market(&symbol) {
                    change.apply(&mut self.exchange.markets[market].spec);
                }
            }
            Fault::List(symbol, listing) => {
                if let Some(market) = self.exchange.market(&symbol) {
                    self.exchange.markets[market].spec.listing = listing;
                }
            }
            Fault::RestartFeed => self.speak(|dialect, desk| dialect.restart_feed(desk)),
            of_the_account => self.strike_account(of_the_account),
        }
    }

    /// A fault of the account's own messages strikes, or somebody else acts on the account.
    fn strike_account(&mut self, fault: Fault) {
        let now_ns = self.pulse.now_ns();
        match fault {
            Fault::LateReport(ns) => self.pulse.mishaps.delay_report(ns),
            Fault::FillAfterCancel(ns) => self.pulse.mishaps.delay_part(ns),
            Fault::ReplayReports => {
                for event in self.pulse.mishaps.told() {
                    self.tell_event(&event, 1);
                }
            }
            Fault::Deaf(ns) => self.pulse.mishaps.deaf_until_ns = now_ns + ns,
            Fault::Mute(ns) => self.pulse.mishaps.mute_until_ns = now_ns + ns,
            Fault::SilentCancel => self.cancel_silently(now_ns / 1_000_000),
            Fault::ForeignTrade(symbol) => self.act_as_other(&symbol, true),
            Fault::ForeignOrder(symbol) => self.act_as_other(&symbol, false),
            Fault::Transfer(asset, amount) => self.transfer(&asset, amount.into()),
            Fault::Ban(ns) => self.ban((now_ns + ns) / 1_000_000),
            _ => {}
        }
    }

    /// A fault is over.
    pub(crate) fn end_fault(&mut self, ending: Ending) {
        match ending {
            Ending::Back(name) => {
                let on = match name {
                    "silent" => self.pulse.is_silent(),
                    _ => self.pulse.is_down(),
                };
                // Prolonged by a later one, which has an ending of its own.
                if !on {
                    self.tell_back(name);
                }
            }
            Ending::Cut(conns) => {
                for conn in conns {
                    if self.conns.contains_key(&conn) {
                        self.cut(conn, Cut::Close(1001));
                    }
                }
                self.tell_back("retire");
            }
        }
    }

    /// The market connections that a fault is for: all, or the nth oldest, counted from 1.
    fn lines(&self, line: Option<usize>) -> Vec<ConnId> {
        self.some_of(line, |role| matches!(role, Role::Market))
    }

    /// The account's connections that a fault is for, likewise; those by which orders come as
    /// plain requests are counted behind the others.
    fn private_lines(&self, line: Option<usize>) -> Vec<ConnId> {
        let mut all = self.some_of(None, |role| matches!(role, Role::Private | Role::Api(_)));
        all.extend(&self.askers);
        match line {
            None => all,
            Some(n) => all.into_iter().skip(n.saturating_sub(1)).take(1).collect(),
        }
    }

    fn some_of(&self, line: Option<usize>, wanted: fn(&Role) -> bool) -> Vec<ConnId> {
        let all = self.conns.iter().filter(|(_, at)| wanted(&at.role)).map(|(&conn, _)| conn);
        match line {
            None => all.collect(),
            Some(n) => all.skip(n.saturating_sub(1)).take(1).collect(),
        }
    }

    fn strike_depth(&mut self, fault: DepthFault, symbol: String, line: Option<usize>) {
        let conn = match line {
            None => None,
            Some(_) => match self.lines(line).first() {
                Some(&conn) => Some(conn),
                None => return,
            },
        };
        self.faults.add(Strike { symbol, fault, conn });
    }

    fn cut(&mut self, conn: ConnId, cut: Cut) {
        match cut {
            Cut::Fin => self.out.push_back((conn, Out::Drop)),
            Cut::Reset => self.out.push_back((conn, Out::Reset)),
            Cut::Stall => self.out.push_back((conn, Out::Stall)),
            Cut::Close(code) => self.out.push_back((conn, Out::Close(code, ""))),
            Cut::Freeze => {
                if let Some(at) = self.conns.get_mut(&conn) {
                    at.is_frozen = true;
                    at.next_ping_ns = u64::MAX;
                    at.pong_due_ns = None;
                    self.control.has_odd_lines = true;
                }
                return;
            }
        }
        self.disconnect(conn);
    }

    /// The oldest open order of the account is gone, and nobody is told.
    fn cancel_silently(&mut self, now_ms: u64) {
        let Some(oldest) = self.exchange.orders.open(None).next().map(|order| order.id) else {
            return;
        };
        let told = self.exchange.events.len();
        self.exchange.cancel(oldest, None, now_ms);
        self.exchange.events.truncate(told);
        self.settle();
    }

    /// Another program on the same account buys: at once, or by an order that rests far away.
    fn act_as_other(&mut self, symbol: &str, at_once: bool) {
        let now_ms = self.pulse.now_ns() / 1_000_000;
        let Some(market) = self.exchange.market(symbol) else { return };
        let spec = &self.exchange.markets[market].spec;
        let price = spec.start_price / 2 / spec.tick * spec.tick;
        let worth = i128::from(spec.notional_bounds.0.max(5 * ONE)) * 4 * i128::from(ONE);
        let qty = (worth / i128::from(price.max(1))) as i64 / spec.lot * spec.lot + spec.lot;
        let ticket = Ticket {
            market,
            side: Side::Buy,
            kind: if at_once { Kind::Market } else { Kind::Limit },
            tif: Tif::Gtc,
            price: (!at_once).then_some(price),
            qty,
            client_id: Some(format!("web_{now_ms}")),
            stp: Stp::None,
        };
        // Where the account cannot pay, nothing happens.
        let _ = self.exchange.place(ticket, now_ms);
        self.settle();
    }

    /// Money comes or goes beside all orders; no more goes than is free.
    fn transfer(&mut self, asset: &str, amount: i128) {
        let free = self.exchange.account.assets().get(asset).map_or(0, |held| held.free);
        self.exchange.account.receive(asset, amount.max(-free));
        self.exchange.tell_balances(self.pulse.now_ns() / 1_000_000);
        self.settle();
    }

    /// The address is banned: its connections end, requests and new connections get a 418.
    fn ban(&mut self, until_ms: u64) {
        self.exchange.limits.ban_until(until_ms);
        self.cut_all();
    }

    fn cut_all(&mut self) {
        let mut all = self.some_of(None, |role| !matches!(role, Role::Control));
        all.extend(&self.askers);
        for conn in all {
            self.cut(conn, Cut::Fin);
        }
    }

    fn go_down(&mut self, ns: u64, name: &'static str) {
        let until_ns = self.pulse.now_ns() + ns;
        self.pulse.down_until_ns = self.pulse.down_until_ns.max(until_ns);
        self.pulse.end_at(self.pulse.down_until_ns, Ending::Back(name));
    }

    fn jump(&mut self, ns: i64) {
        self.pulse.jump(ns);
        // The jump itself must not look like a stall to connections.
        for conn in self.conns.values_mut() {
            conn.opened_ns = conn.opened_ns.saturating_add_signed(ns);
            conn.next_ping_ns = conn.next_ping_ns.saturating_add_signed(ns);
            conn.pong_due_ns = conn.pong_due_ns.map(|due| due.saturating_add_signed(ns));
        }
    }

    fn announce_shutdown(&mut self, now_ms: u64) {
        self.speak(|dialect, desk| dialect.notice(desk));
        for (&conn, at) in &self.conns {
            if let Role::Api(session) = &at.role {
                let time = now_ms * session.scale;
                let text = format!(r#"{{"event":{{"e":"serverShutdown","E":{time}}}}}"#);
                self.out.push_back((conn, Out::Text(text.into())));
            }
        }
    }
}
