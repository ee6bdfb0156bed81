//! Venue symbol to instrument, without allocation.
//!
//! The last hit is tried first (messages of one symbol come in runs), then a small open-addressed
//! table at a load of at most a quarter. Cost: about 2 ns for a repeated symbol, 10 ns otherwise.

use bot4_types::id::SYMBOL_LEN_MAX;
use bot4_types::{Instrument, InstrumentId, InstrumentTable, Symbol};

/// What decoding needs of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The venue's name.
    pub symbol: Symbol,
    /// Index in the run's table.
    pub id: InstrumentId,
    /// Decimals of a price unit.
    pub price_decimals: u8,
    /// Decimals of a quantity unit.
    pub qty_decimals: u8,
}

/// Marks an unused place of the hash table.
const FREE: u16 = u16::MAX;

/// The symbols of a run.
#[derive(Clone, Debug)]
pub struct SymbolTable {
    listed: Vec<Listed>,
    places: Vec<u16>,
    last: usize,
    /// The last one's name may stand in a string as it is.
    last_is_plain: bool,
}

impl SymbolTable {
    /// The symbols of `table`. Allocates.
    #[must_use]
    pub fn new(table: &InstrumentTable) -> Self {
        let listed: Vec<Listed> = table.own().map(Listed::of).collect();
        let size = (listed.len().max(1) * 4).next_power_of_two();
        let mut places = vec![FREE; size];
        for (i, entry) in listed.iter().enumerate() {
            let mut at = hash(entry.symbol.as_bytes()) & (size - 1);
            while places[at] != FREE {
                at = (at + 1) & (size - 1);
            }
            places[at] = i as u16;
        }
        let last_is_plain = listed.first().is_some_and(|first| is_plain(first.symbol.as_bytes()));
        Self { listed, places, last: 0, last_is_plain }
    }

    /// The instrument called `symbol`; remembers it as the next guess.
    #[inline(always)]
    pub fn find(&mut self, symbol: &[u8]) -> Option<Listed> {
        if let Some(entry) = self.listed.get(self.last)
            && same(entry.symbol.as_bytes(), symbol)
        {
            return Some(*entry);
        }
        self.find_other(symbol)
    }

    /// The name found last, for [`Cursor::name_like`](crate::scan::Cursor::name_like): empty when
    /// it cannot stand in a string as it is.
    #[must_use]
    #[inline(always)]
    pub fn guess(&self) -> &[u8] {
        match self.listed.get(self.last) {
            Some(entry) if self.last_is_plain => entry.symbol.as_bytes(),
            _ => &[],
        }
    }

    #[inline(never)]
    fn find_other(&mut self, symbol: &[u8]) -> Option<Listed> {
        self.last = self.search(symbol)?;
        let found = *self.listed.get(self.last)?;
        self.last_is_plain = is_plain(found.symbol.as_bytes());
        Some(found)
    }

    /// The instrument called `symbol` in any case of its ASCII letters (stream names are in
    /// lower case).
    #[must_use]
    pub fn find_any_case(&self, symbol: &[u8]) -> Option<Listed> {
        let mut upper = [0; SYMBOL_LEN_MAX];
        let upper = upper.get_mut(..symbol.len())?;
        upper.copy_from_slice(symbol);
        upper.make_ascii_uppercase();
        self.search(upper).and_then(|i| self.listed.get(i).copied())
    }

    /// The instrument called `symbol`, without remembering it.
    #[must_use]
    pub fn peek(&self, symbol: &[u8]) -> Option<Listed> {
        self.search(symbol).and_then(|i| self.listed.get(i).copied())
    }

    /// The instrument with this id.
    #[must_use]
    pub fn by_id(&self, id: InstrumentId) -> Option<Listed> {
        // Ids of one venue go up, but do not begin at zero in a run of several.
        let at = self.listed.binary_search_by_key(&id, |listed| listed.id).ok()?;
        self.listed.get(at).copied()
    }

