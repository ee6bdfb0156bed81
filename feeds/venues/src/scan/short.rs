//! Numbers of usual length, whatever their digits: in quotes without trailing zeros or bare with
//! all of them.
//!
//! What costs time in a level is to find where a number ends before the next can be looked at. So
//! each shape is first tried by its shortest way to the end: a quoted number of up to 15 bytes
//! ends at the quote among sixteen; a bare number of a venue that prints all decimals ends that
//! many bytes behind its point, others have up to eight digits on each side of it. Whatever is
//! left goes to the reference parser. Bare numbers follow the grammar of JSON: no leading zero, a
//! digit behind the point. Cost: about 13 ns a level.

use bot4_simd::{Look, Marks, marks};
use bot4_types::Level;
use bot4_types::text::parse_units;

use super::{Cursor, NUMBER_LEN_MAX, POW10, digit_count, eight_digits, leading_digits, non_digits};

/// Bytes looked at for a quoted number: eight digits, a point and a word, in whole words.
const NUMBER_WINDOW: usize = 24;

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
    /// How many of the first byte of [`BETWEEN`](Self::BETWEEN) stand before the one that ends the
    /// price, and of the first byte of [`CLOSE`](Self::CLOSE) before the one that ends the
    /// quantity.
    const BEFORE_ENDS: [u32; 2];
    /// A quoted integer and `]` follow: how many orders make up the quantity.
    const COUNTED: bool = false;
}

/// `["price","quantity"]` (Bybit).
#[derive(Clone, Copy, Debug)]
pub struct QuotedPair;

impl LevelShape for QuotedPair {
    const OPEN: &'static [u8] = b"[\"";
    const BETWEEN: &'static [u8] = b"\",\"";
    const CLOSE: &'static [u8] = b"\"]";
    const BARE: bool = false;
    const BEFORE_ENDS: [u32; 2] = [1, 3];
}

/// `["price","quantity","0","orders"]` (OKX).
#[derive(Clone, Copy, Debug)]
pub struct QuotedCounted;

impl LevelShape for QuotedCounted {
    const OPEN: &'static [u8] = b"[\"";
    const BETWEEN: &'static [u8] = b"\",\"";
    const CLOSE: &'static [u8] = b"\",\"0\",\"";
    const BARE: bool = false;
    const BEFORE_ENDS: [u32; 2] = [1, 3];
    const COUNTED: bool = true;
}

/// `"price","new_quantity":"quantity"}`, its first quote taken (Coinbase).
#[derive(Clone, Copy, Debug)]
pub struct QuotedUpdate;

impl LevelShape for QuotedUpdate {
    const OPEN: &'static [u8] = b"";
    const BETWEEN: &'static [u8] = b"\",\"new_quantity\":\"";
    const CLOSE: &'static [u8] = b"\"}";
    const BARE: bool = false;
    const BEFORE_ENDS: [u32; 2] = [0, 4];
}

/// `{"price":price,"qty":quantity}` with bare numbers (Kraken v2).
#[derive(Clone, Copy, Debug)]
pub struct NamedBare;

impl LevelShape for NamedBare {
    const OPEN: &'static [u8] = b"{\"price\":";
    const BETWEEN: &'static [u8] = b",\"qty\":";
    const CLOSE: &'static [u8] = b"}";
    const BARE: bool = true;
    const BEFORE_ENDS: [u32; 2] = [0, 0];
}

/// A number and the place behind its last digit.
#[derive(Clone, Copy, Debug)]
struct Short {
    units: i64,
    end: usize,
}

