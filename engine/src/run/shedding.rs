//! The ladder of shedding at work: looked at by the control lane twenty times a second.
//!
//! An instrument is given up in two steps, so that none of its books is silently old: risk hears of
//! it as a command (journaled, so a replay obeys it at the same place), stops what would increase
//! and tells signal and book; only when risk says that all are given up do the parsers drop their
//! data. It comes back the other way round: data first, then the command, on which the book starts
//! over from a fresh snapshot.

use bot4_alloc::pressure::Level;
use bot4_lanes::{Control, Counters, Metrics, Tx, shed};
use bot4_types::{InstrumentId, InstrumentTable, Nanos, RiskCommand};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::shedding::{Ladder, RUNGS, SIGNALS, Sample};

/// Between two looks.
const LOOK_EVERY: Nanos = Nanos::from_millis(50);
/// Whose counters they are.
const ROLE: &str = "shedding";
/// The rung (gauge), times that each was climbed, milliseconds above the ground, the highest value
/// of each signal.
const COUNTERS: &[&str] = &[
    "shed_rung",
    "shed_history",
    "shed_low_priority",
    "shed_new_orders",
    "shed_run",
    "shed_ms",
    "backlog_ms_max",
    "frames_pct_max",
    "log_pct_max",
];
const RUNG: usize = 0;
const TIMES: usize = 1;
const MS: usize = TIMES + RUNGS.len();
const MAXIMA: usize = MS + 1;

/// Which instruments of `table` are of low priority, by index.
#[must_use]
pub fn marked(config: &Config, table: &InstrumentTable) -> Vec<bool> {
    table.all().iter().map(|i| config.low_priority.contains(&table.label(i))).collect()
}

/// See the module.
#[derive(Debug)]
pub struct ShedWatch {
    on: bool,
    ladder: Ladder,
    control: Control,
    /// Instruments of low priority, and whether risk was told last that they are given up.
    low: Vec<(InstrumentId, bool)>,
    rung: u8,
    look_at: Nanos,
    counters: Counters,
    maxima: [u64; SIGNALS.len()],
}

impl ShedWatch {
    /// A watch over the run of `config`, whose lanes read `control`'s word.
    #[must_use]
    pub fn new(
        config: &Config,
        table: &InstrumentTable,
        control: &Control,
        metrics: &Metrics,
    ) -> Self {
        let marked = marked(config, table).into_iter().enumerate().filter(|(_, low)| *low);
        Self {
            on: config.shed,
            ladder: Ladder::default(),
            control: control.clone(),
            low: marked.map(|(at, _)| (InstrumentId(at as u16), false)).collect(),
            rung: 0,
            look_at: Nanos::ZERO,
            counters: metrics.counters(ROLE, COUNTERS),
            maxima: [0; SIGNALS.len()],
        }
    }

    /// Captures, dumps and the live line are given up.
    #[must_use]
    pub const fn gives_up_history(&self) -> bool {
        self.rung >= shed::HISTORY
    }

    /// Looks when it is time, and tells risk as far as `commands` has room; a sentence when the
    /// rung is another one.
    pub fn look(
        &mut self,
        now: Nanos,
        m: &Metrics,
        memory: Level,
        commands: &mut Tx<RiskCommand>,
    ) -> Option<String> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now + LOOK_EVERY;
        let sample = if self.on { Sample::of(m) } else { Sample::default() };
        let memory = if self.on { memory } else { Level::Normal };
        let before = std::mem::replace(&mut self.rung, self.ladder.step(now, &sample, memory));
        self.pass_on(m, commands);
        self.count(before, &sample);
        self.told(before, &sample)
    }

    /// Tells risk of instruments, and the others how much is given up.
    fn pass_on(&mut self, m: &Metrics, commands: &mut Tx<RiskCommand>) {
        let gives_up = self.rung >= shed::LOW_PRIORITY;
        let all_shed = m.of_role("risk", "instruments_shed") >= self.low.len() as u64;
        let word = if gives_up && all_shed { shed::LOW_PRIORITY } else { shed::HISTORY };
        self.control.shedding().set(word.min(self.rung));
        for (instrument, told) in self.low.iter_mut().filter(|(_, told)| *told != gives_up) {
            let command = RiskCommand::Shed { instrument: *instrument, on: gives_up };
            if commands.push(command).is_ok() {
                *told = gives_up;
            }
        }
    }

    fn count(&mut self, before: u8, sample: &Sample) {
        for climbed in before..self.rung {
            self.counters.add(TIMES + usize::from(climbed), 1);
        }
        if self.rung > 0 {
            self.counters.add(MS, LOOK_EVERY.millis());
        }
        for (n, (value, most)) in sample.values.iter().zip(&mut self.maxima).enumerate() {
            *most = (*most).max(*value);
            self.counters.set(MAXIMA + n, *most);
        }
        // Last: who sees the rung finds what led to it.
        self.counters.set(RUNG, self.rung.into());
    }

    fn told(&self, before: u8, sample: &Sample) -> Option<String> {
        let signals = SIGNALS.iter().zip(sample.values);
        let values: Vec<_> = signals.map(|(s, value)| format!("{} {value}", s.name)).collect();
        let values = values.join(", ");
        match self.rung.checked_sub(1).map(|at| &RUNGS[usize::from(at)]) {
            _ if self.rung == before => None,
            None => Some(format!("the pressure is over, nothing is given up any more: {values}")),
            Some(rung) if self.rung < before => {
                Some(format!("the pressure eases, up to {} is still given up: {values}", rung.name))
            }
            Some(rung) => Some(format!(
                "warning: under pressure, {} are given up until it eases: {values}",
                rung.gives_up
            )),
        }
    }
}

