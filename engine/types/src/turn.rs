//! What one turn of an agent saw of its rings: with it and the agent's inputs the turn runs again.
//!
//! A record is written for each turn that took or gave something, and now and then for one that
//! did not, so that a replay knows that none is missing. Seven fit into one log record; agents of
//! a run of several venues have more ring ends than the 32 bytes hold, and their records go on
//! over the next 32 or 64.

use crate::log::{BODY_MAX, Body, Reader, Writer};
use crate::time::Nanos;

/// Ring ends that one agent may have: a book of eight connections has 27.
pub const TURN_PORTS: usize = FIRST_PORTS + FURTHER_MAX * FURTHER_PORTS;
/// Ring ends in the first part of a record.
pub const FIRST_PORTS: usize = 9;
/// Ring ends in each further part.
const FURTHER_PORTS: usize = TURN_BYTES / 2;
/// Further parts at most.
const FURTHER_MAX: usize = 2;
/// Bytes of a part of a record; most have one.
pub const TURN_BYTES: usize = 32;
/// Records in one log record.
pub const TURNS_A_RECORD: usize = BODY_MAX / TURN_BYTES;
/// Bits of [`TurnRecord::flags`] that hold the control word's phase, as far as two bits go.
pub const TURN_PHASE: u8 = 0b0000_0011;
/// The phase's third bit.
pub const TURN_PHASE_HIGH: u8 = 0b0001_0000;
/// The agent was started at [`TurnRecord::now`]; no turn.
pub const TURN_START: u8 = 0b0000_0100;
/// Bits of [`TurnRecord::flags`] in a journal that say how many further parts follow.
const TURN_FURTHER: u8 = 0b0110_0000;
const TURN_FURTHER_SHIFT: u32 = 5;
/// The turn ended in a fault or a panic: the agent's last one.
pub const TURN_FAULT: u8 = 0b0000_1000;

/// One turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

const _: () = assert!(8 + 4 + 1 + 1 + 2 * FIRST_PORTS == TURN_BYTES);

impl Default for TurnRecord {
    fn default() -> Self {
        Self { now: Nanos::ZERO, seq: 0, agent: 0, flags: 0, samples: [0; TURN_PORTS] }
    }
}

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

    /// Parts beside the first that hold what is not zero.
    fn further(&self) -> usize {
        let used = self.samples.iter().rposition(|sample| *sample > 0).map_or(0, |last| last + 1);
        used.saturating_sub(FIRST_PORTS).div_ceil(FURTHER_PORTS)
    }

    /// Bytes that it takes in a log record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        TURN_BYTES * (1 + self.further())
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
        let further = self.further();
        w.u8(self.flags | ((further as u8) << TURN_FURTHER_SHIFT));
        let ports = FIRST_PORTS + further * FURTHER_PORTS;
        self.samples[..ports].iter().for_each(|sample| w.u16(*sample));
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let mut record = Self {
            now: Nanos(r.u64()?),
            seq: r.u32()?,
            agent: r.u8()?,
            flags: r.u8()?,
            samples: [0; TURN_PORTS],
        };
        let further = usize::from((record.flags & TURN_FURTHER) >> TURN_FURTHER_SHIFT);
        record.flags &= !TURN_FURTHER;
        let ports = record.samples.get_mut(..FIRST_PORTS + further * FURTHER_PORTS)?;
        for sample in ports {
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
        /// 32 bytes where the first ring ends are all there are, more where there are more.
        #[test]
        fn records_read_back_from_their_parts(
            now in any::<u64>(), seq in any::<u32>(), agent in any::<u8>(), flags in 0u8..32,
            ports in 0..=TURN_PORTS, sample in 1u16..,
        ) {
            let mut samples = [0; TURN_PORTS];
            samples[..ports].fill(sample);
            let record = TurnRecord { now: Nanos(now), seq, agent, flags, samples };
            let mut bytes = [0; 3 * TURN_BYTES];
            let mut writer = Writer::over(&mut bytes);
            record.write(&mut writer);
            let written = writer.written();
            prop_assert_eq!(written, record.bytes());
            prop_assert_eq!(written == TURN_BYTES, ports <= FIRST_PORTS);
            let mut reader = Reader::over(&bytes);
            prop_assert_eq!(TurnRecord::read(&mut reader), Some(record));
            prop_assert_eq!(reader.rest().len(), bytes.len() - written);
            prop_assert_eq!(TurnRecord::read(&mut Reader::over(&bytes[..written - 1])), None);
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..128),
        ) {
            let _ = TurnRecord::read(&mut Reader::over(&bytes));
        }
    }

    #[test]
    fn seven_records_fill_a_log_record() {
        assert_eq!(TURNS_A_RECORD, 7);
    }
}
