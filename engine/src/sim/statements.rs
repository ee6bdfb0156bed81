//! The venue's balances, told to risk while the run goes on, as the control lane does.
//!
//! They are read from the venue's own books at the moment of the question, so whatever the faults
//! of the run do, a difference that risk finds unexplained is a mistake, unless somebody else acted
//! on the account.

use std::collections::VecDeque;

use bot4_lanes::Tx;
use bot4_types::{InstrumentTable, Nanos, RiskCommand};

use super::venue_agent::VenueAgent;

/// Between two questions.
const EVERY: Nanos = Nanos::from_secs(1);
/// From the question to its judgement.
const SETTLE: Nanos = Nanos::from_millis(500);
/// As configured runs have it: longer than the comparison of open orders takes.
const PATIENCE: Nanos = Nanos::from_secs(15);

/// Reads and tells. See the module's text.
pub struct Statements {
    commands: Tx<RiskCommand>,
    /// The ledger follows what nobody explains: others are declared.
    follow: bool,
    ask_at: Nanos,
    held: VecDeque<(Nanos, RiskCommand)>,
}

impl Statements {
    /// To risk by `commands`; it may `follow` what nobody explains.
    #[must_use]
    pub const fn new(commands: Tx<RiskCommand>, follow: bool) -> Self {
        Self { commands, follow, ask_at: Nanos::ZERO, held: VecDeque::new() }
    }

    /// Reads `venue` when it is time, and tells what was read long enough ago.
    pub fn turn(&mut self, now: Nanos, venue: &VenueAgent, table: &InstrumentTable) {
        if now >= self.ask_at {
            self.ask_at = now + EVERY;
            for (name, total) in venue.balances() {
                let Some(asset) = table.find_asset(name.as_bytes()) else { continue };
                let (asked, patience, follow) = (now, PATIENCE, self.follow);
                let told = RiskCommand::VenueBalance { asset, total, asked, patience, follow };
                self.held.push_back((now, told));
            }
        }
        while let Some((at, command)) = self.held.front()
            && now.since(*at) >= SETTLE
        {
            // A full link: control would try again, the next answer comes soon.
            let _ = self.commands.push(*command);
            self.held.pop_front();
        }
    }
}
