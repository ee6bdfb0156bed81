//! What the control lane tells risk while the run goes on: control → risk.
//!
//! A command is an input like a report: risk records it in the journal before it obeys, and a
//! replay feeds it again. One message holds one whole change. A change that does not fit one
//! message goes in several, of which the last one commits, so that none is ever half obeyed.

use crate::id::{AssetId, InstrumentId, StrategyId};
use crate::instrument::Amount;
use crate::log::{BODY_MAX, Body, Reader, Writer};
use crate::order::ControlMode;
use crate::parent::ParentCommand;
use crate::rules::InstrumentRules;
use crate::time::Nanos;
use crate::work::OrderWork;
use serde::{Deserialize, Serialize};

/// Bytes of limits in one command.
pub const LIMITS_PART: usize = 200;

/// A command. The first byte of its body is its raw kind, counted in the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiskCommand {
    /// An instrument has other rules. Ends a pause.
    Rules {
        /// The rules.
        rules: InstrumentRules,
        /// What rests was shaped by rules that hold no more: no new orders of the instrument until
        /// they are gone, and its book starts over; then the rules hold and it trades again.
        /// Without it the rules hold at once and nothing is withdrawn.
        resync: bool,
    },
    /// No new orders of this instrument, and what rests is withdrawn.
    Pause {
        /// Which.
        instrument: InstrumentId,
        /// Why.
        why: PauseReason,
    },
    /// Ends a pause.
    Resume {
        /// Which.
        instrument: InstrumentId,
    },
    /// Closes circuit breakers: a person says that what opened them is mended.
    BreakerReset {
        /// Which.
        scope: BreakerScope,
    },
    /// Another control mode: the configuration says so.
    Mode(ControlMode),
    /// A part of other limits; none holds before the commit. The one at zero begins.
    LimitsPart {
        /// Where in the whole it belongs, bytes.
        at: u32,
        /// Bytes in use.
        len: u8,
        /// The bytes, in the form that risk reads.
        bytes: [u8; LIMITS_PART],
    },
    /// The limits that the parts make hold from now on, all at once; or, if they are not those
    /// that are meant, none of them.
    LimitsCommit {
        /// Bytes of the whole.
        len: u32,
        /// Their sum.
        sum: u64,
    },
    /// Another control mode: a person says so.
    OperatorMode(ControlMode),
    /// A person begins, holds or ends a parent order. Risk passes it on to the router, whose
    /// children then come back to the gate like any other intent.
    Parent(ParentCommand),
    /// The venue stated what the account holds: the ledger is compared with it.
    VenueBalance {
        /// Of which asset.
        asset: AssetId,
        /// Free and locked together, 10^-16.
        total: Amount,
        /// When the venue was asked; it answered with what it held then or a little later.
        asked: Nanos,
        /// How long a difference may last before it is one that nobody explains.
        patience: Nanos,
        /// The ledger then follows the venue, because others may move the account; else the
        /// instruments it concerns stop.
        follow: bool,
    },
    /// A person accepts what the venue says of the base asset of this instrument: it trades again.
    AcceptBalance {
        /// Which.
        instrument: InstrumentId,
    },
    /// A person asks for something on orders by a command with a name. Risk passes it on to the
    /// router, as it does with parent orders.
    Work(OrderWork),
    /// The engine is under pressure and gives this instrument up, or it takes it back: nothing
    /// increases by it meanwhile, what rests is withdrawn, its book stands still.
    Shed {
        /// Which.
        instrument: InstrumentId,
        /// It is given up.
        on: bool,
    },
}

/// Whose breakers a person means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerScope {
    /// Every one.
    All,
    /// The strategy's.
    Strategy(StrategyId),
    /// The instrument's.
    Instrument(InstrumentId),
    /// The venue's.
    Venue,
}

impl BreakerScope {
    /// As a number: what it is in the upper half, whose in the lower.
    #[must_use]
    pub const fn raw(self) -> u64 {
        match self {
            Self::All => 0,
            Self::Venue => 1 << 16,
            Self::Strategy(strategy) => 2 << 16 | strategy.0 as u64,
            Self::Instrument(instrument) => 3 << 16 | instrument.0 as u64,
        }
    }

