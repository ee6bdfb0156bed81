//! What a seed draws before it runs: who trades what, how tight everything is, what goes wrong.
//!
//! Every run of the swarm has only some of the faults, so that one that hides another cannot
//! hide it in all runs. [`Swarm::calm`] draws nothing: the real sizes and no fault.

use bot4_execution::foreign::Declared;
use bot4_signals::{Exits, Native};
use bot4_types::Nanos;
use bot4_types::parent::CURVE_BUCKETS;
use bot4_types::rng::SplitMix64;
use bot4_types::{Algo, Deadline, Peg, Urgency};
use bot4_venue::generator::Activity;
use bot4_venue::limits::LimitRules;
use bot4_venue::script;

use super::check::OTHERS;
use super::faults::{Fault, Kind, SILENCE};
use crate::config::worked::WorkedConfig;
use crate::config::{Config, StrategyConfig};

/// Longest step of a calm run: with thirteen agents each is cycled about every 260 microseconds.
const CALM_STEP_NS_MAX: u64 = 40_000;
/// Agents on the floor, the venue among them.
const AGENTS: u64 = 12;
/// A fault begins this long after the start at the earliest: the machine must be up once.
const FIRST_FAULT: Nanos = Nanos::from_millis(800);
/// Answers are at most this late; a session gives up after three seconds of silence.
const ACK_DELAY_MS_MAX: u64 = 2_500;

/// Kinds that are drawn by one dice.
const FIRST_KINDS: usize = 20;
/// Longest time in which nobody works.
const PAUSE_MS_MAX: u64 = 3_000;
/// A report is at most this late: late enough for its order to have ended otherwise.
const REPORT_LATE_MS_MAX: u64 = 2_500;
/// For at most so long events or answers are withheld, or the address is banned.
const DEAF_MS_MAX: u64 = 2_500;
/// Requests are good for a second: a step may be more, and the engine must learn the new time. It
/// does not believe in more than five seconds.
const WALL_STEP_MS_MAX: u64 = 1_600;
/// With the slowest steps this is well below the journal's patience.
const DISK_SLOW_MS_MAX: u64 = 150;

/// The options of one run.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Longest step, nanoseconds.
    pub step_ns_max: u64,
    /// Divisor of every ring's capacity.
    pub ring_divisor: usize,
    /// Symbols traded, at least one.
    pub symbols: usize,
    /// Strategies in force: market maker, taker.
    pub strategies: [bool; 2],
    /// Strategies that work parent orders.
    pub worked: Vec<WorkedConfig>,
    /// Liveliness of the venue's crowd.
    pub activity: Activity,
    /// The venue's rate limits.
    pub limits: LimitRules,
    /// One answer in this many follows its events.
    pub crossed_answer_in: u64,
    /// Largest position, 10^-4 of equity.
    pub position_e4: i64,
    /// New orders a second.
    pub orders_per_second: u32,
    /// Open orders over all instruments.
    pub open_orders_max: u32,
    /// Journal segment, bytes.
    pub segment_bytes: usize,
    /// Quotes are amended where that can be.
    pub amends: bool,
    /// Strategies ask for orders of every type, too.
    pub any_order: bool,
    /// Distance of stops, hundredths of a percent; the configuration's where none is said.
    pub stop_bps: Option<u32>,
    /// How strategies leave their positions beside that.
    pub exits: Exits,
    /// Orders of others are declared: they are no reason to stop.
    pub declared: bool,
    /// Faults of the network and the scheduler, by time.
    pub faults: Vec<(Nanos, Fault)>,
    /// Faults of the venue, by time.
    pub script: Vec<script::Timed>,
}

