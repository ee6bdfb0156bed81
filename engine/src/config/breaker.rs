//! `[risk.breaker]`: when circuit breakers stop a strategy, an instrument, the venue for a while.

use std::time::Duration;

use bot4_risk::breaker::{BreakerLimits, WINDOW_CALLS_MAX};
use serde::Deserialize;
use toml::Spanned;

use super::error::Issue;
use super::resolve::{bounded, issue};
use super::value::Span;

/// Largest amount in quote units.
const AMOUNT_MAX: f64 = 1e12;
const DAY: Duration = Duration::from_secs(86_400);

/// `[risk.breaker]`. Zero switches a rule off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Losing orders of a strategy in a row.
    pub losses: Spanned<u32>,
    /// An order that loses less is no losing order, quote units.
    pub loss_min: Spanned<f64>,
    /// What a strategy may lose within the window, quote units.
    pub loss_max: Spanned<f64>,
    /// A strategy's rejected orders, per cent.
    pub reject_pct: Spanned<f64>,
    /// A strategy's lost and unsendable orders, per cent.
    pub error_pct: Spanned<f64>,
    /// 99th percentile of a strategy's times from send to answer.
    pub ack_p99_max: Spanned<Span>,
    /// Orders before a share or percentile is judged.
    pub calls_min: Spanned<u32>,
    /// Failed orders that open an instrument's or the venue's breaker.
    pub errors: Spanned<u32>,
    /// How far back they look.
    pub window: Spanned<Span>,
    /// How long an open one stays open.
    pub open_for: Spanned<Span>,
    /// Up to so much longer, per cent.
    pub jitter_pct: Spanned<f64>,
    /// Orders that must go well to close it.
    pub successes: Spanned<u32>,
    /// Such orders at a time.
    pub probes: Spanned<u32>,
}

impl Default for Breaker {
    fn default() -> Self {
        let count = |n: u32| Spanned::new(0..0, n);
        let value = |v: f64| Spanned::new(0..0, v);
        let span = |seconds| Spanned::new(0..0, Span(Duration::from_secs(seconds)));
        Self {
            losses: count(5),
            loss_min: value(1.0),
            loss_max: value(5_000.0),
            reject_pct: value(50.0),
            error_pct: value(20.0),
            ack_p99_max: span(1),
            calls_min: count(20),
            errors: count(5),
            window: span(60),
            open_for: span(5),
            jitter_pct: value(20.0),
            successes: count(3),
            probes: count(3),
        }
    }
}

/// Checks `[risk.breaker]`. The seed of the jitter is the run's and comes later.
///
/// # Errors
/// The first [`Issue`] found.
pub fn resolve(breaker: &Breaker) -> Result<BreakerLimits, Issue> {
    let orders = |key, value, min, max| bounded(key, value, min, max, "orders");
    Ok(BreakerLimits {
        losses_max: orders("losses", &breaker.losses, 0, 1_000_000)?,
        loss_min: amount_or_off("loss_min", &breaker.loss_min)?,
        loss_max: amount_or_off("loss_max", &breaker.loss_max)?,
        reject_e4_max: share("reject_pct", &breaker.reject_pct)?,
        error_e4_max: share("error_pct", &breaker.error_pct)?,
        ack_p99_ns_max: span("ack_p99_max", &breaker.ack_p99_max, Duration::ZERO)?,
        calls_min: orders("calls_min", &breaker.calls_min, 1, 1_000_000)?,
        errors_max: orders("errors", &breaker.errors, 0, WINDOW_CALLS_MAX as u32)?,
        window_ns: span("window", &breaker.window, Duration::from_millis(1))?,
        open_ns: span("open_for", &breaker.open_for, Duration::from_millis(1))?,
        jitter_e4: share("jitter_pct", &breaker.jitter_pct)?,
        successes_to_close: orders("successes", &breaker.successes, 1, 1_000)? as u16,
        probes_max: orders("probes", &breaker.probes, 1, 1_000)? as u16,
        seed: 0,
    })
}

/// Per cent as 10^-4. What is not nothing must not become it.
fn share(key: &'static str, value: &Spanned<f64>) -> Result<u32, Issue> {
    let pct = *value.get_ref();
    if !(0.0..=100.0).contains(&pct) {
        let what = format!("{pct} is out of range");
        return Err(issue(value.span(), key, what, "choose 0 to 100 per cent"));
    }
    match (pct * 100.0).round() as u32 {
        0 if pct > 0.0 => Err(issue(value.span(), key, "too small", "choose 0, or 0.01 or more")),
        e4 => Ok(e4),
    }
}

/// Quote units as an amount, to a millionth.
fn amount_or_off(key: &'static str, value: &Spanned<f64>) -> Result<i128, Issue> {
    let units = *value.get_ref();
    let millionths = (units * 1e6).round();
    if !(0.0..=AMOUNT_MAX).contains(&units) || (millionths == 0.0 && units > 0.0) {
        let what = format!("{units} is out of range");
        let mend = "choose 0 for no such limit, or 0.000001 and more";
        return Err(issue(value.span(), key, what, mend));
    }
    Ok(millionths as i128 * 10i128.pow(10))
}

fn span(key: &'static str, value: &Spanned<Span>, min: Duration) -> Result<u64, Issue> {
    let length = value.get_ref().0;
    if (min..=DAY).contains(&length) {
        return Ok(length.as_nanos() as u64);
    }
    let mend = if min.is_zero() { "choose 0s to 24h" } else { "choose 1ms to 24h" };
    Err(issue(value.span(), key, format!("{length:?} is out of range"), mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_risk_lane() {
        let resolved = resolve(&Breaker::default()).expect("accepted");
        assert_eq!(resolved, BreakerLimits::default());
        assert_eq!(resolved.validate(), Ok(()));
    }

    #[test]
    fn what_is_accepted_can_be_meant_and_the_rest_is_named() {
        let with = |text: &str| resolve(&toml::from_str(text).expect("the shape"));
        for text in [
            "losses = 0\nloss_max = 0.0\nreject_pct = 0.0\nerrors = 0\nack_p99_max = \"0s\"",
            "errors = 128\nwindow = \"24h\"\nopen_for = \"1ms\"\njitter_pct = 100.0",
            "loss_max = 0.000001\nsuccesses = 1000\nprobes = 1",
        ] {
            assert_eq!(with(text).expect("accepted").validate(), Ok(()), "{text}");
        }
        for (text, key) in [
            ("errors = 129", "errors"),
            ("calls_min = 0", "calls_min"),
            ("reject_pct = 100.1", "reject_pct"),
            ("error_pct = 0.001", "error_pct"),
            ("jitter_pct = nan", "jitter_pct"),
            ("loss_max = -1.0", "loss_max"),
            ("loss_min = inf", "loss_min"),
            ("loss_max = 0.0000001", "loss_max"),
            ("window = \"0s\"", "window"),
            ("open_for = \"25h\"", "open_for"),
            ("probes = 0", "probes"),
            ("successes = 0", "successes"),
        ] {
            assert_eq!(with(text).expect_err(text).key, key);
        }
    }
}
