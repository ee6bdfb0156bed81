//! One scanner for every instruction set: which of them is matched once a message.

use bot4_simd::{Look, TextKernels, TextTask};

use crate::market::{Input, Sink};
use crate::stage::Scanned;

/// A decoder's scanner of hot messages.
pub trait Scanner {
    /// Reads `input` by means of `look`; `None` when the general reader must.
    fn scan<L: Look>(&mut self, look: L, input: &Input<'_>, sink: &mut Sink) -> Scanned;
}

/// Lets `scanner` read `input` with the instructions of `kernels`.
#[inline(always)]
pub fn scan_at(
    kernels: TextKernels,
    scanner: &mut impl Scanner,
    input: &Input<'_>,
    sink: &mut Sink,
) -> Scanned {
    kernels.run(Scan { scanner, input, sink })
}

struct Scan<'a, 'b, S> {
    scanner: &'a mut S,
    input: &'a Input<'b>,
    sink: &'a mut Sink,
}

impl<S: Scanner> TextTask for Scan<'_, '_, S> {
    type Out = Scanned;

    #[inline(always)]
    fn run<L: Look>(self, look: L) -> Scanned {
        self.scanner.scan(look, self.input, self.sink)
    }
}
