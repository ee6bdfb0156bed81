//! The names of the REST interface, which are older than those of the WebSocket API: `XXBT` and
//! `XBT` for BTC, `ZUSD` for USD, `XBTUSD` and `XXBTZUSD` for BTC/USD.

use bot4_types::{InstrumentTable, Symbol};

/// Assets whose oldest names have four letters, `X` before a coin and `Z` before money.
const OLD: [&str; 17] = [
    "XETC", "XETH", "XLTC", "XMLN", "XREP", "XXBT", "XXDG", "XXLM", "XXMR", "XXRP", "XZEC", "ZAUD",
    "ZCAD", "ZEUR", "ZGBP", "ZJPY", "ZUSD",
];

/// Today's name of the asset called `name`.
#[must_use]
pub fn asset(name: &str) -> &str {
    match if OLD.contains(&name) { &name[1..] } else { name } {
        "XBT" => "BTC",
        "XDG" => "DOGE",
        name => name,
    }
}

/// Spellings of the pairs of a table.
#[derive(Debug)]
pub struct Pairs(Vec<(String, Symbol)>);

impl Pairs {
    /// Those of `table`. Allocates.
    #[must_use]
    pub fn of(table: &InstrumentTable) -> Self {
        let mut spelt = Vec::new();
        for instrument in table.all() {
            let symbol = instrument.symbol;
            let Some((base, quote)) = symbol.as_str().split_once('/') else { continue };
            for base in spellings(base) {
                for quote in spellings(quote) {
                    spelt.push((format!("{base}{quote}"), symbol));
                }
            }
            spelt.push((symbol.as_str().to_owned(), symbol));
        }
        Self(spelt)
    }

    /// The symbol of the pair called `name`; the same name where it is none of the table.
    #[must_use]
    pub fn symbol<'a>(&'a self, name: &'a str) -> &'a str {
        let found = self.0.iter().find(|(spelt, _)| spelt == name);
        found.map_or(name, |(_, symbol)| symbol.as_str())
    }
}

/// How the asset called `name` today may be spelt.
fn spellings(name: &str) -> Vec<String> {
    let short = match name {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        other => other,
    };
    let mut all = vec![name.to_owned()];
    if short != name {
        all.push(short.to_owned());
    }
    all.extend(
        ["X", "Z"]
            .map(|first| format!("{first}{short}"))
            .into_iter()
            .filter(|old| OLD.contains(&old.as_str())),
    );
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{Instrument, InstrumentId};

    #[test]
    fn old_names_are_read_as_todays() {
        let names = ["XXBT", "XBT", "ZUSD", "XETH", "SOL", "XDG", "ZRX", "XTZ"].map(asset);
        assert_eq!(names, ["BTC", "BTC", "USD", "ETH", "SOL", "DOGE", "ZRX", "XTZ"]);
        let mut table = InstrumentTable::new();
        for (n, name) in ["BTC/USD", "SOL/EUR"].into_iter().enumerate() {
            let symbol = Symbol::new(name).expect("short");
            table.push(Instrument::bare(InstrumentId(n as u16), symbol, 8)).expect("room");
        }
        let pairs = Pairs::of(&table);
        for name in ["XBTUSD", "XXBTZUSD", "BTC/USD", "BTCUSD"] {
            assert_eq!(pairs.symbol(name), "BTC/USD", "{name}");
        }
        assert_eq!(pairs.symbol("SOLEUR"), "SOL/EUR");
        assert_eq!(pairs.symbol("ETHUSD"), "ETHUSD");
    }
}
