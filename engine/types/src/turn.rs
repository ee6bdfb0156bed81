//! What one turn of an agent saw of its rings: with it and the agent's inputs the turn runs again.
//!
//! A record is written for each turn that took or gave something, and now and then for one that
//! did not, so that a replay knows that none is missing. Seven fit into one log record.

use crate::log::{BODY_MAX, Body, Reader, Writer};
use crate::time::Nanos;

/// Ring ends that one agent may have.
pub const TURN_PORTS: usize = 9;
/// Bytes of a record.
pub const TURN_BYTES: usize = 32;
/// Records in one log record.
pub const TURNS_A_RECORD: usize = BODY_MAX / TURN_BYTES;
/// Bits of [`TurnRecord::flags`] that hold the control word's phase, as far as two bits go.
pub const TURN_PHASE: u8 = 0b0000_0011;
/// The phase's third bit.
pub const TURN_PHASE_HIGH: u8 = 0b0001_0000;
/// The agent was started at [`TurnRecord::now`]; no turn.
pub const TURN_START: u8 = 0b0000_0100;
/// The turn ended in a fault or a panic: the agent's last one.
pub const TURN_FAULT: u8 = 0b0000_1000;

/// One turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnRecord {
    /// The lane's stamp at the start of the turn.
    pub now: Nanos,
    /// Number of the record among the agent's own, from 0; a hole means that records are lost.
    pub seq: u32,
    /// The agent's place among the agents of the chain.
    pub agent: u8,
    /// [`TURN_PHASE`], [`TURN_START`], [`TURN_FAULT`].
    pub flags: u8,
    /// By ring end, in the order of the wiring: messages waiting or room at the turn's start.
    pub samples: [u16; TURN_PORTS],
}

const _: () = assert!(8 + 4 + 1 + 1 + 2 * TURN_PORTS == TURN_BYTES);

impl TurnRecord {
    /// The phase as the control word's readers number it.
    #[must_use]
    pub const fn phase(&self) -> u8 {
        (self.flags & TURN_PHASE) | (self.flags & TURN_PHASE_HIGH) >> 2
    }

    /// The flags of a turn in the phase with this number.
    #[must_use]
    pub const fn flags_of(phase: u8) -> u8 {
        (phase & TURN_PHASE) | (phase << 2) & TURN_PHASE_HIGH
    }

    /// The agent was started.
    #[must_use]
    pub const fn is_start(&self) -> bool {
        self.flags & TURN_START != 0
    }

    /// The agent ended in this turn.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        self.flags & TURN_FAULT != 0
    }
}

impl Body for TurnRecord {
    fn write(&self, w: &mut Writer<'_>) {
        w.u64(self.now.0);
        w.u32(self.seq);
        w.u8(self.agent);
        w.u8(self.flags);
        for sample in self.samples {
            w.u16(sample);
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let mut record = Self {
            now: Nanos(r.u64()?),
            seq: r.u32()?,
            agent: r.u8()?,
            flags: r.u8()?,
            samples: [0; TURN_PORTS],
        };
        for sample in &mut record.samples {
            *sample = r.u16()?;
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_read_back_from_their_32_bytes(
            now in any::<u64>(), seq in any::<u32>(), agent in any::<u8>(), flags in any::<u8>(),
            samples in any::<[u16; TURN_PORTS]>(),
        ) {
            let record = TurnRecord { now: Nanos(now), seq, agent, flags, samples };
            let mut bytes = [0; TURN_BYTES];
            let mut writer = Writer::over(&mut bytes);
            record.write(&mut writer);
            prop_assert_eq!(writer.written(), TURN_BYTES);
            prop_assert_eq!(TurnRecord::read(&mut Reader::over(&bytes)), Some(record));
            prop_assert_eq!(TurnRecord::read(&mut Reader::over(&bytes[1..])), None);
        }
    }

    #[test]
    fn seven_records_fill_a_log_record() {
        assert_eq!(TURNS_A_RECORD, 7);
    }
}
