use super::*;
use bot4_types::rng::SplitMix64;
use proptest::prelude::*;

const USDT: AssetId = AssetId(0);
const VENUE: VenueId = VenueId(1);
const PATIENCE: Nanos = Nanos::from_secs(15);

fn started() -> Comparison {
    let mut comparison = Comparison::new([1_000, 50].map(|b| (VENUE, b)).into_iter());
    comparison.on_session(VENUE, true, Nanos::ZERO);
    comparison
}

fn at(asked: u64, total: Amount) -> Statement {
    let (asked, patience) = (Nanos::from_secs(asked), PATIENCE);
    Statement { asset: USDT, total, asked, patience, follow: false }
}

fn judged(c: &mut Comparison, asked: u64, total: Amount) -> Verdict {
    c.judge(&at(asked, total), true, Nanos::from_secs(asked + 1))
}

#[test]
fn a_difference_becomes_drift_only_when_it_lasts() {
    let mut c = started();
    assert_eq!(judged(&mut c, 10, 1_000), Verdict::Equal);
    for (asked, verdict) in [(40, Verdict::Suspect), (45, Verdict::Suspect), (50, Verdict::Suspect)]
    {
        assert_eq!(judged(&mut c, asked, 1_007), verdict);
    }
    assert_eq!((c.suspects(), c.accept(USDT)), (1, None));
    assert_eq!(judged(&mut c, 55, 1_007), Verdict::Unexplained);
    assert_eq!(c.newest(), Some(Difference { asset: USDT, ours: 1_000, theirs: 1_007 }));
    assert_eq!(judged(&mut c, 85, 1_007), Verdict::Standing);
    assert_eq!((c.counts().unexplained, c.accept(USDT)), (1, Some(7)));
    c.note(USDT, 1_007, Nanos::from_secs(90));
    assert_eq!((judged(&mut c, 95, 1_007), c.accept(USDT)), (Verdict::Equal, None));
    assert_eq!(c.counts().followed, 1);
}

/// While fills go on, an answer alone does not say how much is missing; several do.
#[test]
fn one_difference_fits_all_answers() {
    let mut c = started();
    c.note(USDT, 900, Nanos::from_secs(40));
    assert_eq!(judged(&mut c, 40, 907), Verdict::Suspect);
    assert_eq!(c.rows[0].known(), None, "-93 and 7 fit");
    c.note(USDT, 500, Nanos::from_secs(50));
    assert_eq!(judged(&mut c, 50, 907), Verdict::Suspect);
    assert_eq!(c.rows[0].known(), Some(7));
    c.note(USDT, 550, Nanos::from_secs(60));
    assert_eq!(judged(&mut c, 60, 557), Verdict::Unexplained);
    // Another transfer: no candidate is left, and it begins anew.
    c.note(USDT, 600, Nanos::from_secs(61));
    assert_eq!(judged(&mut c, 62, 612), Verdict::Standing);
    assert_eq!((c.rows[0].known(), c.accept(USDT)), (None, None), "12 and 62 fit");
    let follows = judged(&mut c, 70, 612);
    assert_eq!(follows, Verdict::Settled(12), "accepted, and now it is known");
    assert_eq!(c.newest().map(|d| (d.ours, d.theirs)), Some((600, 612)));
    // An answer to a question from before: the balances of then moved, too.
    c.note(USDT, 612, Nanos::from_secs(71));
    assert_eq!(judged(&mut c, 62, 562), Verdict::Explained);
}

#[test]
fn the_ledger_may_follow_without_being_asked() {
    let mut c = started();
    let follow = |c: &mut Comparison, asked| {
        let stated = Statement { follow: true, ..at(asked, 930) };
        c.judge(&stated, true, Nanos::from_secs(asked + 1))
    };
    let all: Vec<_> = [10, 20, 30, 40].iter().map(|asked| follow(&mut c, *asked)).collect();
    let settled = Verdict::Settled(-70);
    assert_eq!(all, [Verdict::Suspect, Verdict::Suspect, settled, Verdict::Equal]);
    assert_eq!((c.counts().followed, c.counts().unexplained), (1, 0));
}

#[test]
fn few_answers_prove_nothing_however_long_it_takes() {
    let mut c = started();
    assert_eq!(judged(&mut c, 40, 900), Verdict::Suspect);
    assert_eq!(judged(&mut c, 400, 900), Verdict::Suspect);
    assert_eq!(judged(&mut c, 800, 1_000), Verdict::Equal);
    assert_eq!(judged(&mut c, 900, 900), Verdict::Suspect, "it begins anew");
}

