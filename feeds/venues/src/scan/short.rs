//! Numbers of usual length, whatever their digits: up to eight before and up to eight after the
//! point, in quotes or bare.
//!
//! A level is read by one pass over its text that ends in one branch; a number of any other length
//! goes to the reference parser. Bare numbers follow the grammar of JSON: no leading zero, a digit
//! behind the point. Cost: about 8 ns a level.

use bot4_types::Level;
use bot4_types::text::parse_units;

use super::{Cursor, NUMBER_LEN_MAX, POW10, digit_count, leading_digits};

/// The text around the two numbers of a level.
pub trait LevelShape {
    /// Before the price.
    const OPEN: &'static [u8];
    /// Between price and quantity.
    const BETWEEN: &'static [u8];
    /// Behind the quantity.
    const CLOSE: &'static [u8];
    /// The numbers have no quotes.
    const BARE: bool;
}

/// `["price","quantity"]` (Bybit).
#[derive(Clone, Copy, Debug)]
pub struct QuotedPair;

impl LevelShape for QuotedPair {
    const OPEN: &'static [u8] = b"[\"";
    const BETWEEN: &'static [u8] = b"\",\"";
    const CLOSE: &'static [u8] = b"\"]";
    const BARE: bool = false;
}

/// `{"price":price,"qty":quantity}` with bare numbers (Kraken v2).
#[derive(Clone, Copy, Debug)]
pub struct NamedBare;

impl LevelShape for NamedBare {
    const OPEN: &'static [u8] = b"{\"price\":";
    const BETWEEN: &'static [u8] = b",\"qty\":";
    const CLOSE: &'static [u8] = b"}";
    const BARE: bool = true;
}

/// A number and the place behind its last digit.
#[derive(Clone, Copy, Debug)]
struct Short {
    units: i64,
    end: usize,
}

