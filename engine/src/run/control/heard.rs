//! What the control agent passes on: a person's words to risk, who asked for what to the journal,
//! the router's reports to whoever asks, and the limits of a configuration file that is read anew.

use bot4_types::log::Body as _;
use bot4_types::{ActAbout, LogEntry, LogKind, Nanos, RouterReport};

use super::{ControlAgent, Reload};
use crate::operator::message::{ForControl, LimitsTold};

/// Records of evidence that may wait for the journal. More are not kept: a journal that takes
/// nothing has ended the run by then.
const EVIDENCE_MAX: usize = 1_024;

impl ControlAgent {
    /// A configuration file that has changed: risk gets its limits.
    pub(super) fn watch_config(&mut self, now: Nanos) {
        let Some(reload) = self.inputs.reload.as_mut() else { return };
        let news = reload.look(now);
        if let Some(told) = news {
            self.say(&told.sentence());
            self.tell_limits(told);
        }
        if let Some((links, reload)) = self.links.as_mut().zip(self.inputs.reload.as_mut()) {
            reload.pass_on(&mut links.commands);
        }
        self.tell_limits_taken();
    }

    /// What came of a reading is told once the limits that were sent until then hold.
    fn tell_limits(&mut self, told: LimitsTold) {
        let issued = self.inputs.reload.as_ref().map_or(0, Reload::issued);
        self.limits_due.push_back((told, issued));
        self.tell_limits_taken();
    }

    /// Risk has taken the limits, or refused them.
    fn tell_limits_taken(&mut self) {
        if self.limits_due.is_empty() {
            return;
        }
        let count = |name| self.inputs.metrics.total_of("risk", name);
        let (refused, changed) = (count("limits_refused"), count("limits_changed"));
        while let Some((told, _)) = self.limits_due.pop_front_if(|due| due.1 <= changed + refused) {
            let news = std::mem::replace(&mut self.limits_refused, refused) != refused;
            let told = if news { self.limits_not_taken(told) } else { told };
            self.inputs.said.told(told);
        }
    }

    /// Instead of what was `told` of limits that risk has refused.
    fn limits_not_taken(&mut self, told: LimitsTold) -> LimitsTold {
        let Some(reload) = self.inputs.reload.as_mut() else { return told };
        let anew = LimitsTold { nonce: told.nonce, ..reload.not_taken() };
        self.say(&anew.sentence());
        anew
    }

    /// What a person said goes to risk, as far as there is room.
    pub(super) fn pass_on_said(&mut self) {
        while self.links.as_ref().is_some_and(|links| links.commands.room() > 0)
            && let Some(said) = self.inputs.said.hear()
        {
            match said {
                ForControl::Risk(command) => {
                    if let Some(links) = &mut self.links {
                        // Room was asked for.
                        let _ = links.commands.push(command);
                    }
                }
                ForControl::Evidence(parts) => {
                    let room = EVIDENCE_MAX.saturating_sub(self.evidence.len());
                    self.evidence.extend(parts.into_iter().take(room));
                }
                ForControl::Limits { reason, by, mark } => {
                    self.read_limits(reason.as_deref(), &by, &mark);
                }
            }
        }
    }

    /// A person wants the limits of the configuration file.
    fn read_limits(&mut self, reason: Option<&str>, by: &ActAbout, mark: &str) {
        let none = || LimitsTold {
            outcome: "refused".to_owned(),
            text: "this run trades by no configuration file: start one with --config".to_owned(),
            ..LimitsTold::default()
        };
        let told = self.inputs.reload.as_mut().map_or_else(none, |r| r.read_anew(reason));
        let why = reason.map(|reason| format!(" (by operator: {reason})")).unwrap_or_default();
        self.say(&format!("{}{why}", told.sentence()));
        let about =
            ActAbout::new((by.uid, by.pid), by.nonce, by.asked_ms, [&by.act_text(), &told.outcome]);
        let text = format!("{mark}{}: {}", reason.unwrap_or("no reason given"), told.text);
        self.evidence.extend(about.parts(&text.replace('\n', " ")));
        let nonce = format!("{:032x}", by.nonce);
        self.tell_limits(LimitsTold { nonce, ..told });
    }

    /// Who asked for what goes to the journal, as far as there is room.
    pub(super) fn pass_on_evidence(&mut self, now: Nanos) {
        let Some(log) = self.links.as_mut().and_then(|links| links.log.as_mut()) else { return };
        while log.room() > 0
            && let Some(part) = self.evidence.pop_front()
        {
            // Room was asked for.
            let _ = log.push(LogEntry::new(LogKind::Act, now, |w| part.write(w)));
        }
    }

    /// Where parent orders stand, and what became of commands, goes to the journal and to whoever
    /// asks.
    pub(super) fn pass_on_parents(&mut self, now: Nanos) {
        let Some(links) = self.links.as_mut() else { return };
        while let Some(report) = links.parents.pop() {
            if let Some(log) = links.log.as_mut().filter(|log| log.room() > 0) {
                // Room was asked for.
                let _ = log.push(match &report {
                    RouterReport::Parent(p) => LogEntry::new(LogKind::Parent, now, |w| p.write(w)),
                    RouterReport::Work(c) => {
                        LogEntry::new(LogKind::OrderCommand, now, |w| c.write(w))
                    }
                });
            }
            // Nobody listens any more: the journal has it.
            let _ = self.inputs.parents.send(report);
        }
    }
}