/// How far the engine sheds, and what it has shed: for status and report.
#[must_use]
pub fn status(m: &Metrics) -> Value {
    let count = |name: &str| m.of_role(ROLE, name);
    let rung = count("shed_rung");
    let at = usize::try_from(rung).ok().and_then(|rung| rung.checked_sub(1));
    let name = at.and_then(|at| RUNGS.get(at)).map_or("none", |rung| rung.name);
    let times: Map<_, _> =
        RUNGS.iter().map(|r| (r.name.to_owned(), json!(count(r.counter)))).collect();
    let most: Map<_, _> = SIGNALS
        .iter()
        .map(|s| (s.name.to_owned(), json!(count(&format!("{}_max", s.name)))))
        .collect();
    json!({
        "rung": rung, "name": name, "times": times, "ms": count("shed_ms"), "most": most,
        "instruments": m.of_role("risk", "instruments_shed"),
        "events_dropped": m.total_of("parse.", "events_shed"),
        "dumps_put_off": m.total_of("telemetry", "telemetry_put_off"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_lanes::{Rx, ring};

    /// Wire and risk as far as the watch looks at them.
    struct Bench {
        metrics: Metrics,
        wire: Counters,
        risk: Counters,
        control: Control,
        watch: ShedWatch,
        commands: Tx<RiskCommand>,
        said: Rx<RiskCommand>,
        now: u64,
        told: Vec<String>,
    }

    fn bench(on: bool) -> Bench {
        let metrics = Metrics::in_memory();
        let (wire, risk) = (
            metrics.counters("wire.0", &["backlog_us"]),
            metrics.counters("risk", &["instruments_shed"]),
        );
        let (commands, said) = ring(1);
        let control = Control::new();
        let watch = ShedWatch {
            on,
            ladder: Ladder::default(),
            control: control.clone(),
            low: vec![(InstrumentId(1), false), (InstrumentId(3), false)],
            rung: 0,
            look_at: Nanos::ZERO,
            counters: metrics.counters(ROLE, COUNTERS),
            maxima: [0; SIGNALS.len()],
        };
        Bench { metrics, wire, risk, control, watch, commands, said, now: 0, told: vec![] }
    }

    impl Bench {
        /// Looks for so long, a command taken at each look.
        fn look(&mut self, ms: u64, backlog_ms: u64) -> Vec<RiskCommand> {
            self.wire.set(0, backlog_ms * 1_000);
            let mut heard = Vec::new();
            for _ in 0..ms / 50 {
                self.now += 50;
                let now = Nanos::from_millis(self.now);
                let (m, commands) = (&self.metrics, &mut self.commands);
                self.told.extend(self.watch.look(now, m, Level::Normal, commands));
                heard.extend(self.said.pop());
            }
            heard
        }
    }

    fn of(ids: [u16; 2], on: bool) -> Vec<RiskCommand> {
        ids.map(|id| RiskCommand::Shed { instrument: InstrumentId(id), on }).to_vec()
    }

    #[test]
    fn data_is_dropped_only_when_risk_has_given_the_instruments_up_and_comes_first() {
        let mut bench = bench(true);
        assert_eq!(bench.look(550, 200), []);
        assert_eq!(bench.control.shedding().rung(), shed::HISTORY);
        assert_eq!(bench.look(600, 200), of([1, 3], true), "one at a time, as the link has room");
        assert_eq!(bench.control.shedding().rung(), shed::HISTORY, "risk has not said so yet");
        bench.risk.set(0, 2);
        bench.look(50, 200);
        assert_eq!(bench.control.shedding().rung(), shed::LOW_PRIORITY);
        assert_eq!(status(&bench.metrics)["name"], "low_priority");
        // The first command of the way back finds the data on its way already.
        assert_eq!(bench.look(2_000, 0), []);
        assert_eq!(bench.look(50, 0), of([1, 3], false)[..1]);
        assert_eq!(bench.control.shedding().rung(), shed::HISTORY);
        assert_eq!(bench.look(50, 0), of([1, 3], false)[1..]);
        assert_eq!(bench.look(3_000, 0), []);
        assert_eq!(bench.control.shedding().rung(), 0);
        let status = status(&bench.metrics);
        assert_eq!((&status["rung"], &status["times"]["low_priority"]), (&json!(0), &json!(1)));
        assert_eq!(status["most"]["backlog_ms"], 200);
        assert_eq!(bench.told.len(), 4, "{:?}", bench.told);
        assert!(bench.told[0].contains("histogram dumps") && bench.told[3].contains("is over"));
    }

    #[test]
    fn switched_off_nothing_is_given_up() {
        let mut bench = bench(false);
        assert_eq!(bench.look(5_000, 10_000), []);
        assert_eq!((bench.control.shedding().rung(), bench.told.len()), (0, 0));
    }
}
