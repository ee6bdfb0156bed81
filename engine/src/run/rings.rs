//! The rings of a machine while it is being built, by the names of the table.

use std::any::Any;
use std::collections::BTreeMap;

use bot4_feeds::wire_agent::scout::Reach;
use bot4_lanes::{Control, Depth, Journaled, Metrics, Rx, TurnGate, Tx, ring, roomy_ring};
use bot4_telemetry::shared::layout::{DEPTHS, link_role};
use bot4_types::limits::VENUES_MAX;

use crate::topology as t;

/// A link that the simulator cuts in two holds twice its capacity, and once more in between.
const REPLAY_PLACES: usize = 4;

/// Ring ends that wait for the agent that owns them. Each is made when the first of its two
/// agents is built, so its memory lies in that agent's lane; the other end is kept here by the
/// link's name.
pub struct Rings {
    ends: BTreeMap<String, Box<dyn Any>>,
    journaled: Journaled,
    /// Whether each venue's scout is in.
    reach: [Reach; VENUES_MAX],
    divisor: usize,
    /// Links of the chain are counted, so that its agents can be gated.
    gated: bool,
    /// How many times its capacity a gated ring holds.
    places: usize,
    /// Of the agent that is being built.
    gate: Option<TurnGate>,
    /// Where ends note how deep their links are.
    depths: Option<Metrics>,
}

impl Rings {
    /// No ring yet; each will have its capacity in the table divided by `divisor`.
    #[must_use]
    pub fn scaled(divisor: usize) -> Self {
        let journaled = Journaled::new();
        let reach = std::array::from_fn(|_| Reach::default());
        Self {
            ends: BTreeMap::new(),
            journaled,
            reach,
            divisor,
            gated: false,
            places: 1,
            gate: None,
            depths: None,
        }
    }

    /// Both ends of each link note in `metrics` how deep they saw it at most.
    #[must_use]
    pub fn measured(mut self, metrics: &Metrics) -> Self {
        self.depths = Some(metrics.clone());
        self
    }

    /// With links whose ends can be gated: a run that is captured, or its replay.
    #[must_use]
    pub const fn gated(mut self, gated: bool) -> Self {
        self.gated = gated;
        self
    }

    /// The word by which wire agents learn that their venue, number `v`, can be reached again.
    #[must_use]
    pub const fn reach(&self, v: usize) -> &Reach {
        &self.reach[v]
    }

    /// As [`gated`](Self::gated), for a replay.
    #[must_use]
    pub const fn forced(mut self) -> Self {
        self.gated = true;
        self.places = REPLAY_PLACES;
        self
    }

    /// By how much every capacity is divided.
    #[must_use]
    pub const fn divisor(&self) -> usize {
        self.divisor
    }

    /// Ring ends that are taken from now on belong to one gate, where links are gated.
    pub fn open_gate(&mut self) {
        self.gate = self.gated.then(TurnGate::new);
    }

    /// The gate of the ends taken since [`open_gate`](Self::open_gate).
    pub fn close_gate(&mut self) -> Option<TurnGate> {
        self.gate.take()
    }

    /// A handle to `control` for the agent that is being built.
    pub fn control(&mut self, control: &Control) -> Control {
        self.gate.as_mut().map_or_else(|| control.clone(), |gate| gate.control(control))
    }

