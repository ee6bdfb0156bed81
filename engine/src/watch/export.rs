//! The counters for Prometheus, in the OpenMetrics text format, by its official client library.
//!
//! Names are `bot4_subject_qualifier_unit`, in base units (seconds, bytes, ratios); amounts of
//! money are in the run's reporting asset, which `bot4_run_info` names. What is not known is left
//! out: a gap in a graph, never a zero that looks like a value. Sums over lanes, links or books are
//! for the reader of the graph to make.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bot4_telemetry::hist::{BOUNDS_NS, Coarse};
use bot4_telemetry::shared::Snapshot;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::server::Tally;

/// What the text is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything as text. `live`: the engine is there; without it only this process tells of itself,
/// so that no graph goes on with an engine that has ended.
#[must_use]
pub fn text(seen: Option<&Arc<Snapshot>>, live: bool, tally: &Tally) -> String {
    let mut registry = Registry::with_prefix("bot4");
    let seen = seen.filter(|_| live).cloned();
    registry.register_collector(Box::new(Scrape { seen, tally: *tally }));
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Scrape {
    seen: Option<Arc<Snapshot>>,
    tally: Tally,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        watch(&mut out, self.seen.is_some(), &self.tally)?;
        let Some(s) = &self.seen else { return Ok(()) };
        engine(&mut out, s)?;
        lanes(&mut out, s)?;
        links(&mut out, s)?;
        market(&mut out, s)?;
        orders(&mut out, s)?;
        risk(&mut out, s)?;
        breakers(&mut out, s)?;
        memory(&mut out, s)?;
        latency(&mut out, s)
    }
}

/// Labels of one value.
type Labels = Vec<(&'static str, String)>;

/// A label and its text.
fn of(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    /// A gauge with several values.
    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (Labels, Option<f64>)>,
    ) -> fmt::Result {
        let known: Vec<_> =
            values.into_iter().filter_map(|(labels, value)| Some((labels, value?))).collect();
        if known.is_empty() {
            return Ok(());
        }
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in &known {
            metric.encode_family(labels)?.encode_gauge(value)?;
        }
        Ok(())
    }

    /// A gauge with one value.
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: Option<f64>,
    ) -> fmt::Result {
        self.gauges(name, help, unit, [(Labels::new(), value)])
    }

    /// A counter with several values.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in values {
            let mut family = metric.encode_family(&labels)?;
            family.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// A histogram in seconds for each stage.
    fn histograms<'s>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (&'s String, &'s Coarse)>,
    ) -> fmt::Result {
        let mut held = values.filter(|(_, coarse)| !coarse.counts.is_empty()).peekable();
        if held.peek().is_none() {
            return Ok(());
        }
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Histogram);
        let mut metric = self.0.encode_descriptor(name, help, unit, kind)?;
        let bounds = || BOUNDS_NS.iter().map(|ns| seconds(*ns)).chain([f64::INFINITY]);
        for (stage, coarse) in held {
            let buckets: Vec<_> = bounds().zip(coarse.counts.iter().copied()).collect();
            let labels = of("stage", stage);
            let (sum, count) = (seconds(coarse.total_ns), coarse.counts.iter().sum());
            let mut family = metric.encode_family(&labels)?;
            family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    /// A counter with one value.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, None, [(Labels::new(), value as f64)])
    }

    /// Counts by name, the name as the label `label`.
    fn named(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        counts: &BTreeMap<String, u64>,
    ) -> fmt::Result {
        self.counters(name, help, None, counts.iter().map(|(n, v)| (of(label, n), *v as f64)))
    }
}

const fn truth(holds: bool) -> Option<f64> {
    Some(if holds { 1.0 } else { 0.0 })
}

const fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn watch(out: &mut Out<'_>, up: bool, tally: &Tally) -> fmt::Result {
    out.gauge("engine_up", "An engine runs and its counters are read", None, truth(up))?;
    out.counter("watch_connections", "Connections to this endpoint", tally.accepted)?;
    out.counter("watch_requests", "Requests to this endpoint", tally.requests)?;
    out.counter("watch_displaced", "Clients that lost their place to a newcomer", tally.displaced)?;
    out.counter("watch_timed_out", "Clients that were too slow", tally.timed_out)?;
    out.gauge("watch_clients", "Clients of this endpoint now", None, Some(tally.clients as f64))
}

