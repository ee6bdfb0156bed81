//! The cursor against plain readers of the same text.

use super::*;
use bot4_simd::TextKernels;
use bot4_types::text::units_to_string;
use proptest::prelude::*;

proptest! {
    #[test]
    fn digits_are_told_from_everything_else(bytes in any::<[u8; 8]>()) {
        let mark = non_digits(u64::from_le_bytes(bytes));
        for (i, b) in bytes.iter().enumerate() {
            prop_assert_eq!(mark >> (i * 8 + 7) & 1 == 1, !b.is_ascii_digit());
        }
    }

    /// Naive twin: byte by byte; digits with anything behind them.
    #[test]
    fn leading_digits_are_counted_and_read(digits in "[0-9]{0,8}", any in any::<[u8; 8]>()) {
        let mut bytes = any;
        bytes[..digits.len()].copy_from_slice(digits.as_bytes());
        let count = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let word = u64::from_le_bytes(bytes);
        prop_assert_eq!(digit_count(word) as usize, count);
        if count > 0 {
            let twin: u64 = std::str::from_utf8(&bytes[..count])
                .expect("ASCII")
                .parse()
                .expect("digits");
            prop_assert_eq!(leading_digits(word, count as u32), twin);
        }
    }

    /// Naive twin: the standard parser.
    #[test]
    fn integers_read_back(
        look in looks(),
        value in prop_oneof![0u64..1_000_000_000_000_000_000, 0u64..10_000_000_000_000_000],
        padding in "[,0-9]{0,20}",
    ) {
        let text = format!("{value},{padding}");
        let mut cursor = Cursor::new(look, text.as_bytes(), text.len());
        prop_assert_eq!(cursor.clone().integer_any(), Some(value));
        prop_assert_eq!(cursor.integer(), Some(value));
        prop_assert_eq!(cursor.byte(), Some(b','));
    }

    /// Naive twin: the reference parser on what stands before the first quote; text of the
    /// usual shape, of any other, and of the usual shape with something before its quote.
    #[test]
    fn decimals_agree_with_the_reference(
        look in looks(),
        text in prop_oneof![
            "[0-9]{1,9}\\.[0-9]{8}\"", "[0-9.e-]{0,22}\"", "[0-9]{1,8}\\.[0-9]{8}[,5x]\"?",
            "[0-9]{1,9}(\\.[0-9]{0,9})?[,x]?\"?",
        ],
        decimals in prop_oneof![Just(8u8), 0u8..12],
        padding in 0usize..12,
    ) {
        let quoted = format!("{text}{}", "7".repeat(padding));
        let mut cursor = Cursor::new(look, quoted.as_bytes(), text.len());
        let number = text.strip_suffix('"').filter(|n| !n.starts_with('-'));
        let twin = number.and_then(|n| parse_units(n.as_bytes(), decimals).ok());
        prop_assert_eq!(cursor.decimal(decimals), twin);
        if twin.is_some() {
            prop_assert_eq!(cursor.finish(), Some(()));
        }
    }

    /// Naive twin: the standard parser, which takes signs and leading zeros that JSON forbids.
    #[test]
    fn signed_integers_and_quoted_ones_read_back(look in looks(), text in "-?[0-9]{1,19}\"?", pad in "[0-9]{0,9}") {
        let padded = format!("{text}{pad}");
        let digits = text.trim_end_matches('"');
        let plain = digits.trim_start_matches('-');
        let usual = plain.len() <= 18 && (plain == "0" || !plain.starts_with('0'));
        let mut cursor = Cursor::new(look, padded.as_bytes(), text.len());
        let quoted = text.ends_with('"') && !text.starts_with('-') && usual;
        let twin = quoted.then(|| digits.parse::<u64>().expect("digits"));
        prop_assert_eq!(cursor.integer_text(), twin);
        if text.ends_with('"') {
            let mut cursor = Cursor::new(look, padded.as_bytes(), text.len());
            let twin = (usual && digits != "-0").then(|| digits.parse::<i64>().expect("digits"));
            prop_assert_eq!(cursor.signed(), twin);
        }
    }

    #[test]
    fn levels_read_back(
        look in looks(),
        levels in proptest::collection::vec((0i64..i64::MAX, 0i64..i64::MAX), 0..9),
        room in 0usize..9
    ) {
        let pair = |(p, q): &(i64, i64)| {
            format!("[\"{}\",\"{}\"]", units_to_string(*p, 8), units_to_string(*q, 8))
        };
        let text = levels.iter().map(pair).collect::<Vec<_>>().join(",") + "]";
        let mut out = vec![Level::default(); room];
        let mut cursor = Cursor::new(look, text.as_bytes(), text.len());
        let count = cursor.levels(8, 8, &mut out);
        if levels.len() <= room {
            prop_assert_eq!(count, Some(levels.len()));
            prop_assert_eq!(cursor.finish(), Some(()));
            let read: Vec<_> = out[..levels.len()].iter().map(|l| (l.price, l.qty)).collect();
            prop_assert_eq!(read, levels);
        } else {
            prop_assert_eq!(count, None);
        }
    }

    /// A level by one look and by its parts are the same, whatever byte is damaged.
    #[test]
    fn a_level_at_once_is_a_level_by_parts(
        look in looks(),
        price in 0i64..10_000_000_000_000_000, qty in 0i64..10_000_000_000_000_000,
        at in 0usize..48, byte in prop_oneof![any::<u8>(), Just(b'"'), Just(b','), Just(b'1')],
    ) {
        let (price, qty) = (units_to_string(price, 8), units_to_string(qty, 8));
        let mut text = format!("[\"{price}\",\"{qty}\"],[\"1.0").into_bytes();
        text.resize(text.len() + 64, b'7');
        prop_assert!(Cursor::new(look, &text, text.len()).level_8().is_some(), "undamaged");
        if let Some(place) = text.get_mut(at) {
            *place = byte;
        }
        let mut once = Cursor::new(look, &text, text.len());
        let mut parts = Cursor::new(look, &text, text.len());
        let mut by_parts = || {
            parts.expect(b"[\"")?;
            let price = parts.decimal_any(8)?;
            parts.expect(b",\"")?;
            let qty = parts.decimal_any(8)?;
            parts.expect(b"]").map(|()| Level { price, qty })
        };
        let twin = by_parts();
        if let Some(level) = once.level_8() {
            prop_assert_eq!(Some(level), twin);
            prop_assert_eq!(once.at, parts.at);
        } else {
            prop_assert_eq!(once.at, 0);
        }
    }

    #[test]
    fn any_bytes_give_an_answer(
        look in looks(),
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        len in 0usize..90,
    ) {
        let cursor = Cursor::new(look, &bytes, len);
        let mut out = [Level::default(); 4];
        let _ = (cursor.clone().integer(), cursor.clone().name(), cursor.clone().truth());
        let _ = (cursor.clone().decimal(8), cursor.clone().levels(8, 3, &mut out));
    }
}

