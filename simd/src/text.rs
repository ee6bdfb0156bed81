//! Text by wide looks: where a byte stands among 64, and what number sixteen digits are.
//!
//! A scanner is written once, generic over [`Look`], and handed to [`TextKernels::run`] as a
//! [`TextTask`]: the level is matched once a message, and the whole scanner is compiled for the
//! level's instructions, those for words (BMI) included.
//!
//! ```text
//!   TextKernels::run(task)  --match on Level-->  #[target_feature] wrapper
//!                                                      | inlines
//!                                                      v
//!                                     task.run(look), generic over Look   (the algorithm, once)
//!                                                      | inlines
//!                                                      v
//!                                 Look:  Words  |  Wide256 (AVX2)  |  Wide512 (AVX-512)
//! ```
//!
//! Invariant: every look gives the same answers; they are exact, so nothing can differ but time.
//! A value of a look is proof that this CPU has its instructions, so its methods are safe.
//! Functions between `run` and a look's methods must be `#[inline(always)]`: one that is not is
//! right, but compiled without the level's instructions.
//!
//! Cost: 64 bytes searched in about 1 ns, a number read in about 2 ns.

use std::fmt::Debug;

use crate::dispatch::Level;

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
use x86::{Wide256, Wide512};

/// Bytes searched by one look.
pub const TEXT_WINDOW: usize = 64;
/// Most digits that are read at once.
pub const DIGITS_MAX: u32 = 16;
/// Bytes that those digits and a dot take.
pub const DIGITS_WINDOW: usize = 17;

/// Looks at text by the instructions of one level.
pub trait Look: Copy + Debug + private::Sealed {
    /// Its looks take less time than reading word by word; else a scanner may do without them.
    fn is_wide(self) -> bool;

    /// Bit `i`: byte `i` of `window` is `byte`.
    fn find(self, window: &[u8; TEXT_WINDOW], byte: u8) -> u64;

    /// Bit `i`: byte `i` of `window` cannot stand for itself in a JSON string or is not ASCII:
    /// control characters, backslashes and what is above 0x7F. Quotes are not marked.
    fn odd(self, window: &[u8; TEXT_WINDOW]) -> u64;

    /// The number that `text` ends with: `count` (1 to [`DIGITS_MAX`]) digits, the last `behind`
    /// (below `count`) of them behind one byte that is passed over; no such byte when `behind` is
    /// zero. `None` when one of them is no digit. Below 10^16.
    fn digits(self, text: &[u8; DIGITS_WINDOW], count: u32, behind: u32) -> Option<u64>;

    /// Does `task` as a function of its own with the level's instructions: for large parts of a
    /// scanner that are needed in several places.
    fn apart<T: TextTask>(self, task: T) -> T::Out;
}

/// Something to be done with text, at whatever level.
pub trait TextTask {
    /// What comes of it.
    type Out;

    /// Does it by means of `look`. Mark it `#[inline(always)]`, and what it calls where it counts.
    fn run<L: Look>(self, look: L) -> Self::Out;
}

/// Text at one level. Invariant: the level is available on this CPU, checked by the only
/// constructors. Copy it into the scanner that uses it. It is a look itself, one that matches the
/// level at each call: for tests and for code where time is no matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextKernels {
    level: Level,
}

impl Default for TextKernels {
    fn default() -> Self {
        Self::best()
    }
}

impl TextKernels {
    /// The level that reads market messages fastest on this CPU: AVX2 wherever it is there.
    /// Numbers and keys are short, so looks of 32 bytes find all that those of 64 do; measured
    /// over all message kinds the wider ones are level or up to 7 % slower.
    #[must_use]
    pub fn best() -> Self {
        Self::at(Level::Avx2).unwrap_or(Self { level: Level::Scalar })
    }

    /// Text at `level`, or `None` where this CPU cannot run it.
    #[must_use]
    pub fn at(level: Level) -> Option<Self> {
        level.is_available_for_text().then_some(Self { level })
    }

    /// Every level that this CPU has, slowest first.
    pub fn all() -> impl Iterator<Item = Self> {
        Level::ALL.into_iter().filter_map(Self::at)
    }