fn engine(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let run = &s.run;
    let labels = vec![
        ("run", run.id.clone()),
        ("venue", run.venue.clone()),
        ("version", run.version.clone()),
        ("asset", run.asset.clone()),
        ("mode", s.kill.mode.clone()),
    ];
    out.gauges("run_info", "The run that is watched", None, [(labels, Some(1.0))])?;
    let started = Some(run.started_ms as f64 / 1e3);
    out.gauge("run_start_time", "When it began, Unix time", Some(&Unit::Seconds), started)?;
    let age = Some(s.beat_age_ms as f64 / 1e3);
    out.gauge("engine_beat_age", "Since the last beat", Some(&Unit::Seconds), age)?;
    out.gauge("engine_stale", "No beat for two seconds", None, truth(s.stale))?;
    let stopped = truth(s.kill.stopped);
    out.gauge("kill_switch_stopped", "Trading is stopped until a person ends it", None, stopped)?;
    out.named("risk_latched", "Latches of risk raised", "kind", &s.kill.latched)
}

fn lanes(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let times = s.lanes.iter().flat_map(|lane| {
        [
            ("busy", lane.busy_ns),
            ("idle", lane.idle_ns),
            ("backpressured", lane.backpressured_ns),
            ("housekeeping", lane.housekeeping_ns),
        ]
        .map(|(regime, ns)| {
            let labels = vec![("lane", lane.name.clone()), ("regime", regime.to_owned())];
            (labels, seconds(ns))
        })
    });
    out.counters("lane_time", "What a lane's time went into", Some(&Unit::Seconds), times)?;
    let of_lane = |lane: &bot4_telemetry::shared::snapshot::Lane| of("lane", &lane.name);
    let turns = s.lanes.iter().map(|l| (of_lane(l), l.turns as f64));
    out.counters("lane_turns", "Turns of a lane", None, turns)?;
    let gaps = s.lanes.iter().map(|l| (of_lane(l), Some(seconds(l.gap_ns_max))));
    out.gauges("lane_gap_max", "Longest time between two turns", Some(&Unit::Seconds), gaps)?;
    let faults = s.lanes.iter().map(|l| (of_lane(l), l.faults as f64));
    out.counters("lane_faults", "Faults of a lane's agents", None, faults)?;
    let wrong = s.lanes.iter().map(|l| (of_lane(l), truth(l.wrong_cpu)));
    out.gauges("lane_wrong_cpu", "The lane is not where it was pinned", None, wrong)
}

fn links(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let of_link = |link: &bot4_telemetry::shared::snapshot::Link| of("link", &link.plate.name);
    let high = s.links.iter().map(|l| (of_link(l), Some(l.high_water as f64)));
    out.gauges("link_high_water_messages", "The most that ever waited in a link", None, high)?;
    let room = s.links.iter().map(|l| (of_link(l), Some(l.plate.capacity as f64)));
    out.gauges("link_capacity_messages", "What a link holds", None, room)
}

fn market(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let m = &s.market;
    out.counter("market_messages", "Messages parsed", m.messages)?;
    out.counter("market_levels", "Levels received", m.levels)?;
    out.counter("market_trades", "Trades received", m.trades)?;
    out.counter("market_gaps", "Holes found in numberings", m.gaps)?;
    out.counter("market_resyncs", "Fresh starts of books", m.resyncs)?;
    let live = s.books.iter().map(|b| (of("symbol", &b.symbol), truth(b.state == "live")));
    out.gauges("book_live", "The book is in sequence and may be traded on", None, live)?;
    let used = || s.lines.iter().filter(|l| l.used);
    let of_line = |line: &bot4_telemetry::shared::snapshot::Line| {
        vec![("line", line.name.clone()), ("venue", line.venue.clone())]
    };
    let up = used().map(|l| (of_line(l), truth(l.up)));
    out.gauges("line_up", "The market connection is open", None, up)?;
    let bytes = used().map(|l| (of_line(l), l.bytes as f64));
    out.counters("line_received", "Bytes received", Some(&Unit::Bytes), bytes)?;
    let again = used().map(|l| (of_line(l), l.reconnects as f64));
    out.counters("line_reconnects", "Connections opened after a loss", None, again)?;
    let backlog = used().map(|l| (of_line(l), Some(l.backlog_us as f64 / 1e6)));
    out.gauges(
        "line_backlog",
        "Age of the oldest message not yet parsed",
        Some(&Unit::Seconds),
        backlog,
    )?;
    let rtt = used().map(|l| (of_line(l), l.rtt_ns.map(seconds)));
    out.gauges("line_round_trip", "Last round trip of a ping", Some(&Unit::Seconds), rtt)?;
    let errors = used().map(|l| (of_line(l), l.decode_errors as f64));
    out.counters("line_decode_errors", "Messages that could not be read", None, errors)
}

