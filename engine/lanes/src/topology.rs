//! Row types of the machine's table and its validation, done before any thread starts.
//!
//! What a wait cycle is. The writer of a link that stops its input or waits when the link is full
//! ([`WhenFull::waits`]) may stand still until the reader takes something. Roles that wait for
//! each other in a circle, all their links full, stand still for ever. What keeps the machine from
//! it, and what of that the table can show:
//!
//! * Forward links form no cycle, so a circle needs a feedback link.
//! * The reader of a feedback link drains it first, even when all its forward outputs are full:
//!   that is what declaring a link as feedback means. So the wait of a feedback link's writer
//!   ends, unless draining it needs room in *another feedback link* whose reader waits in turn:
//!   therefore waiting feedback links must form no cycle among themselves.
//! * Draining is a promise of code, which no table proves. Should it be broken, the wait must end
//!   by a clock: a waiting feedback link that closes a circle must be [`WhenFull::WaitOrFault`],
//!   never [`WhenFull::StopInput`], whose writer would stand still in silence.
//!
//! Links that conflate or retry hold nobody: their writer goes on taking input. (A return ring
//! that retries is never full for long: it holds as many places as there are values to return.)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a writer does when a link is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It stops taking input and counts; nothing is lost.
    StopInput,
    /// It keeps the newest value and sends it when there is room.
    Conflate,
    /// It tries again next turn.
    Retry,
    /// It waits; longer than a bound is a fault.
    WaitOrFault,
    /// What finds no room is counted and gone; no order depends on it.
    Lose,
}

impl WhenFull {
    /// Whether a full link makes its writer stand still.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(self, Self::StopInput | Self::WaitOrFault)
    }

    /// The name used in plans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StopInput => "stop-input",
            Self::Conflate => "conflate",
            Self::Retry => "retry",
            Self::WaitOrFault => "wait-or-fault",
            Self::Lose => "lose",
        }
    }
}

/// Direction of a link in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Part of the acyclic way of a tick.
    Forward,
    /// Against it: its reader drains it first, even when all the reader's outputs are full.
    Feedback,
}

/// One link: a ring from one role to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Name, for example `frames[0]`.
    pub name: String,
    /// Writing role.
    pub from: &'static str,
    /// Reading role.
    pub to: &'static str,
    /// Messages it holds.
    pub capacity: usize,
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// Forward or feedback.
    pub flow: Flow,
}

/// The machine: roles in data order and the links between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Roles in data order.
    pub roles: Vec<&'static str>,
    /// Links.
    pub links: Vec<LinkRow>,
}

/// Why a topology is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopologyError {
    /// A role appears twice.
    DuplicateRole(&'static str),
    /// A link name appears twice.
    DuplicateLink(String),
    /// A link names a role that does not exist.
    UnknownRole {
        /// The link.
        link: String,
        /// The missing role.
        role: &'static str,
    },
    /// A link from a role to itself.
    SelfLoop(String),
    /// A link without room.
    NoCapacity(String),
    /// Forward links form a cycle through these roles: a wait cycle could form.
    ForwardCycle(Vec<&'static str>),
    /// A feedback link whose reader is not upstream of its writer: it should be forward.
    NotFeedback(String),
    /// Waiting feedback links form a cycle through these roles: each may wait for the next.
    WaitCycle(Vec<&'static str>),
    /// A feedback link that stops its writer's input closes a circle of waits without a bound.
    EndlessWait(String),
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateRole(role) => write!(f, "role `{role}` is listed twice"),
            Self::DuplicateLink(link) => write!(f, "link `{link}` is listed twice"),
            Self::UnknownRole { link, role } => {
                write!(f, "link `{link}` names role `{role}`, which is not in the table")
            }
            Self::SelfLoop(link) => write!(f, "link `{link}` leads from a role to itself"),
            Self::NoCapacity(link) => write!(f, "link `{link}` has no capacity"),
            Self::ForwardCycle(roles) => {
                write!(f, "forward links form a cycle through {}", roles.join(", "))
            }
            Self::NotFeedback(link) => {
                write!(f, "link `{link}` is declared feedback but leads downstream")
            }
            Self::WaitCycle(roles) => {
                write!(f, "waiting feedback links form a cycle through {}", roles.join(", "))
            }
            Self::EndlessWait(link) => write!(
                f,
                "feedback link `{link}` stops its writer's input and closes a circle of waits: \
                 make it wait-or-fault, so that the wait is bounded"
            ),
        }
    }
}

impl std::error::Error for TopologyError {}

