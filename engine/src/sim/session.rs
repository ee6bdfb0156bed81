//! Scripted sessions: short runs against a venue that does what real ones do to an account.
//!
//! A session is one life of the machine: it starts, trades, a script of one to four mishaps of the
//! account strikes it, it heals, drains, and every order and fill is held against the venue's own
//! tables. Unlike the swarm, rings and limits have their real sizes and nearly all that goes wrong
//! concerns the truth about orders; what a session is made of follows from its seed.

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use bot4_venue::generator::Activity;
use bot4_venue::script;

use super::faults::Fault;
use super::swarm::{SYMBOLS, Swarm, worked};

/// Steps of a session's trading phase at least: with the longest steps some three seconds.
const STEPS: u64 = 16_000;
/// Longest steps that are drawn. A step is half of it on average.
const STEP_NS: [u64; 3] = [200_000, 300_000, 400_000];
/// The machine must be up once.
const FIRST: Nanos = Nanos::from_millis(700);
/// A late answer is this late at most; a session in 32 has one that comes after seconds to a
/// minute, long after the order's fate was found out in another way.
const LATE_MS_MAX: u64 = 2_500;
const VERY_LATE_MS_MAX: u64 = 60_000;

/// What can go wrong in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mishap {
    LostAck,
    LateAck,
    VeryLateAck,
    FailedAck,
    LostReport,
    RepeatedFill,
    ReplayedFills,
    LateReports,
    FillsFirst,
    Deaf,
    Mute,
    SilentCancel,
    Ban,
    ClockStep,
    Cut,
    CutOnSend,
    CutAfterSend,
    Stall,
    Outage,
    /// Another program on the account trades, or lets an order rest: the engine stops trading.
    Foreign,
    /// The same, of a program that the configuration declares: it trades on.
    ForeignDeclared,
}

impl Mishap {
    /// Drawn alike, but for the longest, which costs the time of twenty others.
    const COMMON: [Self; 18] = [
        Self::LostAck,
        Self::LateAck,
        Self::FailedAck,
        Self::LostReport,
        Self::RepeatedFill,
        Self::ReplayedFills,
        Self::LateReports,
        Self::FillsFirst,
        Self::Deaf,
        Self::Mute,
        Self::SilentCancel,
        Self::Ban,
        Self::ClockStep,
        Self::Cut,
        Self::CutOnSend,
        Self::CutAfterSend,
        Self::Stall,
        Self::Outage,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::LostAck => "lost_ack",
            Self::LateAck => "late_ack",
            Self::VeryLateAck => "late_ack_60s",
            Self::FailedAck => "status_unknown_5xx",
            Self::LostReport => "lost_report",
            Self::RepeatedFill => "duplicate_fill",
            Self::ReplayedFills => "replayed_fills",
            Self::LateReports => "fill_after_cancel",
            Self::FillsFirst => "fill_before_ack",
            Self::Deaf => "private_stream_down",
            Self::Mute => "entry_down",
            Self::SilentCancel => "silent_cancel",
            Self::Ban => "ban",
            Self::ClockStep => "clock_step",
            Self::Cut => "connection_cut",
            Self::CutOnSend => "cut_before_arrival",
            Self::CutAfterSend => "cut_after_arrival",
            Self::Stall => "connection_stalls",
            Self::Outage => "outage",
            Self::Foreign => "foreign",
            Self::ForeignDeclared => "foreign_declared",
        }
    }
}

/// A drawn session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The run's options.
    pub swarm: Swarm,
    /// Steps of the trading phase.
    pub steps: u64,
    /// Names of its mishaps, one for each that strikes.
    pub mishaps: Vec<&'static str>,
}

