//! Row types of the machine's table and its validation, done before any thread starts.

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
}

impl WhenFull {
    /// The name used in plans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StopInput => "stop-input",
            Self::Conflate => "conflate",
            Self::Retry => "retry",
            Self::WaitOrFault => "wait-or-fault",
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
        let order = self.forward_order()?;
        for link in self.links.iter().filter(|l| l.flow == Flow::Feedback) {
            if order.get(link.to) > order.get(link.from) {
                return Err(TopologyError::NotFeedback(link.name.clone()));
            }
        }
        Ok(())
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

    /// Rank of each role along the forward links (Kahn's algorithm): longest way from a source.
    fn forward_order(&self) -> Result<BTreeMap<&'static str, usize>, TopologyError> {
        let mut rank: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut left: Vec<&'static str> = self.roles.clone();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|role| {
                let inputs: Vec<_> = self
                    .links
                    .iter()
                    .filter(|l| l.flow == Flow::Forward && l.to == *role)
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
                return Err(TopologyError::ForwardCycle(left));
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
                link("ca", "c", "a", Flow::Feedback),
            ],
        }
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
        t.links[0].flow = Flow::Feedback;
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
