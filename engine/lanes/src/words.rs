//! The words that a lane and the control lane share.
//!
//! Declared exception to "only rings". Two line pairs: requests, written by control and read by
//! the lane at its looks; and what the lane tells, written by the lane and read by control.
//! Ordering: every word is stored with release and loaded with acquire, so that what was written
//! before a request or a state is seen with it. The heartbeat is relaxed: it orders nothing.

use bot4_types::Nanos;

use crate::lane::LaneState;
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, acquire, release};

/// Both sides' words of one lane.
#[derive(Debug, Default)]
pub struct LaneWords {
    asked: Asked,
    told: Told,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Asked {
    stop: AtomicBool,
    seal: AtomicBool,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Told {
    state: AtomicU8,
    tid: AtomicU32,
    cpu: AtomicU32,
    heartbeat: AtomicU64,
}

impl LaneWords {
    /// Control asks the lane to stop after its present turn. Pairs with
    /// [`stop_asked`](Self::stop_asked).
    pub fn ask_stop(&self) {
        self.asked.stop.store(true, release());
    }

    /// The lane looks whether it shall stop.
    #[must_use]
    pub fn stop_asked(&self) -> bool {
        self.asked.stop.load(acquire())
    }

    /// Control asks the lane to seal its agents. Pairs with [`seal_asked`](Self::seal_asked).
    pub fn ask_seal(&self) {
        self.asked.seal.store(true, release());
    }

    /// The lane looks whether it shall seal.
    #[must_use]
    pub fn seal_asked(&self) -> bool {
        self.asked.seal.load(acquire())
    }

    /// The lane tells how far it is. Pairs with [`state`](Self::state): thread id and CPU, told
    /// before, are seen with it.
    pub fn tell_state(&self, state: LaneState) {
        self.told.state.store(state as u8, release());
    }

    /// How far the lane is.
    #[must_use]
    pub fn state(&self) -> LaneState {
        match self.told.state.load(acquire()) {
            0 => LaneState::Starting,
            1 => LaneState::Running,
            2 => LaneState::Stopped,
            _ => LaneState::Failed,
        }
    }

    /// The lane tells its kernel thread id.
    pub fn tell_tid(&self, tid: u32) {
        self.told.tid.store(tid, release());
    }

    /// Kernel thread id, zero before the thread runs.
    #[must_use]
    pub fn tid(&self) -> u32 {
        self.told.tid.load(acquire())
    }

    /// The lane tells the CPU it found itself pinned to.
    pub fn tell_cpu(&self, cpu: u32) {
        self.told.cpu.store(cpu, release());
    }

    /// The CPU read back from the affinity mask.
    #[must_use]
    pub fn cpu(&self) -> u32 {
        self.told.cpu.load(acquire())
    }

    /// The lane tells that it was alive at `now`. Relaxed: a time stamp that orders nothing.
    #[inline]
    pub fn beat(&self, now: Nanos) {
        self.told.heartbeat.store(now.0, Ordering::Relaxed);
    }

    /// When the lane last looked at its words.
    #[must_use]
    pub fn heartbeat(&self) -> Nanos {
        Nanos(self.told.heartbeat.load(Ordering::Relaxed))
    }
}
