//! `[account]`: how often the venue's word about it is compared with ours, and who else may act on
//! it.

use std::time::Duration;

use bot4_execution::foreign::{Declared, PREFIX_LEN_MAX, PREFIXES_MAX};
use serde::Deserialize;
use toml::Spanned;

use super::error::Issue;
use super::resolve::issue;
use super::value::Span;

/// Shortest time between two comparisons: a heavy request at most venues.
const COMPARE_MIN: Duration = Duration::from_secs(1);

/// `[account]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Account {
    /// Between two comparisons of all balances; 0 for never.
    pub compare: Spanned<Span>,
    /// Within this time each order at rest is compared with the venue's word; 0 for never.
    pub compare_orders: Spanned<Span>,
    /// How long a difference may last before nobody explains it.
    pub compare_patience: Spanned<Span>,
    /// What comes of such a difference.
    pub transfers: Transfers,
    /// Orders and fills of others.
    pub foreign_orders: Spanned<Foreign>,
}

impl Default for Account {
    fn default() -> Self {
        let span = |seconds| Spanned::new(0..0, Span(Duration::from_secs(seconds)));
        Self {
            compare: span(30),
            compare_orders: span(10),
            compare_patience: span(15),
            transfers: Transfers::default(),
            foreign_orders: Spanned::new(0..0, Foreign::default()),
        }
    }
}

/// What comes of a balance that no fill explains.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Transfers {
    /// What it concerns stops until a person has looked.
    #[default]
    Halt,
    /// The ledger follows the venue: money comes and goes without asking.
    Follow,
}

/// What comes of an order that is not ours.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Foreign {
    /// `halt` or `allow`.
    Word(String),
    /// Client ids that begin with one of these may be there.
    Prefixes(Vec<String>),
}

impl Default for Foreign {
    fn default() -> Self {
        Self::Word("halt".to_owned())
    }
}

/// `[account]`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountConfig {
    /// Between two comparisons of all balances; none: never.
    pub compare: Option<Duration>,
    /// Within this time each order at rest is compared; zero: never.
    pub compare_orders: Duration,
    /// How long a difference may last.
    pub patience: Duration,
    /// The ledger follows the venue where nobody explains a difference.
    pub follow: bool,
    /// Whose orders may be there beside ours.
    pub declared: Declared,
}

/// Checks `[account]`.
///
/// # Errors
/// The first [`Issue`] found.
pub fn resolve(account: &Account) -> Result<AccountConfig, Issue> {
    let every = period(&account.compare, "compare")?;
    let compare_orders = period(&account.compare_orders, "compare_orders")?;
    let patience = account.compare_patience.get_ref().0;
    if patience > Duration::from_secs(3_600) {
        let mend = "choose one hour at most";
        return Err(issue(
            account.compare_patience.span(),
            "compare_patience",
            "is too long",
            mend,
        ));
    }
    let declared = declared(&account.foreign_orders)?;
    // Whoever else trades here moves the balances, too.
    let follow = account.transfers == Transfers::Follow || declared.is_any();
    let compare = (!every.is_zero()).then_some(every);
    Ok(AccountConfig { compare, compare_orders, patience, follow, declared })
}

fn period(every: &Spanned<Span>, name: &'static str) -> Result<Duration, Issue> {
    let period = every.get_ref().0;
    if !period.is_zero() && period < COMPARE_MIN {
        let mend = "choose 1s or more; 0s: never";
        return Err(issue(every.span(), name, "is too short", mend));
    }
    Ok(period)
}

fn declared(foreign: &Spanned<Foreign>) -> Result<Declared, Issue> {
    let wrong = |what: String| {
        let mend = format!(
            "write \"halt\", \"allow\", or a list of at most {PREFIXES_MAX} prefixes of client \
             ids, each of 1 to {PREFIX_LEN_MAX} bytes, like [\"web_\"]"
        );
        Err(issue(foreign.span(), "foreign_orders", what, mend))
    };
    match foreign.get_ref() {
        Foreign::Word(word) if word == "halt" => Ok(Declared::NONE),
        Foreign::Word(word) if word == "allow" => Ok(Declared::ALL),
        Foreign::Word(word) => wrong(format!("`{word}` is not a setting of it")),
        Foreign::Prefixes(list) => {
            match Declared::of(list.iter().map(String::as_str)) {
                // Two engines would take each other's orders for declared ones.
                _ if list.iter().any(|p| p.starts_with("b4") || "b4".starts_with(p.as_str())) => {
                    wrong("orders of bot4 begin with `b4`".to_owned())
                }
                Some(declared) => Ok(declared),
                None => wrong("this list cannot be used".to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AccountConfig, String> {
        let account: Account = toml::from_str(text).map_err(|e| e.to_string())?;
        resolve(&account).map_err(|issue| format!("{} {}", issue.what, issue.mend))
    }

    #[test]
    fn differences_halt_and_others_are_not_allowed_unless_it_is_written() {
        let usual = read("").expect("all defaults");
        assert_eq!(usual.compare, Some(Duration::from_secs(30)));
        assert_eq!((usual.patience, usual.follow), (Duration::from_secs(15), false));
        assert_eq!(usual.declared, Declared::NONE);
        assert_eq!(usual.compare_orders, Duration::from_secs(10));
        assert_eq!(read("compare = \"0s\"").expect("never").compare, None);
        let often = read("compare_orders = \"2s\"").expect("read");
        assert_eq!(often.compare_orders, Duration::from_secs(2));
        assert!(read("transfers = \"follow\"").expect("read").follow);
        let allowed = read("foreign_orders = \"allow\"").expect("read");
        assert_eq!((allowed.declared, allowed.follow), (Declared::ALL, true));
        let some = read("foreign_orders = [\"web_\", \"x-\"]").expect("read");
        assert_eq!(some.declared, Declared::of(["web_", "x-"]).expect("short"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_mend() {
        for (text, word) in [
            ("compare = \"10ms\"", "1s or more"),
            ("compare_orders = \"10ms\"", "1s or more"),
            ("compare_patience = \"2h\"", "one hour"),
            ("foreign_orders = \"perhaps\"", "`perhaps`"),
            ("foreign_orders = [\"b4\"]", "`b4`"),
            ("foreign_orders = [\"\"]", "`b4`"),
            ("foreign_orders = [\"a-prefix-of-sixteen\"]", "15 bytes"),
            ("transfers = \"sometimes\"", "halt"),
            ("comparing = \"1s\"", "compare"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