impl Cursor<'_> {
    /// The rest of a list of levels of shape `S`, its closing bracket taken; the count of levels,
    /// which go to the front of `out`. `None` also when `out` is too small.
    #[inline]
    pub fn levels_of<S: LevelShape>(
        &mut self,
        price_decimals: u8,
        qty_decimals: u8,
        out: &mut [Level],
    ) -> Option<usize> {
        if self.take(b"]") {
            return Some(0);
        }
        for (i, place) in out.iter_mut().enumerate() {
            *place = match self.level_short::<S>(price_decimals, qty_decimals) {
                Some(level) => level,
                None => self.level_long::<S>(price_decimals, qty_decimals)?,
            };
            match self.byte()? {
                b',' => {}
                b']' => return Some(i + 1),
                _ => return None,
            }
        }
        None
    }

    /// The rest of a string that holds a decimal number of any digits, its closing quote taken.
    /// Not negative.
    #[inline]
    pub fn quoted(&mut self, decimals: u8) -> Option<i64> {
        if let Some(short) = self.short(self.at, decimals, false)
            && self.bytes.get(short.end) == Some(&b'"')
        {
            self.at = short.end + 1;
            return Some(short.units);
        }
        self.decimal_any(decimals)
    }

    /// A bare number without exponent. Not negative.
    #[inline]
    pub fn bare(&mut self, decimals: u8) -> Option<i64> {
        if let Some(short) = self.short(self.at, decimals, true)
            && !is_number_byte(*self.bytes.get(short.end)?)
        {
            self.at = short.end;
            return Some(short.units);
        }
        self.bare_any(decimals)
    }

    /// A level of two numbers of usual length. Does not move when the text is anything else.
    #[inline(always)]
    fn level_short<S: LevelShape>(
        &mut self,
        price_decimals: u8,
        qty_decimals: u8,
    ) -> Option<Level> {
        let open = self.at + S::OPEN.len();
        let opens = self.bytes.get(self.at..open)? == S::OPEN;
        let price = self.short(open, price_decimals, S::BARE)?;
        let between = price.end + S::BETWEEN.len();
        let parts = self.bytes.get(price.end..between)? == S::BETWEEN;
        let qty = self.short(between, qty_decimals, S::BARE)?;
        let close = qty.end + S::CLOSE.len();
        let closes = self.bytes.get(qty.end..close)? == S::CLOSE;
        if !(opens & parts & closes) {
            return None;
        }
        self.at = close;
        Some(Level { price: price.units, qty: qty.units })
    }

    /// A level by its parts, for numbers of any length.
    #[cold]
    fn level_long<S: LevelShape>(&mut self, price_decimals: u8, qty_decimals: u8) -> Option<Level> {
        self.expect(S::OPEN)?;
        let price = self.long::<S>(price_decimals)?;
        self.expect(if S::BARE { S::BETWEEN } else { &S::BETWEEN[1..] })?;
        let qty = self.long::<S>(qty_decimals)?;
        self.expect(if S::BARE { S::CLOSE } else { &S::CLOSE[1..] })?;
        Some(Level { price, qty })
    }

    fn long<S: LevelShape>(&mut self, decimals: u8) -> Option<i64> {
        if S::BARE { self.bare_any(decimals) } else { self.decimal_any(decimals) }
    }

    /// Up to eight digits, or those, a point and up to eight digits. What follows is not looked
    /// at: the caller asks for a byte that continues no number.
    #[inline(always)]
    fn short(&self, at: usize, decimals: u8, bare: bool) -> Option<Short> {
        let head = self.word(at)?;
        let whole = digit_count(head);
        let dot = at + whole as usize;
        let has_dot = *self.bytes.get(dot)? == b'.';
        let tail = self.word(dot + 1)?;
        let fraction = if has_dot { digit_count(tail) } else { 0 };
        let scale = *POW10.get(usize::from(decimals))?;
        let rest = *POW10.get((u32::from(decimals)).wrapping_sub(fraction) as usize)?;
        let zero_led = bare & (whole > 1) & (head as u8 == b'0');
        if (whole == 0) | (has_dot & (fraction == 0)) | zero_led {
            return None;
        }
        // Below 10^18: eight digits and at most ten decimals.
        let units = leading_digits(head, whole).wrapping_mul(scale);
        let parts = leading_digits(tail, fraction.max(1)).wrapping_mul(rest);
        let parts = if fraction == 0 { 0 } else { parts };
        let end = dot + usize::from(has_dot) + fraction as usize;
        Some(Short { units: units.wrapping_add(parts) as i64, end })
    }

    /// A bare number of any length, by the reference parser.
    #[cold]
    fn bare_any(&mut self, decimals: u8) -> Option<i64> {
        let rest = self.bytes.get(self.at..self.end)?;
        let len = rest.iter().take(NUMBER_LEN_MAX).position(|b| !is_number_byte(*b))?;
        let text = &rest[..len];
        if !crate::number::is_json_number(text) || text.first() == Some(&b'-') {
            return None;
        }
        // Refuses exponents, which the general reader takes.
        let value = parse_units(text, decimals).ok()?;
        self.at += len;
        Some(value)
    }
}

