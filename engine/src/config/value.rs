//! Values with units.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A duration written with its unit, for example `20s`, `5m`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Parses a duration with a unit.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || {
        format!(
            "`{text}` is not a duration: write a whole number and a unit (us, ms, s, m, h, d), \
             like `20s`"
        )
    };
    let count: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit_ns: u64 = match &text[digits..] {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err(wrong()),
    };
    count.checked_mul(unit_ns).map(Duration::from_nanos).ok_or_else(wrong)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit in quotes, like \"20s\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                parse_duration(text).map(Span).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// `"auto"` or a number of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lanes {
    /// By the CPUs there are.
    #[default]
    Auto,
    /// This many.
    Count(usize),
}

impl std::str::FromStr for Lanes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            n => n
                .parse()
                .ok()
                .filter(|n| (1..=12).contains(n))
                .map(Self::Count)
                .ok_or_else(|| format!("`{text}` is not a number of lanes: `auto` or 1 to 12")),
        }
    }
}

impl<'de> Deserialize<'de> for Lanes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AutoOrCount;
        impl Visitor<'_> for AutoOrCount {
            type Value = Lanes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\" or a number of lanes from 1 to 12")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Lanes, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Lanes, E> {
                n.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(AutoOrCount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["20", "s", "", "20 s", "20sec", "-5s", "1.5s", "99999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lanes_are_auto_or_one_to_twelve() {
        assert_eq!("auto".parse(), Ok(Lanes::Auto));
        assert_eq!("12".parse(), Ok(Lanes::Count(12)));
        assert!("0".parse::<Lanes>().is_err() && "13".parse::<Lanes>().is_err());
    }
}
