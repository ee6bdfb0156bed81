//! The trigger of orders that wait for one: on the venue's steps, within its bounds, and on the
//! side of the market from which it is still to be reached. An order that would be triggered at
//! once is another order than was meant.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Trigger`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let (intent, trigger) = (input.intent, input.intent.trigger.0);
    let fits = |holds: bool| if holds { Ok(()) } else { Err(RefuseReason::Trigger) };
    if !intent.kind.is_triggered() {
        return fits(trigger == 0);
    }
    let instrument = input.instrument()?;
    let (low, high) = (instrument.price_min.0, instrument.price_max.0);
    let on_step = instrument.tick == 0 || trigger % instrument.tick == 0;
    let bounded = trigger > 0 && trigger >= low && (high == 0 || trigger <= high);
    let mark = input.mark()?;
    let last = if mark.last_trade > 0 { mark.last_trade } else { mark.micro };
    let waits = match intent.kind.fires_above(intent.side) {
        true => trigger > last,
        false => trigger < last,
    };
    fits(on_step && bounded && (waits || last <= 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE};
    use bot4_types::{OrderKind, Price, Side};

    fn at(kind: OrderKind, side: Side, trigger: i64) -> Result<(), RefuseReason> {
        let fixture = Fixture::with(|f| {
            (f.intent.kind, f.intent.side, f.intent.trigger) = (kind, side, Price(trigger));
        });
        fixture.run(check)
    }

    #[test]
    fn only_kinds_that_wait_have_one_and_it_is_still_to_be_reached() {
        let refused = Err(RefuseReason::Trigger);
        assert_eq!(at(OrderKind::Limit, Side::Sell, 0), Ok(()));
        assert_eq!(at(OrderKind::Limit, Side::Sell, 95 * ONE), refused);
        for (kind, side, below) in [
            (OrderKind::StopLoss, Side::Sell, true),
            (OrderKind::StopLossLimit, Side::Buy, false),
            (OrderKind::TakeProfit, Side::Buy, true),
            (OrderKind::TakeProfitLimit, Side::Sell, false),
        ] {
            let (wanted, other) = if below { (95, 105) } else { (105, 95) };
            assert_eq!(at(kind, side, wanted * ONE), Ok(()), "{kind:?}");
            assert_eq!(at(kind, side, other * ONE), refused, "{kind:?} is reached");
            assert_eq!(at(kind, side, 100 * ONE), refused, "{kind:?} is reached");
            assert_eq!(at(kind, side, wanted * ONE + 1), refused, "off its steps");
            assert_eq!(at(kind, side, 0), refused);
        }
    }

    #[test]
    fn it_lies_within_the_venues_bounds() {
        let bounded = |max: i64, min: i64| {
            Fixture::with(|f| {
                (f.intent.kind, f.intent.side) = (OrderKind::StopLoss, Side::Sell);
                f.intent.trigger = Price(95 * ONE);
                (f.instrument.price_max, f.instrument.price_min) = (Price(max), Price(min));
            })
            .run(check)
        };
        assert_eq!(bounded(95 * ONE, 95 * ONE), Ok(()));
        assert_eq!(bounded(94 * ONE, 0), Err(RefuseReason::Trigger));
        assert_eq!(bounded(0, 96 * ONE), Err(RefuseReason::Trigger));
    }
}
