//! Balances that the venue states while the run goes on, against the ledger's.
//!
//! A venue answers with what it held at some moment after it was asked, and a fill is heard a
//! little after it happened: an answer may be ahead of the ledger of that moment or behind it. So
//! an answer is right when it equals any balance that the ledger had since shortly before the
//! question. One that equals none is only suspect: fills may be missing that the comparison of
//! open orders is about to find. When every answer has been wrong for as long as the command says,
//! nobody explains it, and that is drift ([`Verdict::Unexplained`]).
//!
//! **How much** is missing is known when one difference alone fits all wrong answers: each answer
//! less each balance of its time is a candidate, and the candidates of several answers have one in
//! common. The ledger may follow the venue by that difference ([`Verdict::Settled`]), never to a
//! total that was true a moment ago.
//!
//! Nothing is judged while an order is of unknown fate, fills are known to be missing, or the
//! session of order entry was down since the question: then the difference may be ours.
//! Cost: three compares a fill; for an answer a look at the balances kept, and a sort of them when
//! it is wrong. No allocation after construction.

use bot4_types::instrument::Amount;
use bot4_types::limits::VENUES_MAX;
use bot4_types::{AssetId, Nanos, VenueId};
use serde::{Deserialize, Serialize};

/// Earlier balances of an asset that are kept.
const KEPT: usize = 256;
/// A venue may answer from a copy that is this much behind its own stream.
const BEHIND: Nanos = Nanos::from_secs(2);
/// Answers that must have been wrong before a difference is one that nobody explains.
const WRONG_MIN: u32 = 3;

/// An earlier balance, and when it ended.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Held {
    until: Nanos,
    value: Amount,
}

/// Answers that were wrong in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Suspicion {
    since: Nanos,
    answers: u32,
    /// It is drift: told, and standing until it is settled.
    standing: bool,
    /// The ledger follows as soon as the difference is known.
    accepted: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    venue: VenueId,
    value: Amount,
    past: Box<[Held]>,
    written: usize,
    suspicion: Option<Suspicion>,
    /// Differences that fit all wrong answers, sorted, the first `fitting` of them.
    candidates: Box<[Amount]>,
    fitting: usize,
}

/// What an answer of the venue means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the ledger's balance.
    Equal,
    /// It is a balance that the ledger had since the question: fills lie between.
    Explained,
    /// It cannot be judged now.
    Uncertain,
    /// It is none of the ledger's balances; not for long yet.
    Suspect,
    /// It has been none of them for too long.
    Unexplained,
    /// It is known that nobody explains it.
    Standing,
    /// The ledger follows the venue: so much came, or went (negative).
    Settled(Amount),
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareCounts {
    /// Answers of the venue.
    pub compared: u64,
    /// Those that differed, by fills under way.
    pub explained: u64,
    /// Those that could not be judged.
    pub uncertain: u64,
    /// Differences that became drift.
    pub unexplained: u64,
    /// Differences that the ledger followed.
    pub followed: u64,
}

/// A difference that nobody explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Of which asset.
    pub asset: AssetId,
    /// The ledger's balance.
    pub ours: Amount,
    /// What the venue has at the same time, as far as the difference is known.
    pub theirs: Amount,
}

/// The tag under which the risk lane shows [`Differences`].
pub const DIFFERENCES: &str = "differences";
/// The words of a [`Difference`] in shared memory.
const WORDS: usize = 5;
/// The words of [`Differences`].
pub const DIFFERENCES_WORDS: usize = 3 * WORDS;

/// The newest difference of each kind: what a person is told of a stop is what stopped, whatever
/// else was found at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Found, or followed by the ledger.
    pub any: Option<Difference>,
    /// That stopped all trading.
    pub latched: Option<Difference>,
    /// That stopped the instruments of its asset alone.
    pub stopped: Option<Difference>,
}

impl Differences {
    /// As words, one difference after the other; zeros for none.
    #[must_use]
    pub fn words(&self) -> [u64; DIFFERENCES_WORDS] {
        let mut words = [0; DIFFERENCES_WORDS];
        let all = [self.any, self.latched, self.stopped];
        for (place, difference) in words.chunks_exact_mut(WORDS).zip(all) {
            place.copy_from_slice(&difference.map_or([0; WORDS], |d| d.words()));
        }
        words
    }

    /// From words; none where no asset has that number.
    #[must_use]
    pub fn of(words: &[u64; DIFFERENCES_WORDS]) -> Self {
        let at = |n: usize| Difference::of(&words[n * WORDS..(n + 1) * WORDS]);
        Self { any: at(0), latched: at(1), stopped: at(2) }
    }
}

