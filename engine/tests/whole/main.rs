//! The whole program, as processes of its own: engines, venues, commands. One binary, because each
//! takes seconds to link, and because these tests mostly wait: cargo's threads run as many at once
//! as there are CPUs, each with a folder and ports of its own. Tests that need the machine to
//! themselves, that a sweep calls by name, or that bring an allocator are files beside this folder.

#[path = "../common/mod.rs"]
mod common;
#[path = "../observer/mod.rs"]
mod observer;
#[path = "../order_truth/venue_log.rs"]
#[allow(dead_code, reason = "another binary needs the rest")]
mod venue_log;

mod admin;
mod best_venue;
mod books;
mod canary;
mod commands;
mod dead_man;
mod deployed;
mod disk;
mod drift;
mod flatten;
mod formats;
mod halt;
mod host;
mod kill;
mod latency;
mod observers;
mod operator;
mod order_kinds;
mod outage;
mod parents;
mod record;
mod recovery;
mod refuse;
mod reload;
mod replay;
mod replay_chain;
mod rules;
mod run;
mod several_venues;
mod shedding;
mod snapshots;
mod stops;
mod takeover;
mod top;
mod venues_trade;
mod watch;
mod watch_tls;
