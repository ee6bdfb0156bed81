//! The report: its names, its table.

use super::*;
use serde_json::{Value, json};

fn sample() -> RunReport {
    let summary = Summary { count: 3, p50: 10, p90: 20, p99: 30, p999: 40, max: 41, mean: 12 };
    let tags = ["ack", "tick_to_trade", "risk", "wire_to_parse", "timer_to_order"];
    RunReport {
        host: Host { isolated: vec![2, 3], ..Host::default() },
        lanes: vec![LaneLine { name: "folded".into(), cpu: Some(1), ..LaneLine::default() }],
        duration_s: 2.0,
        risk: Risk { refused: [("rate".to_owned(), 4)].into(), ..Risk::default() },
        latency_ns: tags.map(|t| (t.to_owned(), summary)).into(),
        ..RunReport::default()
    }
}

/// The names of the contract, field by field.
#[test]
fn has_every_field_of_the_contract() {
    let json: Value = serde_json::from_str(&sample().to_json()).expect("JSON");
    let contract = json!({
        "bot4": ["version", "git"],
        "host": ["cpu", "cpus", "kernel", "huge_pages", "isolated", "hw_counters", "tsc",
                 "simd"],
        "market": ["messages", "levels", "trades", "gaps", "resyncs", "stale_ms"],
        "orders": ["sent", "acked", "rejected", "canceled", "filled", "unknown", "open_at_end"],
        "fills": ["applied", "duplicates_dropped", "late"],
        "risk": ["checked", "approved", "refused", "mode", "breakers", "loss", "loss_max"],
        "reconcile": ["orders_differ", "positions_differ", "balances_differ"],
        "pnl": ["realized", "unrealized", "fees", "funding"],
        "pnl_fifo": ["realized", "unrealized"],
        "equity": ["open", "close", "peak", "drawdown_pct", "unvalued"],
        "stops": ["triggered", "dust"],
        "journal": ["records", "bytes", "lost"],
    });
    for (block, fields) in contract.as_object().expect("object") {
        for field in fields.as_array().expect("array") {
            let field = field.as_str().expect("name");
            assert!(json[block].get(field).is_some(), "{block}.{field}");
        }
    }
    for field in ["duration_s", "t0_source", "hot_allocations", "io_allocations"] {
        assert!(json.get(field).is_some(), "{field}");
    }
    for field in ["name", "agents", "cpu", "busy_pct", "backpressured_pct"] {
        assert!(json["lanes"][0].get(field).is_some(), "lanes[].{field}");
    }
    for field in ["count", "p50", "p90", "p99", "p999", "max"] {
        assert!(json["latency_ns"]["ack"][field].is_u64(), "latency_ns.{field}");
    }
    assert_eq!(json["risk"]["refused"]["rate"], 4);
}

#[test]
fn reads_back_and_tolerates_missing_additions() {
    let report = sample();
    let mut json: Value = serde_json::from_str(&report.to_json()).expect("JSON");
    assert_eq!(serde_json::from_value::<RunReport>(json.clone()).expect("same"), report);
    json["host"].as_object_mut().expect("object").remove("allowed");
    assert_eq!(serde_json::from_value::<RunReport>(json).expect("same"), report);
}

#[test]
fn the_table_is_aligned_and_in_the_order_of_the_way() {
    let text = sample().to_table();
    let place_of = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in\n{text}"));
    let order = ["wire_to_parse", "risk    ", "tick_to_trade", "ack", "timer_to_order"];
    let latency = place_of("latency ns");
    let places: Vec<_> = order.iter().map(|t| text[latency..].find(t).expect("a row")).collect();
    assert!(places.is_sorted(), "{text}");
    assert!(text.contains("4 refused: rate 4") && text.contains("isolated 2,3"), "{text}");
    let rows = [vec!["xxx".into(), "1".into()]].into_iter();
    assert_eq!(aligned(&["a", "bb"], rows, &[1]), "a    bb\nxxx   1\n");
}