#[test]
fn names_end_at_the_quote_and_hold_no_escapes() {
    for look in TextKernels::all() {
        names_end(look);
    }
}

fn names_end(look: TextKernels) {
    let read = |text: &'static str| {
        // With and without a window's room behind it.
        let padded = format!("{text}{}", "7".repeat(64));
        let wide = Cursor::new(look, padded.as_bytes(), text.len()).name().map(<[u8]>::to_vec);
        let short = Cursor::new(look, text.as_bytes(), text.len()).name();
        assert_eq!(short, wide.as_deref());
        short
    };
    assert_eq!(read("btcusdt@depth@100ms\",\"d"), Some(b"btcusdt@depth@100ms".as_slice()));
    assert_eq!(read("\""), Some(b"".as_slice()));
    for refused in ["abc", "a\\u0041\"", "a\u{1}b\"", "é\"", "aaaaaaaaaaaaaaa\\\""] {
        assert_eq!(read(refused), None, "{refused}");
    }
}

#[test]
fn what_json_forbids_is_not_an_integer() {
    for refused in ["01", "", "-1", "1234567890123456789", "x"] {
        let mut cursor = Cursor::new(TextKernels::best(), refused.as_bytes(), refused.len());
        assert_eq!(cursor.integer(), None, "{refused}");
    }
}
