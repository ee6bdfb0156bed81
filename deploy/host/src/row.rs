//! A row of the table: one host setting, how it is checked, what sets it, how a person mends it.

use serde::{Deserialize, Serialize};

use crate::cpu_set::CpuSet;
use crate::ethtool;
use crate::need::{Mode, Need};
use crate::root::{Root, selected};
use crate::samples::Samples;

/// How much depends on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Without it the engine does not do what it promises.
    Fail,
    /// Without it latencies have longer tails.
    Warn,
}

impl Class {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
        }
    }
}

/// Who can change a setting, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `bot4 host apply`, on a running machine.
    Runtime,
    /// A person, by hand, on a running machine.
    Hand,
    /// The boot line, and a restart of the machine.
    Boot,
    /// The order of the machine: its size, its place, its options at launch.
    Cloud,
}

impl Scope {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Hand => "hand",
            Self::Boot => "boot",
            Self::Cloud => "cloud",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether it is as it should be; `None` where the machine has no such thing, or it was not
    /// measured: then `found` says which.
    pub good: Option<bool>,
    /// What is there.
    pub found: String,
    /// What should be.
    pub want: String,
}

impl Found {
    /// `found` is as it should be, or not.
    #[must_use]
    pub fn that(good: bool, found: impl Into<String>, want: impl Into<String>) -> Self {
        Self { good: Some(good), found: found.into(), want: want.into() }
    }

    /// There is nothing to be judged, because of `why`.
    #[must_use]
    pub fn none(why: impl Into<String>) -> Self {
        Self { good: None, found: why.into(), want: String::new() }
    }
}

/// What a row's state is, in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Not as it should be; tails are longer.
    Warn,
    /// Not as it should be; promises do not hold.
    Fail,
    /// Not as it should be, and somebody said why that may be.
    Waived,
    /// Not there, or not measured.
    Absent,
}

impl State {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Waived => "waived",
            Self::Absent => "absent",
        }
    }

    /// The state of a row of `class` in `mode`.
    #[must_use]
    pub fn of(found: &Found, class: Class, mode: Mode) -> Self {
        match (found.good, class, mode) {
            (None, ..) => Self::Absent,
            (Some(true), ..) => Self::Ok,
            (Some(false), Class::Fail, Mode::Live | Mode::Paper) => Self::Fail,
            (Some(false), ..) => Self::Warn,
        }
    }
}

/// What a check looks at.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The machine.
    pub root: &'a Root,
    /// What the engine needs.
    pub need: &'a Need,
    /// What was measured.
    pub samples: &'a Samples,
}

impl Sight<'_> {
    /// CPUs that are on.
    #[must_use]
    pub fn online(&self) -> CpuSet {
        self.root.cpus("/sys/devices/system/cpu/online").unwrap_or_default()
    }

    /// CPUs for the kernel's own work.
    #[must_use]
    pub fn housekeeping(&self) -> CpuSet {
        self.need.housekeeping(&self.online())
    }
}

/// What a folder that is there reads as.
const THERE: &str = "there";

/// A change of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A file is written.
    Write {
        /// The file.
        path: String,
        /// What is written.
        value: String,
        /// How it reads back.
        style: Style,
    },
    /// A network card is set by `ethtool`.
    Card {
        /// The setting, [`ethtool::setting`].
        path: String,
        /// What it is set to.
        value: String,
    },
    /// A folder of a control group is made.
    MakeDir {
        /// The folder.
        path: String,
    },
}

/// How a file's present value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// As text.
    Text,
    /// The word in brackets among all that are possible.
    Selected,
    /// A list of CPUs, however it is written.
    List,
    /// A mask of CPUs, however it is written.
    Mask,
    /// A number, of which the machine may grant less.
    AtMost,
    /// Words; one is switched on by `+word` and off by `-word`.
    Switch,
}

impl Style {
    /// What of a file's text can be written there again; `value` is what is written there by us.
    #[must_use]
    pub fn take(self, text: &str, value: &str) -> String {
        match self {
            Self::Text | Self::AtMost | Self::List | Self::Mask => text.trim().to_owned(),
            Self::Selected => selected(text).unwrap_or_default(),
            Self::Switch => {
                let word = value.trim_start_matches(['+', '-']);
                let sign = if text.split_whitespace().any(|w| w == word) { '+' } else { '-' };
                format!("{sign}{word}")
            }
        }
    }

    /// Whether two values are one, however they are written.
    #[must_use]
    pub fn same(self, one: &str, other: &str) -> bool {
        match self {
            Self::List => CpuSet::of_list(one) == CpuSet::of_list(other),
            Self::Mask => CpuSet::of_mask(one) == CpuSet::of_mask(other),
            _ => one == other,
        }
    }
}