fn orders(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let o = &s.orders;
    out.counter("orders_sent", "New orders handed to a socket", o.sent)?;
    out.gauge("orders_open", "Orders that are not ended", None, Some(o.open as f64))?;
    out.gauge("orders_unknown", "Orders of unknown fate", None, Some(o.unknown as f64))?;
    out.counter("orders_fills", "Fills booked", o.fills)?;
    out.counter("risk_checked", "Intents judged", o.checked)?;
    out.counter("risk_approved", "New orders approved", o.approved)?;
    out.named("risk_refused", "Intents refused", "reason", &o.refused_by)?;
    let states = o.by_state.iter().map(|(state, n)| (of("state", state), Some(*n as f64)));
    out.gauges("orders_state", "Orders by state", None, states)?;
    let ready = s.venues.iter().map(|v| (of("venue", &v.name), truth(v.ready)));
    out.gauges("venue_session_ready", "The session takes orders", None, ready)?;
    let again = s.venues.iter().map(|v| (of("venue", &v.name), v.reconnects as f64));
    out.counters("venue_reconnects", "Sessions opened again", None, again)
}

fn risk(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let r = &s.risk;
    out.gauge("equity", "Equity, reporting asset", None, r.equity.now)?;
    out.gauge("equity_peak", "Highest equity, reporting asset", None, r.equity.peak)?;
    let parts = [
        ("realized", r.pnl.realized),
        ("unrealized", r.pnl.unrealized),
        ("fees", r.pnl.fees.map(|f| -f)),
        ("funding", r.pnl.funding),
    ];
    let parts = parts.map(|(part, value)| (of("part", part), value));
    out.gauges("pnl", "Profit and loss, reporting asset; costs are negative", None, parts)?;
    let measures = [
        ("gross", r.gross),
        ("net", r.net),
        ("daily_loss", r.daily_loss),
        ("drawdown_pct", r.drawdown_pct),
        ("open_orders", r.open_orders),
    ];
    let values = measures.map(|(measure, a)| (of("measure", measure), a.value));
    out.gauges("risk_value", "A measure of risk, worst case", None, values)?;
    let limits = measures.map(|(measure, a)| (of("measure", measure), a.limit));
    out.gauges("risk_limit", "The limit of that measure", None, limits)?;
    let worst = r.positions.iter().map(|p| (of("symbol", &p.symbol), p.worst.value));
    out.gauges("position_worst", "Worst case of a position, reporting asset", None, worst)?;
    let limits = r.positions.iter().map(|p| (of("symbol", &p.symbol), p.worst.limit));
    out.gauges("position_limit", "Its limit, reporting asset", None, limits)?;
    let quantities = r.positions.iter().map(|p| (of("symbol", &p.symbol), p.qty.parse().ok()));
    out.gauges("position_quantity", "Net quantity by fills, base asset", None, quantities)?;
    let loss = r.loss.iter().map(|(measure, value)| (of("measure", measure), *value));
    out.gauges("risk_hour", "What an hour can cost, reporting asset", None, loss)?;
    out.gauge("risk_drift", "Differences that a person must explain", None, Some(r.drift as f64))
}

fn breakers(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let b = &s.risk.breakers;
    let closed = b.all.saturating_sub(b.open + b.half_open);
    let states = [("open", b.open), ("half_open", b.half_open), ("closed", closed)];
    let states = states.map(|(state, n)| (of("state", state), Some(n as f64)));
    out.gauges("breakers", "Circuit breakers by state", None, states)?;
    out.named("breaker_causes", "What opened those of strategies", "cause", &b.causes)
}

fn memory(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let m = &s.memory;
    let bytes = |n: Option<u64>| n.map(|n| n as f64);
    let used = bytes(m.used_bytes);
    out.gauge("memory_used", "Used by the control group", Some(&Unit::Bytes), used)?;
    let limit = bytes(m.limit_bytes);
    out.gauge("memory_limit", "Limit of the control group", Some(&Unit::Bytes), limit)?;
    let level =
        vec![("level", m.level.clone()), ("pages", m.pages.clone()), ("shed", m.shed.clone())];
    out.gauges("memory_info", "Pressure, pages, what is given up", None, [(level, Some(1.0))])?;
    let hot = "Allocations of hot agents since warm-up; zero is promised";
    out.counter("hot_allocations", hot, m.hot_allocations)?;
    let io = "Allocations of wire and execution since warm-up";
    out.counter("io_allocations", io, m.io_allocations)
}

