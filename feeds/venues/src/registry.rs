//! The venues by name: one line each.

use core::fmt;

use bot4_types::{BookRules, ChecksumRule, InstrumentTable, SequenceRule, SnapshotSource};

use crate::binance;
use crate::catalogue::{Catalogue, CatalogueError, CatalogueRequest};
use crate::market::MarketDecoder;
use crate::session::MarketSession;

/// A venue that configurations may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Venue {
    /// Binance Spot.
    Binance,
    /// Binance USD-margined futures.
    BinanceUsdm,
    /// Kraken Spot, API version 2.
    Kraken,
    /// Bybit, API version 5.
    Bybit,
    /// OKX, API version 5.
    Okx,
    /// Coinbase Advanced Trade.
    Coinbase,
}

/// The venue is known, but this build has no dialect for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInBuild(pub Venue);

impl fmt::Display for NotInBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "venue `{}` is not in this build yet; it has: ", self.0.name())?;
        let ready = Venue::ALL.into_iter().filter(|v| v.is_in_build());
        for (i, venue) in ready.enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, venue.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for NotInBuild {}

impl Venue {
    /// Every venue, in the order of the command line's documentation.
    pub const ALL: [Self; 6] =
        [Self::Binance, Self::BinanceUsdm, Self::Kraken, Self::Bybit, Self::Okx, Self::Coinbase];

    /// The name in configurations, commands and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::BinanceUsdm => "binance-usdm",
            Self::Kraken => "kraken",
            Self::Bybit => "bybit",
            Self::Okx => "okx",
            Self::Coinbase => "coinbase",
        }
    }

    /// The venue called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.name() == name)
    }

    /// This build has a dialect for it.
    #[must_use]
    pub const fn is_in_build(self) -> bool {
        matches!(self, Self::Binance)
    }

    /// Decimals of prices and quantities when no instrument rules are at hand (offline books).
    #[must_use]
    pub const fn wire_decimals(self) -> u8 {
        binance::WIRE_DECIMALS
    }

    /// How its books are kept in step.
    #[must_use]
    pub const fn rules(self) -> BookRules {
        match self {
            Self::Binance => binance::RULES,
            // Replaced line by line as the dialects come in.
            _ => BookRules {
                sequence: SequenceRule::Unnumbered,
                snapshots: SnapshotSource::Streamed,
                checksum: ChecksumRule::None,
                depth_max: 0,
                snapshot_levels: 0,
            },
        }
    }

    /// How it is asked for the instruments called `symbols`.
    ///
    /// # Errors
    /// [`NotInBuild`].
    pub fn catalogue_request(self, _symbols: &[&str]) -> Result<CatalogueRequest, NotInBuild> {
        match self {
            Self::Binance => Ok(CatalogueRequest::Api),
            other => Err(NotInBuild(other)),
        }
    }

    /// Reads its answers to [`catalogue_request`](Self::catalogue_request), in order, and keeps
    /// the instruments called `symbols` in their order.
    ///
    /// # Errors
    /// See [`CatalogueError`].
    pub fn catalogue(
        self,
        answers: &[Vec<u8>],
        symbols: &[&str],
    ) -> Result<Catalogue, CatalogueError> {
        let first = answers.first().map_or(&[][..], Vec::as_slice);
        match self {
            Self::Binance => binance::instruments::parse(first, symbols),
            _ => Err(CatalogueError::Refused(0)),
        }
    }

    /// A decoder of the venue's market data for the instruments of `table`.
    ///
    /// # Errors
    /// [`NotInBuild`].
    pub fn market_decoder(
        self,
        table: &InstrumentTable,
    ) -> Result<Box<dyn MarketDecoder>, NotInBuild> {
        match self {
            Self::Binance => Ok(Box::new(binance::market::BinanceMarket::new(table))),
            other => Err(NotInBuild(other)),
        }
    }

    /// What the wire agent must know of the venue; `weight_per_min` is its share of the request
    /// weight.
    ///
    /// # Errors
    /// [`NotInBuild`].
    pub fn market_session(self, weight_per_min: u32) -> Result<Box<dyn MarketSession>, NotInBuild> {
        match self {
            Self::Binance => Ok(Box::new(binance::subscribe::BinanceSession::new(weight_per_min))),
            other => Err(NotInBuild(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_missing_venues_say_what_there_is() {
        for venue in Venue::ALL {
            assert_eq!(Venue::from_name(venue.name()), Some(venue));
            let decoder = venue.market_decoder(&InstrumentTable::new());
            assert_eq!(decoder.is_ok(), venue.is_in_build());
        }
        assert_eq!(Venue::from_name("Binance"), None);
        let text = NotInBuild(Venue::Kraken).to_string();
        assert_eq!(text, "venue `kraken` is not in this build yet; it has: binance");
    }
}