    /// The name used in dumps and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Strategy(_) => "strategy",
            Self::Instrument(_) => "instrument",
            Self::Venue => "venue",
        }
    }

    /// The number of the strategy or the instrument.
    #[must_use]
    pub const fn number(self) -> Option<u16> {
        match self {
            Self::All | Self::Venue => None,
            Self::Strategy(strategy) => Some(strategy.0 as u16),
            Self::Instrument(instrument) => Some(instrument.0),
        }
    }

    /// The scope with this raw number.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Option<Self> {
        match (raw >> 16, raw as u16) {
            (0, 0) => Some(Self::All),
            (1, 0) => Some(Self::Venue),
            (2, strategy) if strategy <= u8::MAX as u16 => {
                Some(Self::Strategy(StrategyId(strategy as u8)))
            }
            (3, instrument) => Some(Self::Instrument(InstrumentId(instrument))),
            _ => None,
        }
    }
}

/// Why an instrument is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum PauseReason {
    /// The venue lists it no more.
    Unlisted = 0,
    /// Its new rules do not fit the units in which the run counts: the next start reads them.
    Units = 1,
}

impl PauseReason {
    /// The name used in dumps.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::Units => "units",
        }
    }

    /// The reason whose `repr` is `raw`.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Unlisted),
            1 => Some(Self::Units),
            _ => None,
        }
    }
}

const _: () = assert!(size_of::<RiskCommand>() <= BODY_MAX);

impl RiskCommand {
    /// The instrument it is about, if it is about one.
    #[must_use]
    pub const fn instrument(&self) -> Option<InstrumentId> {
        match self {
            Self::Rules { rules, .. } => Some(rules.instrument),
            Self::Pause { instrument, .. }
            | Self::Resume { instrument }
            | Self::AcceptBalance { instrument }
            | Self::Shed { instrument, .. } => Some(*instrument),
            Self::BreakerReset { .. }
            | Self::Mode(_)
            | Self::LimitsPart { .. }
            | Self::LimitsCommit { .. }
            | Self::VenueBalance { .. }
            | Self::OperatorMode(_)
            | Self::Work(_)
            | Self::Parent(_) => None,
        }
    }
}

impl Body for RiskCommand {
    fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Rules { rules, resync } => {
                w.u8(0);
                w.u8(u8::from(*resync));
                rules.write(w);
            }
            Self::Pause { instrument, why } => {
                w.u8(1);
                w.u16(instrument.0);
                w.u8(*why as u8);
            }
            Self::Resume { instrument } => {
                w.u8(2);
                w.u16(instrument.0);
            }
            Self::BreakerReset { scope } => {
                w.u8(3);
                w.u64(scope.raw());
            }
            Self::Mode(mode) => {
                w.u8(4);
                w.u8(*mode as u8);
            }
            Self::LimitsPart { at, len, bytes } => {
                w.u8(5);
                w.u32(*at);
                w.u8(*len);
                w.bytes(&bytes[..usize::from(*len).min(LIMITS_PART)]);
            }
            Self::LimitsCommit { len, sum } => {
                w.u8(6);
                w.u32(*len);
                w.u64(*sum);
            }
            Self::OperatorMode(mode) => {
                w.u8(7);
                w.u8(*mode as u8);
            }
            Self::Parent(command) => {
                w.u8(8);
                command.write(w);
            }
            Self::VenueBalance { asset, total, asked, patience, follow } => {
                w.u8(9);
                w.u8(asset.0);
                w.i128(*total);
                w.u64(asked.0);
                w.u64(patience.0);
                w.u8(u8::from(*follow));
            }
            Self::Work(work) => {
                w.u8(11);
                work.write(w);
            }
            Self::AcceptBalance { instrument } => {
                w.u8(10);
                w.u16(instrument.0);
            }
            Self::Shed { instrument, on } => {
                w.u8(12);
                w.u16(instrument.0);
                w.u8(u8::from(*on));
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(match r.u8()? {
            0 => {
                let resync = match r.u8()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                Self::Rules { rules: InstrumentRules::read(r)?, resync }
            }
            1 => {
                let instrument = InstrumentId(r.u16()?);
                Self::Pause { instrument, why: PauseReason::from_raw(r.u8()?)? }
            }
            2 => Self::Resume { instrument: InstrumentId(r.u16()?) },
            3 => Self::BreakerReset { scope: BreakerScope::from_raw(r.u64()?)? },
            4 => Self::Mode(ControlMode::from_raw(r.u8()?)?),
            5 => {
                let (at, len) = (r.u32()?, r.u8()?);
                let mut bytes = [0; LIMITS_PART];
                for byte in bytes.get_mut(..usize::from(len))? {
                    *byte = r.u8()?;
                }
                Self::LimitsPart { at, len, bytes }
            }
            6 => Self::LimitsCommit { len: r.u32()?, sum: r.u64()? },
            7 => Self::OperatorMode(ControlMode::from_raw(r.u8()?)?),
            8 => Self::Parent(ParentCommand::read(r)?),
            9 => Self::VenueBalance {
                asset: AssetId(r.u8()?),
                total: r.i128()?,
                asked: Nanos(r.u64()?),
                patience: Nanos(r.u64()?),
                follow: r.u8()? != 0,
            },
            11 => Self::Work(OrderWork::read(r)?),
            10 => Self::AcceptBalance { instrument: InstrumentId(r.u16()?) },
            12 => Self::Shed { instrument: InstrumentId(r.u16()?), on: r.u8()? != 0 },
            _ => return None,
        })
    }
}

