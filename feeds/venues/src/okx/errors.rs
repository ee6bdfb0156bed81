//! What a refusal of the venue means. Source: the OKX sheet, chapters 2 and 7, and the venue's list
//! of codes.
//!
//! The rule that costs money if it is wrong: only a code that proves that nothing happened ends an
//! order. A code that is not listed here leaves its fate open.

use bot4_types::DoneReason;

use crate::account::Refusal;

/// What `code` means; `places` whether a new order was asked for.
#[must_use]
pub fn refusal(code: i64, places: bool) -> Option<Refusal> {
    use DoneReason as D;
    use Refusal as R;
    Some(match code {
        0 => return None,
        // Too many requests: of this kind, of the account, of the connection.
        50_011 | 50_061 | 60_014 => R::Limited { until_ms: 0, orders_only: places },
        // The request's own time: logon, signature, `expTime`.
        50_036 | 50_102 | 50_112 | 60_004 | 60_006 => R::Refused(D::Window),
        50_100..=50_101 | 50_103..=50_111 | 50_113..=50_114 => R::Session,
        60_005 | 60_007..=60_009 | 60_011 | 60_024 | 60_032 => R::Session,
        51_400..=51_402 | 51_410 | 51_503 | 51_603 => R::NotFound,
        // An amend that changes nothing, is under way already, or is not for such an order.
        51_509..=51_515 => R::Refused(D::Other),
        51_008 | 51_119 | 51_127 | 51_131 => R::Refused(D::Balance),
        51_001 | 51_004 | 51_006 | 51_020 | 51_120 | 51_121 | 51_137 | 51_138 => {
            R::Refused(D::Filter)
        }
        51_000 | 60_012 | 60_013 | 60_018 => R::Refused(D::Other),
        // 500xx: unavailable, timeout, busy, system error. A duplicate client id (51016) says that
        // there is an order of that name: ours, perhaps.
        _ => R::OutcomeUnknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proof_of_absence_is_a_refusal() {
        let of = |code| refusal(code, true);
        for code in [50_001, 50_004, 50_013, 50_026, 51_016, 51_149, 63_999, 7] {
            assert_eq!(of(code), Some(Refusal::OutcomeUnknown), "{code}");
        }
        assert_eq!(of(0), None);
        assert_eq!(of(51_008), Some(Refusal::Refused(DoneReason::Balance)));
        assert_eq!(of(51_121), Some(Refusal::Refused(DoneReason::Filter)));
        assert_eq!(of(51_603), Some(Refusal::NotFound));
        assert_eq!(of(60_006), Some(Refusal::Refused(DoneReason::Window)));
        assert_eq!(of(60_007), Some(Refusal::Session));
        assert_eq!(of(50_011), Some(Refusal::Limited { until_ms: 0, orders_only: true }));
    }
}
