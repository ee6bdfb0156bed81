//! The instrument was not given up under pressure: its book stands still, so nothing may increase
//! by it. What only reduces has a roster without this check.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Shed`].
#[inline]
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    if input.changes.is_shed(input.intent.instrument) { Err(RefuseReason::Shed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, intent};
    use crate::gate::judge;
    use bot4_types::{BookState, Cause, OrderAction, OrderId, OrderIntent, Side};

    #[test]
    fn what_was_shed_does_not_increase_but_reductions_and_cancels_go() {
        assert_eq!(Fixture::default().run(check), Ok(()));
        let world = |change: fn(&mut Fixture)| {
            let fixture = Fixture::with(|f| {
                f.shed = true;
                // As its book stands then.
                f.mark.state = BookState::Stale;
                f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
                change(f);
            });
            fixture.run(|input| judge(input).map(|_| ()))
        };
        assert_eq!(world(|_| {}), Err(RefuseReason::Shed));
        let reduces = world(|f| {
            f.filled = vec![OrderId(1)];
            (f.intent.side, f.intent.cause) = (Side::Sell, Cause::Timer);
        });
        assert_eq!(reduces, Ok(()));
        let cancel = world(|f| {
            f.intent = OrderIntent { action: OrderAction::Cancel, order: OrderId(1), ..intent() };
        });
        assert_eq!(cancel, Ok(()));
    }
}
