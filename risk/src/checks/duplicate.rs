//! An order number is used once. The router counts up, so one comparison suffices; a number that
//! was refused is used, too.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::DuplicateId`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    if input.intent.order > input.order_last { Ok(()) } else { Err(RefuseReason::DuplicateId) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use bot4_types::OrderId;

    #[test]
    fn numbers_only_go_up() {
        let at = |order| Fixture::with(|f| f.intent.order = OrderId(order)).run(check);
        assert_eq!(at(100), Ok(()));
        assert_eq!(at(99), Err(RefuseReason::DuplicateId));
        assert_eq!(at(0), Err(RefuseReason::DuplicateId));
    }
}
