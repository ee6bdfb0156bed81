//! Parent orders: the exactness of their account, and what each algorithm does.

mod algos;
mod exact;
#[path = "../rig/mod.rs"]
mod rig;
mod routed;
mod stopped;
