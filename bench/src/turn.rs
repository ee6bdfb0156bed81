//! What a captured run costs an agent: a turn over eight ring ends, with one sample of them all at
//! its start, beside the same turn over plain rings.

use std::hint::black_box;

use bot4_lanes::gate::{TurnGate, gated_ring};
use bot4_lanes::{Rx, Tx, ring};

use crate::case::Case;
use crate::ring::{CAPACITY, Message};

/// Rings, both ends of each: eight ends.
const RINGS: usize = 4;

/// One call is one turn.
pub struct Turn {
    /// None: the rings are plain.
    gate: Option<TurnGate>,
    ends: Vec<(Tx<Message>, Rx<Message>)>,
    /// Every ring is pushed to and popped from: eight moves.
    moves: bool,
    n: u64,
}

impl Turn {
    /// A turn over plain rings.
    #[must_use]
    pub fn plain(moves: bool) -> Self {
        Self { gate: None, ends: (0..RINGS).map(|_| ring(CAPACITY)).collect(), moves, n: 0 }
    }

    /// A turn over sampled rings.
    #[must_use]
    pub fn sampled(moves: bool) -> Self {
        let ends: Vec<(Tx<Message>, Rx<Message>)> =
            (0..RINGS).map(|_| gated_ring(CAPACITY)).collect();
        let mut gate = TurnGate::new();
        for (tx, rx) in &ends {
            gate.writes("out", tx);
            gate.reads("in", rx);
        }
        Self { gate: Some(gate), ends, moves, n: 0 }
    }
}

impl Case for Turn {
    #[inline]
    fn call(&mut self) {
        if let Some(gate) = &self.gate {
            black_box(gate.sample());
        }
        self.n += 1;
        for (tx, rx) in &mut self.ends {
            // What was pushed in the turn before: a sample does not show this turn's own.
            let popped = black_box(rx.pop());
            if self.moves {
                assert!(self.n == 1 || popped.is_some_and(|m| m[0] + 1 == self.n));
                let pushed = tx.push(black_box([self.n; 8]));
                assert!(pushed.is_ok());
            }
        }
        if let Some(gate) = &self.gate {
            black_box(gate.moved());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampled_turn_moves_what_a_plain_one_moves() {
        for mut turn in [Turn::plain(true), Turn::sampled(true)] {
            (0..5).for_each(|_| turn.call());
            for (_, rx) in &mut turn.ends {
                turn.gate.iter().for_each(|gate| {
                    gate.sample();
                });
                assert_eq!(rx.pop().map(|m| m[0]), Some(5));
            }
        }
    }
}
