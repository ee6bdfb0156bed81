//! The configuration's files are read again while the run goes on: after a SIGHUP, when one has
//! changed on the disk, and when a person asks for it. Their limits go to risk, all at once; so
//! does another control mode. A file that is refused changes nothing, and what else has changed in
//! it waits for the next start.
//!
//! Limits that become tighter hold at once, whoever changed the file. What becomes looser waits for
//! `bot4 limits reload` with a reason: then the whole file holds, and the journal says who wanted
//! it and why.
//!
//! The control lane looks at the file twice a second and takes it when two looks agree, so that one
//! that is being written is not read by halves.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bot4_lanes::{Counters, Metrics, Tx};
use bot4_risk::breaker::BreakerLimits;
use bot4_risk::tightest::{self, Difference, Limit, Whose};
use bot4_risk::{LimitBook, reload};
use bot4_types::{InstrumentTable, Nanos, RiskCommand};

use super::settings;
use crate::config::resolve::RiskConfig;
use crate::config::{self, Config};
use crate::operator::message::LimitsTold;

/// Between two looks at the file.
const LOOK_EVERY: Nanos = Nanos::from_millis(500);
/// Counters, by index.
const COUNTERS: &[&str] = &["config_reloads", "config_reloads_refused", "config_looser_held_back"];
const TAKEN: usize = 0;
const REFUSED: usize = 1;
const HELD_BACK: usize = 2;

/// By what a change of a file is noticed; none while one of them is away.
type Stamp = Option<Vec<(SystemTime, u64)>>;

/// Watches the configuration's files.
pub struct Reload {
    paths: Vec<PathBuf>,
    asked: Arc<AtomicBool>,
    running: Config,
    /// The limits that risk was told last, and those before them.
    holds: LimitBook,
    held: Option<LimitBook>,
    /// How often risk was told others.
    issued: u64,
    table: InstrumentTable,
    taken: Stamp,
    seen: Stamp,
    look_at: Nanos,
    commands: VecDeque<RiskCommand>,
    counters: Counters,
}

impl Reload {
    /// Watches `paths`, from which `running` was read; `asked` is set by SIGHUP.
    #[must_use]
    pub fn new(
        paths: &[PathBuf],
        running: Config,
        table: InstrumentTable,
        asked: Arc<AtomicBool>,
        metrics: &Metrics,
    ) -> Self {
        let stamp = stamp_of(paths);
        Self {
            paths: paths.to_owned(),
            asked,
            holds: book_of(&running, &table, running.seed),
            held: None,
            issued: 0,
            running,
            table,
            taken: stamp.clone(),
            seen: stamp,
            look_at: Nanos::ZERO,
            commands: VecDeque::new(),
            counters: metrics.counters("control", COUNTERS),
        }
    }

    /// What a reading led to, where the file was read.
    pub fn look(&mut self, now: Nanos) -> Option<LimitsTold> {
        // Relaxed: the flag alone is the message.
        let asked = self.asked.swap(false, Ordering::Relaxed);
        if !asked && now < self.look_at {
            return None;
        }
        self.look_at = now + LOOK_EVERY;
        let stamp = stamp_of(&self.paths);
        let settled = stamp == self.seen && stamp != self.taken;
        self.seen.clone_from(&stamp);
        if !asked && (!settled || stamp.is_none()) {
            return None;
        }
        Some(self.read_anew(None))
    }

    /// Reads the files now. With a `reason`, what is looser holds too.
    pub fn read_anew(&mut self, reason: Option<&str>) -> LimitsTold {
        // Before the reading: what is written meanwhile is read again.
        self.taken = stamp_of(&self.paths);
        match config::load(&self.paths) {
            Ok(config) => self.take(config, reason.is_some()),
            Err(error) => self.refuse(&format!("it is refused:\n{error}")),
        }
    }

