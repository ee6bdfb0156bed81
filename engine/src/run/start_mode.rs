//! The control mode that a run starts in: what a person said outlives the process.
//!
//! The account's state keeps the mode that held when its last run ended, and what the configuration
//! said then. At the next start
//!
//! 1. an account that its last run's journal does not explain is for nobody to trade: emergency;
//! 2. a configuration that says something else than it did then is the newest word: it holds;
//! 3. otherwise the tighter of the two holds. So `bot4 mode manual` stands until a person takes it
//!    back, and one that loosens ends with its run.
//!
//! No lane starts before the account was compared with the venue, so until then nobody trades.

use bot4_types::ControlMode;
use serde::{Deserialize, Serialize};

/// The mode in the account's state, by names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRow {
    /// What held.
    pub held: String,
    /// What the configuration said then.
    pub configured: String,
}

impl ModeRow {
    /// `held` while the configuration said `configured`.
    #[must_use]
    pub fn of(held: ControlMode, configured: ControlMode) -> Self {
        Self { held: held.name().to_owned(), configured: configured.name().to_owned() }
    }

    /// It is not what the configuration said.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.held != self.configured
    }
}

/// The mode called `name`.
#[must_use]
pub fn named(name: &str) -> Option<ControlMode> {
    ControlMode::ALL.iter().copied().find(|mode| mode.name() == name)
}

/// The mode for a run whose configuration says `configured`, and why, as a sentence. `kept` is
/// what the account's last run, `run`, left; `explained` when its journal explains the account.
#[must_use]
pub fn choose(
    kept: Option<&ModeRow>,
    run: &str,
    configured: ControlMode,
    explained: bool,
) -> (ControlMode, String) {
    let says = configured.name();
    let told =
        |mode: ControlMode, why: &str| (mode, format!("control mode {}: {why}", mode.name()));
    if !explained {
        let why = format!(
            "the venue does not know every fill of run {run}; when that is explained, \
             `bot4 mode {says} --reason \"...\"` lets it trade"
        );
        return told(ControlMode::Emergency, &why);
    }
    let Some(kept) = kept else { return told(configured, "as configured") };
    if kept.configured != says {
        let why = format!(
            "the configuration was changed from {} since run {run}, which ended in {}",
            kept.configured, kept.held
        );
        return told(configured, &why);
    }
    match named(&kept.held) {
        Some(held) if (held as u8) < configured as u8 => {
            let why = format!(
                "it held when run {run} ended and is tighter than {says}, as configured; \
                 `bot4 mode {says} --reason \"...\"` ends it"
            );
            told(held, &why)
        }
        Some(held) if held != configured => {
            let why = format!("as configured; {} of run {run} ended with it", held.name());
            told(configured, &why)
        }
        _ => told(configured, "as configured"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ControlMode::{Emergency, FullAuto, Manual, SemiAuto};

    #[test]
    fn the_tighter_holds_until_the_configuration_changes() {
        let choose = |held, then, now| {
            let (mode, why) = choose(Some(&ModeRow::of(held, then)), "1-2", now, true);
            assert!(why.contains(mode.name()), "{why}");
            (mode, why)
        };
        for (held, then, now, starts) in [
            (FullAuto, FullAuto, FullAuto, FullAuto),
            (Manual, FullAuto, FullAuto, Manual),
            (Emergency, SemiAuto, SemiAuto, Emergency),
            // What loosens ends with its run.
            (FullAuto, Manual, Manual, Manual),
            // A changed file is the newest word, tighter or looser.
            (Manual, FullAuto, SemiAuto, SemiAuto),
            (Emergency, Manual, FullAuto, FullAuto),
            (FullAuto, FullAuto, Manual, Manual),
        ] {
            assert_eq!(choose(held, then, now).0, starts, "{held:?} {then:?} {now:?}");
        }
        assert!(choose(Manual, FullAuto, FullAuto).1.contains("bot4 mode full_auto"));
        assert!(choose(Manual, FullAuto, SemiAuto).1.contains("changed from full_auto"));
        assert!(choose(FullAuto, Manual, Manual).1.contains("full_auto of run 1-2"));
    }

    #[test]
    fn nothing_kept_is_as_configured_and_an_unexplained_account_is_an_emergency() {
        assert_eq!(choose(None, "", SemiAuto, true).0, SemiAuto);
        let (mode, why) = choose(None, "1-2", FullAuto, false);
        assert_eq!(mode, Emergency);
        assert!(why.contains("1-2") && why.contains("bot4 mode full_auto"), "{why}");
        // A word that nobody knows is none.
        let odd = ModeRow { held: "asleep".to_owned(), configured: "manual".to_owned() };
        assert_eq!(choose(Some(&odd), "1-2", Manual, true).0, Manual);
        assert!(odd.differs() && named("manual") == Some(Manual));
    }
}
