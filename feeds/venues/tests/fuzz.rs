//! Seeded mutations of every venue's own messages, in runs that share a decoder's memory: the
//! scanner at every level of this CPU and the general reader say the same of each, lose no block
//! and never panic; and a message that has to wait for a block comes out as if it had not waited.
//!
//! `BOT4_FUZZ_SECONDS` sets the length for each venue (default 1), `BOT4_FUZZ_SEED` the seed,
//! `BOT4_FUZZ_VENUE` the only venue, by its name in configurations.
//!
//! What is mutated: the golden messages and `corpus/<venue>.jsonl`, messages at the borders of
//! what a scanner reads at once. An input that was found to be read wrongly is added there.

mod common;
#[path = "fuzz/private.rs"]
mod private;

use std::time::{Duration, Instant};

use bot4_types::rng::SplitMix64;
use bot4_venues::{BlockPool, DecodeError, Sink, Venue};
use common::corpus::{self, Corpus};
use common::mutate::reshape;
use common::{BLOCKS, Bench, edited, input, outcome};

/// Messages of one run: decoders and their pools are made anew for each.
const RUN: u64 = 48;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// One message: often whole, so that state is built up; else edited, reshaped or spliced of two.
fn message(rng: &mut SplitMix64, corpus: &Corpus) -> Vec<u8> {
    let any = |rng: &mut SplitMix64| {
        let seeds = corpus.lines.len() + corpus.kept.len();
        let at = rng.below(seeds as u64) as usize;
        corpus.lines.iter().chain(&corpus.kept).nth(at).expect("below").as_bytes().to_vec()
    };
    let text = any(rng);
    match rng.below(12) {
        0 | 1 => text,
        2 => {
            let other = any(rng);
            let (at, from) = (rng.below(text.len() as u64), rng.below(other.len() as u64));
            [&text[..at as usize], &other[from as usize..]].concat()
        }
        3 => renumbered(rng, &text),
        4..=7 => {
            let mut text = text;
            (0..=rng.below(2)).for_each(|_| reshape(rng, &mut text));
            text
        }
        _ => {
            let count = 1 + rng.below(4);
            let edits: Vec<_> = (0..count)
                .map(|_| (rng.next_u64() as usize, rng.next_u64() as u8, rng.next_u64() as u8))
                .collect();
            edited(&text, &edits)
        }
    }
}

/// One number of `text` replaced: sequences, levels and times that fit the grammar.
fn renumbered(rng: &mut SplitMix64, text: &[u8]) -> Vec<u8> {
    let starts: Vec<usize> = (1..text.len())
        .filter(|i| text[*i].is_ascii_digit() && !text[i - 1].is_ascii_digit())
        .collect();
    if starts.is_empty() {
        return text.to_vec();
    }
    let at = starts[rng.below(starts.len() as u64) as usize];
    let len = text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let number = match rng.below(4) {
        0 => rng.below(20),
        1 => rng.below(1_000_000_000),
        2 => u64::MAX >> rng.below(64),
        _ => 10u64.pow(rng.below(20) as u32),
    };
    [&text[..at], number.to_string().as_bytes(), &text[at + len..]].concat()
}

/// A run of messages drawn from `seed` through both ways of reading.
fn execute(seed: u64, corpus: &Corpus) {
    let mut rng = SplitMix64::new(seed);
    let mut bench = Bench::new(corpus.venue, &corpus.table);
    let mut waiting = Waiting::new(corpus);
    for _ in 0..RUN {
        let text = message(&mut rng, corpus);
        let told = bench.both(&text, rng.next_u64() as u8);
        let _ = bench.fast.suspect(&text);
        if !matches!(told.0, Err(DecodeError::TooManyLevels)) {
            assert_eq!(waiting.read(&text), told, "waited: {}", String::from_utf8_lossy(&text));
        }
    }
}

/// A decoder whose first try always finds an empty pool.
struct Waiting {
    bench: Bench,
    empty: Sink,
}

impl Waiting {
    fn new(corpus: &Corpus) -> Self {
        let mut empty = Sink::new(BlockPool::new(BLOCKS));
        for class in 0..BLOCKS.len() {
            while empty.pool.free(class) > 0 {
                assert!(empty.pool.take(0).is_some());
            }
        }
        Self { bench: Bench::new(corpus.venue, &corpus.table), empty }
    }

    fn read(&mut self, text: &[u8]) -> common::Outcome {
        let answer = self.bench.fast.decode(input(text, text.len()), &mut self.empty);
        if answer == Err(DecodeError::NoBlock) {
            assert!(self.empty.is_empty(), "nothing is staged before the block is there");
            return self.bench.fast(text, 0);
        }
        outcome(answer, &mut self.empty)
    }
}

#[expect(clippy::disallowed_methods, reason = "how long to go on is no matter of the decoders")]
fn fuzz(venue: Venue) {
    if let Ok(only) = std::env::var("BOT4_FUZZ_VENUE") {
        assert!(Venue::from_name(&only).is_some(), "BOT4_FUZZ_VENUE: no venue is called `{only}`");
        if only != venue.name() {
            return;
        }
    }
    let seconds = from_env("BOT4_FUZZ_SECONDS", 1);
    let first = from_env("BOT4_FUZZ_SEED", 1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let all = corpus::all();
    let corpus = all.iter().find(|c| c.venue == venue.into()).expect("each venue has a corpus");
    let mut seed = first;
    while seed == first || Instant::now() < end {
        // A failure's output names the seed to start from.
        let run = std::panic::catch_unwind(|| execute(seed, corpus));
        assert!(run.is_ok(), "{}: BOT4_FUZZ_SEED={seed}", venue.name());
        seed += 1;
    }
    let messages = (seed - first) * RUN;
    let levels = bot4_venues::TextKernels::all().map(|kernels| kernels.level().name());
    let levels: Vec<_> = levels.collect();
    println!("{}: {messages} messages, no disagreement; levels {levels:?}", venue.name());
}

#[test]
fn binance() {
    fuzz(Venue::Binance);
}

#[test]
fn binance_usdm() {
    fuzz(Venue::BinanceUsdm);
}

#[test]
fn kraken() {
    fuzz(Venue::Kraken);
}

#[test]
fn bybit() {
    fuzz(Venue::Bybit);
}

#[test]
fn bybit_linear() {
    fuzz(Venue::BybitLinear);
}

/// The kept messages as they are.
#[test]
fn kept_messages_are_read_alike() {
    for corpus in corpus::all() {
        assert!(!corpus.kept.is_empty(), "{}", corpus.venue.name());
        for text in &corpus.kept {
            for filler in [0, b'7', b'"', 0xFF] {
                let _ = Bench::new(corpus.venue, &corpus.table).both(text.as_bytes(), filler);
            }
        }
    }
}

#[test]
fn okx() {
    fuzz(Venue::Okx);
}

#[test]
fn coinbase() {
    fuzz(Venue::Coinbase);
}