    /// Sends risk what it must know, as far as there is room.
    pub fn pass_on(&mut self, risk: &mut Tx<RiskCommand>) {
        while let Some(command) = self.commands.front()
            && risk.push(*command).is_ok()
        {
            self.commands.pop_front();
        }
    }

    /// How often risk was told other limits: it has taken or refused as many when the newest hold.
    #[must_use]
    pub const fn issued(&self) -> u64 {
        self.issued
    }

    /// Risk did not take the newest limits: those before them hold.
    pub fn not_taken(&mut self) -> LimitsTold {
        if let Some(held) = self.held.take() {
            self.holds = held;
        }
        self.refuse("risk did not take them")
    }

    fn refuse(&mut self, why: &str) -> LimitsTold {
        self.counters.add(REFUSED, 1);
        let text = format!("{} was read again; {why}; the limits stay as they are", self.name());
        LimitsTold { outcome: "refused".to_owned(), text, ..LimitsTold::default() }
    }

    fn take(&mut self, config: Config, looser_too: bool) -> LimitsTold {
        if config.risk.equity_asset != self.running.risk.equity_asset {
            return self.refuse("equity_asset cannot change while the run goes on");
        }
        if config.strategies.len() != self.running.strategies.len() {
            return self.refuse("strategies cannot come or go while the run goes on");
        }
        self.counters.add(TAKEN, 1);
        let new = book_of(&config, &self.table, self.running.seed);
        let Difference { tightest, looser, fixed } = tightest::difference(&self.holds, &new);
        let mut told = self.hold(if looser_too && !looser.is_empty() { new } else { tightest });
        let looser = if looser_too { Vec::new() } else { self.names(&looser) };
        if !looser.is_empty() {
            self.counters.add(HELD_BACK, 1);
            told.push(format!("looser limits wait for a person's word: {}", looser.join(", ")));
        }
        if config.risk.mode != self.running.risk.mode {
            self.commands.push_back(RiskCommand::Mode(config.risk.mode));
            told.push(format!("the control mode is {}", config.risk.mode.name()));
        }
        let (risk, fixed) = (config.risk.clone(), self.names(&fixed));
        if without_limits(config) != without_limits(self.running.clone()) || !fixed.is_empty() {
            told.push("what else has changed waits for the next start".to_owned());
        }
        let RiskConfig { flatten_on_kill, flatten_slip_bps, .. } = self.running.risk;
        self.running.risk = RiskConfig { flatten_on_kill, flatten_slip_bps, ..risk };
        let outcome = match (looser.is_empty(), told.is_empty()) {
            (false, _) => "partly",
            (true, true) => "unchanged",
            (true, false) => "taken",
        };
        let what = if told.is_empty() { "nothing has changed".to_owned() } else { told.join("; ") };
        let mend = if looser.is_empty() { "" } else { MEND };
        let text = format!("{} was read again: {what}{mend}", self.name());
        LimitsTold { nonce: String::new(), outcome: outcome.to_owned(), looser, fixed, text }
    }

    /// The files' names.
    fn name(&self) -> String {
        let names: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        names.join(" + ")
    }

    /// These limits hold from now on, where they are others. What is told of it.
    fn hold(&mut self, book: LimitBook) -> Vec<String> {
        if self.holds == book {
            return Vec::new();
        }
        self.commands.extend(reload::commands(&book));
        self.held = Some(std::mem::replace(&mut self.holds, book));
        self.issued += 1;
        vec!["other limits hold from now on".to_owned()]
    }

    fn names(&self, limits: &[Limit]) -> Vec<String> {
        let name = |limit: &Limit| match limit.whose {
            Whose::Instrument(n) => {
                let label = self.table.all().get(n).map(|i| self.table.label(i));
                format!("{} of {}", limit.key, label.unwrap_or_default())
            }
            _ => limit.to_string(),
        };
        limits.iter().map(name).collect()
    }
}

/// How what is looser is let in.
const MEND: &str = "\nhelp: `bot4 limits reload --reason \"...\"` lets them hold";