#[test]
fn fills_between_question_and_answer_explain_it() {
    let mut c = started();
    // Asked at 40; a fill at 40.2 is heard before the answer is judged at 41, another at 39.
    c.note(USDT, 990, Nanos::from_secs(39));
    c.note(USDT, 980, Nanos::from_millis(40_200));
    for total in [1_000, 990] {
        assert_eq!(judged(&mut c, 40, total), Verdict::Explained);
    }
    assert_eq!(judged(&mut c, 40, 980), Verdict::Equal);
    // Long after, an old balance is no explanation.
    assert_eq!(judged(&mut c, 60, 990), Verdict::Suspect);
}

#[test]
fn what_may_be_ours_is_not_judged() {
    let mut c = started();
    let now = Nanos::from_secs(41);
    assert_eq!(c.judge(&at(40, 7), false, now), Verdict::Uncertain, "an unknown order");
    c.on_session(VenueId(0), false, Nanos::from_secs(41));
    c.on_session(VenueId(200), false, Nanos::from_secs(41));
    c.on_session(VENUE, false, Nanos::from_secs(42));
    assert_eq!(judged(&mut c, 43, 7), Verdict::Uncertain);
    c.on_session(VENUE, true, Nanos::from_secs(50));
    c.on_session(VENUE, true, Nanos::from_secs(55));
    assert_eq!(judged(&mut c, 49, 7), Verdict::Uncertain, "asked before the session was up");
    assert_eq!(judged(&mut c, 51, 7), Verdict::Suspect);
    assert_eq!((c.counts().compared, c.counts().uncertain), (4, 3));
    // So many fills since the question that some balances have been forgotten.
    for n in 0..KEPT as i128 {
        c.note(USDT, 2_000 + n, Nanos::from_secs(60));
    }
    assert_eq!(judged(&mut c, 60, 7), Verdict::Uncertain);
    let unknown = Statement { asset: AssetId(9), ..at(60, 7) };
    assert_eq!(c.judge(&unknown, true, now), Verdict::Uncertain);
}

proptest! {
    /// A venue and an engine that hears of each fill up to two seconds late: an answer is never
    /// suspect, whenever it is asked for. Money that comes or goes beside the fills is found.
    #[test]
    fn late_fills_never_make_a_false_alarm_and_a_transfer_is_always_found(
        seed in any::<u64>(), transfer in prop_oneof![Just(0i128), 1..50i128, -50..-1i128],
    ) {
        let mut rng = SplitMix64::new(seed);
        let mut c = started();
        // Fills are multiples of 100, so that no sum of them looks like the transfer, and of many
        // sizes, so that few differences fit two answers by chance.
        let (mut venue, mut ours, mut happened, mut heard) = (1_000i128, 1_000i128, 0u64, 0u64);
        let mut under_way: Vec<(u64, i128)> = Vec::new();
        let (mut answer, mut verdicts) = (None, Vec::new());
        for ms in 0..120_000u64 {
            if rng.below(150) == 0 {
                let amount = (rng.below(2_000_001) as i128 - 1_000_000) * 100;
                venue += amount;
                happened = happened.max(ms + rng.below(2_000));
                under_way.push((happened, amount));
            }
            venue += if ms == 60_000 { transfer } else { 0 };
            while under_way.first().is_some_and(|fill| fill.0 <= ms) {
                ours += under_way.remove(0).1;
                heard = ms;
                c.note(USDT, ours, Nanos::from_millis(ms));
            }
            // Asked at every fifth second, answered 300 ms later, judged three seconds later.
            answer = match (ms % 5_000, answer) {
                (300, _) => Some((ms - 300, venue)),
                (3_300, Some((asked, total))) => {
                    let stated = Statement { asked: Nanos::from_millis(asked), ..at(0, total) };
                    verdicts.push(c.judge(&stated, true, Nanos::from_millis(ms)));
                    None
                }
                (_, same) => same,
            };
        }
        let drift = verdicts.iter().any(|v| matches!(v, Verdict::Unexplained));
        prop_assert_eq!(drift, transfer != 0, "{:?} heard last at {}", verdicts, heard);
        prop_assert_eq!(c.accept(USDT), (transfer != 0).then_some(transfer));
        if transfer == 0 {
            prop_assert!(!verdicts.contains(&Verdict::Suspect), "{:?}", verdicts);
        }
    }
}