/// Where an instrument stands: risk → signal, which tells its book. The newest word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstrumentNews {
    /// Its rules; those to come while they wait for resting orders to be gone.
    pub rules: InstrumentRules,
    /// Counts the changes of this instrument: with each one its book starts over.
    pub change: u32,
    /// New orders are possible, as far as the rules allow them.
    pub open: bool,
    /// It is paused: its book is not kept up.
    pub paused: bool,
    /// It was given up under pressure, which is a pause, too.
    pub shed: bool,
}

/// A book's part of it: signal → book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookOrder {
    /// Which book.
    pub instrument: InstrumentId,
    /// Step of our prices, by which the ladder is laid out.
    pub tick: i64,
    /// Start over (false), or stand still until told otherwise (true).
    pub paused: bool,
    /// It stands still because it was given up under pressure.
    pub shed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Symbol;
    use crate::instrument::Instrument;
    use crate::log::{LogEntry, LogKind};
    use crate::parent::{ParentAction, ParentId};
    use proptest::prelude::*;

    #[test]
    fn what_is_no_scope_does_not_read() {
        for wrong in [1, 1 << 16 | 1, 2 << 16 | 256, 4 << 16, u64::MAX] {
            assert_eq!(BreakerScope::from_raw(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn commands_read_back(id in any::<u16>(), kind in 0u8..16) {
            let instrument = InstrumentId(id);
            let bare = Instrument::bare(instrument, Symbol::new("AAA").expect("short"), 8);
            let command = match kind {
                0 | 4 => {
                    let rules = InstrumentRules::of(&bare);
                    RiskCommand::Rules { rules, resync: kind == 0 }
                }
                1 => RiskCommand::Pause { instrument, why: PauseReason::Unlisted },
                2 => RiskCommand::Pause { instrument, why: PauseReason::Units },
                3 => RiskCommand::Resume { instrument },
                5 => RiskCommand::BreakerReset { scope: BreakerScope::All },
                6 => RiskCommand::BreakerReset { scope: BreakerScope::Venue },
                7 => {
                    let scope = BreakerScope::Strategy(StrategyId(id as u8));
                    RiskCommand::BreakerReset { scope }
                }
                8 => RiskCommand::BreakerReset { scope: BreakerScope::Instrument(instrument) },
                9 => RiskCommand::Mode(ControlMode::Manual),
                10 => {
                    let len = (id % (LIMITS_PART as u16 + 1)) as u8;
                    let mut bytes = [0; LIMITS_PART];
                    bytes[..usize::from(len)].fill(id as u8);
                    RiskCommand::LimitsPart { at: id.into(), len, bytes }
                }
                11 => RiskCommand::OperatorMode(ControlMode::SemiAuto),
                12 => {
                    let (id, action) = (ParentId(id.into()), ParentAction::Cancel);
                    RiskCommand::Parent(ParentCommand::Act { id, action })
                }
                14 => RiskCommand::VenueBalance {
                    asset: AssetId(id as u8),
                    total: Amount::from(id) << 80,
                    asked: Nanos(id.into()),
                    patience: Nanos(u64::MAX),
                    follow: id.is_multiple_of(2),
                },
                15 => RiskCommand::AcceptBalance { instrument },
                _ => RiskCommand::LimitsCommit { len: id.into(), sum: u64::MAX },
            };
            prop_assert_eq!(command.instrument(), (kind < 5 || kind == 15).then_some(instrument));
            let entry = LogEntry::new(LogKind::Command, Nanos(1), |w| command.write(w));
            prop_assert_eq!(RiskCommand::read(&mut Reader::over(entry.body())), Some(command));
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..232),
        ) {
            let _ = RiskCommand::read(&mut Reader::over(&bytes));
        }
    }
}