impl Difference {
    /// As words: the asset's number from 1, then ours and the venue's, each in two halves, the
    /// lower first.
    const fn words(&self) -> [u64; WORDS] {
        let (ours, theirs) = (self.ours, self.theirs);
        let high = [(ours >> 64) as u64, (theirs >> 64) as u64];
        [self.asset.0 as u64 + 1, ours as u64, high[0], theirs as u64, high[1]]
    }

    /// From words; none where nothing was written, or no asset has that number.
    fn of(words: &[u64]) -> Option<Self> {
        let amount =
            |at: usize| (u128::from(words[at + 1]) << 64 | u128::from(words[at])) as Amount;
        let asset = AssetId(u8::try_from(words[0].checked_sub(1)?).ok()?);
        Some(Self { asset, ours: amount(1), theirs: amount(3) })
    }
}

/// A balance that the venue stated; see [`bot4_types::RiskCommand::VenueBalance`].
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Of which asset.
    pub asset: AssetId,
    /// Free and locked together.
    pub total: Amount,
    /// When it was asked for.
    pub asked: Nanos,
    /// How long a difference may last.
    pub patience: Nanos,
    /// The ledger then follows the venue.
    pub follow: bool,
}

/// The comparison. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    rows: Box<[Row]>,
    /// Since when each venue's session has been up; none while it is down.
    up_since: [Option<Nanos>; VENUES_MAX],
    counts: CompareCounts,
    newest: Option<Difference>,
    /// An answer less each balance of its time.
    scratch: Vec<Amount>,
}

impl Comparison {
    /// Venues and balances at the start, by asset. Allocates everything it will ever need.
    #[must_use]
    pub fn new(balances: impl Iterator<Item = (VenueId, Amount)>) -> Self {
        let row = |(venue, value)| Row {
            venue,
            value,
            past: vec![Held::default(); KEPT].into_boxed_slice(),
            written: 0,
            suspicion: None,
            candidates: vec![0; KEPT + 1].into_boxed_slice(),
            fitting: 0,
        };
        Self {
            rows: balances.map(row).collect(),
            up_since: [None; VENUES_MAX],
            counts: CompareCounts::default(),
            newest: None,
            scratch: Vec::with_capacity(KEPT + 1),
        }
    }

    /// The ledger's balance of `asset` is `value` from `now` on.
    pub fn note(&mut self, asset: AssetId, value: Amount, now: Nanos) {
        let Some(row) = self.rows.get_mut(usize::from(asset.0)) else { return };
        if row.value != value {
            row.past[row.written % KEPT] = Held { until: now, value: row.value };
            row.written += 1;
            row.value = value;
        }
    }

    /// The session of a venue's order entry came up or went down.
    pub fn on_session(&mut self, venue: VenueId, ready: bool, now: Nanos) {
        if let Some(since) = self.up_since.get_mut(venue.index()) {
            *since = ready.then(|| since.unwrap_or(now));
        }
    }

    /// Judges what the venue stated; `sure`: no order is of unknown fate and no known fill is
    /// missing. After [`Verdict::Settled`] the ledger's balance is expected by
    /// [`note`](Self::note), moved by as much.
    pub fn judge(&mut self, stated: &Statement, sure: bool, now: Nanos) -> Verdict {
        let Some(row) = self.rows.get_mut(usize::from(stated.asset.0)) else {
            return Verdict::Uncertain;
        };
        let up_since = self.up_since.get(row.venue.index()).copied().flatten();
        let sure = sure && up_since.is_some_and(|at| at <= stated.asked);
        self.counts.compared += 1;
        let verdict = row.judge(stated, sure, now, &mut self.scratch);
        match verdict {
            Verdict::Explained => self.counts.explained += 1,
            Verdict::Uncertain => self.counts.uncertain += 1,
            Verdict::Unexplained => self.counts.unexplained += 1,
            Verdict::Settled(_) => self.counts.followed += 1,
            Verdict::Equal | Verdict::Suspect | Verdict::Standing => {}
        }
        if matches!(verdict, Verdict::Unexplained | Verdict::Settled(_)) {
            let ours = row.value;
            let theirs = row.known().map_or(stated.total, |came| ours.saturating_add(came));
            self.newest = Some(Difference { asset: stated.asset, ours, theirs });
        }
        if let Verdict::Settled(came) = verdict {
            row.settle(came);
        }
        verdict
    }

