//! Others on the account: what of their doings the configuration declares.
//!
//! Whatever is not this run's and not declared stops all trading: another engine or a person at
//! the venue's page spends what our ledger counts as ours. The account's balances are everybody's,
//! so one instrument alone is never concerned.

use bot4_types::log::{Reader, Writer};
use bot4_venues::client_text::ClientText;

/// Prefixes that can be declared.
pub const PREFIXES_MAX: usize = 8;
/// Longest prefix in bytes.
pub const PREFIX_LEN_MAX: usize = 15;
/// Orders of others whose numbers are remembered, because their fills may come without a name.
const REMEMBERED: usize = 256;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Prefix {
    len: u8,
    text: [u8; PREFIX_LEN_MAX],
}

/// Whose orders may be on the account beside ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    all: bool,
    count: u8,
    prefixes: [Prefix; PREFIXES_MAX],
}

impl Declared {
    /// Nobody's.
    pub const NONE: Self =
        Self { all: false, count: 0, prefixes: [Prefix { len: 0, text: [0; PREFIX_LEN_MAX] }; 8] };
    /// Anybody's.
    pub const ALL: Self = Self { all: true, ..Self::NONE };

    /// Those whose client id begins with one of `prefixes`; `None` when there are too many, or one
    /// is empty or too long.
    #[must_use]
    pub fn of<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut declared = Self::NONE;
        for prefix in prefixes {
            let row = declared.prefixes.get_mut(usize::from(declared.count))?;
            if prefix.is_empty() {
                return None;
            }
            row.text.get_mut(..prefix.len())?.copy_from_slice(prefix.as_bytes());
            row.len = prefix.len() as u8;
            declared.count += 1;
        }
        Some(declared)
    }

    /// Somebody's orders may be there.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.all || self.count > 0
    }

    /// Some may be there and others not: a name decides.
    #[must_use]
    pub const fn is_by_name(&self) -> bool {
        !self.all && self.count > 0
    }

    /// The order with this client id may be there. One that reads like ours never may: it is of
    /// another engine of this kind, which spends what this one counts as its own.
    #[must_use]
    pub fn has(&self, client: &ClientText) -> bool {
        if client.own().is_some() {
            return false;
        }
        let prefixes = self.prefixes.iter().take(usize::from(self.count));
        let begins = |p: &Prefix| {
            let text = p.text.get(..usize::from(p.len)).unwrap_or_default();
            client.as_bytes().starts_with(text)
        };
        self.all || prefixes.into_iter().any(begins)
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.u8(u8::from(self.all));
        w.u8(self.count);
        for prefix in self.prefixes.iter().take(usize::from(self.count)) {
            w.u8(prefix.len);
            w.bytes(prefix.text.get(..usize::from(prefix.len)).unwrap_or_default());
        }
    }

    /// Journals of earlier versions end before it: then nobody was declared.
    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        if r.rest().is_empty() {
            return Some(Self::NONE);
        }
        let mut declared = Self { all: r.u8()? != 0, ..Self::NONE };
        declared.count = r.u8()?;
        let count = usize::from(declared.count);
        for prefix in declared.prefixes.get_mut(..count)? {
            prefix.len = r.u8()?;
            for byte in prefix.text.get_mut(..usize::from(prefix.len))? {
                *byte = r.u8()?;
            }
        }
        Some(declared)
    }
}

/// Numbers of declared orders, the newest of them. No allocation after construction.
#[derive(Debug)]
pub(crate) struct Remembered {
    orders: Box<[u64]>,
    next: usize,
}

impl Remembered {
    pub(crate) fn new() -> Self {
        Self { orders: vec![0; REMEMBERED].into_boxed_slice(), next: 0 }
    }

    pub(crate) fn add(&mut self, venue_order: u64) {
        if venue_order != 0 && !self.has(venue_order) {
            self.orders[self.next % REMEMBERED] = venue_order;
            self.next += 1;
        }
    }

    pub(crate) fn has(&self, venue_order: u64) -> bool {
        venue_order != 0 && self.orders.contains(&venue_order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::log::BODY_MAX;
    use proptest::prelude::*;

    fn id(text: &str) -> ClientText {
        ClientText::new(text).expect("short")
    }

    #[test]
    fn only_declared_prefixes_pass() {
        let some = Declared::of(["web_", "x-"]).expect("short");
        assert!(some.has(&id("web_1")) && some.has(&id("x-9")));
        assert!(!some.has(&id("wex_1")) && !some.has(&ClientText::EMPTY));
        assert!(Declared::ALL.has(&ClientText::EMPTY) && !Declared::NONE.has(&id("web_1")));
        assert!(some.is_by_name() && !Declared::ALL.is_by_name() && !Declared::NONE.is_by_name());
        assert!(Declared::ALL.is_any() && some.is_any() && !Declared::NONE.is_any());
        assert_eq!(Declared::of([""]), None);
        assert_eq!(Declared::of(["0123456789abcdef"]), None);
        assert_eq!(Declared::of(["a"; PREFIXES_MAX + 1]), None);
    }

    #[test]
    fn the_newest_orders_are_remembered() {
        let mut remembered = Remembered::new();
        remembered.add(0);
        assert!(!remembered.has(0));
        (1..=REMEMBERED as u64 + 1).for_each(|n| remembered.add(n));
        assert!(!remembered.has(1) && remembered.has(2));
    }

    proptest! {
        #[test]
        fn it_reads_back(
            prefixes in proptest::collection::vec("[a-z_]{1,15}", 0..=PREFIXES_MAX), all: bool,
        ) {
            let texts = prefixes.iter().map(String::as_str);
            let declared = Declared { all, ..Declared::of(texts).expect("short") };
            let mut bytes = [0; BODY_MAX];
            let mut w = Writer::over(&mut bytes);
            declared.write(&mut w);
            let len = w.written();
            prop_assert_eq!(Declared::read(&mut Reader::over(&bytes[..len])), Some(declared));
        }
    }
}
