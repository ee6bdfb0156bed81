//! Every limit that more than one crate must agree on, with its reason.

/// Instruments in one run: a strategy's and a book's tables are indexed by instrument, and the
/// correlation kernels are laid out for 64 columns a tile.
pub const INSTRUMENTS_MAX: usize = 256;
/// Venues in one run: each has a wire and a parse agent and an order entry of its own.
pub const VENUES_MAX: usize = 8;
/// Strategies in one run.
pub const STRATEGIES_MAX: usize = 32;
/// Assets in one run: two for each instrument at most, most are shared.
pub const ASSETS_MAX: usize = 255;
/// Levels a side in a [`crate::Top`].
pub const TOP_LEVELS: usize = 5;
/// Capacity of a small frame slot in bytes: 99.99 % of real market messages are below 35 kB.
pub const FRAME_SMALL: usize = 64 * 1024;
/// Capacity of a large frame slot in bytes: the largest real snapshot seen is 5.1 MB.
pub const FRAME_LARGE: usize = 8 * 1024 * 1024;
/// Bytes after a slot's content that scanners may read (never use): one 64-byte vector.
pub const FRAME_PADDING: usize = 64;
/// Levels in the three classes of level blocks. One depth message fits one block.
pub const BLOCK_LEVELS: [usize; 3] = [64, 2_048, 65_536];
/// Orders that are not terminal, over all instruments.
pub const ORDERS_OPEN_MAX: usize = 4_096;

const _: () = assert!(BLOCK_LEVELS[0] < BLOCK_LEVELS[1] && BLOCK_LEVELS[1] < BLOCK_LEVELS[2]);
const _: () = assert!(FRAME_SMALL < FRAME_LARGE);
const _: () = assert!(INSTRUMENTS_MAX <= u16::MAX as usize && STRATEGIES_MAX <= u8::MAX as usize);