    /// Cuts link `name` in two before its agents are built: the reading end of the first half
    /// and the writing end of the second. Whoever holds them carries the messages over.
    pub fn cut<T: Send + 'static>(&mut self, name: &str) -> (Rx<T>, Tx<T>) {
        let (first_tx, first_rx) = self.make(name);
        let (second_tx, second_rx) = self.make(name);
        let ends: (Option<Tx<T>>, Option<Rx<T>>) = (Some(first_tx), Some(second_rx));
        self.ends.insert(name.to_owned(), Box::new(ends));
        (first_rx, second_tx)
    }

    /// What the journal will have published.
    #[must_use]
    pub fn journaled(&self) -> Journaled {
        self.journaled.clone()
    }

    fn make<T>(&self, name: &str) -> (Tx<T>, Rx<T>) {
        let table = t::topology_of(t::Shape::LARGEST);
        let row = table.links.iter().find(|l| l.name == name);
        let capacity = row.map_or(1, |l| t::capacity_of(l, self.divisor));
        let in_chain = |role: &str| t::CHAIN.contains(&role);
        let counted = row.is_some_and(|l| in_chain(l.from) || in_chain(l.to));
        let is_record = name.starts_with("turns[");
        let (tx, rx) = match self.gated && counted && !is_record {
            true => roomy_ring(capacity, capacity * self.places),
            false => ring(capacity),
        };
        let Some(metrics) = &self.depths else { return (tx, rx) };
        // A few dozen names for the process's life.
        let role: &'static str = Box::leak(link_role(name).into_boxed_str());
        let [written, read] = DEPTHS.map(|names| Depth::new(metrics.counters(role, names)));
        (tx.with_depth(written), rx.with_depth(read))
    }

    fn both<T: Send + 'static>(&mut self, name: &str) -> (Option<Tx<T>>, Option<Rx<T>>) {
        let waiting = self.ends.remove(name);
        match waiting.map(|end| end.downcast::<(Option<Tx<T>>, Option<Rx<T>>)>()) {
            Some(Ok(pair)) => *pair,
            _ => {
                let (tx, rx) = self.make(name);
                (Some(tx), Some(rx))
            }
        }
    }

    /// The writing end of link `name`.
    ///
    /// # Panics
    /// When it was taken before.
    pub fn tx<T: Send + 'static>(&mut self, name: &str) -> Tx<T> {
        let (tx, rx) = self.both::<T>(name);
        self.ends.insert(name.to_owned(), Box::new((None::<Tx<T>>, rx)));
        let tx = tx.unwrap_or_else(|| unreachable!("link {name} has one writer"));
        if let Some(gate) = &mut self.gate {
            gate.writes(name, &tx);
        }
        tx
    }

    /// The reading end of link `name`.
    ///
    /// # Panics
    /// When it was taken before.
    pub fn rx<T: Send + 'static>(&mut self, name: &str) -> Rx<T> {
        let (tx, rx) = self.both::<T>(name);
        self.ends.insert(name.to_owned(), Box::new((tx, None::<Rx<T>>)));
        let rx = rx.unwrap_or_else(|| unreachable!("link {name} has one reader"));
        if let Some(gate) = &mut self.gate {
            gate.reads(name, &rx);
        }
        rx
    }

    /// Keeps `end` for an agent that is made later: another's work goes before its own.
    pub fn keep<T: Send + 'static>(&mut self, name: &str, end: T) {
        self.ends.insert(format!("kept {name}"), Box::new(end));
    }

    /// What [`keep`](Self::keep) was given under `name`.
    pub fn kept<T: Send + 'static>(&mut self, name: &str) -> Option<T> {
        let end = self.ends.remove(&format!("kept {name}"))?;
        end.downcast().ok().map(|end| *end)
    }

    /// The writing ends of `n` links.
    ///
    /// # Panics
    /// When one was taken before.
    pub fn each_tx<T: Send + 'static>(
        &mut self,
        n: usize,
        name: impl Fn(usize) -> String,
    ) -> Vec<Tx<T>> {
        (0..n).map(|i| self.tx(&name(i))).collect()
    }

    /// The reading ends of `n` links.
    ///
    /// # Panics
    /// When one was taken before.
    pub fn each_rx<T: Send + 'static>(
        &mut self,
        n: usize,
        name: impl Fn(usize) -> String,
    ) -> Vec<Rx<T>> {
        (0..n).map(|i| self.rx(&name(i))).collect()
    }
}
