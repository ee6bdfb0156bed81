//! What a refusal of the venue means. Source: the Bybit sheet, chapters 6 and 7.
//!
//! The rule that costs money if it is wrong: only a code that proves that nothing happened ends an
//! order. A code that is not listed here leaves its fate open.

use bot4_types::DoneReason;

use crate::account::Refusal;

/// How long an address that asked too much is left out, ms.
pub const ADDRESS_PAUSE_MS: u64 = 600_000;

/// What `code` means; `until_ms` is when the limit begins anew (zero where not said), `now_ms` the
/// venue's time of the answer, `places` whether a new order was asked for.
#[must_use]
pub fn refusal(code: i64, until_ms: i64, now_ms: i64, places: bool) -> Option<Refusal> {
    use DoneReason as D;
    use Refusal as R;
    Some(match code {
        // 20001: logged on already.
        0 | 20_001 => return None,
        10_002 => R::Refused(D::Window),
        10_003..=10_005 | 10_010 | 33_004 => R::Session,
        10_006 | 10_018 | 10_429 | 20_003 => R::Limited { until_ms, orders_only: places },
        403 | 10_403 if now_ms > 0 => R::Limited {
            until_ms: now_ms.saturating_add_unsigned(ADDRESS_PAUSE_MS),
            orders_only: false,
        },
        403 | 10_403 => R::Limited { until_ms: 0, orders_only: false },
        110_001 | 170_213 => R::NotFound,
        110_004 | 110_007 | 110_012 | 170_131 => R::Refused(D::Balance),
        10_029 | 110_003 | 110_017 | 110_094 | 170_132..=170_134 | 170_136 | 170_137 => {
            R::Refused(D::Filter)
        }
        170_140 | 170_193 | 170_194 => R::Refused(D::Filter),
        170_218 => R::Refused(D::WouldTake),
        10_001 | 10_404 | 20_006 | 170_210 => R::Refused(D::Other),
        // 10000, 10016, 10019, 1701xx: timeouts and server errors. A duplicate client id (110072,
        // 170141) says that there is an order of that name: ours, perhaps.
        _ => R::OutcomeUnknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proof_of_absence_is_a_refusal() {
        let of = |code| refusal(code, 7, 5, true);
        for code in [10_000, 10_016, 10_019, 170_007, 170_146, 170_147, 110_072, 170_141, 999] {
            assert_eq!(of(code), Some(Refusal::OutcomeUnknown), "{code}");
        }
        assert_eq!(of(0), None);
        assert_eq!(of(170_131), Some(Refusal::Refused(DoneReason::Balance)));
        assert_eq!(of(170_218), Some(Refusal::Refused(DoneReason::WouldTake)));
        assert_eq!(of(170_213), Some(Refusal::NotFound));
        assert_eq!(of(10_002), Some(Refusal::Refused(DoneReason::Window)));
        assert_eq!(of(10_004), Some(Refusal::Session));
        assert_eq!(of(10_006), Some(Refusal::Limited { until_ms: 7, orders_only: true }));
        let ban = Refusal::Limited { until_ms: 600_005, orders_only: false };
        assert_eq!(refusal(10_403, 0, 5, true), Some(ban));
    }
}
