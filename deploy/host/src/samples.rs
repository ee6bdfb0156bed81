//! What files alone do not say: clocks, rates, probes of the disk. Taken by the caller, so that
//! checks are a function of what lies before them.

use serde::{Deserialize, Serialize};

/// Measurements; `None` where one was not taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Samples {
    /// What the kernel says of its clock.
    pub clock: Option<ClockSync>,
    /// Interrupts of devices a second on CPUs of hot lanes.
    pub hot_irqs_per_s: Option<f64>,
    /// Per cent of the time that the hypervisor gave to others.
    pub steal_pct: Option<f64>,
    /// Bytes free on the journal's disk.
    pub disk_free: Option<u64>,
    /// The 99th percentile of `fdatasync` on the journal's disk, microseconds.
    pub sync_p99_us: Option<u64>,
}

/// The kernel's clock discipline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockSync {
    /// Whether something keeps it.
    pub synchronised: bool,
    /// Largest error that the kernel believes possible, microseconds.
    pub max_error_us: u64,
}