impl Swarm {
    /// Real sizes, no fault.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            step_ns_max: CALM_STEP_NS_MAX,
            ring_divisor: 1,
            symbols: 4,
            strategies: [true, true],
            worked: Vec::new(),
            activity: Activity::default(),
            limits: LimitRules::HIGH,
            crossed_answer_in: 8,
            position_e4: 200,
            orders_per_second: 400,
            open_orders_max: 200,
            segment_bytes: 4 * 1024 * 1024,
            amends: false,
            any_order: false,
            stop_bps: None,
            exits: Exits::default(),
            declared: false,
            faults: Vec::new(),
            script: Vec::new(),
        }
    }

    /// What `seed` draws for a trading phase of `steps` steps.
    #[must_use]
    pub fn drawn(seed: u64, steps: u64) -> Self {
        let mut rng = SplitMix64::new(seed ^ 0x5357_4152_4d00_0001);
        let step_ns_max = pick(&mut rng, &[20_000, 40_000, 100_000, 200_000, 400_000]);
        let strategies =
            pick(&mut rng, &[[true, true], [true, true], [true, false], [false, true]]);
        let mut swarm = Self {
            step_ns_max,
            ring_divisor: pick(&mut rng, &[1, 1, 8, 64, 512, 4_096]),
            symbols: 1 + rng.below(4) as usize,
            strategies,
            activity: Activity {
                steps_per_second: pick(&mut rng, &[20, 100, 400, 400, 1_000]),
                // Above the 1,000 levels of a snapshot too: what lies beyond must not be trusted.
                levels: pick(&mut rng, &[50, 300, 1_200]),
            },
            limits: pick(&mut rng, &[LimitRules::HIGH, LimitRules::HIGH, LimitRules::REAL]),
            crossed_answer_in: pick(&mut rng, &[1, 2, 8, 0]),
            position_e4: pick(&mut rng, &[3, 10, 50, 200]),
            orders_per_second: pick(&mut rng, &[10, 50, 400]),
            open_orders_max: pick(&mut rng, &[3, 20, 200]),
            segment_bytes: pick(&mut rng, &[64 * 1024, 1024 * 1024, 4 * 1024 * 1024]),
            ..Self::calm()
        };
        swarm.activity.steps_per_second =
            swarm.activity.steps_per_second.min(swarm.steps_per_second_max());
        let end = Nanos(steps * step_ns_max / 2);
        swarm.draw_faults(end, &mut rng);
        // Last, and apart: what a seed drew before stays as it was.
        let mut parents = SplitMix64::new(seed ^ 0x5041_5245_4e54_0001);
        for _ in 0..[0, 0, 1, 3][parents.below(4) as usize] {
            swarm.worked.push(worked(end, &mut parents));
        }
        swarm.draw_orders(&mut SplitMix64::new(seed ^ 0x5357_4152_4d00_0002));
        swarm
    }

    /// The same, without parent orders where they are not `wanted`.
    #[must_use]
    pub fn with_parents(mut self, wanted: bool) -> Self {
        if !wanted {
            self.worked.clear();
        }
        self
    }

    /// The same, with plain orders alone where no `wanted` others are.
    #[must_use]
    pub fn with_kinds(mut self, wanted: bool) -> Self {
        if !wanted {
            let calm = Self::calm();
            (self.amends, self.any_order) = (calm.amends, calm.any_order);
            (self.stop_bps, self.exits) = (calm.stop_bps, calm.exits);
            self.worked.iter_mut().for_each(|parent| parent.amend = false);
        }
        self
    }

    /// Which orders there are, drawn apart: what a seed drew before stays as it was.
    pub(super) fn draw_orders(&mut self, rng: &mut SplitMix64) {
        self.amends = rng.below(2) == 0;
        self.any_order = rng.below(2) == 0;
        self.stop_bps = pick(rng, &[None, Some(1), Some(3), Some(10)]);
        let take_profit_bps = pick(rng, &[0, 1, 4]);
        // A target at the venue has a distance.
        let last = if take_profit_bps == 0 { Native::None } else { Native::TakeProfit };
        self.exits =
            Exits { take_profit_bps, native: pick(rng, &[Native::None, Native::Stop, last]) };
        for parent in &mut self.worked {
            parent.amend = rng.below(2) == 0;
        }
    }

    /// The liveliest crowd that the market data lanes can follow. A step makes about four
    /// messages. A turn of parse takes as many frames as every book's ring has room for beyond
    /// the events of one frame; a tiny ring takes one after the book has emptied it, about every
    /// third turn. Half the time is kept for catching up.
    fn steps_per_second_max(&self) -> u32 {
        let turns_per_second = 2_000_000_000 / (AGENTS * self.step_ns_max);
        let market = (crate::topology::MARKET / self.ring_divisor)
            .saturating_sub(bot4_venues::market::EVENTS_PER_FRAME_MAX - 1);
        let frames = crate::topology::FRAMES / self.ring_divisor;
        let batch = market.min(frames).clamp(1, 64) as u64;
        let symbols = self.symbols.div_ceil(crate::topology::WIRES) as u64;
        u32::try_from(turns_per_second * batch / (24 * symbols)).unwrap_or(u32::MAX).max(1)
    }

    /// Draws which kinds are on, then when each strikes before `end`.
    fn draw_faults(&mut self, end: Nanos, rng: &mut SplitMix64) {
        let span = end.since(FIRST_FAULT).0;
        if span == 0 {
            return;
        }
        let first = &Kind::ALL[..FIRST_KINDS];
        let enabled: Vec<Kind> = first.iter().copied().filter(|_| rng.below(3) == 0).collect();
        // Most runs have a handful of each, some a storm.
        let most = pick(rng, &[6, 6, 6, 40]);
        for kind in enabled {
            for _ in 0..1 + rng.below(most) {
                let at = FIRST_FAULT + Nanos(rng.below(span));
                self.draw_one(kind, at, rng);
            }
        }
        let mut later = SplitMix64::new(rng.next_u64());
        self.draw_clocks_and_disk(span, &mut later);
        self.draw_account(span, &mut SplitMix64::new(rng.next_u64()));
        self.draw_others(span, &mut SplitMix64::new(rng.next_u64()));
        self.faults.sort_by_key(|(at, _)| *at);
        if self.script.iter().any(|t| matches!(t.fault, script::Fault::DelayAcks(_))) {
            let fault = script::Fault::DelayAcks(0);
            self.script.push(script::Timed { at_ns: end.0, fault });
        }
        self.script.sort_by_key(|t| t.at_ns);
    }

    /// Kinds that came later, drawn last, so that what a seed drew before them stays as it was.
    fn draw_clocks_and_disk(&mut self, span: u64, rng: &mut SplitMix64) {
        let ms = |n: u64| Nanos::from_millis(n);
        if rng.below(3) == 0 {
            for _ in 0..1 + rng.below(6) {
                let fault = Fault::CutOnWait(ms(10 + rng.below(50)));
                self.faults.push((FIRST_FAULT + Nanos(rng.below(span)), fault));
            }
        }
        for pick in 0..3 {
            if rng.below(4) > 0 {
                continue;
            }
            for _ in 0..1 + rng.below(3) {
                let fault = match pick {
                    0 => Fault::Pause(ms(1 + rng.below(PAUSE_MS_MAX))),
                    1 => Fault::WallStep(
                        rng.below(2 * WALL_STEP_MS_MAX) as i64 - WALL_STEP_MS_MAX as i64,
                    ),
                    _ => Fault::DiskLate(ms(1 + rng.below(DISK_SLOW_MS_MAX))),
                };
                self.faults.push((FIRST_FAULT + Nanos(rng.below(span)), fault));
            }
        }
        // These halt the engine: in few runs, and late, so that there is a run before.
        let fault = match rng.below(18) {
            0 => Fault::DiskFails,
            1 => Fault::DiskFull(ms(5 + rng.below(400))),
            2 => Fault::DiskLate(SILENCE + ms(50 + rng.below(500))),
            _ => return,
        };
        let late = span - span / 3;
        self.faults.push((FIRST_FAULT + Nanos(late + rng.below(span / 3 + 1)), fault));
    }

    /// What goes wrong with the account's own messages; later still.
    fn draw_account(&mut self, span: u64, rng: &mut SplitMix64) {
        use script::Fault as F;
        let ns = |ms: u64| ms * 1_000_000;
        for kind in 0..6 {
            if rng.below(4) > 0 {
                continue;
            }
            for _ in 0..1 + rng.below(4) {
                let fault = match kind {
                    0 => F::LateReport(ns(1 + rng.below(REPORT_LATE_MS_MAX))),
                    1 => F::ReplayReports,
                    2 => F::Deaf(ns(1 + rng.below(DEAF_MS_MAX))),
                    3 => F::Mute(ns(1 + rng.below(DEAF_MS_MAX))),
                    4 => F::Ban(ns(1 + rng.below(DEAF_MS_MAX))),
                    _ => F::SilentCancel,
                };
                let at_ns = FIRST_FAULT.0 + rng.below(span);
                self.script.push(script::Timed { at_ns, fault });
            }
        }
    }

    /// Somebody else on the account, in few runs and late: it ends the trading.
    fn draw_others(&mut self, span: u64, rng: &mut SplitMix64) {
        if rng.below(12) > 0 {
            return;
        }
        let symbol = SYMBOLS[rng.below(self.symbols as u64) as usize].to_owned();
        let fault = match rng.below(2) {
            0 => script::Fault::ForeignTrade(symbol),
            _ => script::Fault::ForeignOrder(symbol),
        };
        let at_ns = FIRST_FAULT.0 + span - span / 3 + rng.below(span / 3 + 1);
        self.script.push(script::Timed { at_ns, fault });
    }

    fn draw_one(&mut self, kind: Kind, at: Nanos, rng: &mut SplitMix64) {
        let ms = |n: u64| Nanos::from_millis(n);
        let symbol = SYMBOLS[rng.below(self.symbols as u64) as usize].to_owned();
        let fault = match kind {
            Kind::CutOrder => Fault::CutOrder,
            Kind::CutOnSend => Fault::CutOnSend,
            Kind::CutAfterSend => Fault::CutAfterSend,
            Kind::CutMarket => Fault::CutMarket(rng.next_u64()),
            Kind::StallOrder => Fault::StallOrder(ms(20 + rng.below(4_000))),
            Kind::StallMarket => Fault::StallMarket(rng.next_u64(), ms(20 + rng.below(4_000))),
            Kind::Refuse => Fault::Refuse(ms(50 + rng.below(3_000))),
            Kind::StarveFront => Fault::Starve(FRONT[rng.below(6) as usize], ms(rng.below(2_500))),
            // Their links halt the engine after 100 ms without a reader: stay well below.
            Kind::StarveBack => Fault::Starve(BACK[rng.below(4) as usize], ms(rng.below(60))),
            Kind::StarveVenue => Fault::Starve("venue", ms(rng.below(1_500))),
            _ => {
                let fault = scripted(kind, symbol, rng);
                self.script.push(script::Timed { at_ns: at.0, fault });
                return;
            }
        };
        self.faults.push((at, fault));
    }

    /// The configuration of the run: the demo's with what was drawn.
    pub fn apply(&self, config: &mut Config) {
        config.venue.symbols.truncate(self.symbols.max(1));
        let [maker, taker] = self.strategies;
        config.strategies.retain(|s| match s {
            StrategyConfig::MarketMaker { .. } => maker,
            StrategyConfig::EmaCross { .. } => taker,
            StrategyConfig::Worked(_) => false,
        });
        config.strategies.extend(self.worked.iter().copied().map(StrategyConfig::Worked));
        for strategy in &mut config.strategies {
            if let StrategyConfig::MarketMaker { amend, .. } = strategy {
                *amend = self.amends;
            }
        }
        config.exits = vec![self.exits; config.strategies.len()];
        if let Some(bps) = self.stop_bps {
            config.stops = vec![bps; config.strategies.len()];
        }
        if self.declared {
            config.account.declared = Declared::of([OTHERS]).unwrap_or_default();
            config.account.follow = true;
        }
        let limits = &mut config.risk.limits;
        limits.position_equity_e4 = self.position_e4;
        (limits.orders_per_s, limits.orders_burst) =
            (self.orders_per_second, self.orders_per_second);
        limits.strategy_orders_per_s = self.orders_per_second;
        limits.strategy_orders_burst = self.orders_per_second;
        limits.open_orders_max = self.open_orders_max;
        config.segment_bytes = self.segment_bytes;
    }
}

