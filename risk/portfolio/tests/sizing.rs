//! Each word of the promise about sizes: never larger than any cap, monotone in each, zero when an
//! input is not finite or the edge is not above zero.

use bot4_portfolio::sizing::KELLY_SHARE;
use bot4_portfolio::{Caps, Stake};
use proptest::prelude::*;

/// One field of the caps, and whether more of it may only make the size larger.
type Field = (&'static str, bool, fn(&mut Caps) -> &mut f64);

const FIELDS: [Field; 8] = [
    ("equity", true, |c| &mut c.equity),
    ("position", true, |c| &mut c.position),
    ("shortfall", true, |c| &mut c.shortfall),
    ("unit_shortfall", false, |c| &mut c.unit_shortfall),
    ("correlation", false, |c| &mut c.correlation),
    ("correlation_max", true, |c| &mut c.correlation_max),
    ("drawdown_scale", true, |c| &mut c.drawdown_scale),
    ("minimum", false, |c| &mut c.minimum),
];

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) }
}

fn caps() -> impl Strategy<Value = Caps> {
    let share = -0.2f64..1.2;
    (
        -1e3f64..1e6,
        -1e3f64..1e6,
        -1e2f64..1e4,
        prop_oneof![Just(0.0), 1e-4f64..0.2],
        -1.0f64..1.0,
        share.clone(),
        share,
        -10.0f64..1e4,
    )
        .prop_map(
            |(equity, position, shortfall, unit_shortfall, correlation, max, scale, minimum)| {
                Caps {
                    equity,
                    position,
                    shortfall,
                    unit_shortfall,
                    correlation,
                    correlation_max: max,
                    drawdown_scale: scale,
                    minimum,
                }
            },
        )
}

fn stakes() -> impl Strategy<Value = Stake> {
    (-1e-3f64..1e-2, 1e-6f64..1e-2).prop_map(|(edge, variance)| Stake { edge, variance })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn never_larger_than_any_cap(
        stake in stakes(), caps in caps(), unit in 1e-8f64..1e3, lot in 1i64..10_000,
    ) {
        let value = stake.value(&caps);
        let kelly = KELLY_SHARE * stake.edge / stake.variance * caps.equity;
        let qty = stake.qty(&caps, unit, lot).0;
        let worth = qty as f64 * unit;
        prop_assert!(qty >= 0 && qty % lot == 0 && worth <= value);
        if value != 0.0 {
            prop_assert!(value > 0.0 && value >= caps.minimum);
            prop_assert!(value <= kelly && value <= caps.equity && value <= caps.position);
            prop_assert!(value * caps.unit_shortfall <= caps.shortfall * (1.0 + 1e-15));
            prop_assert!(caps.correlation < caps.correlation_max);
        }
        if qty != 0 {
            prop_assert!(worth >= caps.minimum);
        } else if value > 0.0 {
            let least = lot as f64 * unit;
            prop_assert!(value < least || value < caps.minimum + least, "a lot would have fitted");
        }
    }

    #[test]
    fn monotone_in_each_cap(
        stake in stakes(), caps in caps(), unit in 1e-8f64..1e3, lot in 1i64..10_000,
        field in 0usize..FIELDS.len(), more in 0.0f64..1e3,
    ) {
        let (name, rises, at) = FIELDS[field];
        let mut wider = caps;
        *at(&mut wider) += more;
        // No shortfall at all is no cap; a first one is not "more of it".
        prop_assume!(name != "unit_shortfall" || caps.unit_shortfall > 0.0);
        let (least, most) = if rises { (caps, wider) } else { (wider, caps) };
        prop_assert!(stake.value(&least) <= stake.value(&most), "{name}");
        prop_assert!(stake.qty(&least, unit, lot) <= stake.qty(&most, unit, lot), "{name}");
    }

    #[test]
    fn monotone_in_edge_and_variance(
        stake in stakes(), caps in caps(), edge in 0.0f64..1e-2, variance in 0.0f64..1e-2,
    ) {
        let better = Stake { edge: stake.edge + edge, ..stake };
        let calmer = Stake { variance: stake.variance + variance, ..stake };
        prop_assert!(stake.value(&caps) <= better.value(&caps));
        prop_assert!(calmer.value(&caps) <= stake.value(&caps));
    }

    #[test]
    fn zero_when_anything_is_not_finite_or_there_is_no_edge(
        stake in stakes(), caps in caps(), field in 0usize..FIELDS.len() + 3,
        bad in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
        edge in -1.0f64..=0.0,
    ) {
        let (mut stake, mut caps, mut unit) = (stake, caps, 1.0);
        match field {
            0 => stake.edge = bad,
            1 => stake.variance = bad,
            2 => unit = bad,
            n => *(FIELDS[n - 3].2)(&mut caps) = bad,
        }
        prop_assert_eq!(stake.qty(&caps, unit, 1).0, 0);
        if field != 2 {
            prop_assert_eq!(stake.value(&caps), 0.0);
        }
        prop_assert_eq!(Stake { edge, ..stake }.value(&caps), 0.0);
    }
}
