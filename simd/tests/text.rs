//! Looks at text on every available level: equal to the naive twin, called one by one and as a
//! task compiled for the level.

use bot4_simd::{DIGITS_WINDOW, Level, Look, TEXT_WINDOW, TextKernels, TextTask};
use proptest::prelude::*;

/// Everything that a look can tell of two windows.
#[derive(Clone, Copy)]
struct Everything<'a> {
    window: &'a [u8; TEXT_WINDOW],
    byte: u8,
    text: &'a [u8; DIGITS_WINDOW],
    count: u32,
    behind: u32,
}

type Told = (u64, u64, Option<u64>);

impl TextTask for Everything<'_> {
    type Out = Told;

    #[inline(always)]
    fn run<L: Look>(self, look: L) -> Told {
        let Self { window, byte, text, count, behind } = self;
        (look.find(window, byte), look.odd(window), look.digits(text, count, behind))
    }
}

/// As [`Everything`], in a function of its own.
struct Apart<'a>(Everything<'a>);

impl TextTask for Apart<'_> {
    type Out = Told;

    #[inline(always)]
    fn run<L: Look>(self, look: L) -> Told {
        look.apart(self.0)
    }
}

impl Everything<'_> {
    fn naive(&self) -> Told {
        let marked = |is_marked: &dyn Fn(u8) -> bool| {
            let marks = self.window.iter().enumerate();
            marks.fold(0, |bits, (i, byte)| bits | u64::from(is_marked(*byte)) << i)
        };
        let odd = |byte: u8| byte.is_ascii_control() && byte != 0x7F || !byte.is_ascii();
        let mut digits: Vec<u8> = self.text.to_vec();
        if self.behind > 0 {
            digits.remove(DIGITS_WINDOW - self.behind as usize - 1);
        }
        let digits = &digits[digits.len() - self.count as usize..];
        let number = String::from_utf8(digits.to_vec()).ok();
        let number = number.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        (
            marked(&|byte| byte == self.byte),
            marked(&|byte| odd(byte) || byte == b'\\'),
            number.map(|text| text.parse().expect("sixteen digits at most")),
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_level_tells_what_the_naive_twin_tells(
        window in any::<[u8; 32]>(), other in any::<[u8; 32]>(),
        byte in prop_oneof![any::<u8>(), Just(b'"'), Just(b'.')],
        digits in "[0-9]{17}", damage in any::<u8>(), at in 0usize..60,
        count in 1u32..=16, behind in 0u32..16,
    ) {
        let mut both = [0; TEXT_WINDOW];
        both[..32].copy_from_slice(&window);
        both[32..].copy_from_slice(&other);
        both[at] = byte;
        let mut text: [u8; DIGITS_WINDOW] = digits.as_bytes().try_into().expect("its length");
        if let Some(place) = text.get_mut(at) {
            *place = damage;
        }
        let behind = behind % count;
        let all = Everything { window: &both, byte, text: &text, count, behind };
        let naive = all.naive();
        for kernels in TextKernels::all() {
            let level = kernels.level();
            prop_assert_eq!(kernels.run(all), naive, "{:?}", level);
            prop_assert_eq!(kernels.run(Apart(all)), naive, "{:?}", level);
            prop_assert_eq!(all.run(kernels), naive, "{:?} one by one", level);
        }
    }
}

#[test]
fn best_is_the_measured_one_and_force_is_checked() {
    let best = TextKernels::best().level();
    assert_eq!(best == Level::Avx2, Level::Avx2.is_available_for_text());
    for level in Level::ALL {
        let is_available = level.is_available_for_text();
        let told = TextKernels::at(level).map(TextKernels::level);
        assert_eq!(told, is_available.then_some(level));
        assert!(!is_available || level <= best || level == Level::Avx512);
    }
    assert_eq!(TextKernels::all().next(), TextKernels::at(Level::Scalar));
    assert!(TextKernels::all().any(|kernels| kernels == TextKernels::best()));
    assert_eq!(TextKernels::default(), TextKernels::best());
}
