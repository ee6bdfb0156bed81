//! What every dialect of the registry must keep, one test for each rule.

mod common;

use bot4_alloc::SealedAlloc;
use bot4_alloc::seal::{AgentTag, Class, allocations, deallocations, enter, register, seal};
use bot4_simd::TextKernels;
use bot4_types::limits::{FRAME_PADDING, INSTRUMENTS_MAX};
use bot4_types::rng::SplitMix64;
use bot4_types::{Instrument, InstrumentId, InstrumentTable, SnapshotSource, Symbol};
use bot4_venues::{DecodeError, Decoded, MarketSession, Sink};
use common::corpus::{self, Corpus};
use common::dialect::Dialect;
use common::{BLOCKS, Bench, edited, input};
use proptest::prelude::*;

#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;

/// Fresh decoders, so that no rule depends on what came before.
fn bench(corpus: &Corpus) -> Bench {
    Bench::new(corpus.venue, &corpus.table)
}

#[test]
fn every_message_reads_alike_in_both_ways_and_with_any_padding() {
    for corpus in corpus::all() {
        let mut events = 0;
        for text in corpus.texts() {
            let told = bench(&corpus).both(text, 0);
            for filler in [b'"', b'7', b']', b'}', b'[', b'{', 0xFF] {
                assert_eq!(bench(&corpus).fast(text, filler), told, "{}", corpus.venue.name());
            }
            let mut bare = bench(&corpus);
            let answer = bare.fast.decode(input(text, text.len()), &mut bare.sink);
            assert_eq!(common::outcome(answer, &mut bare.sink), told, "without padding");
            events += told.1.len();
        }
        assert!(events >= 5, "{}: a corpus has books, trades and more", corpus.venue.name());
    }
}

#[test]
fn a_cut_message_gives_nothing() {
    for corpus in corpus::all() {
        let name = corpus.venue.name();
        for text in corpus.texts() {
            let mut bench = bench(&corpus);
            for cut in 0..text.len() {
                bench.afresh();
                // The rest lies in the padding, as after a longer message in the same slot.
                let answer = bench.fast.decode(input(text, cut), &mut bench.sink);
                let told = common::outcome(answer, &mut bench.sink);
                let twin = bench.general(&text[..cut]);
                assert_eq!(told, twin, "{name}: {}", String::from_utf8_lossy(&text[..cut]));
                assert!(told.1.is_empty(), "{name}: {}", String::from_utf8_lossy(&text[..cut]));
                assert!(told.0.is_err() || text[0] != b'{', "{name} at {cut}");
                let _ = bench.fast.suspect(&text[..cut]);
            }
        }
    }
}

/// `text` with each of its keys doubled in turn: first the copy with another value, or last.
fn doubled(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices("\":") {
        let Some(start) = text[..at].rfind('"') else { continue };
        let key = &text[start..at + 1];
        for value in ["null", "\"1\"", "1", "[]", "{}"] {
            let copy = format!("{key}:{value},");
            all.push(format!("{}{copy}{}", &text[..start], &text[start..]));
        }
        // Behind the object: only where it closes at once is the place sure.
        if let Some(close) = bytes[at..].iter().position(|b| *b == b'}') {
            let copy = format!(",{key}:1");
            all.push(format!("{}{copy}{}", &text[..at + close], &text[at + close..]));
        }
    }
    all
}

#[test]
fn doubled_keys_read_alike() {
    for corpus in corpus::all() {
        for line in &corpus.lines {
            let mut bench = bench(&corpus);
            for text in doubled(line) {
                let _ = bench.afresh().both(text.as_bytes(), 0);
            }
        }
    }
}

/// `text` with each run of digits replaced in turn.
fn renumbered(text: &str, with: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut all = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if len > 0 {
            all.push(format!("{}{with}{}", &text[..at], &text[at + len..]));
        }
        at += len.max(1);
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    all
}

#[test]
fn huge_and_odd_numbers_read_alike_and_never_panic() {
    let nines = "9".repeat(400);
    let odd = [
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807",
        "9223372036854775808",
        "999999999999999999",
        "1000000000000000000",
        "-1",
        "-0",
        "00",
        "1e400",
        "1e-400",
        "0.000000000000000000000000000001",
        "",
        " 1",
        "\u{FF11}",
        &nines,
    ];
    for corpus in corpus::all() {
        for line in &corpus.lines {
            let mut bench = bench(&corpus);
            for text in odd.iter().flat_map(|with| renumbered(line, with)) {
                let _ = bench.afresh().both(text.as_bytes(), b'0');
            }
        }
    }
}

