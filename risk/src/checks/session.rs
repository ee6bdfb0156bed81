//! The order-entry session is ready: without it an order could only wait and grow old.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Session`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    if input.session_ready { Ok(()) } else { Err(RefuseReason::Session) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;

    #[test]
    fn no_session_no_order() {
        assert_eq!(Fixture::default().run(check), Ok(()));
        let down = Fixture::with(|f| f.session_ready = false);
        assert_eq!(down.run(check), Err(RefuseReason::Session));
    }
}
