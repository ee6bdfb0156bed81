//! Waiting as long as a venue wants fewer requests: a refusal for the rate is no answer, and what
//! was asked is asked again. Bounded for each question and in all, so that a start ends with a
//! sentence and not never.

use bot4_execution::pause::Reach;
use bot4_lanes::Clock;
use bot4_types::{InstrumentTable, Nanos};
use bot4_venues::binance::private::{ApiDecoder, ApiMessage};
use bot4_wire::{ConnError, HandshakeError};

use super::cold::{ColdError, Limited};
use super::guard::Guards;

/// Longest wait for one question: a minute's window, or what a venue's counters take to decay.
const QUESTION_MAX: Nanos = Nanos::from_secs(120);
/// Longest wait of one session in all.
const SESSION_MAX: Nanos = Nanos::from_secs(900);
/// The first wait where the venue does not say how long; each further one of the same question is
/// twice as long, up to the last.
const STEPS_S: [u64; 4] = [1, 2, 4, 8];
/// Between two looks at an endpoint that is left alone.
const LOOK_AGAIN: Nanos = Nanos::from_millis(250);
/// A status stands so near to the beginning of an answer.
const HEAD: usize = 96;
/// A wait that a person is told of.
const TOLD_FROM: Nanos = Nanos::from_secs(3);

/// The refusal in `text`, an answer of Binance's API to `what`, when it is for the rate: without
/// reading all of it. `now_ms` is the venue's time.
#[must_use]
pub fn limited(what: &'static str, text: &[u8], now_ms: i64) -> Option<ColdError> {
    let head = &text[..text.len().min(HEAD)];
    let says = |status: &[u8]| head.windows(status.len()).any(|w| w == status);
    if !says(b"\"status\":429") && !says(b"\"status\":418") {
        return None;
    }
    let mut decoder = ApiDecoder::new(&InstrumentTable::new());
    let Ok(ApiMessage::Response(response)) = decoder.decode(text) else { return None };
    let Err(error) = &response.outcome else { return None };
    let left = u64::try_from(error.retry_after_ms - now_ms).ok();
    let wait = left.filter(|_| error.retry_after_ms > 0).map(Nanos::from_millis);
    let text = format!("{:?} (code {}, status {})", error.kind, error.code, error.status);
    Some(ColdError::Limited(Limited { what: what.to_owned(), wait, text }))
}

/// A connection that was refused for the rate is a refusal for the rate; anything else is what it
/// was.
#[must_use]
pub fn at_the_door(error: ColdError) -> ColdError {
    let ColdError::Connection(url, ConnError::Handshake(refused)) = &error else { return error };
    let HandshakeError::Refused { status: status @ (418 | 429), retry_after_s } = refused else {
        return error;
    };
    let wait = retry_after_s.map(|s| Nanos::from_secs(s.into()));
    let text = format!("the connection, with status {status}");
    ColdError::Limited(Limited { what: url.clone(), wait, text })
}

/// What one cold session has waited.
pub struct Patience {
    clock: Clock,
    guards: Guards,
    reach: Reach,
    /// Nobody waits for this session's answers: it is told at once that it may not ask.
    hurried: bool,
    waited: Nanos,
    refusals: u64,
}

impl Patience {
    /// Nothing waited yet. What the venue says holds for what is of `reach`, and is told by
    /// `guards`.
    #[must_use]
    pub fn new(clock: &Clock, guards: &Guards, reach: Reach, hurried: bool) -> Self {
        let (clock, guards) = (clock.clone(), guards.clone());
        Self { clock, guards, reach, hurried, waited: Nanos::ZERO, refusals: 0 }
    }