    /// The only instrument, when there is just one.
    #[must_use]
    pub fn only(&self) -> Option<Listed> {
        match self.listed.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    fn search(&self, symbol: &[u8]) -> Option<usize> {
        let mask = self.places.len() - 1;
        let mut at = hash(symbol) & mask;
        // Ends: three quarters of the places are free.
        loop {
            let i = self.places[at];
            if i == FREE {
                return None;
            }
            if self.listed[i as usize].symbol.as_bytes() == symbol {
                return Some(i as usize);
            }
            at = (at + 1) & mask;
        }
    }
}

impl Listed {
    fn of(i: &Instrument) -> Self {
        Self {
            symbol: i.symbol,
            id: i.id,
            price_decimals: i.price_decimals,
            qty_decimals: i.qty_decimals,
        }
    }
}

/// A JSON string holds this text without escapes.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|b| (0x20..0x80).contains(b) && *b != b'"' && *b != b'\\')
}

/// Both texts are the same: for short ones, without a call.
#[inline(always)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // Two words that overlap cover the text.
    if let (true, Some(a_head), Some(b_head)) =
        (a.len() <= 16, a.first_chunk::<8>(), b.first_chunk::<8>())
    {
        let tail = a.last_chunk::<8>() == b.last_chunk::<8>();
        return (a_head == b_head) & tail;
    }
    if let (true, Some(a_head), Some(b_head)) =
        (a.len() <= 8, a.first_chunk::<4>(), b.first_chunk::<4>())
    {
        let tail = a.last_chunk::<4>() == b.last_chunk::<4>();
        return (a_head == b_head) & tail;
    }
    a == b
}

/// FNV-1a, folded so that the low bits see all of it.
fn hash(text: &[u8]) -> usize {
    let h = text
        .iter()
        .fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01B3));
    (h ^ (h >> 32)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Naive twin: the library's own comparison.
        #[test]
        fn same_is_equal(a in "[ab]{0,20}", b in "[ab]{0,20}", at in 0usize..20) {
            prop_assert_eq!(same(a.as_bytes(), b.as_bytes()), a == b);
            let mut other = a.clone().into_bytes();
            prop_assert!(same(a.as_bytes(), &other));
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1;
                prop_assert!(!same(a.as_bytes(), &other));
            }
        }

        /// Whatever lies before a venue's instruments in the run.
        #[test]
        fn ids_of_a_later_venue_find_their_own(before in 0usize..5, own in 1usize..5) {
            let name = |text: String| Symbol::new(&text).expect("short");
            let of = |n: usize| {
                let mut table = InstrumentTable::new();
                for i in 0..n {
                    let bare = Instrument::bare(InstrumentId(0), name(format!("S{i}")), 8);
                    table.push(bare).expect("room");
                }
                table
            };
            let parts = [(name("A".into()), &of(before)), (name("B".into()), &of(own))];
            let table = InstrumentTable::joined(&parts).expect("room");
            let symbols = SymbolTable::new(&table.seen_from(bot4_types::VenueId(1)));
            for i in table.all() {
                let found = symbols.by_id(i.id);
                let expected = (i.venue.0 == 1).then_some((i.id, i.symbol));
                prop_assert_eq!(found.map(|l| (l.id, l.symbol)), expected);
            }
        }

        /// The naive twin is the table's linear search.
        #[test]
        fn finds_what_a_linear_search_finds(
            names in proptest::collection::btree_set("[A-C]{1,4}", 0..40),
            asked in proptest::collection::vec("[A-D]{0,5}", 0..60),
        ) {
            let mut table = InstrumentTable::new();
            for name in &names {
                let symbol = Symbol::new(name).expect("short");
                table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("fits");
            }
            let mut symbols = SymbolTable::new(&table);
            for name in asked.iter().chain(&names) {
                let twin = table.find(name.as_bytes()).map(|i| i.id);
                prop_assert_eq!(symbols.peek(name.as_bytes()).map(|l| l.id), twin);
                prop_assert_eq!(symbols.find(name.as_bytes()).map(|l| l.id), twin);
                let lower = name.to_ascii_lowercase();
                prop_assert_eq!(symbols.find_any_case(lower.as_bytes()).map(|l| l.id), twin);
            }
        }
    }

    #[test]
    fn long_names_are_unknown() {
        let symbols = SymbolTable::new(&InstrumentTable::new());
        assert_eq!(symbols.find_any_case(&[b'a'; 99]), None);
        assert_eq!(symbols.only(), None);
    }
}
