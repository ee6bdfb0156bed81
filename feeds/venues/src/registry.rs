//! The venues by name: one line each. `ADDING.md` beside the crate's manifest says how to add one.

use core::fmt;

use bot4_simd::TextKernels;
use bot4_types::{BookRules, InstrumentTable};

use crate::binance::{
    self,
    market::{BinanceMarket, SPOT},
    subscribe::BinanceSession,
};
use crate::bybit::{self, Category};
use crate::catalogue::{Catalogue, CatalogueError, CatalogueRequest};
use crate::coinbase;
use crate::kraken;
use crate::market::MarketDecoder;
use crate::okx;
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
    /// Bybit spot, API version 5.
    Bybit,
    /// Bybit's perpetuals and futures margined in USDT or USDC, API version 5.
    BybitLinear,
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
    pub const ALL: [Self; 7] = [
        Self::Binance,
        Self::BinanceUsdm,
        Self::Kraken,
        Self::Bybit,
        Self::BybitLinear,
        Self::Okx,
        Self::Coinbase,
    ];

    /// The name in configurations, commands and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::BinanceUsdm => "binance-usdm",
            Self::Kraken => "kraken",
            Self::Bybit => "bybit",
            Self::BybitLinear => "bybit-linear",
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
        matches!(
            self,
            Self::Binance
                | Self::BinanceUsdm
                | Self::Kraken
                | Self::Bybit
                | Self::BybitLinear
                | Self::Okx
                | Self::Coinbase
        )
    }

    /// Decimals of prices and quantities on the wire of Binance Spot, whatever the instrument.
    /// Other venues print as many as a number has: offline they are counted in the recording.
    #[must_use]
    pub const fn wire_decimals(self) -> u8 {
        binance::WIRE_DECIMALS
    }

    /// How its books are kept in step.
    #[must_use]
    pub const fn rules(self) -> BookRules {
        match self {
            Self::Binance => binance::RULES,
            Self::BinanceUsdm => binance::usdm::RULES,
            Self::Okx => okx::RULES,
            Self::Coinbase => coinbase::RULES,
            Self::Kraken => kraken::RULES,
            Self::Bybit | Self::BybitLinear => bybit::RULES,
        }
    }

    /// How it is asked for the instruments called `symbols`.
    ///
    /// # Errors
    /// [`NotInBuild`].
    pub fn catalogue_request(self, symbols: &[&str]) -> Result<CatalogueRequest, NotInBuild> {
        match self {
            Self::Binance => Ok(CatalogueRequest::Api),
            Self::BinanceUsdm => Ok(binance::usdm_instruments::request()),
            Self::Okx => Ok(okx::instruments::request(symbols)),
            Self::Coinbase => Ok(coinbase::instruments::request(symbols)),
            Self::Bybit => Ok(bybit::instruments::request(Category::Spot, symbols)),
            Self::BybitLinear => Ok(bybit::instruments::request(Category::Linear, symbols)),
            Self::Kraken => Ok(CatalogueRequest::Channel {
                path: kraken::STREAM_PATH.to_owned(),
                message: kraken::instruments::REQUEST.to_vec(),
            }),
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
            Self::BinanceUsdm => binance::usdm_instruments::parse(answers, symbols),
            Self::Okx => okx::instruments::parse(answers, symbols),
            Self::Coinbase => coinbase::instruments::parse(answers, symbols),
            Self::Kraken => kraken::instruments::parse(first, symbols),
            Self::Bybit | Self::BybitLinear => bybit::instruments::parse(answers, symbols),
        }
    }

    /// A decoder of the venue's market data for the instruments of `table`, its scanner by the
    /// fastest instructions of this CPU.
    ///
    /// # Errors
    /// [`NotInBuild`].
    pub fn market_decoder(
        self,
        table: &InstrumentTable,
    ) -> Result<Box<dyn MarketDecoder>, NotInBuild> {
        self.market_decoder_by(TextKernels::best(), table)
    }

    /// As [`market_decoder`](Self::market_decoder), its scanner by `kernels`.
    ///
    /// # Errors
    /// [`NotInBuild`].
    pub fn market_decoder_by(
        self,
        kernels: TextKernels,
        table: &InstrumentTable,
    ) -> Result<Box<dyn MarketDecoder>, NotInBuild> {
        match self {
            Self::Binance => Ok(Box::new(BinanceMarket::of(SPOT, table, kernels))),
            Self::BinanceUsdm => {
                Ok(Box::new(BinanceMarket::of(binance::usdm::FLAVOUR, table, kernels)))
            }
            Self::Okx => Ok(Box::new(okx::market::OkxMarket::new(table, kernels))),
            Self::Coinbase => Ok(Box::new(coinbase::market::CoinbaseMarket::new(table, kernels))),
            Self::Kraken => Ok(Box::new(kraken::market::KrakenMarket::new(table, kernels))),
            Self::Bybit | Self::BybitLinear => {
                Ok(Box::new(bybit::market::BybitMarket::new(table, kernels)))
            }
        }
    }

    /// What the wire agent must know of the venue; `weight_per_min` is its share of the request
    /// weight.
    ///
    /// # Errors
    /// [`NotInBuild`].
    pub fn market_session(self, weight_per_min: u32) -> Result<Box<dyn MarketSession>, NotInBuild> {
        match self {
            Self::Binance => Ok(Box::new(BinanceSession::new(weight_per_min))),
            Self::BinanceUsdm => {
                Ok(Box::new(BinanceSession::of(binance::usdm::SESSION, weight_per_min)))
            }
            Self::Okx => Ok(Box::new(okx::subscribe::OkxSession)),
            Self::Coinbase => Ok(Box::new(coinbase::subscribe::CoinbaseSession)),
            Self::Kraken => Ok(Box::new(kraken::subscribe::KrakenSession::default())),
            Self::Bybit => Ok(Box::new(bybit::subscribe::BybitSession::new(Category::Spot))),
            Self::BybitLinear => {
                Ok(Box::new(bybit::subscribe::BybitSession::new(Category::Linear)))
            }
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
        assert!(text.starts_with("venue `kraken` is not in this build yet; it has: binance, "));
    }
}