/// The demo's symbols, in its order.
pub(super) const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"];
/// Agents that may stand still for seconds: late data is dropped, not traded on.
const FRONT: [&str; 6] = ["wire.0", "wire.1", "parse.0", "parse.1", "book.0", "book.1"];
/// Agents of the order path.
const BACK: [&str; 4] = ["signal", "risk", "execution", "journal"];

fn scripted(kind: Kind, symbol: String, rng: &mut SplitMix64) -> script::Fault {
    use script::Fault as F;
    match kind {
        Kind::LoseAck => F::LoseAck,
        Kind::FailAck => F::FailAck,
        Kind::LoseReport => F::LoseReport,
        Kind::RepeatReport => F::RepeatReport,
        Kind::LoseDepth => F::LoseDepth(symbol),
        Kind::RepeatDepth => F::RepeatDepth(symbol),
        Kind::Silent => F::Silent(rng.below(4_000) * 1_000_000),
        Kind::DelayAcks => F::DelayAcks(rng.below(ACK_DELAY_MS_MAX) * 1_000_000),
        Kind::DropAll => F::DropConnections,
        _ => F::ShutdownNotice,
    }
}

/// A strategy that works parents one after the other, in a trading phase until `end`.
pub(super) fn worked(end: Nanos, rng: &mut SplitMix64) -> WorkedConfig {
    let algo = pick(rng, Algo::ALL);
    let timed = matches!(algo, Algo::Twap | Algo::Vwap) || rng.below(2) == 0;
    let span = end.0 / (1 + rng.below(8));
    let limited = algo == Algo::Iceberg || rng.below(2) == 0;
    let mut curve = [0; CURVE_BUCKETS];
    if rng.below(2) == 0 {
        curve.iter_mut().for_each(|weight| *weight = rng.below(9) as u16);
    }
    WorkedConfig {
        algo,
        sells: rng.below(2) == 0,
        notional: pick(rng, &[20.0, 200.0, 2_000.0, 20_000.0]),
        display_notional: pick(rng, &[0.0, 6.0, 50.0, 500.0]),
        limit_pct: limited.then(|| pick(rng, &[-0.05, 0.0, 0.01, 0.2])),
        symbol: None,
        over: std::time::Duration::from_nanos(if timed { span } else { 0 }),
        repeat: Some(std::time::Duration::from_millis(rng.below(400))),
        deadline: pick(rng, Deadline::ALL),
        urgency: pick(rng, Urgency::ALL),
        rate_e4: pick(rng, &[100, 1_000, 5_000]),
        peg: pick(rng, Peg::ALL),
        offset_ticks: rng.below(7) as i32 - 3,
        // Drawn with the other kinds of orders.
        amend: false,
        curve,
    }
}

fn pick<T: Clone>(rng: &mut SplitMix64, from: &[T]) -> T {
    from[rng.below(from.len() as u64) as usize].clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_draws_the_same_and_all_kinds_occur() {
        let text = |seed| format!("{:?}", Swarm::drawn(seed, 300_000));
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
        let mut seen = BTreeSet::new();
        for seed in 0..400 {
            let swarm = Swarm::drawn(seed, 300_000);
            assert!(swarm.faults.is_sorted_by_key(|f| f.0));
            assert!(swarm.strategies != [false, false]);
            seen.extend(swarm.faults.iter().map(|(_, f)| f.kind()));
            seen.extend(swarm.script.iter().filter_map(|t| Kind::of_script(&t.fault)));
        }
        assert_eq!(seen.len(), Kind::ALL.len());
    }
}