    /// What `ask` says once the venue takes the question.
    ///
    /// # Errors
    /// What `ask` says, or that the venue wants no question for longer than is waited.
    pub fn ask<T>(
        &mut self,
        mut ask: impl FnMut() -> Result<T, ColdError>,
    ) -> Result<T, ColdError> {
        let (began, mut step) = (self.waited, 0);
        loop {
            let left = self.guards.pause().until(self.reach).since(self.clock.now());
            let waits = left == Nanos::ZERO || self.wait(left, began);
            // What withdraws orders at a run's end is tried whatever was said before.
            if !waits && !self.guards.is_disarmed() {
                return Err(ColdError::Paused(left));
            }
            match ask() {
                Err(ColdError::Limited(limited)) => {
                    self.refusals += 1;
                    let untold = Nanos::from_secs(STEPS_S[step]);
                    step = (step + 1).min(STEPS_S.len() - 1);
                    let now = self.clock.now();
                    // What is guessed holds for this session; the others ask once by themselves.
                    let shared = limited.wait.unwrap_or(Nanos::from_secs(STEPS_S[0]));
                    self.guards.pause().note(self.reach, now + shared);
                    if !self.wait(limited.wait.unwrap_or(untold), began) {
                        return Err(ColdError::Limited(limited));
                    }
                }
                // The refusals before have opened the breaker.
                Err(e @ ColdError::LeftAlone(..)) if self.refusals > 0 => {
                    if !self.wait(LOOK_AGAIN, began) {
                        return Err(e);
                    }
                }
                other => return other,
            }
        }
    }

    /// Waits for `left`; false, at once, when that is more than there is patience for.
    fn wait(&mut self, left: Nanos, began: Nanos) -> bool {
        let after = self.waited + left;
        if self.hurried || after.since(began) > QUESTION_MAX || after > SESSION_MAX {
            return false;
        }
        if left >= TOLD_FROM {
            let s = left.0.div_ceil(1_000_000_000);
            crate::tell!("the venue wants fewer requests: going on in {s} s");
        }
        self.waited = after;
        let until = self.clock.now() + left;
        while self.clock.now() < until {
            std::thread::park_timeout(std::time::Duration::from_nanos(
                until.since(self.clock.now()).0,
            ));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(ms: u64) -> ColdError {
        let wait = Some(Nanos::from_millis(ms));
        ColdError::Limited(Limited { what: "the fills".to_owned(), wait, text: String::new() })
    }

    #[test]
    fn a_refusal_for_the_rate_is_waited_out_and_others_hear_of_it() {
        let (clock, guards) = (Clock::monotonic(), Guards::default());
        let mut patience = Patience::new(&clock, &guards, Reach::Rest, false);
        let mut answers = vec![Err(limited(40)), Err(limited(40)), Ok(7)].into_iter();
        let start = clock.now();
        let said = patience.ask(|| answers.next().unwrap_or(Ok(0)));
        assert_eq!(said.ok(), Some(7));
        let took = clock.now().since(start);
        assert!(took >= Nanos::from_millis(80), "{took:?}");
        let until = |reach| guards.pause().until(reach);
        assert!(until(Reach::Rest) > start && until(Reach::All) == Nanos::ZERO);
    }

    #[test]
    fn nothing_is_asked_before_the_time_and_a_long_ban_is_told_at_once() {
        let (clock, guards) = (Clock::monotonic(), Guards::default());
        let until = clock.now() + Nanos::from_millis(40);
        guards.pause().note(Reach::All, until);
        let mut patience = Patience::new(&clock, &guards, Reach::Rest, false);
        assert!(patience.ask(|| Ok(clock.now())).is_ok_and(|asked| asked >= until));
        guards.pause().note(Reach::Rest, clock.now() + Nanos::from_secs(600));
        let mut asked = 0;
        let mut ask = || {
            asked += 1;
            Ok(())
        };
        let told = patience.ask(&mut ask).expect_err("ten minutes are not waited").to_string();
        assert!(told.contains("600 s") && told.contains("help:"), "{told}");
        let others = Guards::default();
        others.pause().note(Reach::Rest, clock.now() + Nanos::from_secs(5));
        let mut hurried = Patience::new(&clock, &others, Reach::Rest, true);
        assert!(matches!(hurried.ask(&mut ask), Err(ColdError::Paused(_))));
        guards.disarm();
        assert!(patience.ask(&mut ask).is_ok(), "orders are withdrawn whatever was said");
        assert_eq!(asked, 1);
    }
}
