//! `bot4 watch`: a side process that shows a running engine to browsers and scrapers, and passes on
//! what a person says to it.
//!
//! ```text
//! engine --words--> counters file <--mapped read only-- view --+--> /            the page
//!   ^                                                          +--> /api/state   what it draws
//!   |                                                          '--> /metrics     for Prometheus
//!   '--control socket-- act (threads of its own) <--stamp, token-- /api/kill, resume, mode,
//!                                              limits, dump, rotate, status, request
//! ```
//!
//! * [`http`] reads requests and writes answers, [`connection`] is one client, [`server`] all of
//!   them: a fixed number of places, a deadline for each, one thread.
//! * [`access`] says who may do what: names, tokens, stamps, rates.
//! * [`view`] is what the engine's counters say now, read at most five times a second however many
//!   ask.
//! * [`export`] tells the same to Prometheus; [`page`] holds the page's files.
//! * [`act`] does what the commands of the same names do; [`service`] puts it all together.
//!
//! Invariant: the engine never learns that it is watched. Its words are read and nothing else;
//! only an act speaks to it, and by the socket that every other command uses. The thread that
//! serves has a low priority.

pub mod access;
pub mod act;
pub mod connection;
pub mod export;
pub mod http;
pub mod page;
pub mod server;
pub mod service;
pub mod view;
