//! `bot4 latency plot`: percentile curves as an SVG picture.
//!
//! Both axes are logarithmic. Along the lower one lies 1 / (1 - q), so that 90, 99, 99.9 per cent
//! are equally far apart and the tail, which is what matters, has the room.

use std::path::PathBuf;

use bot4_types::trail::Stage;
use plotters::prelude::*;

use crate::hist::Hdr;
use crate::show::{Merged, ShowError, merge};
use crate::slowest::{Slowest, time};

/// Size of the picture, pixels.
const SIZE: (u32, u32) = (1_100, 700);
/// Points of a curve from one power of ten to the next.
const POINTS: i32 = 32;
/// Curves beyond these colours begin again with the first.
const COLOURS: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(255, 127, 14),
    RGBColor(23, 190, 207),
    RGBColor(140, 86, 75),
    RGBColor(60, 60, 60),
];

/// The logs at `paths` as a picture of the curves of `stages`; without any of them the stages of
/// an order with their sum, or every tag that there is where no order was sent.
///
/// # Errors
/// See [`merge`]; a tag that no log holds.
pub fn plot(paths: &[PathBuf], stages: &[String]) -> Result<String, ShowError> {
    let merged = merge(paths)?;
    let curves = chosen(&merged, stages)?;
    // Invariant: the ranges are positive and the backend writes into memory, which does not fail.
    draw(&curves, &title(&merged, stages)).map_err(|e| ShowError::Picture(e.to_string()))
}

/// What stands above: with the stages of an order the slowest of them, which is what most look for.
fn title(merged: &Merged, stages: &[String]) -> String {
    let slowest = Slowest::of(&merged.summaries()).filter(|_| stages.is_empty());
    let told = slowest.map(|s| format!(": slowest stage {}, {:.0} % of all", s.stage, s.share_pct));
    format!("Latency by percentile{}", told.unwrap_or_default())
}

/// A curve's name in the key, with the two percentiles that are asked for most.
fn key(tag: &str, hdr: &Hdr) -> String {
    let [p50, p99] = [0.5, 0.99].map(|q| time(hdr.value_at_quantile(q)));
    format!("{tag}   p50 {p50}, p99 {p99}")
}

fn chosen<'a>(merged: &'a Merged, stages: &[String]) -> Result<Vec<(&'a str, &'a Hdr)>, ShowError> {
    let mut curves = Vec::new();
    for stage in stages {
        let (tag, hdr) = merged.one(stage)?;
        curves.push((tag, hdr));
    }
    if curves.is_empty() {
        let usual = Stage::ALL.iter().map(|s| s.name()).chain(["tick_to_trade"]);
        curves.extend(usual.filter_map(|tag| merged.one(tag).ok()));
    }
    if curves.is_empty() {
        curves.extend(merged.tags.iter().map(|(tag, hdr)| (tag.as_str(), hdr)));
    }
    Ok(curves)
}

/// Points of the curve of `hdr`: 1 / (1 - q) and the value there, up to the one highest value.
fn points(hdr: &Hdr) -> Vec<(f64, f64)> {
    let end = (hdr.len() as f64).max(1.0);
    let at = |x: f64| (x, hdr.value_at_quantile(1.0 - 1.0 / x).max(1) as f64);
    let between = (0..).map(|i| 10_f64.powf(f64::from(i) / f64::from(POINTS)));
    let mut points: Vec<_> = between.take_while(|x| *x < end).map(at).collect();
    points.push((end, hdr.max().max(1) as f64));
    points
}

fn draw(curves: &[(&str, &Hdr)], title: &str) -> Result<String, Box<dyn std::error::Error>> {
    let all: Vec<_> = curves.iter().map(|(tag, hdr)| (key(tag, hdr), points(hdr))).collect();
    let flat = || all.iter().flat_map(|(_, points)| points);
    let right = flat().map(|(x, _)| *x).fold(10.0, f64::max);
    let low = flat().map(|(_, y)| *y).fold(f64::MAX, f64::min);
    let high = flat().map(|(_, y)| *y).fold(low * 10.0, f64::max);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(84)
            .build_cartesian_2d((1_f64..right).log_scale(), (low * 0.8..high * 1.3).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("percentile")
            .y_desc("latency, logarithmic")
            .x_label_formatter(&|x| percentile(*x))
            .y_label_formatter(&|y| time(y.round() as u64))
            .light_line_style(BLACK.mix(0.06))
            .draw()?;
        // The grid lies at 90, 99, 99.9 per cent; the median is looked for, too.
        chart
            .draw_series(LineSeries::new([(2.0, low * 0.8), (2.0, high * 1.3)], BLACK.mix(0.2)))?;
        let median = ("sans-serif", 13).into_font().color(&BLACK.mix(0.7));
        chart.draw_series([Text::new("50 %", (2.05, low * 0.88), median)])?;
        for (i, (tag, points)) in all.into_iter().enumerate() {
            let style = COLOURS[i % COLOURS.len()].stroke_width(2);
            chart
                .draw_series(LineSeries::new(points, style))?
                .label(tag)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
    }
    Ok(text)
}

/// The percentile at `x` = 1 / (1 - q), with as many digits as tell it from its neighbours.
fn percentile(x: f64) -> String {
    let digits = (x.log10() - 2.001).max(0.0).ceil() as usize;
    format!("{:.digits$} %", 100.0 - 100.0 / x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hist::empty;

    #[test]
    fn curves_rise_to_the_highest_value() {
        let mut hdr = empty();
        (1..=1_000).for_each(|v| hdr.saturating_record(v * 100));
        let points = points(&hdr);
        assert!(points.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 <= p[1].1), "{points:?}");
        assert_eq!(points.last().map(|p| (p.0, p.1 as u64)), Some((1_000.0, hdr.max())));
        let median = points.iter().find(|p| p.0 >= 2.0).expect("it passes the median");
        assert!((49_000.0..=53_500.0).contains(&median.1), "{median:?}");
    }

    #[test]
    fn a_picture_names_its_curves_and_percentiles() {
        let mut hdr = empty();
        (1..=10_000).for_each(|v| hdr.saturating_record(v));
        let svg = draw(&[("parse", &hdr), ("book", &hdr)], "a title").expect("drawn");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for word in ["a title", "parse   p50 5.00 us, p99 9.9", "book", "50 %", "99 %", "99.9 %"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(svg.matches("<polyline").count() >= 4, "two curves, two keys");
        // One value, and none above it.
        let mut one = empty();
        one.saturating_record(7);
        assert!(draw(&[("ack", &one)], "").is_ok());
    }

    #[test]
    fn percentiles_are_told_apart() {
        let told = [1.0, 2.0, 10.0, 100.0, 1_000.0, 10_000.0].map(percentile);
        assert_eq!(told, ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }
}