impl Topology {
    /// Checks the table.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), TopologyError> {
        let mut roles = BTreeSet::new();
        for role in &self.roles {
            if !roles.insert(*role) {
                return Err(TopologyError::DuplicateRole(role));
            }
        }
        let mut names = BTreeSet::new();
        for link in &self.links {
            self.validate_link(link, &roles)?;
            if !names.insert(link.name.as_str()) {
                return Err(TopologyError::DuplicateLink(link.name.clone()));
            }
        }
        let order = self.order(|l| l.flow == Flow::Forward).map_err(TopologyError::ForwardCycle)?;
        for link in self.links.iter().filter(|l| l.flow == Flow::Feedback) {
            if order.get(link.to) > order.get(link.from) {
                return Err(TopologyError::NotFeedback(link.name.clone()));
            }
        }
        self.validate_waits()
    }

    /// See the module's text.
    fn validate_waits(&self) -> Result<(), TopologyError> {
        self.order(|l| l.flow == Flow::Feedback && l.when_full.waits())
            .map_err(TopologyError::WaitCycle)?;
        let endless = self.links.iter().find(|l| {
            l.flow == Flow::Feedback
                && l.when_full == WhenFull::StopInput
                && self.waits_lead(l.to, l.from)
        });
        endless.map_or(Ok(()), |l| Err(TopologyError::EndlessWait(l.name.clone())))
    }

    /// Whether links whose writers wait lead from one role to another.
    fn waits_lead(&self, from: &'static str, to: &'static str) -> bool {
        let mut reached = BTreeSet::from([from]);
        loop {
            let before = reached.len();
            for link in self.links.iter().filter(|l| l.when_full.waits()) {
                if reached.contains(link.from) {
                    reached.insert(link.to);
                }
            }
            if reached.contains(to) || reached.len() == before {
                return reached.contains(to);
            }
        }
    }

    fn validate_link(
        &self,
        link: &LinkRow,
        roles: &BTreeSet<&'static str>,
    ) -> Result<(), TopologyError> {
        for role in [link.from, link.to] {
            if !roles.contains(role) {
                return Err(TopologyError::UnknownRole { link: link.name.clone(), role });
            }
        }
        if link.from == link.to {
            return Err(TopologyError::SelfLoop(link.name.clone()));
        }
        if link.capacity == 0 {
            return Err(TopologyError::NoCapacity(link.name.clone()));
        }
        Ok(())
    }

    /// Rank of each role along the links that `counts` (Kahn's algorithm): longest way from a
    /// source. The roles in or behind a cycle when there is one.
    fn order(
        &self,
        counts: impl Fn(&LinkRow) -> bool,
    ) -> Result<BTreeMap<&'static str, usize>, Vec<&'static str>> {
        let mut rank: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut left: Vec<&'static str> = self.roles.clone();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|role| {
                let inputs: Vec<_> = self
                    .links
                    .iter()
                    .filter(|l| counts(l) && l.to == *role)
                    .map(|l| rank.get(l.from).copied())
                    .collect();
                if inputs.iter().any(Option::is_none) {
                    return true;
                }
                let longest = inputs.into_iter().flatten().max().map_or(0, |r| r + 1);
                rank.insert(role, longest);
                false
            });
            if left.len() == before {
                return Err(left);
            }
        }
        Ok(rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, from: &'static str, to: &'static str, flow: Flow) -> LinkRow {
        let when_full = WhenFull::StopInput;
        LinkRow { name: name.into(), from, to, capacity: 8, when_full, flow }
    }

    fn chain() -> Topology {
        Topology {
            roles: vec!["a", "b", "c"],
            links: vec![
                link("ab", "a", "b", Flow::Forward),
                link("bc", "b", "c", Flow::Forward),
                feedback("ca", "c", "a", WhenFull::WaitOrFault),
            ],
        }
    }

    fn feedback(name: &str, from: &'static str, to: &'static str, full: WhenFull) -> LinkRow {
        LinkRow { when_full: full, ..link(name, from, to, Flow::Feedback) }
    }

    #[test]
    fn waits_in_a_circle_are_refused() {
        // Feedback that stops its writer's input closes a -> b -> c -> a without a bound.
        let mut t = chain();
        t.links[2].when_full = WhenFull::StopInput;
        assert_eq!(t.validate(), Err(TopologyError::EndlessWait("ca".into())));
        // It does not where a forward link on the way never holds its writer.
        t.links[1].when_full = WhenFull::Conflate;
        assert_eq!(t.validate(), Ok(()));
        // Two roles of one rank that feed back to each other and both wait.
        let siblings = |ab, ba| Topology {
            roles: vec!["source", "a", "b"],
            links: vec![
                link("sa", "source", "a", Flow::Forward),
                link("sb", "source", "b", Flow::Forward),
                feedback("ab", "a", "b", ab),
                feedback("ba", "b", "a", ba),
            ],
        };
        use WhenFull::{Retry, StopInput, WaitOrFault};
        for (ab, ba) in [(WaitOrFault, WaitOrFault), (StopInput, WaitOrFault)] {
            let refused = siblings(ab, ba).validate();
            assert_eq!(refused, Err(TopologyError::WaitCycle(vec!["a", "b"])));
        }
        assert_eq!(siblings(WaitOrFault, Retry).validate(), Ok(()));
    }

    #[test]
    fn a_chain_with_feedback_is_fine() {
        assert_eq!(chain().validate(), Ok(()));
    }

    #[test]
    fn every_mistake_is_named() {
        let mut t = chain();
        t.links[2].flow = Flow::Forward;
        assert!(matches!(t.validate(), Err(TopologyError::ForwardCycle(_))));
        let mut t = chain();
        t.links[0] = feedback("ab", "a", "b", WhenFull::Retry);
        assert_eq!(t.validate(), Ok(()), "without ab, a and b have the same rank");
        let mut t = chain();
        t.links.push(link("ac", "a", "c", Flow::Feedback));
        assert_eq!(t.validate(), Err(TopologyError::NotFeedback("ac".into())));
        let mut t = chain();
        t.links[1].to = "x";
        assert!(matches!(t.validate(), Err(TopologyError::UnknownRole { .. })));
        let mut t = chain();
        t.links[1].to = "b";
        assert!(matches!(t.validate(), Err(TopologyError::SelfLoop(_))));
        let mut t = chain();
        t.links[1].capacity = 0;
        assert!(matches!(t.validate(), Err(TopologyError::NoCapacity(_))));
        let mut t = chain();
        t.links[1].name = "ab".into();
        assert!(matches!(t.validate(), Err(TopologyError::DuplicateLink(_))));
        let mut t = chain();
        t.roles.push("a");
        assert!(matches!(t.validate(), Err(TopologyError::DuplicateRole("a"))));
    }
}
