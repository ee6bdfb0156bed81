//! The instruments and assets of a run, of one venue or of several.
//!
//! An asset belongs to a venue: USDT at one venue cannot pay at another, so each has its own
//! [`AssetId`], and with it its own balance and reservations. [`InstrumentTable::namesake`] says
//! which assets are the same thing, which is what a valuation asks.
//!
//! Ids are the run's, everywhere. What reads a venue's texts looks names up in the table as
//! [seen from](InstrumentTable::seen_from) that venue: the same ids, the venue's own names.

use crate::id::{AssetId, InstrumentId, Symbol, VenueId};
use crate::instrument::{AMOUNT_DECIMALS, Instrument};
use crate::rules::InstrumentRules;
use serde::{Deserialize, Serialize};

/// Why an instrument does not enter the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// More than [`crate::limits::INSTRUMENTS_MAX`] instruments,
    /// [`crate::limits::ASSETS_MAX`] assets or [`crate::limits::VENUES_MAX`] venues.
    Full,
    /// The venue's symbol is there already.
    Duplicate,
    /// Price and quantity decimals together exceed [`AMOUNT_DECIMALS`].
    TooPrecise,
}

/// An asset at a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asset {
    venue: VenueId,
    name: Symbol,
}

/// The instruments and assets of a run. Built before the lanes start; each agent holds a copy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InstrumentTable {
    instruments: Vec<Instrument>,
    assets: Vec<Asset>,
    /// Names of the venues; empty where a run has one.
    venues: Vec<Symbol>,
    /// Whose names are looked up and added.
    view: VenueId,
}