#[test]
fn messages_of_unknown_symbols_give_nothing() {
    let nothing = InstrumentTable::new();
    for corpus in corpus::all() {
        let mut unknown = 0;
        for text in corpus.texts() {
            let (answer, events) = Bench::new(corpus.venue, &nothing).both(text, 0);
            let of_a_book = events.iter().any(|e| !e.ends_with("LineGap"));
            assert!(!of_a_book, "{}: {events:?}", corpus.venue.name());
            unknown += usize::from(answer == Err(DecodeError::UnknownSymbol));
        }
        assert!(unknown >= 4, "{}: {unknown}", corpus.venue.name());
    }
}

#[test]
fn channels_that_no_build_knows_are_ignored() {
    for corpus in corpus::all() {
        let told = bench(&corpus).both(corpus.unknown_channel.as_bytes(), 0);
        assert!(matches!(told.0, Ok(Decoded::Ignored(_))), "{}: {told:?}", corpus.venue.name());
    }
}

/// Bytes that look a little like messages.
fn garbage(rng: &mut SplitMix64) -> Vec<u8> {
    const PARTS: [&str; 16] = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "1",
        "0.",
        "-",
        "e9",
        "null",
        "true",
        "\"s\":\"BTCUSDT\"",
        "\u{0}\u{FF}",
    ];
    let count = rng.below(40);
    (0..count)
        .flat_map(|_| match rng.below(20) {
            n @ 0..=15 => PARTS[n as usize].as_bytes().to_vec(),
            _ => vec![rng.next_u64() as u8],
        })
        .collect()
}

#[test]
fn garbage_is_refused_alike_and_leaves_nothing_behind() {
    let mut rng = SplitMix64::new(7);
    for corpus in corpus::all() {
        let mut bench = bench(&corpus);
        for _ in 0..20_000 {
            let text = garbage(&mut rng);
            let _ = bench.both(&text, rng.next_u64() as u8);
            let _ = bench.fast.suspect(&text);
        }
        let first = corpus.lines[0].as_bytes();
        assert_eq!(bench.both(first, 0), self::bench(&corpus).both(first, 0));
    }
}

proptest! {
    #[test]
    fn damage_reads_alike(
        line in any::<prop::sample::Index>(), filler in any::<u8>(),
        edits in proptest::collection::vec(any::<common::Edit>(), 1..5),
    ) {
        for corpus in corpus::all() {
            let line = corpus.lines[line.index(corpus.lines.len())].as_bytes();
            let _ = bench(&corpus).both(&edited(line, &edits), filler);
        }
    }
}

/// A sealed tag, after showing that the seal sees.
fn sealed_tag() -> AgentTag {
    let probe = register(Class::Hot);
    seal(probe);
    let scope = enter(probe);
    drop(std::hint::black_box(Box::new(7u64)));
    drop(scope);
    assert_eq!((allocations(probe), deallocations(probe)), (1, 1), "the seal sees");
    let tag = register(Class::Hot);
    seal(tag);
    tag
}

/// What a parse agent does with the events, without their text.
fn dispose(sink: &mut Sink) {
    while let Some(event) = sink.pop() {
        bot4_venues::stage::give_back(sink, event.body);
    }
}

#[test]
fn nothing_is_allocated_after_the_start() {
    let tag = sealed_tag();
    let mut rng = SplitMix64::new(3);
    for corpus in corpus::all() {
        let mut texts: Vec<Vec<u8>> = corpus.texts().map(<[u8]>::to_vec).collect();
        for _ in 0..300 {
            let line = corpus.lines[rng.below(corpus.lines.len() as u64) as usize].as_bytes();
            let edit = (rng.next_u64() as usize, rng.next_u64() as u8, rng.next_u64() as u8);
            texts.push(edited(line, &[edit]));
        }
        // The densest there is, for the general reader: a value in two bytes, all kinds of nesting.
        texts.push([b"[".as_slice(), &b"0,".repeat(60_000), b"0]"].concat());
        texts.push([b"{\"x\":[".as_slice(), &b"[],".repeat(40_000), b"0]}"].concat());
        texts.push([b"[".as_slice(), &b"\"\",".repeat(40_000), b"0]"].concat());
        for text in &mut texts {
            let len = text.len();
            text.resize(len + FRAME_PADDING, 0);
        }
        for kernels in TextKernels::all() {
            allocates_nothing(&corpus, kernels, &texts, tag);
        }
    }
}

