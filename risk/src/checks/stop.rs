//! Every intent that increases its strategy's worst-case position carries a stop distance.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::MissingStop`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let increases = input.own_worst_after() > 0;
    if increases && input.intent.stop_ticks <= 0 {
        return Err(RefuseReason::MissingStop);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;

    #[test]
    fn an_opening_order_without_a_stop_is_refused() {
        assert_eq!(Fixture::default().run(check), Ok(()));
        for ticks in [0, -1] {
            let bare = Fixture::with(|f| f.intent.stop_ticks = ticks);
            assert_eq!(bare.run(check), Err(RefuseReason::MissingStop));
        }
    }
}