impl Change {
    /// The file or folder.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Write { path, .. } | Self::Card { path, .. } | Self::MakeDir { path } => path,
        }
    }

    /// What is there after it.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Write { value, .. } | Self::Card { value, .. } => value,
            Self::MakeDir { .. } => THERE,
        }
    }

    /// How a value of it is spelled.
    #[must_use]
    pub const fn style(&self) -> Style {
        match self {
            Self::Write { style, .. } => *style,
            Self::Card { .. } | Self::MakeDir { .. } => Style::Text,
        }
    }

    /// Puts `value` there: its own, or an earlier one.
    ///
    /// # Errors
    /// What the machine says.
    pub fn put(&self, root: &Root, value: &str) -> std::io::Result<()> {
        match self {
            Self::Write { path, style, .. } => root.write(path, value, *style),
            Self::Card { path, .. } => ethtool::write(root, path, value),
            Self::MakeDir { path } => root.make_group(path),
        }
    }

    /// What the machine has there now, in the spelling in which it can be written again; `None`
    /// where there is nothing yet.
    #[must_use]
    pub fn now(&self, root: &Root) -> Option<String> {
        match self {
            Self::Write { path, value, style } => Some(style.take(&root.text(path)?, value)),
            Self::Card { path, .. } => ethtool::read(root, path),
            Self::MakeDir { path } => root.has(path).then(|| THERE.to_owned()),
        }
    }

    /// Writes `value` to `path`.
    #[must_use]
    pub fn write(path: impl Into<String>, value: impl Into<String>, style: Style) -> Self {
        Self::Write { path: path.into(), value: value.into(), style }
    }
}

/// A host setting.
pub struct Row {
    /// Its name, `group.setting`.
    pub id: &'static str,
    /// How much depends on it.
    pub class: Class,
    /// Who can change it.
    pub scope: Scope,
    /// What it buys.
    pub why: &'static str,
    /// How a person sets it.
    pub mend: &'static str,
    /// How a person takes it back.
    pub undo: &'static str,
    /// What it costs, or what may go wrong.
    pub risk: &'static str,
    /// What it did for this engine, with the machine, or that it was not measured.
    pub measured: &'static str,
    /// How it is checked and set.
    pub rule: Rule,
}

/// How a setting is checked, and what `apply` does about it.
pub enum Rule {
    /// A file that holds a number.
    Number {
        /// The file.
        path: &'static str,
        /// Whether a number is right.
        good: fn(i64) -> bool,
        /// The right numbers, in words.
        want: &'static str,
        /// The number that is written.
        set: &'static str,
    },
    /// A file that holds a word, perhaps in brackets among others.
    Word {
        /// The file.
        path: &'static str,
        /// The right words; the first is written.
        good: &'static [&'static str],
    },
    /// Anything else.
    Look {
        /// Looks at it.
        check: fn(&Sight<'_>) -> Found,
        /// What `apply` does when the check found it wrong.
        changes: fn(&Sight<'_>) -> Vec<Change>,
    },
}

/// A setting that the running kernel does not have.
const NOT_THERE: &str = "this kernel or machine has no such setting";

impl Row {
    /// Looks at it.
    #[must_use]
    pub fn check(&self, sight: &Sight<'_>) -> Found {
        match self.rule {
            Rule::Number { path, good, want, .. } => match sight.root.number(path) {
                Some(n) => Found::that(good(n), n.to_string(), want),
                None => Found::none(NOT_THERE),
            },
            Rule::Word { path, good } => match sight.root.selected(path) {
                Some(word) => Found::that(good.contains(&word.as_str()), word, good.join(" or ")),
                None => Found::none(NOT_THERE),
            },
            Rule::Look { check, .. } => check(sight),
        }
    }

    /// What `apply` does about it, given that the check found it wrong.
    #[must_use]
    pub fn changes(&self, sight: &Sight<'_>) -> Vec<Change> {
        match self.rule {
            Rule::Number { path, set, .. } => vec![Change::write(path, set, Style::Text)],
            Rule::Word { path, good } => vec![Change::write(path, good[0], Style::Selected)],
            Rule::Look { changes, .. } => changes(sight),
        }
    }
}

/// No change is made by us.
#[must_use]
pub fn by_hand(_: &Sight<'_>) -> Vec<Change> {
    Vec::new()
}

/// Where a setting's effect was not measured.
pub const UNMEASURED: &str = "not measured on this host";
/// The same for what is right or wrong and has no effect to be measured.
pub const RULE: &str = "not measured on this host: a rule, not a knob";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_not_their_spelling() {
        assert!(Style::List.same("0-3", "0,1,2-3") && !Style::List.same("0-3", "0-2"));
        assert!(Style::Mask.same("00f", "f") && !Style::Mask.same("00f", "0f0"));
        assert!(!Style::Text.same("00f", "f"));
        let switch = |text| Style::Switch.take(text, "+cpuset");
        assert_eq!(
            (switch("cpu cpuset io"), switch("cpu io")),
            ("+cpuset".into(), "-cpuset".into())
        );
        assert_eq!(Style::Selected.take("always [madvise] never", "never"), "madvise");
        assert_eq!(Style::Mask.take("00f\n", "3"), "00f", "as it was");
    }
}
