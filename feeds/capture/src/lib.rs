//! Capture: raw frames with their receive times, on disk and back.
//!
//! ```text
//!  hot lane                     | cold lane                        | offline
//!  wire --CaptureTx::push-->====|==> CaptureRx --> CaptureWriter   |   CaptureReader --> frames
//!            (ring of bytes)    |     blocks of 1 MiB or 1 s, zstd |      | damage, losses and
//!            no room: counted,  |     capture-000001.b4c + .b4x    |      | restarts are items of
//!            told as a gap      |     capture-000002.b4c + .b4x    |      | their own
//! ```
//!
//! * **The hot side never waits.** [`CaptureTx::push`] copies a frame into a ring of bytes made
//!   and touched at the start: no allocation, lock or system call. Without room the frame is not
//!   captured; the next one that is carries, before it, how many are missing and since when.
//! * **Nothing is silently missing.** Frames are numbered through all files of a capture, so a
//!   damaged or removed block shows as a count of frames; a restart of the recorder shows as a
//!   new session; bytes that do not check are skipped and named by file and offset.
//! * **`kill -9` costs the open block at most**: one second or 1 MiB of text. A block goes to the
//!   kernel in one write, and a torn one is cut when the folder is opened again. Blocks are not
//!   synced by default, so power loss may cost what the kernel had not written yet (Linux:
//!   usually up to 30 s); [`CaptureOptions::sync`] changes that at the price of one `fdatasync` a
//!   block.
//! * **Readers never panic and never allocate by a stranger's word**: lengths are bounded by
//!   [`BLOCK_RAW_MAX`] and by the file's own size before memory is taken.
//!
//! # Format, version 1
//! All numbers little-endian. A capture is a folder; each `.b4c` file is a sequence of blocks and
//! nothing else, so a file can be read alone and files can be joined.
//!
//! | block header, 72 bytes | type | what |
//! |---|---|---|
//! | 0 | 4 bytes | `B4CP` |
//! | 4 | u16 | version: 1 |
//! | 6 | u8 | codec of the stored bytes: 0 as they are, 1 zstd (one frame) |
//! | 7 | u8 | zero |
//! | 8 | u32 | length of the records, decompressed |
//! | 12 | u32 | length of the stored bytes behind the header |
//! | 16 | u64 | number of the first frame in the capture, from 0 |
//! | 24 | u32 | frames |
//! | 28 | u32 | session: 1 for the first start of the recorder in the folder |
//! | 32, 40 | u64 ×2 | receive time of the first and last record, engine clock, ns |
//! | 48, 56 | i64 ×2 | the same as Unix time, ns |
//! | 64 | u32 | CRC-32C of the stored bytes |
//! | 68 | u32 | CRC-32C of bytes 0..68 |
//!
//! | record in a block | type | what |
//! |---|---|---|
//! | 0 | u64 | receive time, engine clock (starts at zero with each session), ns |
//! | 8 | i64 | receive time, Unix ns |
//! | 16 | u32 | length of the text |
//! | 20 | u16 | connection |
//! | 22 | u8 | kind: 0 market, 1 snapshot, 2 line up, 3 line down, 4 switch begins, 5 it ends; |
//! | | | 16: frames that the recorder lost |
//! | 23 | u8 | zero |
//! | 24 | bytes | text as received; of a loss: u64 frames, u64 bytes, u64 time of the first |
//!
//! | index entry (`.b4x`), 48 bytes | type | what |
//! |---|---|---|
//! | 0 | u64 | offset of the block |
//! | 8, 16 | i64 ×2 | Unix time of its first and last record |
//! | 24 | u64 | number of its first frame |
//! | 32 | u32 | frames |
//! | 36 | u32 | session |
//! | 40 | u32 | length of its stored bytes |
//! | 44 | u32 | CRC-32C of bytes 0..44 |
//!
//! The index only saves time: it is made anew from the blocks where it is missing or wrong.

mod block;
mod head;
mod index;
mod reader;
mod resume;
mod ring;
mod writer;

pub use block::{BLOCK_RAW_MAX, HEADER_LEN};
pub use head::{FrameHead, Lost, RECORD_HEAD_LEN};
pub use reader::{CaptureReader, Damage, DamageKind, Item, is_capture};
pub use resume::Resumed;
pub use ring::{CaptureRx, CaptureTx, Popped, link};
pub use writer::{CaptureOptions, CaptureTotals, CaptureWriter};
