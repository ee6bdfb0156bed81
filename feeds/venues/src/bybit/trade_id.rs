//! Trade ids as numbers: Spot prints numbers, derivatives print UUIDs.
//!
//! Eight characters are read at once. Cost: about 5 ns.

use crate::scan::{POW10, eight_digits, non_digits};

/// Bytes of a UUID.
pub const UUID_LEN: usize = 36;
/// Digits of Spot's numbers today.
pub const NUMBER_LEN: usize = 19;
/// Digits of the largest number.
const NUMBER_LEN_MAX: usize = 20;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// The number of a trade id: the id itself, or both halves of a UUID folded. `None` for any other
/// text.
#[must_use]
#[inline(always)]
pub fn trade_number(id: &[u8]) -> Option<u64> {
    match id.first_chunk() {
        Some(uuid) if id.len() == UUID_LEN => folded(uuid),
        _ => number(id),
    }
}

fn number(id: &[u8]) -> Option<u64> {
    if id.is_empty() || id.len() > NUMBER_LEN_MAX {
        return None;
    }
    let (words, rest) = id.as_chunks::<8>();
    let mut value = 0u64;
    for word in words {
        let word = u64::from_le_bytes(*word);
        if non_digits(word) != 0 {
            return None;
        }
        // Two words at most: below 10^16.
        value = value * 100_000_000 + eight_digits(word);
    }
    let Some(last) = id.last_chunk().filter(|_| !rest.is_empty()) else {
        return rest.iter().try_fold(value, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'))
        });
    };
    // The last eight digits; those that were read already count as zeros.
    let (last, new) = (u64::from_le_bytes(*last), rest.len() as u32);
    if non_digits(last) != 0 {
        return None;
    }
    let rest = eight_digits(last & u64::MAX.wrapping_shl(64 - 8 * new));
    value.checked_mul(POW10[new as usize])?.checked_add(rest)
}

fn folded(uuid: &[u8; UUID_LEN]) -> Option<u64> {
    let [a @ .., b'-', _, _, _, _, b'-', _, _, _, _, b'-', _, _, _, _, b'-', _, _, _, _] =
        uuid.first_chunk::<28>()?
    else {
        return None;
    };
    let joined = |at: usize| {
        let mut both = [0; 8];
        both[..4].copy_from_slice(&uuid[at..at + 4]);
        both[4..].copy_from_slice(&uuid[at + 5..at + 9]);
        hex(both)
    };
    let (second, third, last) = (joined(9), joined(19), hex(*uuid.last_chunk()?));
    let half = |high: Option<u32>, low: Option<u32>| Some(u64::from(high?) << 32 | u64::from(low?));
    Some(half(hex(*a), second)? ^ half(third, last)?)
}

/// The number of eight hexadecimal digits.
#[inline(always)]
fn hex(text: [u8; 8]) -> Option<u32> {
    let word = u64::from_le_bytes(text);
    let lower = word | (ONES * 0x20);
    // Bytes below 0x80 do not carry: the highest bit tells whether a byte is at least `from`.
    let at_least = |word: u64, from: u64| word.wrapping_add(ONES * (0x80 - from));
    let digits = at_least(word, 0x30) & !at_least(word, 0x3A);
    let letters = at_least(lower, 0x61) & !at_least(lower, 0x67);
    if (word & HIGH != 0) | ((digits | letters) & HIGH != HIGH) {
        return None;
    }
    let nibbles = (word & (ONES * 0x0F)) + (((word >> 6) & ONES) * 9);
    let bytes = ((nibbles << 4) | (nibbles >> 8)) & 0x00FF_00FF_00FF_00FF;
    let pairs = (bytes | (bytes >> 8)) & 0x0000_FFFF_0000_FFFF;
    Some(((pairs | (pairs >> 16)) as u32).swap_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Naive twins: the standard parsers.
        #[test]
        fn ids_are_read(
            number in any::<u64>(), halves in any::<(u64, u64)>(), upper in any::<bool>(),
            at in 0usize..36, with in any::<u8>(), digits in "[0-9]{0,22}",
        ) {
            prop_assert_eq!(trade_number(number.to_string().as_bytes()), Some(number));
            let twin = digits.parse().ok().filter(|_| digits.len() <= NUMBER_LEN_MAX);
            prop_assert_eq!(trade_number(digits.as_bytes()), twin);
            let hex = format!("{:016x}{:016x}", halves.0, halves.1);
            let hex = if upper { hex.to_ascii_uppercase() } else { hex };
            let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
            let mut uuid = parts.join("-").into_bytes();
            prop_assert_eq!(trade_number(&uuid), Some(halves.0 ^ halves.1));
            let before = uuid[at];
            uuid[at] = with;
            let is_alike = if before == b'-' { with == b'-' } else { with.is_ascii_hexdigit() };
            prop_assert_eq!(trade_number(&uuid).is_some(), is_alike);
        }
    }

    #[test]
    fn examples() {
        assert_eq!(trade_number(b"2290000001189048101"), Some(2_290_000_001_189_048_101));
        assert_eq!(trade_number(b"18446744073709551615"), Some(u64::MAX));
        let uuid = b"20f43950-d8dd-5b31-9112-a178eb6023af";
        assert_eq!(trade_number(uuid), Some(0x20f4_3950_d8dd_5b31 ^ 0x9112_a178_eb60_23af));
        for wrong in
            ["", "18446744073709551616", "12a", "20f43950-d8dd-5b31-9112-a178eb6023ag", "-1"]
        {
            assert_eq!(trade_number(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(trade_number(&[b'1'; 36]), None);
    }
}