impl Session {
    /// What `seed` draws.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut rng = SplitMix64::new(seed ^ 0x5345_5353_494f_4e01);
        let step_ns_max = STEP_NS[rng.below(STEP_NS.len() as u64) as usize];
        let swarm = Swarm {
            step_ns_max,
            symbols: 1 + rng.below(2) as usize,
            activity: Activity { steps_per_second: 60, levels: 100 },
            crossed_answer_in: [2, 8, 8, 0][rng.below(4) as usize],
            position_e4: [10, 50, 200][rng.below(3) as usize],
            open_orders_max: [6, 20, 200][rng.below(3) as usize],
            segment_bytes: 1024 * 1024,
            ..Swarm::calm()
        };
        let mut session = Self { swarm, steps: STEPS, mishaps: Vec::new() };
        if rng.below(32) == 0 {
            session.add(Mishap::VeryLateAck, FIRST, &mut rng);
        }
        let span = STEPS * step_ns_max / 2 - FIRST.0;
        for _ in 0..1 + rng.below(4) {
            let mishap = Mishap::COMMON[rng.below(Mishap::COMMON.len() as u64) as usize];
            // The last eighth is left, so that what strikes late finds orders to strike at.
            let at = FIRST + Nanos(rng.below(span - span / 8));
            session.add(mishap, at, &mut rng);
        }
        session.add_others(span, &mut SplitMix64::new(seed ^ 0x5345_5353_494f_4e03));
        session.swarm.faults.sort_by_key(|(at, _)| *at);
        session.swarm.script.sort_by_key(|timed| timed.at_ns);
        let mut parents = SplitMix64::new(seed ^ 0x5345_5353_494f_4e04);
        if parents.below(4) == 0 {
            let end = Nanos(STEPS * step_ns_max / 2);
            session.swarm.worked.push(worked(end, &mut parents));
        }
        session.swarm.draw_orders(&mut SplitMix64::new(seed ^ 0x5345_5353_494f_4e02));
        session
    }

    /// Somebody else on the account, in one session of eight; drawn apart.
    fn add_others(&mut self, span: u64, rng: &mut SplitMix64) {
        let mishap = match rng.below(16) {
            0 => Mishap::Foreign,
            1 => Mishap::ForeignDeclared,
            _ => return,
        };
        for _ in 0..1 + rng.below(3) {
            let at = FIRST + Nanos(rng.below(span - span / 8));
            self.add(mishap, at, rng);
        }
    }

    fn add(&mut self, mishap: Mishap, at: Nanos, rng: &mut SplitMix64) {
        use script::Fault as F;
        let mut ms = |most: u64| Nanos::from_millis(1 + rng.below(most));
        self.mishaps.push(mishap.name());
        let fault = match mishap {
            Mishap::LostAck => F::LoseAck,
            Mishap::LateAck => F::LateAck(ms(LATE_MS_MAX).0),
            Mishap::VeryLateAck => {
                let late = ms(VERY_LATE_MS_MAX);
                self.steps += late.0 / (self.swarm.step_ns_max / 2);
                F::LateAck(late.0)
            }
            Mishap::FailedAck => F::FailAck,
            Mishap::LostReport => F::LoseReport,
            Mishap::RepeatedFill => F::RepeatReport,
            Mishap::ReplayedFills => F::ReplayReports,
            Mishap::LateReports => {
                for n in 0..4 {
                    let (at_ns, fault) = (at.0 + n * 30_000_000, F::LateReport(ms(1_500).0));
                    self.swarm.script.push(script::Timed { at_ns, fault });
                }
                return;
            }
            Mishap::FillsFirst => return self.swarm.crossed_answer_in = 1,
            Mishap::Deaf => F::Deaf(ms(LATE_MS_MAX).0),
            Mishap::Mute => F::Mute(ms(LATE_MS_MAX).0),
            Mishap::SilentCancel => F::SilentCancel,
            Mishap::Ban => F::Ban(ms(LATE_MS_MAX).0),
            Mishap::Outage => F::Outage(ms(LATE_MS_MAX).0),
            Mishap::Foreign | Mishap::ForeignDeclared => {
                self.swarm.declared = mishap == Mishap::ForeignDeclared;
                let symbol = SYMBOLS[0].to_owned();
                if at.0.is_multiple_of(2) {
                    F::ForeignTrade(symbol)
                } else {
                    F::ForeignOrder(symbol)
                }
            }
            Mishap::ClockStep => {
                let by = ms(1_600).millis() as i64;
                let fault = Fault::WallStep(if at.0.is_multiple_of(2) { by } else { -by });
                return self.swarm.faults.push((at, fault));
            }
            Mishap::Cut => return self.swarm.faults.push((at, Fault::CutOrder)),
            Mishap::CutOnSend => return self.swarm.faults.push((at, Fault::CutOnSend)),
            Mishap::CutAfterSend => return self.swarm.faults.push((at, Fault::CutAfterSend)),
            Mishap::Stall => {
                return self.swarm.faults.push((at, Fault::StallOrder(ms(LATE_MS_MAX))));
            }
        };
        self.swarm.script.push(script::Timed { at_ns: at.0, fault });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_draws_the_same_and_all_mishaps_occur() {
        let text = |seed| format!("{:?}", Session::drawn(seed));
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
        let drawn = (0..400).flat_map(|seed| Session::drawn(seed).mishaps);
        let seen: BTreeSet<&str> = drawn.collect();
        assert_eq!(seen.len(), Mishap::COMMON.len() + 3);
    }
}
