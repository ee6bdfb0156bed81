//! One decoder for each instruction set of this machine, which must agree on everything.

use bot4_simd::TextKernels;
use bot4_types::{ConnId, InstrumentId, InstrumentTable, MarketEvent};
use bot4_venues::stage::give_back;
use bot4_venues::{DecodeError, Decoded, Input, MarketDecoder, Sink};

use super::described;
use super::dialect::Dialect;

/// Decoders of one venue, scalar first. Each has its own memory of what came before.
pub struct EveryLevel(Vec<Box<dyn MarketDecoder>>);

impl EveryLevel {
    /// The decoders of `venue` at every level this CPU has.
    pub fn of(venue: Dialect, table: &InstrumentTable) -> Self {
        let at = |kernels| venue.market_decoder_by(kernels, table);
        Self(TextKernels::all().map(at).collect())
    }

    /// What all of them say.
    fn agreed<T: PartialEq + std::fmt::Debug>(&self, ask: impl Fn(&dyn MarketDecoder) -> T) -> T {
        let mut told = self.0.iter().map(|decoder| ask(decoder.as_ref()));
        let first = told.next().expect("scalar is always there");
        assert!(told.all(|other| other == first), "levels differ about {first:?}");
        first
    }
}

impl MarketDecoder for EveryLevel {
    fn start(&mut self) {
        self.0.iter_mut().for_each(|decoder| decoder.start());
    }

    fn line_up(&mut self, conn: ConnId) {
        self.0.iter_mut().for_each(|decoder| decoder.line_up(conn));
    }

    /// The events staged are those of the last level.
    fn decode(&mut self, input: Input<'_>, sink: &mut Sink) -> Result<Decoded, DecodeError> {
        let (last, others) = self.0.split_last_mut().expect("scalar is always there");
        let kept = sink.len();
        let mut told = Vec::new();
        for decoder in others {
            let answer = decoder.decode(input, sink);
            let events = taken(sink, kept);
            told.push((answer, events.iter().map(described).collect::<Vec<_>>()));
            events.into_iter().for_each(|event| give_back(sink, event.body));
        }
        let answer = last.decode(input, sink);
        let events = taken(sink, kept);
        let own: Vec<String> = events.iter().map(described).collect();
        for event in events.into_iter().rev() {
            assert!(sink.push(event).is_ok(), "it was there");
        }
        for other in told {
            let text = String::from_utf8_lossy(input.text());
            assert_eq!((other.0, &other.1), (answer, &own), "levels differ: {text}");
        }
        self.fallbacks();
        answer
    }

    fn decode_generally(
        &mut self,
        input: Input<'_>,
        sink: &mut Sink,
    ) -> Result<Decoded, DecodeError> {
        self.0[0].decode_generally(input, sink)
    }

    fn suspect(&self, text: &[u8]) -> Option<InstrumentId> {
        self.agreed(|decoder| decoder.suspect(text))
    }

    /// The scanners of all levels give up on the same messages.
    fn fallbacks(&self) -> u64 {
        self.agreed(|decoder| decoder.fallbacks())
    }

    fn kernels(&self) -> TextKernels {
        TextKernels::best()
    }
}

/// The events beyond the first `kept`, the last one first.
fn taken(sink: &mut Sink, kept: usize) -> Vec<MarketEvent> {
    let count = sink.len() - kept;
    (0..count).filter_map(|_| sink.pop()).collect()
}
