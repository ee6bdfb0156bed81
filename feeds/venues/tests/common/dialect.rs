//! A dialect under test: one of the registry, or the venue that exists for the tests alone.

use bot4_types::{BookRules, InstrumentTable};
use bot4_venues::{
    Catalogue, CatalogueError, CatalogueRequest, MarketDecoder, MarketSession, NotInBuild,
    TextKernels, Venue,
};

use super::toy;

/// What the rules of conformance need of a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A venue of the registry.
    Of(Venue),
    /// The one that was made by the page on adding a venue.
    Toy,
}

impl From<Venue> for Dialect {
    fn from(venue: Venue) -> Self {
        Self::Of(venue)
    }
}

impl Dialect {
    pub fn name(self) -> &'static str {
        match self {
            Self::Of(venue) => venue.name(),
            Self::Toy => "toy",
        }
    }

    pub fn rules(self) -> BookRules {
        match self {
            Self::Of(venue) => venue.rules(),
            Self::Toy => toy::RULES,
        }
    }

    pub fn market_decoder_by(
        self,
        kernels: TextKernels,
        table: &InstrumentTable,
    ) -> Box<dyn MarketDecoder> {
        match self {
            Self::Of(venue) => venue.market_decoder_by(kernels, table).expect("in build"),
            Self::Toy => Box::new(toy::market::ToyMarket::new(table, kernels)),
        }
    }

    pub fn market_session(self) -> Box<dyn MarketSession> {
        match self {
            Self::Of(venue) => venue.market_session(0).expect("in build"),
            Self::Toy => Box::new(toy::subscribe::ToySession),
        }
    }

    pub fn catalogue_request(self, symbols: &[&str]) -> Result<CatalogueRequest, NotInBuild> {
        match self {
            Self::Of(venue) => venue.catalogue_request(symbols),
            Self::Toy => Ok(toy::instruments::request()),
        }
    }

    pub fn catalogue(
        self,
        answers: &[Vec<u8>],
        wanted: &[&str],
    ) -> Result<Catalogue, CatalogueError> {
        match self {
            Self::Of(venue) => venue.catalogue(answers, wanted),
            Self::Toy => toy::instruments::parse(answers, wanted),
        }
    }
}