impl<L: Look> Cursor<'_, L> {
    /// The rest of a list of levels of shape `S`, its closing bracket taken; the count of levels,
    /// which go to the front of `out`. `None` also when `out` is too small.
    #[inline(always)]
    pub fn levels_of<S: LevelShape>(
        &mut self,
        price_decimals: u8,
        qty_decimals: u8,
        out: &mut [Level],
    ) -> Option<usize> {
        if self.take(b"]") {
            return Some(0);
        }
        // A copy that is never lent out can live in registers.
        let mut c = self.clone();
        for (i, place) in out.iter_mut().enumerate() {
            let (level, end) = c.level_at::<S>(price_decimals, qty_decimals)?;
            *place = level;
            c.at = end + 1;
            match *c.bytes.get(end)? {
                b',' => {}
                b']' => {
                    self.at = c.at;
                    return Some(i + 1);
                }
                _ => return None,
            }
        }
        None
    }

    /// One level of shape `S`.
    #[inline(always)]
    pub fn level_of<S: LevelShape>(
        &mut self,
        price_decimals: u8,
        qty_decimals: u8,
    ) -> Option<Level> {
        let (level, end) = self.level_at::<S>(price_decimals, qty_decimals)?;
        self.at = end;
        Some(level)
    }

    /// The level that is next and the place behind it.
    #[inline(always)]
    fn level_at<S: LevelShape>(
        &self,
        price_decimals: u8,
        qty_decimals: u8,
    ) -> Option<(Level, usize)> {
        let level = if self.look.is_wide() {
            self.level_wide::<S>(price_decimals, qty_decimals)
        } else {
            self.level_short::<S>(price_decimals, qty_decimals)
        };
        let (level, end) = match level {
            Some(level) => level,
            None => self.clone().level_long::<S>(price_decimals, qty_decimals)?,
        };
        if S::COUNTED { Some((level, self.count_end(end)?)) } else { Some((level, end)) }
    }

    /// Where the level ends whose count begins at `at`.
    #[inline(always)]
    fn count_end(&self, at: usize) -> Option<usize> {
        let count = self.word(at)?;
        let digits = digit_count(count);
        let end = at + digits as usize + 2;
        let is_usual = (digits.wrapping_sub(1) < 7) & ((digits == 1) | (count as u8 != b'0'));
        let closes = self.bytes.get(end - 2..end)? == b"\"]";
        if is_usual & closes {
            return Some(end);
        }
        self.count_end_any(at)
    }

    /// As [`Cursor::count_end`], of any count.
    #[cold]
    fn count_end_any(&self, at: usize) -> Option<usize> {
        let mut c = self.clone();
        c.at = at;
        c.integer_text()?;
        c.expect(b"]")?;
        Some(c.at)
    }

    /// The rest of a string that holds a decimal number of any digits, its closing quote taken.
    /// Not negative.
    #[inline(always)]
    pub fn quoted(&mut self, decimals: u8) -> Option<i64> {
        if self.look.is_wide() {
            return match self.quoted_wide(decimals) {
                Some(units) => Some(units),
                None => self.decimal_any(decimals),
            };
        }
        if let Some(short) = self.usual::<QuotedPair>(self.at, decimals)
            && self.bytes.get(short.end) == Some(&b'"')
        {
            self.at = short.end + 1;
            return Some(short.units);
        }
        self.decimal_any(decimals)
    }

    /// A bare number without exponent. Not negative.
    #[inline(always)]
    pub fn bare(&mut self, decimals: u8) -> Option<i64> {
        if self.look.is_wide() {
            return match self.bare_wide(decimals) {
                Some(units) => Some(units),
                None => self.bare_any(decimals),
            };
        }
        if let Some(short) = self.usual::<NamedBare>(self.at, decimals)
            && !is_number_byte(*self.bytes.get(short.end)?)
        {
            self.at = short.end;
            return Some(short.units);
        }
        self.bare_any(decimals)
    }

    /// A level of two numbers of usual length and the place behind it; `None` when the text is
    /// anything else.
    #[inline(always)]
    fn level_short<S: LevelShape>(
        &self,
        price_decimals: u8,
        qty_decimals: u8,
    ) -> Option<(Level, usize)> {
        let open = self.at + S::OPEN.len();
        let opens = self.bytes.get(self.at..open)? == S::OPEN;
        let price = self.usual::<S>(open, price_decimals)?;
        let between = price.end + S::BETWEEN.len();
        let parts = self.bytes.get(price.end..between)? == S::BETWEEN;
        let qty = self.usual::<S>(between, qty_decimals)?;
        let close = qty.end + S::CLOSE.len();
        let closes = self.bytes.get(qty.end..close)? == S::CLOSE;
        let level = Level { price: price.units, qty: qty.units };
        (opens & parts & closes).then_some((level, close))
    }

    /// A level by its parts, for numbers of any length, and the place behind it.
    #[cold]
    fn level_long<S: LevelShape>(
        mut self,
        price_decimals: u8,
        qty_decimals: u8,
    ) -> Option<(Level, usize)> {
        self.expect(S::OPEN)?;
        let price = self.long::<S>(price_decimals)?;
        self.expect(if S::BARE { S::BETWEEN } else { &S::BETWEEN[1..] })?;
        let qty = self.long::<S>(qty_decimals)?;
        self.expect(if S::BARE { S::CLOSE } else { &S::CLOSE[1..] })?;
        Some((Level { price, qty }, self.at))
    }

    fn long<S: LevelShape>(&mut self, decimals: u8) -> Option<i64> {
        if S::BARE { self.bare_any(decimals) } else { self.decimal_any(decimals) }
    }

    /// A number of usual length by the shortest way to its end.
    #[inline(always)]
    fn usual<S: LevelShape>(&self, at: usize, decimals: u8) -> Option<Short> {
        if !S::BARE {
            return self.to_quote(at, decimals);
        }
        match self.full(at, decimals) {
            Some(short) => Some(short),
            None => self.short(at, decimals),
        }
    }

    /// A number of up to eight digits and as many behind its point, if it has one, that ends at
    /// the first quote, at most 15 bytes on. As the reference parser does, it takes a point without
    /// digits behind it.
    #[inline(always)]
    fn to_quote(&self, at: usize, decimals: u8) -> Option<Short> {
        let window: &[u8; NUMBER_WINDOW] = self.bytes.get(at..)?.first_chunk()?;
        let Marks { quotes, others } = marks(window.first_chunk()?);
        let before = quotes.wrapping_sub(1) & !quotes;
        // All that is no digit before the quote: nothing, or a point.
        let others = others & before;
        let end = before.count_ones();
        let whole = if others == 0 { end } else { others.trailing_zeros() };
        let fraction = end.saturating_sub(whole + 1);
        let is_point = (others == 0) | (window[(whole & 15) as usize] == b'.');
        let is_one = others & others.wrapping_sub(1) == 0;
        let fits = (quotes != 0) & (whole.wrapping_sub(1) < 8) & (fraction <= 8);
        if !(fits & is_point & is_one) {
            return None;
        }
        let scale = *POW10.get(usize::from(decimals))?;
        let rest = *POW10.get(u32::from(decimals).wrapping_sub(fraction) as usize)?;
        let head = window.first_chunk()?;
        let tail = u64::from_le_bytes(*window.get(whole as usize + 1..)?.first_chunk()?);
        // Below 10^18: eight digits and at most ten decimals.
        let units = leading_digits(u64::from_le_bytes(*head), whole).wrapping_mul(scale);
        // Twice, because a shift by 64 would be one by zero: no digits, no value.
        let shift = 32u32.wrapping_sub(fraction.wrapping_mul(4));
        let parts = eight_digits(tail.wrapping_shl(shift).wrapping_shl(shift)).wrapping_mul(rest);
        Some(Short { units: units.wrapping_add(parts) as i64, end: at + end as usize })
    }

    /// A bare number with exactly `decimals` (1 to 10) digits behind its point. What follows is
    /// not looked at: the caller asks for a byte that continues no number.
    #[inline(always)]
    fn full(&self, at: usize, decimals: u8) -> Option<Short> {
        let head = self.word(at)?;
        let whole = digit_count(head);
        let dot = at + whole as usize;
        let fraction = self.fraction(dot + 1, u32::from(decimals))?;
        let zero_led = (whole > 1) & (head as u8 == b'0');
        // Behind eight digits the shift is none and meets the first.
        let has_dot = head.wrapping_shr(whole * 8) as u8 == b'.';
        if (whole == 0) | !has_dot | zero_led {
            return None;
        }
        // Below 10^18: eight digits and at most ten decimals.
        let scale = *POW10.get(usize::from(decimals))?;
        let units = leading_digits(head, whole).wrapping_mul(scale).wrapping_add(fraction);
        Some(Short { units: units as i64, end: dot + 1 + usize::from(decimals) })
    }

    /// The number of the `count` (1 to 10) digits at `at`.
    #[inline(always)]
    fn fraction(&self, at: usize, count: u32) -> Option<u64> {
        let first = self.word(at)?;
        let all = |word: u64, count: u32| non_digits(word) & lowest_bytes(count) == 0;
        if count.wrapping_sub(1) < 8 {
            return all(first, count).then(|| leading_digits(first, count));
        }
        let more = count.checked_sub(8).filter(|more| (1..=2).contains(more))?;
        let last = self.word(at + more as usize)?;
        let value = leading_digits(first, more).wrapping_mul(POW10[8]);
        (all(first, more) & all(last, 8)).then(|| value.wrapping_add(eight_digits(last)))
    }

    /// A bare number of up to eight digits, or those, a point and up to eight digits. What follows
    /// is not looked at: the caller asks for a byte that continues no number.
    #[inline(always)]
    fn short(&self, at: usize, decimals: u8) -> Option<Short> {
        let head = self.word(at)?;
        let whole = digit_count(head);
        let dot = at + whole as usize;
        let has_dot = *self.bytes.get(dot)? == b'.';
        let tail = self.word(dot + 1)?;
        let fraction = if has_dot { digit_count(tail) } else { 0 };
        let scale = *POW10.get(usize::from(decimals))?;
        let rest = *POW10.get((u32::from(decimals)).wrapping_sub(fraction) as usize)?;
        let zero_led = (whole > 1) & (head as u8 == b'0');
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

/// Ones in the first `count` bytes, for counts up to eight.
#[inline(always)]
const fn lowest_bytes(count: u32) -> u64 {
    // A shift by 64 would be one by zero.
    let shift = 64u32.wrapping_sub(count.wrapping_mul(8));
    if count == 0 { 0 } else { u64::MAX.wrapping_shr(shift) }
}

/// Whether `byte` can stand in a number.
const fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use super::super::looks;
    use super::*;
    use bot4_simd::TextKernels;
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
        for look in TextKernels::all() {
            let ours = Cursor::new(look, text.as_bytes(), text.len()).level_at::<S>(p, q);
            prop_assert_eq!(ours, twin::<S>(text, p, q), "{:?} {}", look, text);
        }
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
        /// Numbers as a venue prints them, with all decimals of any scale.
        #[test]
        fn full_numbers_agree_with_the_reference(
            price in 0i64..10_000_000_000_000, qty in 0i64..10_000_000_000_000_000,
            p in 0u8..13, q in 0u8..13, off in 0u8..2,
        ) {
            let (price, qty) = (units_to_string(price, p + off), units_to_string(qty, q));
            check::<QuotedPair>(&format!("[\"{price}\",\"{qty}\"],"), p, q)?;
            check::<NamedBare>(&format!("{{\"price\":{price},\"qty\":{qty}}},"), p, q)?;
        }

        #[test]
        fn levels_agree_with_the_reference(
            price in number(), qty in number(), p in 0u8..13, q in 0u8..13,
            tail in "[\\],\"}0-9.]{0,60}",
        ) {
            check::<QuotedPair>(&format!("[\"{price}\",\"{qty}\"]{tail}"), p, q)?;
            check::<NamedBare>(&format!("{{\"price\":{price},\"qty\":{qty}}}{tail}"), p, q)?;
        }

        /// Whatever byte is damaged, the ways of reading agree.
        #[test]
        fn short_and_long_agree_on_damage(
            price in 0i64..1_000_000_000, qty in 0i64..1_000_000_000_000, at in 0usize..60,
            byte in prop::sample::select(b"\",1.0-".as_slice()),
        ) {
            let (price, qty) = (units_to_string(price, 1), units_to_string(qty, 8));
            let mut quoted = format!("[\"{price}\",\"{qty}\"],[\"1").into_bytes();
            let mut named = format!("{{\"price\":{price},\"qty\":{qty}}},{{\"pr").into_bytes();
            for text in [&mut quoted, &mut named] {
                text.resize(text.len() + 64, b'7');
                text[at] = byte;
            }
            fn both<S: LevelShape>(text: &[u8]) -> Result<(), TestCaseError> {
                for look in TextKernels::all() {
                    let cursor = Cursor::new(look, text, text.len());
                    let long = cursor.clone().level_long::<S>(1, 8);
                    let wide = cursor.level_wide::<S>(1, 8);
                    let short = cursor.level_short::<S>(1, 8);
                    prop_assert!(wide.is_none() || wide == long, "{:?}", look);
                    prop_assert!(short.is_none() || short == long);
                }
                Ok(())
            }
            both::<QuotedPair>(&quoted)?;
            both::<NamedBare>(&named)?;
        }

        #[test]
        fn single_numbers_agree_with_the_reference(
            look in looks(), text in number(), decimals in 0u8..13,
        ) {
            let legal = !text.starts_with('-');
            let twin = parse_units(text.as_bytes(), decimals).ok().filter(|_| legal);
            let quoted = format!("{text}\",\"x");
            let mut cursor = Cursor::new(look, quoted.as_bytes(), quoted.len());
            prop_assert_eq!(cursor.quoted(decimals), twin);
            let bare = format!("{text},\"x");
            let strict = twin.filter(|_| crate::number::is_json_number(text.as_bytes()));
            let mut cursor = Cursor::new(look, bare.as_bytes(), bare.len());
            prop_assert_eq!(cursor.bare(decimals), strict);
            if strict.is_some() {
                prop_assert_eq!(cursor.byte(), Some(b','));
            }
        }

        #[test]
        fn any_bytes_give_an_answer(
            look in looks(), bytes in proptest::collection::vec(any::<u8>(), 0..90),
        ) {
            let cursor = Cursor::new(look, &bytes, bytes.len());
            let mut out = [Level::default(); 3];
            let _ = (cursor.clone().quoted(3), cursor.clone().bare(9));
            let _ = cursor.clone().levels_of::<QuotedPair>(8, 3, &mut out);
            let _ = cursor.clone().levels_of::<NamedBare>(1, 8, &mut out);
        }
    }

    #[test]
    fn lists_end_where_they_end() {
        for look in TextKernels::all() {
            lists_end(look);
        }
    }

    fn lists_end(look: TextKernels) {
        let text = br#"{"price":1.5,"qty":0.25},{"price":2,"qty":0.00000000}],"#;
        let mut out = [Level::default(); 2];
        let mut cursor = Cursor::new(look, text, text.len());
        assert_eq!(cursor.levels_of::<NamedBare>(1, 8, &mut out), Some(2));
        assert_eq!(out, [Level { price: 15, qty: 25_000_000 }, Level { price: 20, qty: 0 }]);
        assert_eq!(cursor.byte(), Some(b','));
        let mut cursor = Cursor::new(look, text, text.len());
        assert_eq!(cursor.levels_of::<NamedBare>(1, 8, &mut out[..1]), None, "no room");
        let mut cursor = Cursor::new(look, b"]", 1);
        assert_eq!(cursor.levels_of::<QuotedPair>(1, 8, &mut []), Some(0));
    }
}
