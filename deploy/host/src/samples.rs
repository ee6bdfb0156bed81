//! What files alone do not say: clocks, rates, probes of the disk. Taken by [`crate::measure`], or
//! given with a fixture, so that checks are a function of what lies before them.

use serde::{Deserialize, Serialize};

/// Measurements; `None` where one was not taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Samples {
    /// What the kernel says of its clock.
    pub clock: Option<ClockSync>,
    /// How far the venues' clocks are from ours at most, microseconds.
    pub venue_offset_us: Option<i64>,
    /// Why the venues were asked in vain for it.
    pub venue_unknown: Option<String>,
    /// Interrupts of devices a second on CPUs of hot lanes.
    pub hot_irqs_per_s: Option<f64>,
    /// Per cent of the time that the hypervisor gave to others.
    pub steal_pct: Option<f64>,
    /// Bytes free on the journal's disk.
    pub disk_free: Option<u64>,
    /// The 99th percentile of `fdatasync` on the journal's disk, microseconds.
    pub sync_p99_us: Option<u64>,
    /// Other programs that took much of a CPU, each with its per cent of one.
    pub heavy: Option<Vec<(String, f64)>>,
    /// What the kernel said to a trial of a real-time thread; `None` where none was made.
    pub fifo: Option<FifoTrial>,
    /// Network cards.
    pub cards: Vec<Card>,
}

/// The kernel's clock discipline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockSync {
    /// Whether something keeps it.
    pub synchronised: bool,
    /// Largest error that the kernel believes possible, microseconds.
    pub max_error_us: u64,
}

/// What became of a real-time thread (`SCHED_FIFO`) that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FifoTrial {
    /// It was one.
    Granted,
    /// The kernel refused, with this error.
    Refused(String),
}

/// A network card as its driver tells it (`ethtool`); `None` where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// The driver delays interrupts as it sees fit.
    pub adaptive: Option<bool>,
    /// Longest delay of a receive interrupt, microseconds.
    pub rx_us: Option<u64>,
    /// Longest delay of a transmit interrupt, microseconds.
    pub tx_us: Option<u64>,
    /// Places in the receive ring, and the most there can be.
    pub rx_ring: Option<(u64, u64)>,
    /// Packets that the cloud held back because the machine's allowance was used up.
    pub shaped: Option<u64>,
}
