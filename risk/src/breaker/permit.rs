//! The right to make one call. However it ends, the breaker hears of it.

use super::clock::Clock;
use super::config::Unjudged;
use super::shared::Breaker;
use super::status::Verdict;

/// A permit: judged by [`success`](Self::success) or [`failure`](Self::failure); one that is
/// dropped without, unwinding included, counts as the configuration says. A probe's token is
/// given back either way.
#[must_use = "a permit that is dropped unjudged counts as a failure"]
pub struct Permit<'b, C: Clock> {
    breaker: &'b Breaker<C>,
    epoch: u32,
    judged: bool,
}

impl<'b, C: Clock> Permit<'b, C> {
    #[inline]
    pub(crate) const fn new(breaker: &'b Breaker<C>, epoch: u32) -> Self {
        Self { breaker, epoch, judged: false }
    }

    /// The call succeeded.
    #[inline]
    pub fn success(mut self) -> Verdict {
        self.judged = true;
        self.breaker.succeed(self.epoch)
    }

    /// The call failed.
    #[inline]
    pub fn failure(mut self) -> Verdict {
        self.judged = true;
        self.breaker.fail(self.epoch)
    }

    /// The call was not made after all: nothing is counted.
    pub fn unused(mut self) {
        self.judged = true;
        self.breaker.release(self.epoch);
    }

    /// Success or failure by `result`.
    ///
    /// # Errors
    /// Those of `result`.
    pub fn judge<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        let _verdict = if result.is_ok() { self.success() } else { self.failure() };
        result
    }
}

impl<C: Clock> Drop for Permit<'_, C> {
    #[inline]
    fn drop(&mut self) {
        if self.judged {
            return;
        }
        match self.breaker.config().unjudged {
            Unjudged::Failure => _ = self.breaker.fail(self.epoch),
            Unjudged::Success => _ = self.breaker.succeed(self.epoch),
            Unjudged::Ignored => self.breaker.release(self.epoch),
        }
    }
}

impl<C: Clock> core::fmt::Debug for Permit<'_, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Permit").field("breaker", &self.breaker.name()).finish_non_exhaustive()
    }
}