    /// So much of `asset` came, or went, before the run, and nobody explains it: it stands as a
    /// difference until it is accepted.
    pub fn doubt(&mut self, asset: AssetId, came: Amount) {
        let Some(row) = self.rows.get_mut(usize::from(asset.0)) else { return };
        let (since, answers) = (Nanos::ZERO, WRONG_MIN);
        row.suspicion = Some(Suspicion { since, answers, standing: true, accepted: false });
        (row.candidates[0], row.fitting) = (came, 1);
        self.counts.unexplained += 1;
        let theirs = row.value.saturating_add(came);
        self.newest = Some(Difference { asset, ours: row.value, theirs });
    }

    /// A person accepts the difference of `asset`. Gives how much came, or went, where that is
    /// known; else the answer that tells it settles it.
    pub fn accept(&mut self, asset: AssetId) -> Option<Amount> {
        let row = self.rows.get_mut(usize::from(asset.0))?;
        let known = row.known();
        let suspicion = row.suspicion.as_mut().filter(|s| s.standing)?;
        suspicion.accepted = true;
        let came = known?;
        let ours = row.value;
        self.newest = Some(Difference { asset, ours, theirs: ours.saturating_add(came) });
        row.settle(came);
        self.counts.followed += 1;
        Some(came)
    }

    /// Assets under suspicion that are not known as drift.
    #[must_use]
    pub fn suspects(&self) -> usize {
        self.rows.iter().filter(|row| row.suspicion.is_some_and(|s| !s.standing)).count()
    }

    /// The newest difference that became drift.
    #[must_use]
    pub const fn newest(&self) -> Option<Difference> {
        self.newest
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> &CompareCounts {
        &self.counts
    }
}

impl Row {
    fn judge(
        &mut self,
        stated: &Statement,
        sure: bool,
        now: Nanos,
        scratch: &mut Vec<Amount>,
    ) -> Verdict {
        let from = Nanos(stated.asked.0.saturating_sub(BEHIND.0));
        let kept = self.written.min(KEPT);
        scratch.clear();
        scratch.push(stated.total.saturating_sub(self.value));
        let since = self.past[..kept].iter().filter(|held| held.until >= from);
        scratch.extend(since.map(|held| stated.total.saturating_sub(held.value)));
        if scratch.contains(&0) {
            (self.suspicion, self.fitting) = (None, 0);
            return if scratch[0] == 0 { Verdict::Equal } else { Verdict::Explained };
        }
        // All that are kept lie behind the question: others have been forgotten.
        if !sure || scratch.len() > KEPT {
            return Verdict::Uncertain;
        }
        scratch.sort_unstable();
        scratch.dedup();
        self.narrow(scratch);
        let known = self.known();
        let first = Suspicion { since: stated.asked, answers: 0, standing: false, accepted: false };
        let suspicion = self.suspicion.get_or_insert(first);
        suspicion.answers = suspicion.answers.saturating_add(1);
        let lasts = now.since(suspicion.since) >= stated.patience;
        if !suspicion.standing && (suspicion.answers < WRONG_MIN || !lasts) {
            return Verdict::Suspect;
        }
        match known {
            Some(came) if stated.follow || suspicion.accepted => Verdict::Settled(came),
            _ if suspicion.standing => Verdict::Standing,
            // The next answers say how much it is; only then can the ledger follow.
            _ if stated.follow => Verdict::Suspect,
            _ => {
                suspicion.standing = true;
                Verdict::Unexplained
            }
        }
    }

    /// Keeps the candidates that are among `fresh` (sorted); where none is, more has happened, and
    /// `fresh` takes their place.
    fn narrow(&mut self, fresh: &[Amount]) {
        let mut left = 0;
        for at in 0..self.fitting {
            let candidate = self.candidates[at];
            if fresh.binary_search(&candidate).is_ok() {
                self.candidates[left] = candidate;
                left += 1;
            }
        }
        if left == 0 {
            left = fresh.len().min(self.candidates.len());
            self.candidates[..left].copy_from_slice(&fresh[..left]);
        }
        self.fitting = left;
    }

    /// The difference, when one alone fits.
    fn known(&self) -> Option<Amount> {
        (self.fitting == 1).then(|| self.candidates[0])
    }

    /// The ledger follows by `came`: so do the balances before, which the venue had otherwise, too.
    fn settle(&mut self, came: Amount) {
        (self.suspicion, self.fitting) = (None, 0);
        self.value = self.value.saturating_add(came);
        for held in &mut self.past {
            held.value = held.value.saturating_add(came);
        }
    }
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