/// All `texts` twice through a decoder by `kernels`.
fn allocates_nothing(corpus: &Corpus, kernels: TextKernels, texts: &[Vec<u8>], tag: AgentTag) {
    let mut decoder = corpus.venue.market_decoder_by(kernels, &corpus.table);
    let mut sink = bench(corpus).sink;
    assert_eq!(decoder.kernels(), kernels);
    decoder.start();
    let scope = enter(tag);
    for text in texts.iter().chain(texts) {
        let len = text.len() - FRAME_PADDING;
        let _ = decoder.decode(input(text, len), &mut sink);
        let _ = decoder.suspect(&text[..len]);
        dispose(&mut sink);
    }
    drop(scope);
    assert_eq!((allocations(tag), deallocations(tag)), (0, 0), "{}", corpus.venue.name());
    assert!(decoder.fallbacks() > 0);
    assert_eq!([0, 1, 2].map(|class| sink.pool.free(class)), BLOCKS);
}

fn instruments(count: usize) -> Vec<Instrument> {
    let name = |i: usize| Symbol::new(&format!("BASE{i}-QUOTE/\"\\")).expect("short");
    (0..count).map(|i| Instrument::bare(InstrumentId(i as u16), name(i), 8)).collect()
}

fn session(venue: Dialect) -> Box<dyn MarketSession> {
    venue.market_session()
}

/// A text of a session: JSON, or the bare word of a ping.
fn is_text(text: &[u8]) -> bool {
    text == b"ping" || serde_json::from_slice::<serde_json::Value>(text).is_ok()
}

#[test]
fn sessions_speak_json_within_their_limits() {
    for corpus in corpus::all() {
        let (venue, session) = (corpus.venue.name(), session(corpus.venue));
        let most = match session.limits().streams_max as usize {
            0 => INSTRUMENTS_MAX,
            max => (0..=INSTRUMENTS_MAX)
                .rev()
                .find(|n| session.streams(&instruments(*n)) <= max)
                .expect("none at least"),
        };
        assert!(most >= 20, "{venue} takes {most} instruments on a connection");
        let all = instruments(most);
        let path = session.stream_path(&all);
        assert!(path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()), "{venue}");
        let (mut texts, mut one) = (Vec::new(), Vec::new());
        session.on_open(&all, &mut texts);
        session.resubscribe(&all[0], &mut one);
        assert!(texts.iter().chain(&one).all(|text| is_text(text)), "{venue}");
        assert!(texts.iter().all(|text| text.len() < 16 * 1024), "{venue}: no text is endless");
        let named = |text: &[u8]| String::from_utf8_lossy(text).contains("BASE0-QUOTE");
        let known = named(path.as_bytes()) || texts.iter().any(|text| named(text));
        assert!(known || path.contains("base0-quote"), "{venue} asks for its instruments");
        if let Some(ping) = session.keep_alive() {
            assert!(is_text(ping.text) && ping.every.millis() >= 1_000, "{venue}");
        }
        let streamed = corpus.venue.rules().snapshots == SnapshotSource::Streamed;
        assert_eq!(session.snapshot_path().is_none(), streamed, "{venue}");
        assert_eq!(one.is_empty(), !streamed, "{venue} brings a new snapshot by subscribing");
        if !streamed {
            let mut request = Vec::new();
            session.snapshot_request(&all[0], &mut request);
            assert!(!request.is_empty(), "{venue}");
        }
    }
}

#[test]
fn no_message_of_data_announces_the_end() {
    for corpus in corpus::all() {
        let session = session(corpus.venue);
        for text in corpus.texts() {
            let told = bench(&corpus).both(text, 0);
            let notice = session.is_shutdown_notice(text);
            assert!(!notice || told.1.is_empty(), "{}: {told:?}", corpus.venue.name());
        }
    }
}

#[test]
fn catalogues_refuse_what_is_no_list() {
    let mut rng = SplitMix64::new(5);
    for corpus in corpus::all() {
        assert!(corpus.venue.catalogue_request(&["BTCUSDT"]).is_ok());
        for text in corpus.texts() {
            let answer = corpus.venue.catalogue(&[text.to_vec()], &["BTCUSDT"]);
            assert!(answer.is_err(), "{}", corpus.venue.name());
        }
        for _ in 0..500 {
            let answer = corpus.venue.catalogue(&[garbage(&mut rng)], &["BTCUSDT"]);
            assert!(answer.is_err(), "{}", corpus.venue.name());
        }
        assert!(corpus.venue.catalogue(&[], &["BTCUSDT"]).is_err());
    }
}
