//! What a report says about an order's fate: about its strategy, its instrument and the venue. The
//! table is in the text of [`set`](super::set).

use bot4_types::{DoneReason, OrderReport, OrderState, ReportKind};

use super::monitor::Fate;

/// What is done with a ticket.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Success,
    Failure,
    Nothing,
}

/// What an order's fate says: the strategy's record, then the three breakers.
pub(super) type Fates = (Option<Fate>, [Mark; 3]);

/// In a run of several venues a strategy is not blamed for what its venue failed at: it shall go on
/// at the others.
pub(super) const fn apart(fates: Fates, report: &OrderReport, several: bool) -> Fates {
    let by_limit = matches!(report.reason, DoneReason::RateLimit | DoneReason::Window);
    let (fate, [_, instrument, venue]) = fates;
    match report.kind {
        ReportKind::Lost if several => (None, [Mark::Nothing, instrument, venue]),
        ReportKind::Done if several && by_limit => (None, [Mark::Nothing, instrument, venue]),
        _ => (fate, fates.1),
    }
}

/// What `report` says about the order's fate, where it says anything. See the module's table.
pub(super) const fn fates(report: &OrderReport) -> Option<Fates> {
    use Mark::{Failure, Nothing, Success};
    let answered = (Some(Fate::Answered), [Success; 3]);
    let fates = match (report.kind, report.state, report.reason) {
        (ReportKind::Acked | ReportKind::Fill | ReportKind::Found, ..) => answered,
        (ReportKind::Lost, ..) => (Some(Fate::Failed), [Failure; 3]),
        (ReportKind::Done, OrderState::Rejected, reason) => match reason {
            DoneReason::WouldTake | DoneReason::SelfTrade => answered,
            DoneReason::RateLimit | DoneReason::Window => {
                (Some(Fate::Failed), [Failure, Nothing, Failure])
            }
            _ => (Some(Fate::Rejected), [Failure, Failure, Success]),
        },
        (ReportKind::Done, OrderState::NotSent, reason) => match reason {
            DoneReason::Killed | DoneReason::NoSession | DoneReason::Expired => {
                (None, [Nothing; 3])
            }
            _ => (Some(Fate::Failed), [Failure, Nothing, Nothing]),
        },
        (ReportKind::Done, ..) => answered,
        (
            ReportKind::Sent
            | ReportKind::CancelSent
            | ReportKind::CancelRejected
            | ReportKind::Contradicted
            | ReportKind::AmendSent
            | ReportKind::Amended
            | ReportKind::AmendRejected
            | ReportKind::Triggered,
            ..,
        ) => return None,
    };
    Some(fates)
}

/// What failed was the venue: it lost the order, wanted fewer, or its clock has another time.
/// Evidence that the venue is well ends it; see [`healing`](super::healing).
pub(super) const fn is_of_the_venue(report: &OrderReport) -> bool {
    let by_venue = matches!(report.reason, DoneReason::RateLimit | DoneReason::Window);
    match report.kind {
        ReportKind::Lost => true,
        ReportKind::Done => by_venue && matches!(report.state, OrderState::Rejected),
        _ => false,
    }
}
