//! Histogram logs as text: `bot4 latency show | diff`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::bars;
use crate::hist::Summary;
pub use crate::log::{Merged, ShowError, merge};
use crate::report::{aligned, latency_table};
use crate::slowest::Slowest;

/// `bot4 latency show FILE|DIR...`: a table by tag, the slowest stage by name, and its histogram or
/// those of `stages`; or JSON `{latency_ns: {tag: {count, p50, …}}, slowest, …}`.
///
/// # Errors
/// See [`merge`]; a tag that no log holds.
pub fn show(paths: &[PathBuf], stages: &[String], as_json: bool) -> Result<String, ShowError> {
    let merged = merge(paths)?;
    let asked = stages.iter().map(|tag| merged.one(tag)).collect::<Result<Vec<_>, _>>()?;
    let summaries = merged.summaries();
    let slowest = Slowest::of(&summaries);
    if as_json {
        let notes: Vec<_> = merged.unreadable.iter().map(|(p, w)| json!([p, w])).collect();
        let body = json!({
            "latency_ns": summaries, "intervals": merged.intervals, "unreadable": notes,
            "slowest": slowest.as_ref().map(Slowest::to_json),
            "histograms": asked.iter().map(|(tag, hdr)| {
                let counts = hdr.iter_recorded();
                let counts: Vec<_> =
                    counts.map(|v| [v.value_iterated_to(), v.count_at_value()]).collect();
                ((*tag).to_owned(), json!(counts))
            }).collect::<serde_json::Map<_, _>>(),
        });
        return Ok(format!("{body}\n"));
    }
    let mut text = latency_table(&summaries);
    let mut drawn = asked;
    if let Some(slowest) = slowest {
        text.push_str(&format!("\n{slowest}\n"));
        if drawn.is_empty() {
            drawn.extend(merged.one(&slowest.stage));
        }
    }
    drawn.iter().for_each(|(tag, hdr)| text.push_str(&bars::titled(tag, hdr)));
    text.push_str(&merged.notes());
    Ok(text)
}

/// `bot4 latency diff A B`: side by side with the ratio B / A, as a table or as JSON.
///
/// # Errors
/// See [`merge`].
pub fn diff(a: &Path, b: &Path, as_json: bool) -> Result<String, ShowError> {
    let (left, right) = (merge(&[a.to_owned()])?, merge(&[b.to_owned()])?);
    let (sa, sb) = (left.summaries(), right.summaries());
    let mut tags: Vec<&String> = sa.keys().chain(sb.keys()).collect();
    tags.sort();
    tags.dedup();
    if as_json {
        let of = |tag: &&String| {
            let ratio = sa.get(*tag).zip(sb.get(*tag)).map(|(x, y)| ratios(x, y));
            ((*tag).clone(), json!({ "a": sa.get(*tag), "b": sb.get(*tag), "ratio": ratio }))
        };
        let map: serde_json::Map<_, _> = tags.iter().map(of).collect();
        return Ok(format!("{}\n", serde_json::Value::Object(map)));
    }
    let mut rows = Vec::new();
    for tag in tags {
        let (x, y) = (sa.get(tag), sb.get(tag));
        let zero = Summary::default();
        let fields = x.unwrap_or(&zero).fields().into_iter().zip(y.unwrap_or(&zero).fields());
        for ((name, va), (_, vb)) in fields {
            let text = |present: bool, v: u64| if present { v.to_string() } else { "-".into() };
            let ratio = x.and(y).and_then(|_| ratio(va, vb));
            let ratio = ratio.map_or_else(|| "-".into(), |r| format!("{r:.3}"));
            let row =
                [tag.clone(), name.into(), text(x.is_some(), va), text(y.is_some(), vb), ratio];
            rows.push(row.to_vec());
        }
    }
    let table = aligned(&["tag", "ns", "a", "b", "b/a"], rows.into_iter(), &[2, 3, 4]);
    Ok(format!("{table}{}{}", left.notes(), right.notes()))
}

fn ratio(a: u64, b: u64) -> Option<f64> {
    (a > 0).then(|| b as f64 / a as f64)
}

fn ratios(a: &Summary, b: &Summary) -> serde_json::Value {
    let pairs = a.fields().into_iter().zip(b.fields());
    pairs.map(|((name, x), (_, y))| (name.to_owned(), json!(ratio(x, y)))).collect()
}
