//! The page's charts as inline SVG. Colors come from the page's style sheet, so that dark and light both work.

use std::fmt::Write as _;

use super::escape;
use crate::evaluation::latency::LatencySeries;
use crate::evaluation::score::Score;

/// A success rate with its intervals on an axis from 0 to 100 %: Wilson's as a bar, the exact one as a line, the rate as
/// a dot, the paper's rate as a hollow diamond.
pub(super) fn interval(score: &Score, paper: Option<f64>) -> String {
    let x = |rate: f64| 8.0 + 384.0 * rate;
    let mut out = String::from(r#"<svg class="interval" viewBox="0 0 400 30" role="img">"#);
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let _ = write!(out, r#"<line class="grid" x1="{0:.1}" x2="{0:.1}" y1="1" y2="29"/>"#, x(tick));
    }
    if score.trials > 0 {
        let (wilson, exact) = (score.wilson95, score.clopper_pearson95);
        let rate = score.successes as f64 / score.trials as f64;
        let _ = write!(
            out,
            r#"<title>{:.0} %; Wilson {:.0} to {:.0} %, exact {:.0} to {:.0} %</title>"#,
            rate * 100.0,
            wilson.low * 100.0,
            wilson.high * 100.0,
            exact.low * 100.0,
            exact.high * 100.0
        );
        let _ =
            write!(out, r#"<line class="exact" x1="{:.1}" x2="{:.1}" y1="15" y2="15"/>"#, x(exact.low), x(exact.high));
        for end in [exact.low, exact.high] {
            let _ = write!(out, r#"<line class="exact" x1="{0:.1}" x2="{0:.1}" y1="10" y2="20"/>"#, x(end));
        }
        let width = x(wilson.high) - x(wilson.low);
        let _ = write!(
            out,
            r#"<rect class="wilson" x="{:.1}" y="9" width="{width:.1}" height="12" rx="6"/>"#,
            x(wilson.low)
        );
        let _ = write!(out, r#"<circle class="rate" cx="{:.1}" cy="15" r="6"/>"#, x(rate));
    }
    if let Some(rate) = paper {
        let at = x(rate);
        let _ = write!(
            out,
            r#"<path class="paper" d="M{at:.1} 5 l9 10 l-9 10 l-9 -10 z"><title>paper, real robot: {:.0} %</title></path>"#,
            rate * 100.0
        );
    }
    out.push_str("</svg>");
    out
}

/// The axis under the intervals.
pub(super) fn interval_axis() -> String {
    let mut out = String::from(r#"<svg class="interval axis" viewBox="0 0 400 16" aria-hidden="true">"#);
    for (tick, anchor) in [(0, "start"), (25, "middle"), (50, "middle"), (75, "middle"), (100, "end")] {
        let x = if tick == 0 {
            1.0
        } else if tick == 100 {
            399.0
        } else {
            8.0 + 3.84 * f64::from(tick)
        };
        let _ = write!(out, r#"<text x="{x:.1}" y="12" text-anchor="{anchor}">{tick} %</text>"#);
    }
    out.push_str("</svg>");
    out
}

/// Values over time: `points` of time \[s\] and value, one of them `marked`; empty with fewer than two points. `title` is
/// HTML.
pub(super) fn curve(title: &str, points: &[(f64, f64)], marked: Option<(f64, f64)>, seconds: f64) -> String {
    let last = points.iter().map(|point| point.0).fold(seconds, f64::max);
    let Some(marked) = marked.filter(|_| points.len() >= 2 && last > 0.0) else { return String::new() };
    // The axis includes zero: the goal image's distance to itself, or the value with no reward to come.
    let (low, high) = points.iter().fold((0.0, 0.0), |(low, high), (_, y)| (f64::min(low, *y), f64::max(high, *y)));
    let (low, high) = if high > low { (1.08 * low, 1.08 * high) } else { (0.0, 1.0) };
    let at = |(time, value): (f64, f64)| (30.0 + 282.0 * time / last, 70.0 - 62.0 * (value - low) / (high - low));
    let mut line = String::new();
    for &point in points {
        let (x, y) = at(point);
        let _ = write!(line, "{x:.1},{y:.1} ");
    }
    let (x, y) = at(marked);
    let anchor = if x > 240.0 { "end" } else { "start" };
    let beside = if anchor == "end" { x - 6.0 } else { x + 6.0 };
    let (zero, below) = (at((0.0, 0.0)).1, if low < 0.0 { format!("{low:.1}") } else { String::new() });
    format!(
        concat!(
            r#"<svg class="curve" viewBox="0 0 320 86" role="img"><title>{title}</title>"#,
            r#"<line class="grid" x1="30" x2="312" y1="{zero:.1}" y2="{zero:.1}"/><line class="grid" x1="30" x2="312" y1="8" y2="8"/>"#,
            r#"<text x="26" y="{ground:.1}" text-anchor="end">0</text><text x="26" y="12" text-anchor="end">{high:.1}</text>"#,
            r#"<text x="26" y="73" text-anchor="end">{below}</text>"#,
            r#"<text x="30" y="83">0 s</text><text x="312" y="83" text-anchor="end">{last:.0} s</text>"#,
            r#"<polyline class="line" points="{line}"/><circle class="rate" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#,
            r#"<text class="strong" x="{beside:.1}" y="{label:.1}" text-anchor="{anchor}">{value:.2}</text></svg>"#
        ),
        title = title,
        zero = zero,
        ground = zero + 3.0,
        below = below,
        high = high,
        last = last,
        line = line.trim_end(),
        x = x,
        y = y,
        beside = beside,
        label = (y + 12.0).min(66.0),
        anchor = anchor,
        value = marked.1
    )
}

/// Histogram of timings with median and 99th percentile; everything beyond the axis is in the last bar.
pub(super) fn histogram(name: &str, series: &LatencySeries) -> String {
    let samples = series.samples_ms();
    let (Some(p50), Some(p99), Some(max)) = (series.quantile(0.5), series.quantile(0.99), series.quantile(1.0)) else {
        return String::new();
    };
    const BINS: usize = 48;
    let low = f64::from(samples[0]).min(0.9 * p50);
    // A single late sample must not compress all others into one bar.
    let high = max.min(low + 1.6 * (p99 - low)).max(low + 1e-3);
    let mut counts = [0u32; BINS];
    for &sample in samples {
        let share = (f64::from(sample) - low) / (high - low);
        counts[((share * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let x = |value: f64| 4.0 + 312.0 * ((value - low) / (high - low)).clamp(0.0, 1.0);
    let mut out = format!(r#"<svg class="histogram" viewBox="0 0 320 96" role="img"><title>{}</title>"#, escape(name));
    for (i, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        // Square root: single late samples stay visible among thousands.
        let height = 66.0 * (f64::from(count) / f64::from(most)).sqrt();
        let _ = write!(
            out,
            r#"<rect class="bar" x="{:.1}" y="{:.1}" width="5.9" height="{height:.1}"><title>{count}</title></rect>"#,
            4.0 + 6.5 * i as f64,
            78.0 - height
        );
    }
    for (value, label, row) in [(p50, "p50", 9.0), (p99, "p99", 9.0)] {
        let at = x(value);
        let anchor = if at > 280.0 { "end" } else { "middle" };
        let _ = write!(out, r#"<line class="mark" x1="{at:.1}" x2="{at:.1}" y1="12" y2="78"/>"#);
        let _ = write!(out, r#"<text x="{:.1}" y="{row}" text-anchor="{anchor}">{label}</text>"#, at.max(12.0));
    }
    let beyond = if max > high { "+" } else { "" };
    let _ = write!(out, r#"<line class="grid" x1="4" x2="316" y1="78" y2="78"/><text x="4" y="92">{low:.2} ms</text>"#);
    let _ = write!(out, r#"<text x="316" y="92" text-anchor="end">{high:.2}{beyond} ms</text></svg>"#);
    out
}
