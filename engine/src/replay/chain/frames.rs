//! Frames of one wire lane, from its capture into the frames link.

use std::path::Path;

use bot4_capture::{CaptureReader, DamageKind, FrameHead, Item};
use bot4_lanes::{Rx, Tx};
use bot4_types::limits::FRAME_SMALL;
use bot4_types::{Frame, FrameKind, Slot};

use crate::run::capture::stream_dir;
use crate::run::rings::Rings;

/// The frames link of wire lane `index`.
#[must_use]
pub fn link(index: usize) -> String {
    format!("frames[{index}]")
}

/// Slots kept for the next frames.
const SLOTS_KEPT: usize = 64;

/// See the module.
pub struct FrameFeed {
    reader: Option<CaptureReader>,
    tx: Tx<Frame>,
    /// Frames that the link holds.
    places: usize,
    slots: Rx<Slot>,
    free: Vec<Slot>,
    fed: u64,
    /// Why frames are missing, where they are.
    broken: Option<String>,
}

impl FrameFeed {
    /// The feed of wire lane `index` from the capture in the run's `folder`.
    ///
    /// # Errors
    /// A sentence, when the capture is not there.
    pub fn open(index: usize, rings: &mut Rings, folder: &Path) -> Result<Self, String> {
        let dir = stream_dir(folder, index);
        let reader = match CaptureReader::open(&dir) {
            Ok(reader) => Some(reader),
            // A run that was killed in its first second has no block yet.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && dir.is_dir() => None,
            Err(e) => return Err(format!("cannot read the capture {}: {e}", dir.display())),
        };
        let tx: Tx<Frame> = rings.tx(&link(index));
        Ok(Self {
            reader,
            places: tx.room(),
            tx,
            slots: rings.rx(&format!("slots[{index}]")),
            free: Vec::new(),
            fed: 0,
            broken: None,
        })
    }

    /// Frames put into the link.
    #[must_use]
    pub const fn fed(&self) -> u64 {
        self.fed
    }

    /// Why frames are missing behind those fed, where they are.
    #[must_use]
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Sees to it that `wanted` frames wait in the link. False when there are no more.
    pub fn fill(&mut self, wanted: usize) -> bool {
        while self.places - self.tx.room() < wanted {
            if !self.push_next() {
                return false;
            }
        }
        true
    }

    /// Takes emptied slots back.
    pub fn take_slots(&mut self) {
        while let Some(slot) = self.slots.pop() {
            if self.free.len() < SLOTS_KEPT {
                self.free.push(slot);
            }
        }
    }

    /// Puts the next frame into the link. False when there is none.
    fn push_next(&mut self) -> bool {
        let Some(reader) = &mut self.reader else { return false };
        let told = match reader.next() {
            Ok(Some(Item::Frame(head, text))) => {
                let frame = frame_of(&mut self.free, head, text);
                self.fed += 1;
                // Room was asked for.
                return self.tx.push(frame).is_ok();
            }
            Ok(None) => None,
            Ok(Some(Item::Lost(lost))) if lost.by_recorder => {
                Some(format!("{} frames found no room in the capture", lost.frames))
            }
            Ok(Some(Item::Lost(lost))) => Some(format!("{} frames are missing", lost.frames)),
            Ok(Some(Item::Session(n))) => Some(format!("the capture begins anew, session {n}")),
            // What a killed run leaves.
            Ok(Some(Item::Damage(damage))) if damage.kind == DamageKind::Torn => None,
            Ok(Some(Item::Damage(damage))) => Some(damage.to_string()),
            Err(e) => Some(e.to_string()),
        };
        self.reader = None;
        self.broken = told.map(|what| format!("{what}, behind frame {}", self.fed));
        false
    }
}

fn frame_of(free: &mut Vec<Slot>, head: FrameHead, text: &[u8]) -> Frame {
    let (t0, conn, kind) = (head.recv, head.conn, head.kind);
    let len = text.len();
    let slot = match kind {
        FrameKind::Market | FrameKind::Snapshot => {
            let fits = free.iter().position(|slot| slot.capacity() >= len);
            let taken = fits.map(|at| free.swap_remove(at));
            let mut slot = taken.unwrap_or_else(|| Slot::new(len.max(FRAME_SMALL)));
            slot.bytes_mut()[..len].copy_from_slice(text);
            slot
        }
        // News of a connection, without bytes.
        _ => Slot::empty(),
    };
    Frame { slot, t0, len: len as u32, kernel_ns: 0, conn, kind }
}