/// Whether `byte` can stand in a number.
const fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::text::units_to_string;
    use proptest::prelude::*;

    /// The rules of both shapes, naively: the reference parser on the texts between the marks.
    fn twin<S: LevelShape>(text: &str, p: u8, q: u8) -> Option<(Level, usize)> {
        let number = |text: &str, decimals| {
            let legal = !S::BARE || crate::number::is_json_number(text.as_bytes());
            let legal = legal && !text.starts_with('-') && text.len() < NUMBER_LEN_MAX;
            parse_units(text.as_bytes(), decimals).ok().filter(|_| legal)
        };
        let as_text = |bytes: &'static [u8]| std::str::from_utf8(bytes).expect("ASCII");
        let rest = text.strip_prefix(as_text(S::OPEN))?;
        let (price, rest) = rest.split_once(as_text(S::BETWEEN))?;
        let (qty, rest) = rest.split_once(as_text(S::CLOSE))?;
        let level = Level { price: number(price, p)?, qty: number(qty, q)? };
        Some((level, text.len() - rest.len()))
    }

    fn check<S: LevelShape>(text: &str, p: u8, q: u8) -> Result<(), TestCaseError> {
        let mut cursor = Cursor::new(text.as_bytes(), text.len());
        let ours = cursor.level_short::<S>(p, q).or_else(|| cursor.level_long::<S>(p, q));
        prop_assert_eq!(ours.map(|level| (level, cursor.at)), twin::<S>(text, p, q), "{}", text);
        Ok(())
    }

    fn number() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[0-9]{1,8}\\.[0-9]{1,8}",
            2 => "(0|[1-9][0-9]{0,9})(\\.[0-9]{1,12})?",
            1 => "[0-9]{0,12}\\.?[0-9]{0,12}",
            1 => "-?[0-9]{1,3}(\\.[0-9]{1,3})?(e-?[0-9])?",
        ]
    }

    proptest! {
        #[test]
        fn levels_agree_with_the_reference(
            price in number(), qty in number(), p in 0u8..13, q in 0u8..13,
            tail in "[\\],\"}0-9.]{0,60}",
        ) {
            check::<QuotedPair>(&format!("[\"{price}\",\"{qty}\"]{tail}"), p, q)?;
            check::<NamedBare>(&format!("{{\"price\":{price},\"qty\":{qty}}}{tail}"), p, q)?;
        }

        /// Whatever byte is damaged, the two ways of reading agree.
        #[test]
        fn short_and_long_agree_on_damage(
            price in 0i64..1_000_000_000, qty in 0i64..1_000_000_000_000, at in 0usize..60,
            byte in prop_oneof![Just(b'"'), Just(b','), Just(b'1'), Just(b'.'), Just(b'0'), Just(b'-')],
        ) {
            let (price, qty) = (units_to_string(price, 1), units_to_string(qty, 8));
            let mut quoted = format!("[\"{price}\",\"{qty}\"],[\"1").into_bytes();
            let mut named = format!("{{\"price\":{price},\"qty\":{qty}}},{{\"pr").into_bytes();
            for text in [&mut quoted, &mut named] {
                text.resize(text.len() + 64, b'7');
                text[at] = byte;
            }
            fn both<S: LevelShape>(text: &[u8]) -> Result<(), TestCaseError> {
                let mut once = Cursor::new(text, text.len());
                let mut parts = once.clone();
                let long = parts.level_long::<S>(1, 8);
                if let Some(level) = once.level_short::<S>(1, 8) {
                    prop_assert_eq!(Some(level), long);
                    prop_assert_eq!(once.at, parts.at);
                } else {
                    prop_assert_eq!(once.at, 0);
                }
                Ok(())
            }
            both::<QuotedPair>(&quoted)?;
            both::<NamedBare>(&named)?;
        }

        #[test]
        fn single_numbers_agree_with_the_reference(text in number(), decimals in 0u8..13) {
            let legal = !text.starts_with('-');
            let twin = parse_units(text.as_bytes(), decimals).ok().filter(|_| legal);
            let quoted = format!("{text}\",\"x");
            let mut cursor = Cursor::new(quoted.as_bytes(), quoted.len());
            prop_assert_eq!(cursor.quoted(decimals), twin);
            let bare = format!("{text},\"x");
            let strict = twin.filter(|_| crate::number::is_json_number(text.as_bytes()));
            let mut cursor = Cursor::new(bare.as_bytes(), bare.len());
            prop_assert_eq!(cursor.bare(decimals), strict);
            if strict.is_some() {
                prop_assert_eq!(cursor.byte(), Some(b','));
            }
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            let cursor = Cursor::new(&bytes, bytes.len());
            let mut out = [Level::default(); 3];
            let _ = (cursor.clone().quoted(3), cursor.clone().bare(9));
            let _ = cursor.clone().levels_of::<QuotedPair>(8, 3, &mut out);
            let _ = cursor.clone().levels_of::<NamedBare>(1, 8, &mut out);
        }
    }

    #[test]
    fn lists_end_where_they_end() {
        let text = br#"{"price":1.5,"qty":0.25},{"price":2,"qty":0.00000000}],"#;
        let mut out = [Level::default(); 2];
        let mut cursor = Cursor::new(text, text.len());
        assert_eq!(cursor.levels_of::<NamedBare>(1, 8, &mut out), Some(2));
        assert_eq!(out, [Level { price: 15, qty: 25_000_000 }, Level { price: 20, qty: 0 }]);
        assert_eq!(cursor.byte(), Some(b','));
        let mut cursor = Cursor::new(text, text.len());
        assert_eq!(cursor.levels_of::<NamedBare>(1, 8, &mut out[..1]), None, "no room");
        let mut cursor = Cursor::new(b"]", 1);
        assert_eq!(cursor.levels_of::<QuotedPair>(1, 8, &mut []), Some(0));
    }
}
