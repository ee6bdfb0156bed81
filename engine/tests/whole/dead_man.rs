//! The dead-man switch of a venue cancels for an engine that is gone, and for nobody else.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use bot4_venues::Venue;

use crate::common::rig::sent;
use crate::common::{Killed, bot4, config_of, output, signal, sleep, started, status, stderr};
use crate::observer::ControlLine;
use crate::venue_log::{self, VenueLog, is_own};

/// Longer than the switch of any venue.
const LONGER: &str = "clock-jump 15s";

struct Scene {
    state: tempfile::TempDir,
    toml: PathBuf,
    symbol: &'static str,
    line: ControlLine,
    _venue: Killed,
}

impl Scene {
    fn new(venue: Venue, symbols: [&'static str; 2]) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let mut command = bot4(state.path());
        command.args(["venue", "--venue", venue.name(), "--state"]).arg(state.path().join("venue"));
        let (process, endpoints) = started(&mut command);
        let toml = state.path().join("trade.toml");
        std::fs::write(&toml, config_of(venue, &symbols, &endpoints)).expect("written");
        let line = ControlLine::new(&endpoints);
        Self { state, toml, symbol: symbols[0], line, _venue: process }
    }

    fn run(&self) -> Command {
        let mut command = bot4(self.state.path());
        command.args(["run", "--for", "60s", "--config"]).arg(&self.toml);
        command
    }

    fn say(&mut self, command: &str) {
        self.line.say(command);
        for _ in 0..1_000 {
            match self.line.hear() {
                Some(answer) if answer["done"] == command => return,
                Some(_) => {}
                None => sleep(2),
            }
        }
        panic!("{command}: no answer");
    }

    /// An engine that has traded.
    fn trading(&self) -> Killed {
        let (out, err) = (Stdio::null(), Stdio::null());
        let engine = Killed(self.run().stdout(out).stderr(err).spawn().expect("it starts"));
        status::until(self.state.path(), "it trades", |s| sent(s) > 20);
        engine
    }

    /// Kills an engine whose orders rest, and before it the guard that would cancel for it.
    fn killed_whole(&self, mut engine: Killed) {
        let parent = format!("PPid:\t{}", engine.0.id());
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let is_child = |p: &std::fs::DirEntry| {
            let status = std::fs::read_to_string(p.path().join("status")).unwrap_or_default();
            status.lines().any(|line| line == parent)
        };
        let children: Vec<_> = processes.filter(is_child).map(|p| p.file_name()).collect();
        assert!(!children.is_empty(), "the guard is a child");
        for child in children {
            let kill = Command::new("kill").arg("-KILL").arg(child).status();
            assert!(kill.expect("kill runs").success());
        }
        self.once("the engine's orders rest", |[own, _]| own > 0);
        engine.0.kill().expect("kill -9");
        engine.0.wait().expect("ended");
    }

    /// Orders that rest at the venue: ours, and of others.
    fn resting(&self) -> [usize; 2] {
        let mut log = VenueLog::of(&self.state.path().join("venue"));
        log.read_on();
        let open = |own: bool| {
            let rests = |o: &&venue_log::Order| {
                is_own(&o.client_id) == own
                    && matches!(o.status.as_str(), "New" | "PartiallyFilled")
            };
            log.orders.values().filter(rests).count()
        };
        [open(true), open(false)]
    }

    /// The same, once `holds`.
    fn once(&self, what: &str, holds: impl Fn([usize; 2]) -> bool) {
        for _ in 0..200 {
            if holds(self.resting()) {
                return;
            }
            sleep(20);
        }
        panic!("{what}: {:?}", self.resting());
    }
}

/// Time passes at the venue after an engine was refused, has ended, was killed.
fn strikes_for_who_is_gone(venue: Venue, symbols: [&'static str; 2]) {
    let name = venue.name();
    let mut scene = Scene::new(venue, symbols);
    let foreign = format!("foreign-order {}", scene.symbol);
    scene.say(&foreign);
    scene.once("another program's order rests", |[_, others]| others == 1);

    let refused = output(&mut scene.run());
    assert_eq!(refused.status.code(), Some(2), "{name}: {}", stderr(&refused));
    scene.say(LONGER);
    sleep(200);
    assert_eq!(scene.resting(), [0, 1], "{name}: a start that was refused cancelled for others");

    let text = std::fs::read_to_string(&scene.toml).expect("there");
    let declared = format!("{text}\n[account]\nforeign_orders = [\"web_\"]\n");
    std::fs::write(&scene.toml, declared).expect("written");
    let mut engine = scene.trading();
    signal(&engine.0, "-INT");
    assert_eq!(engine.0.wait().expect("it ends").code(), Some(0), "{name}");
    scene.say(LONGER);
    sleep(200);
    assert_eq!(scene.resting(), [0, 1], "{name}: an orderly end cancelled for others");

    let engine = scene.trading();
    scene.killed_whole(engine);
    scene.say(LONGER);
    scene.once(&format!("{name}: nothing of a killed engine rests"), |[own, _]| own == 0);
}

#[test]
fn it_strikes_for_an_engine_that_is_gone_and_for_nobody_else() {
    let venues = [(Venue::Kraken, ["BTC/USD", "ETH/USD"]), (Venue::Okx, ["BTC-USDT", "ETH-USDT"])];
    std::thread::scope(|scope| {
        for (venue, symbols) in venues {
            scope.spawn(move || strikes_for_who_is_gone(venue, symbols));
        }
    });
}