    /// The level in use.
    #[must_use]
    pub const fn level(self) -> Level {
        self.level
    }

    /// Does `task` at this level. Costs one predictable branch.
    #[inline(always)]
    pub fn run<T: TextTask>(self, task: T) -> T::Out {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the constructors admit a level only where the CPU has it.
            Level::Avx512 => unsafe { run_avx512(task) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the constructors admit a level only where the CPU has it.
            Level::Avx2 => unsafe { run_avx2(task) },
            _ => task.run(Words(())),
        }
    }
}

/// The scanners' entry at AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx512<T: TextTask>(task: T) -> T::Out {
    // SAFETY: this function is only callable where the CPU has the look's instructions.
    task.run(unsafe { Wide512::new() })
}

/// The scanners' entry at AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<T: TextTask>(task: T) -> T::Out {
    // SAFETY: this function is only callable where the CPU has the look's instructions.
    task.run(unsafe { Wide256::new() })
}

impl Level {
    /// This CPU and operating system can run the looks at text of this level, which need more
    /// than the kernels of numbers: AVX-512BW and VL, BMI1 and BMI2.
    #[must_use]
    pub fn is_available_for_text(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        let words = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => words,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                words
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

mod private {
    /// Looks are made here only: each is proof of its instructions.
    pub trait Sealed {}
}

/// The reference: byte by byte. Scanners read by words instead.
#[derive(Clone, Copy, Debug)]
struct Words(());

impl private::Sealed for Words {}

impl Look for Words {
    #[inline(always)]
    fn is_wide(self) -> bool {
        false
    }

    fn find(self, window: &[u8; TEXT_WINDOW], byte: u8) -> u64 {
        marked(window, |b| b == byte)
    }

    fn odd(self, window: &[u8; TEXT_WINDOW]) -> u64 {
        marked(window, |b| !(0x20..0x80).contains(&b) || b == b'\\')
    }

    fn digits(self, text: &[u8; DIGITS_WINDOW], count: u32, behind: u32) -> Option<u64> {
        let (whole, tail) = text.split_at_checked(DIGITS_WINDOW - behind as usize)?;
        let whole = if behind == 0 { whole } else { whole.split_last()?.1 };
        let whole = &whole[(whole.len() + behind as usize).checked_sub(count as usize)?..];
        whole.iter().chain(tail).try_fold(0, |value: u64, byte| {
            byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'))
        })
    }

    #[inline(never)]
    fn apart<T: TextTask>(self, task: T) -> T::Out {
        task.run(self)
    }
}

fn marked(window: &[u8; TEXT_WINDOW], is_marked: impl Fn(u8) -> bool) -> u64 {
    window.iter().rev().fold(0, |marks, byte| marks << 1 | u64::from(is_marked(*byte)))
}

impl private::Sealed for TextKernels {}

/// The methods of [`TextKernels`] as a look: the same at its level.
macro_rules! at_level {
    ($self:ident, $look:ident => $call:expr) => {
        match $self.level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                // SAFETY: the constructors admit a level only where the CPU has it.
                let $look = unsafe { Wide512::new() };
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                // SAFETY: the constructors admit a level only where the CPU has it.
                let $look = unsafe { Wide256::new() };
                $call
            }
            _ => {
                let $look = Words(());
                $call
            }
        }
    };
}

impl Look for TextKernels {
    fn is_wide(self) -> bool {
        at_level!(self, look => look.is_wide())
    }

    fn find(self, window: &[u8; TEXT_WINDOW], byte: u8) -> u64 {
        at_level!(self, look => look.find(window, byte))
    }

    fn odd(self, window: &[u8; TEXT_WINDOW]) -> u64 {
        at_level!(self, look => look.odd(window))
    }

    fn digits(self, text: &[u8; DIGITS_WINDOW], count: u32, behind: u32) -> Option<u64> {
        at_level!(self, look => look.digits(text, count, behind))
    }

    fn apart<T: TextTask>(self, task: T) -> T::Out {
        self.run(task)
    }
}