impl InstrumentTable {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { instruments: Vec::new(), assets: Vec::new(), venues: Vec::new(), view: VenueId(0) }
    }

    /// An empty table for the venues called `names`, seen from the first.
    ///
    /// # Errors
    /// [`TableError::Full`].
    pub fn of_venues(names: &[Symbol]) -> Result<Self, TableError> {
        if names.len() > crate::limits::VENUES_MAX {
            return Err(TableError::Full);
        }
        let venues = if names.len() > 1 { names.to_vec() } else { Vec::new() };
        Ok(Self { venues, ..Self::new() })
    }

    /// The tables that each of some venues gave, as one: ids go on from venue to venue. A single
    /// one stays as it is.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn joined(parts: &[(Symbol, &Self)]) -> Result<Self, TableError> {
        if let [(_, only)] = parts {
            return Ok((*only).clone());
        }
        let names: Vec<Symbol> = parts.iter().map(|(name, _)| *name).collect();
        let mut joined = Self::of_venues(&names)?;
        for (at, (_, part)) in parts.iter().enumerate() {
            joined.view = VenueId(at as u8);
            let before = joined.assets.len();
            for asset in &part.assets {
                joined.asset(asset.name)?;
            }
            // A venue's table names an asset once, and none of this venue was there before.
            let own = |asset: AssetId| AssetId((before + usize::from(asset.0)) as u8);
            for i in &part.instruments {
                let (base, quote) = (own(i.base), own(i.quote));
                joined.push(Instrument { venue: joined.view, base, quote, ..*i })?;
            }
        }
        joined.view = VenueId(0);
        Ok(joined)
    }

    /// The same table with names looked up, and added, as those of `venue`.
    #[must_use]
    pub fn seen_from(&self, venue: VenueId) -> Self {
        Self { view: venue, ..self.clone() }
    }

    /// Number of venues; at least one.
    #[must_use]
    pub fn venues_len(&self) -> usize {
        self.venues.len().max(1)
    }

    /// The names of the venues; empty in a run of one.
    #[must_use]
    pub fn venue_names(&self) -> &[Symbol] {
        &self.venues
    }

    /// Whose names are looked up.
    #[must_use]
    pub const fn view(&self) -> VenueId {
        self.view
    }

    /// Adds `instrument` and gives it the next id.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn push(&mut self, instrument: Instrument) -> Result<InstrumentId, TableError> {
        if instrument.price_decimals + instrument.qty_decimals > AMOUNT_DECIMALS {
            return Err(TableError::TooPrecise);
        }
        self.push_for_books(instrument)
    }

    /// As [`push`](Self::push) for offline books, where nothing is traded: no amount is ever
    /// computed, so price and quantity may have any decimals.
    ///
    /// # Errors
    /// See [`TableError`], but for [`TableError::TooPrecise`].
    pub fn push_for_books(
        &mut self,
        mut instrument: Instrument,
    ) -> Result<InstrumentId, TableError> {
        if self.instruments.len() == crate::limits::INSTRUMENTS_MAX {
            return Err(TableError::Full);
        }
        let same = |i: &Instrument| i.venue == instrument.venue && i.symbol == instrument.symbol;
        if self.instruments.iter().any(same) {
            return Err(TableError::Duplicate);
        }
        instrument.id = InstrumentId(self.instruments.len() as u16);
        self.instruments.push(instrument);
        Ok(instrument.id)
    }

    /// The id of the asset with this name at the venue that the table is seen from, added when it
    /// is new.
    ///
    /// # Errors
    /// [`TableError::Full`].
    pub fn asset(&mut self, name: Symbol) -> Result<AssetId, TableError> {
        if let Some(found) = self.find_asset(name.as_bytes()) {
            return Ok(found);
        }
        if self.assets.len() == crate::limits::ASSETS_MAX {
            return Err(TableError::Full);
        }
        self.assets.push(Asset { venue: self.view, name });
        Ok(AssetId((self.assets.len() - 1) as u8))
    }

    /// The id of the asset with this name at the venue that the table is seen from.
    #[must_use]
    pub fn find_asset(&self, name: &[u8]) -> Option<AssetId> {
        let is_it = |a: &Asset| a.venue == self.view && a.name.as_bytes() == name;
        self.assets.iter().position(is_it).map(|i| AssetId(i as u8))
    }

    /// The name of `asset`, or `-` for [`AssetId::NONE`]; several venues may have one of it.
    #[must_use]
    pub fn asset_name(&self, asset: AssetId) -> &str {
        self.assets.get(usize::from(asset.0)).map_or("-", |a| a.name.as_str())
    }

    /// A name of `asset` that no other has: in a run of several venues `venue:name`.
    #[must_use]
    pub fn asset_label(&self, asset: AssetId) -> String {
        let venue = self.venue_of(asset).unwrap_or_default();
        self.labelled(venue, self.asset_name(asset))
    }

    /// A name of `instrument` that no other has: in a run of several venues `venue:symbol`.
    #[must_use]
    pub fn label(&self, instrument: &Instrument) -> String {
        self.labelled(instrument.venue, instrument.symbol.as_str())
    }

    fn labelled(&self, venue: VenueId, name: &str) -> String {
        match self.venues.get(venue.index()) {
            Some(venue) => format!("{venue}:{name}"),
            None => name.to_owned(),
        }
    }

    /// The instrument with this [label](Self::label).
    #[must_use]
    pub fn labelled_as(&self, label: &str) -> Option<&Instrument> {
        self.instruments.iter().find(|i| self.label(i) == label)
    }

    /// What `instrument` trades for what, whatever its venues call it: `BTC/USDT`.
    #[must_use]
    pub fn pair(&self, instrument: &Instrument) -> String {
        format!("{}/{}", self.asset_name(instrument.base), self.asset_name(instrument.quote))
    }

    /// The instruments that trade this [pair](Self::pair), at whatever venue.
    pub fn of_pair<'a>(&'a self, pair: &str) -> impl Iterator<Item = &'a Instrument> {
        let named = pair.split_once('/');
        let is_of = move |i: &&Instrument| {
            named == Some((self.asset_name(i.base), self.asset_name(i.quote)))
        };
        self.instruments.iter().filter(is_of)
    }

    /// Where `asset` is held.
    #[must_use]
    pub fn venue_of(&self, asset: AssetId) -> Option<VenueId> {
        self.assets.get(usize::from(asset.0)).map(|a| a.venue)
    }

    /// The first asset that is the same thing as `asset`: of the same name, at whatever venue.
    #[must_use]
    pub fn namesake(&self, asset: AssetId) -> AssetId {
        let Some(named) = self.assets.get(usize::from(asset.0)) else { return asset };
        let first = self.assets.iter().position(|a| a.name == named.name);
        first.map_or(asset, |i| AssetId(i as u8))
    }

    /// Number of assets.
    #[must_use]
    pub fn assets_len(&self) -> usize {
        self.assets.len()
    }

    /// The instrument with this symbol at the venue that the table is seen from (linear search:
    /// tables are short and the hot path caches the answer).
    #[must_use]
    pub fn find(&self, symbol: &[u8]) -> Option<&Instrument> {
        self.own().find(|i| i.symbol.as_bytes() == symbol)
    }

    /// The instrument with this id.
    #[must_use]
    pub fn get(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id.index())
    }

    /// Gives their instrument new rules. False when there is none that they fit.
    pub fn bind(&mut self, rules: &InstrumentRules) -> bool {
        let instrument = self.instruments.get_mut(rules.instrument.index());
        instrument.is_some_and(|i| rules.bind(i))
    }

    /// All instruments in the order of their ids.
    #[must_use]
    pub fn all(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The instruments of the venue that the table is seen from, in the order of their ids.
    pub fn own(&self) -> impl Iterator<Item = &Instrument> {
        self.instruments.iter().filter(|i| i.venue == self.view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Symbol {
        Symbol::new(text).expect("short")
    }

    fn bare(symbol: &str, decimals: u8) -> Instrument {
        Instrument::bare(InstrumentId(9), name(symbol), decimals)
    }

    #[test]
    fn ids_are_places_in_the_table() {
        let mut table = InstrumentTable::new();
        assert_eq!(table.push(bare("BTCUSDT", 8)), Ok(InstrumentId(0)));
        assert_eq!(table.push(bare("ETHUSDT", 8)), Ok(InstrumentId(1)));
        assert_eq!(table.push(bare("ETHUSDT", 8)), Err(TableError::Duplicate));
        assert_eq!(table.push(bare("X", 9)), Err(TableError::TooPrecise));
        assert_eq!(table.clone().push_for_books(bare("X", 9)), Ok(InstrumentId(2)));
        assert_eq!(table.push_for_books(bare("BTCUSDT", 9)), Err(TableError::Duplicate));
        assert_eq!(table.find(b"ETHUSDT").map(|i| i.id), Some(InstrumentId(1)));
        let usdt = table.asset(Symbol::new("USDT").expect("short"));
        assert_eq!(usdt, Ok(AssetId(0)));
        assert_eq!(table.find_asset(b"USDT"), Some(AssetId(0)));
        assert_eq!(table.asset_name(AssetId::NONE), "-");
    }

    /// A venue's own table: `symbols` against USDT.
    fn venue(symbols: &[&str]) -> InstrumentTable {
        let mut table = InstrumentTable::new();
        for symbol in symbols {
            let base = table.asset(name(symbol)).expect("room");
            let quote = table.asset(name("USDT")).expect("room");
            table.push(Instrument { base, quote, ..bare(symbol, 8) }).expect("room");
        }
        table
    }

    #[test]
    fn tables_of_venues_join_with_ids_of_their_own() {
        let parts = [venue(&["BTC", "ETH"]), venue(&["BTC"])];
        let joined = InstrumentTable::joined(&[(name("one"), &parts[0]), (name("two"), &parts[1])]);
        let table = joined.expect("room");
        assert_eq!((table.all().len(), table.assets_len(), table.venues_len()), (3, 5, 2));
        let labels: Vec<String> = table.all().iter().map(|i| table.label(i)).collect();
        assert_eq!(labels, ["one:BTC", "one:ETH", "two:BTC"]);
        assert_eq!(table.labelled_as("two:BTC").map(|i| i.id), Some(InstrumentId(2)));
        let pair = table.pair(&table.all()[2]);
        let of_pair: Vec<_> = table.of_pair(&pair).map(|i| i.id.0).collect();
        assert_eq!((pair.as_str(), of_pair), ("BTC/USDT", vec![0, 2]));
        assert_eq!(table.of_pair("BTC/EUR").count() + table.of_pair("BTC").count(), 0);
        let two = table.seen_from(VenueId(1));
        assert_eq!(two.find(b"BTC").map(|i| i.id), Some(InstrumentId(2)));
        assert_eq!((two.find(b"ETH"), two.own().count()), (None, 1));
        assert_eq!(table.find(b"BTC").map(|i| i.id), Some(InstrumentId(0)));
        let (here, there) = (table.find_asset(b"USDT"), two.find_asset(b"USDT"));
        let (here, there) = (here.expect("held"), there.expect("held"));
        assert_ne!(here, there);
        assert_eq!((table.namesake(there), table.namesake(here)), (here, here));
        assert_eq!(table.asset_label(there), "two:USDT");
        assert_eq!(table.all()[2].quote, there);
        let one = InstrumentTable::joined(&[(name("one"), &parts[0])]).expect("room");
        assert_eq!((one.label(&one.all()[0]), one.all()), ("BTC".to_owned(), parts[0].all()));
    }
}