/// Two families: the histogram is for rates and for sums over engines, its quantiles as exact as
/// its buckets; the quantiles beside it are those of the whole run, within 1/256.
fn latency(out: &mut Out<'_>, s: &Snapshot) -> fmt::Result {
    let help = "Latency of a stage";
    out.histograms("stage_latency", help, s.latency.iter().map(|(stage, l)| (stage, &l.coarse)))?;
    let quantiles = s.latency.iter().flat_map(|(stage, l)| {
        let v = &l.summary;
        let known = v.count > 0;
        let of_stage = move |q: &str| vec![("stage", stage.clone()), ("quantile", q.to_owned())];
        [("0.5", v.p50), ("0.9", v.p90), ("0.99", v.p99), ("0.999", v.p999), ("1", v.max)]
            .map(|(q, ns)| (of_stage(q), known.then(|| seconds(ns))))
    });
    let help = "Latency of a stage since the start, by quantile";
    out.gauges("stage_latency_quantile", help, Some(&Unit::Seconds), quantiles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_telemetry::shared::snapshot::{Against, Lane, Latency, Position};
    use std::collections::BTreeSet;

    fn snapshot() -> Snapshot {
        let mut s = Snapshot::default();
        s.run.venue = "bin\"ance\\\n".to_owned();
        s.lanes.push(Lane { name: "bot4".to_owned(), busy_ns: 1_500_000_000, ..Lane::default() });
        let mut latency = Latency::default();
        (latency.summary.count, latency.summary.p99) = (3, 2_000);
        latency.coarse = Coarse { counts: vec![0; BOUNDS_NS.len() + 1], total_ns: 20_000_003_100 };
        [(3, 2), (4, 1), (25, 1)].iter().for_each(|(at, n)| latency.coarse.counts[*at] = *n);
        s.latency.insert("parse".to_owned(), latency);
        s.risk.gross = Against { value: Some(12.5), limit: None };
        let qty = "-0.5".to_owned();
        s.risk.positions.push(Position {
            symbol: "BTCUSDT".to_owned(),
            qty,
            ..Position::default()
        });
        s
    }

    fn told() -> String {
        text(Some(&Arc::new(snapshot())), true, &Tally { requests: 7, ..Tally::default() })
    }

    #[test]
    fn values_have_names_units_and_labels() {
        let text = told();
        for line in [
            "bot4_engine_up 1.0",
            "bot4_watch_requests_total 7.0",
            "# UNIT bot4_lane_time_seconds seconds",
            "bot4_lane_time_seconds_total{lane=\"bot4\",regime=\"busy\"} 1.5",
            "bot4_stage_latency_quantile_seconds{stage=\"parse\",quantile=\"0.99\"} 0.000002",
            "# TYPE bot4_stage_latency_seconds histogram",
            "bot4_stage_latency_seconds_sum{stage=\"parse\"} 20.0000031",
            "bot4_stage_latency_seconds_count{stage=\"parse\"} 4",
            "bot4_stage_latency_seconds_bucket{le=\"5e-7\",stage=\"parse\"} 0",
            "bot4_stage_latency_seconds_bucket{le=\"0.000001\",stage=\"parse\"} 2",
            "bot4_stage_latency_seconds_bucket{le=\"10.0\",stage=\"parse\"} 3",
            "bot4_stage_latency_seconds_bucket{le=\"+Inf\",stage=\"parse\"} 4",
            "bot4_risk_value{measure=\"gross\"} 12.5",
            "bot4_position_quantity{symbol=\"BTCUSDT\"} -0.5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(text.contains("venue=\"bin\\\"ance\\\\\\n\""), "labels are escaped\n{text}");
        assert!(!text.contains("bot4_risk_limit{measure=\"gross\"}"), "no limit, no line");
        assert!(!text.contains("bot4_memory_used"), "what is not known is left out");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn an_engine_that_ended_draws_no_graph() {
        let text = text(Some(&Arc::new(snapshot())), false, &Tally::default());
        assert!(text.contains("bot4_engine_up 0.0") && !text.contains("bot4_lane_time"), "{text}");
    }

    /// Every family is named once, with a type: scrapers refuse a text where one stands twice.
    #[test]
    fn families_are_named_once() {
        let text = told();
        let families: Vec<_> = text.lines().filter(|l| l.starts_with("# TYPE ")).collect();
        let once: BTreeSet<_> = families.iter().collect();
        assert_eq!(once.len(), families.len(), "{text}");
        assert!(families.len() > 20);
    }

    /// The dashboard asks for nothing that is not told.
    #[test]
    fn the_dashboard_knows_these_names() {
        let dashboard = include_str!("../../../deploy/grafana/bot4.json");
        let parsed: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
        assert!(parsed["panels"].as_array().is_some_and(|panels| panels.len() > 8));
        let source = include_str!("export.rs");
        for at in dashboard.match_indices("bot4_").map(|(at, _)| at + "bot4_".len()) {
            let rest = &dashboard[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            let name = name.trim_end_matches("_total").trim_end_matches("_bucket");
            let plain = name.trim_end_matches("_seconds").trim_end_matches("_bytes");
            let known = source.contains(&format!("\"{plain}\""));
            assert!(known, "the dashboard asks for bot4_{name}");
        }
    }
}
