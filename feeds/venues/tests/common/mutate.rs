//! Changes of a message that keep more of its shape than a change of a byte does.

use bot4_types::rng::SplitMix64;

/// Texts that numbers are replaced with: borders of integers, scales and grammars.
const NUMBERS: [&str; 24] = [
    "0",
    "00",
    "1",
    "-1",
    "-0",
    "01",
    "0.1",
    ".1",
    "1.",
    "1.0",
    "0.00000001",
    "0.000000001",
    "99999999",
    "999999999",
    "92233720368.54775807",
    "92233720368.54775808",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e5",
    "1E-8",
    "1e400",
    "1234567890123456789012345678901234567890123456789",
];

/// Texts that are put somewhere.
const PIECES: [&str; 16] = [
    "[]",
    "{}",
    "null",
    "true",
    "\"\"",
    "[[\"1\",\"2\"]]",
    "\"s\":\"BTCUSDT\",",
    "\\u0041",
    "\\\"",
    "\\/",
    " ",
    "\n",
    "\u{e9}",
    "\u{0}",
    "\"type\":\"snapshot\",",
    "-",
];

fn below(rng: &mut SplitMix64, n: usize) -> usize {
    rng.below(n.max(1) as u64) as usize
}

/// One of the places of `wanted` bytes in `text`.
fn place(rng: &mut SplitMix64, text: &[u8], wanted: impl Fn(&u8) -> bool) -> Option<usize> {
    let all: Vec<usize> = text.iter().enumerate().filter(|(_, b)| wanted(b)).map(|p| p.0).collect();
    all.get(below(rng, all.len())).copied()
}

/// One change of `text`.
pub fn reshape(rng: &mut SplitMix64, text: &mut Vec<u8>) {
    match rng.below(6) {
        0 | 1 => {
            let Some(at) = place(rng, text, u8::is_ascii_digit) else { return };
            let is_number = |b: &&u8| b.is_ascii_digit() || **b == b'.';
            let len = text[at..].iter().take_while(is_number).count();
            let with = NUMBERS[below(rng, NUMBERS.len())];
            text.splice(at..at + len, with.bytes());
        }
        2 => {
            let at = below(rng, text.len() + 1);
            let piece = PIECES[below(rng, PIECES.len())];
            text.splice(at..at, piece.bytes());
        }
        3 | 4 => repeat(rng, text),
        // Blanks where JSON has them.
        _ => {
            let Some(at) = place(rng, text, |b| matches!(b, b',' | b':' | b'[')) else { return };
            text.insert(at + 1, b' ');
        }
    }
}

/// What lies between two brackets or commas once more, or often: more levels, trades, books.
fn repeat(rng: &mut SplitMix64, text: &mut Vec<u8>) {
    let is_mark = |b: &u8| matches!(b, b'[' | b']' | b'{' | b'}' | b',');
    let marks: Vec<usize> = (0..text.len()).filter(|at| is_mark(&text[*at])).collect();
    if marks.len() < 2 {
        return;
    }
    let from = below(rng, marks.len() - 1);
    let to = (from + 1 + below(rng, 8)).min(marks.len() - 1);
    let piece = text[marks[from]..marks[to]].to_vec();
    let times = match rng.below(20) {
        0 => 1_200 / (to - from),
        1 => 70,
        n => n as usize,
    };
    let at = marks[to];
    text.splice(at..at, piece.repeat(times));
}
