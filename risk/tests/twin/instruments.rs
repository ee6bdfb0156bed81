//! Instruments that are closed: the newest rules that wait, and pauses, as plain words.

use bot4_types::{InstrumentRules, InstrumentTable, RefuseReason, RiskCommand};

use super::{Known, Verdict, ensure};

/// What of one instrument stands against new orders.
#[derive(Clone, Default)]
pub struct Closing {
    waits: Option<InstrumentRules>,
    closed: bool,
    paused: bool,
    pub shed: bool,
}

impl Closing {
    pub fn check(&self) -> Verdict {
        ensure(!self.paused, RefuseReason::InstrumentPaused)?;
        ensure(!self.closed, RefuseReason::InstrumentChanging)
    }

    /// A command about this instrument.
    pub fn obey(&mut self, command: &RiskCommand) {
        match command {
            RiskCommand::Rules { rules, resync } => {
                self.closed |= *resync || self.paused;
                (self.waits, self.paused) = (Some(*rules), false);
            }
            RiskCommand::Pause { .. } => self.paused = true,
            RiskCommand::Resume { .. } => self.paused = false,
            RiskCommand::Shed { on, .. } => self.shed = *on,
            _ => {}
        }
    }

    /// Binds the rules that wait, if nothing of the old ones can trade any more.
    pub fn settle(&mut self, table: &mut InstrumentTable, orders: &[Known]) {
        let Some(rules) = self.waits else { return };
        let here = |o: &&Known| o.intent.instrument == rules.instrument;
        if !self.closed || orders.iter().filter(here).all(|o| o.standing().ended) {
            assert!(table.bind(&rules), "they fit");
            (self.waits, self.closed) = (None, false);
        }
    }
}