fn book_of(config: &Config, table: &InstrumentTable, seed: u64) -> LimitBook {
    let (risk, instruments) = (&config.risk, table.all().len());
    let strategies = settings::accounts_of(config);
    let breakers = BreakerLimits { seed, ..risk.breakers };
    let scopes = risk.scopes(table);
    let book = LimitBook::new(&risk.limits, &scopes, strategies, instruments);
    LimitBook { breakers: Some(breakers), ..book }
}

/// Everything but limits and mode, in a form that can be compared.
fn without_limits(mut config: Config) -> String {
    let bare = config::demo().map_or_else(|_| config.risk.clone(), |demo| demo.risk);
    let RiskConfig { flatten_on_kill, flatten_slip_bps, .. } = config.risk;
    config.risk = RiskConfig { flatten_on_kill, flatten_slip_bps, ..bare };
    format!("{config:?}")
}

fn stamp_of(paths: &[PathBuf]) -> Stamp {
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    paths.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_lanes::ring;
    use bot4_types::{ControlMode, Instrument, InstrumentId, Symbol};

    struct Bench {
        _dir: tempfile::TempDir,
        path: PathBuf,
        reload: Reload,
        asked: Arc<AtomicBool>,
        now: Nanos,
    }

    fn bench() -> Bench {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("trade.toml");
        std::fs::write(&path, config::DEMO).expect("written");
        let mut table = InstrumentTable::new();
        for name in ["A", "B"] {
            table.asset(Symbol::new(name).expect("short")).expect("room");
        }
        let symbol = Symbol::new("BTCUSDT").expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
        let (asked, metrics) = (Arc::new(AtomicBool::new(false)), Metrics::in_memory());
        let paths = [path.clone()];
        let config = config::load(&paths).expect("valid");
        let reload = Reload::new(&paths, config, table, Arc::clone(&asked), &metrics);
        Bench { _dir: dir, path, reload, asked, now: Nanos::ZERO }
    }

    impl Bench {
        fn write(&mut self, from: &str, to: &str) {
            assert!(config::DEMO.contains(from));
            std::fs::write(&self.path, config::DEMO.replacen(from, to, 1)).expect("written");
        }

        fn look(&mut self) -> Option<String> {
            self.now = self.now + LOOK_EVERY;
            self.reload.look(self.now).map(|told| told.sentence())
        }

        fn sent(&mut self) -> Vec<RiskCommand> {
            let (mut tx, mut rx) = ring(64);
            self.reload.pass_on(&mut tx);
            std::iter::from_fn(|| rx.pop()).collect()
        }
    }

    #[test]
    fn what_risk_does_not_take_is_sent_again() {
        let mut bench = bench();
        bench.write("position_pct = 2.0", "position_pct = 0.50");
        let told = bench.reload.read_anew(None);
        assert_eq!((told.outcome.as_str(), bench.reload.issued()), ("taken", 1));
        let told = bench.reload.not_taken();
        assert_eq!(told.outcome, "refused");
        assert!(told.text.contains("did not take") && told.text.contains("stay"), "{told:?}");
        let told = bench.reload.read_anew(None);
        assert_eq!((told.outcome.as_str(), bench.reload.issued()), ("taken", 2));
        assert_eq!(bench.reload.read_anew(None).outcome, "unchanged");
    }

    #[test]
    fn a_changed_file_is_taken_once_it_has_settled() {
        let mut bench = bench();
        assert_eq!(bench.look(), None);
        bench.write("position_pct = 2.0", "position_pct = 0.50");
        assert_eq!(bench.look(), None, "it may be half written");
        let told = bench.look().expect("told");
        assert!(told.contains("other limits"), "{told}");
        let sent = bench.sent();
        assert!(matches!(sent.last(), Some(RiskCommand::LimitsCommit { .. })), "{sent:?}");
        assert_eq!(bench.look(), None);
        bench.asked.store(true, Ordering::Relaxed);
        assert!(bench.look().expect("asked for").contains("nothing has changed"));
        assert!(bench.sent().is_empty());
    }

    #[test]
    fn a_bad_file_changes_nothing_and_says_where() {
        let mut bench = bench();
        bench.write("position_pct = 2.0", "position_pct = -2.0");
        bench.look();
        let told = bench.look().expect("told");
        assert!(told.contains("trade.toml:") && told.contains("position_pct"), "{told}");
        assert!(told.contains("stay as they are") && bench.sent().is_empty(), "{told}");
        assert!(told.starts_with("warning: "), "{told}");
        bench.write("equity_asset = \"USDT\"", "equity_asset = \"USDC\"");
        bench.look();
        assert!(bench.look().expect("told").contains("equity_asset cannot change"));
        assert!(bench.sent().is_empty());
    }

    #[test]
    fn breakers_go_with_the_limits_and_how_a_stop_closes_waits() {
        let mut bench = bench();
        bench.write("losses = 5 ", "losses = 4 ");
        bench.look();
        assert!(bench.look().expect("told").contains("other limits"));
        assert!(matches!(bench.sent().last(), Some(RiskCommand::LimitsCommit { .. })));
        bench.write("[risk]", "[risk]\nflatten_on_kill = true");
        bench.look();
        assert!(bench.look().expect("told").contains("next start"));
    }

    #[test]
    fn what_is_looser_waits_for_a_reason_and_what_is_tighter_does_not() {
        let mut bench = bench();
        let text = config::DEMO.replacen("position_pct = 2.0", "position_pct = 0.5", 1);
        assert!(text.contains("drawdown_pct = 15.0"));
        std::fs::write(&bench.path, text.replacen("drawdown_pct = 15.0", "drawdown_pct = 20.0", 1))
            .expect("written");
        bench.look();
        let told = bench.look().expect("told");
        assert!(told.contains("other limits") && told.contains("wait"), "{told}");
        assert!(told.contains("drawdown_pct") && !told.contains("position_pct"), "{told}");
        assert!(told.starts_with("warning: ") && told.contains("limits reload"), "{told}");
        let tighter = bench.sent();
        assert!(matches!(tighter.last(), Some(RiskCommand::LimitsCommit { .. })), "{tighter:?}");
        let again = bench.reload.read_anew(None);
        assert_eq!((again.outcome.as_str(), again.looser.len()), ("partly", 1));
        assert!(bench.sent().is_empty(), "the tighter part holds already");
        let taken = bench.reload.read_anew(Some("the desk agreed"));
        assert_eq!((taken.outcome.as_str(), taken.looser.len()), ("taken", 0), "{}", taken.text);
        let looser = bench.sent();
        assert!(matches!(looser.last(), Some(RiskCommand::LimitsCommit { .. })), "{looser:?}");
        assert_ne!(looser.last(), tighter.last());
        assert_eq!(bench.reload.read_anew(Some("again")).outcome, "unchanged");
        assert_eq!([bench.look(), bench.look()], [None, None], "it was read already");
        bench.write("position_pct = 2.0", "position_pct = -2.0");
        let refused = bench.reload.read_anew(Some("a slip"));
        assert_eq!(refused.outcome, "refused");
        assert!(refused.text.contains("position_pct") && bench.sent().is_empty());
    }

    #[test]
    fn a_mode_goes_to_risk_and_the_rest_waits() {
        let mut bench = bench();
        bench.write("mode = \"full_auto\"", "mode = \"manual\"");
        bench.look();
        assert!(bench.look().expect("told").contains("manual"));
        assert_eq!(bench.sent(), [RiskCommand::Mode(ControlMode::Manual)]);
        bench.write("seed = 1", "seed = 2");
        bench.asked.store(true, Ordering::Relaxed);
        let told = bench.look().expect("told");
        assert!(told.contains("full_auto") && told.contains("next start"), "{told}");
    }
}
