//! The page's charts as inline SVG. Colors come from the page's style sheet, so that dark and light both work.

use maud::{Markup, html};

use crate::evaluation::latency::LatencySeries;
use crate::evaluation::score::Score;
use visuomotor_core::chart::{Scale, bars, points, tenth};

/// A success rate with its intervals on an axis from 0 to 100 %: Wilson's as a bar, the exact one as a line, the rate as
/// a dot, the paper's rate as a hollow diamond.
pub(super) fn interval(score: &Score, paper: Option<f64>) -> Markup {
    let scale = Scale::new((0.0, 1.0), (8.0, 392.0));
    let x = |rate: f64| tenth(scale.at(rate));
    let percent = |rate: f64| format!("{:.0}", rate * 100.0);
    let (wilson, exact) = (score.wilson95, score.clopper_pearson95);
    html! {
        svg .interval viewBox="0 0 400 30" role="img" {
            @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
                line .grid x1=(x(tick)) x2=(x(tick)) y1="1" y2="29" {}
            }
            @if score.trials > 0 {
                @let rate = score.successes as f64 / score.trials as f64;
                title {
                    (percent(rate)) " %; Wilson " (percent(wilson.low)) " to " (percent(wilson.high)) " %, exact "
                    (percent(exact.low)) " to " (percent(exact.high)) " %"
                }
                line .exact x1=(x(exact.low)) x2=(x(exact.high)) y1="15" y2="15" {}
                @for end in [exact.low, exact.high] {
                    line .exact x1=(x(end)) x2=(x(end)) y1="10" y2="20" {}
                }
                rect .wilson x=(x(wilson.low)) y="9" width=(tenth(scale.at(wilson.high) - scale.at(wilson.low)))
                    height="12" rx="6" {}
                circle .rate cx=(x(rate)) cy="15" r="6" {}
            }
            @if let Some(rate) = paper {
                path .paper d={ "M" (x(rate)) " 5 l9 10 l-9 10 l-9 -10 z" } {
                    title { "paper, real robot: " (percent(rate)) " %" }
                }
            }
        }
    }
}

/// The axis under the intervals.
pub(super) fn interval_axis() -> Markup {
    let labels =
        [(1.0, "start", 0), (104.0, "middle", 25), (200.0, "middle", 50), (296.0, "middle", 75), (399.0, "end", 100)];
    html! {
        svg .interval.axis viewBox="0 0 400 16" aria-hidden="true" {
            @for (x, anchor, tick) in labels {
                text x=(tenth(x)) y="12" text-anchor=(anchor) { (tick) " %" }
            }
        }
    }
}

/// Values over time: `curve` of time \[s\] and value, one point of it `marked`; `None` with fewer than two points.
pub(super) fn curve(title: &Markup, curve: &[(f64, f64)], marked: Option<(f64, f64)>, seconds: f64) -> Option<Markup> {
    let last = curve.iter().map(|point| point.0).fold(seconds, f64::max);
    let marked = marked.filter(|_| curve.len() >= 2 && last > 0.0)?;
    // The axis includes zero: the goal image's distance to itself, or the value with no reward to come.
    let (low, high) = curve.iter().fold((0.0, 0.0), |(low, high), (_, y)| (f64::min(low, *y), f64::max(high, *y)));
    let (low, high) = if high > low { (1.08 * low, 1.08 * high) } else { (0.0, 1.0) };
    let (across, up) = (Scale::new((0.0, last), (30.0, 312.0)), Scale::new((low, high), (70.0, 8.0)));
    let (x, y, zero) = (across.at(marked.0), up.at(marked.1), up.at(0.0));
    let (anchor, beside) = if x > 240.0 { ("end", x - 6.0) } else { ("start", x + 6.0) };
    Some(html! {
        svg .curve viewBox="0 0 320 86" role="img" {
            title { (title) }
            line .grid x1="30" x2="312" y1=(tenth(zero)) y2=(tenth(zero)) {}
            line .grid x1="30" x2="312" y1="8" y2="8" {}
            text x="26" y=(tenth(zero + 3.0)) text-anchor="end" { "0" }
            text x="26" y="12" text-anchor="end" { (tenth(high)) }
            text x="26" y="73" text-anchor="end" { @if low < 0.0 { (tenth(low)) } }
            text x="30" y="83" { "0 s" }
            text x="312" y="83" text-anchor="end" { (format!("{last:.0} s")) }
            polyline .line points=(points(curve.iter().map(|(time, value)| (across.at(*time), up.at(*value))))) {}
            circle .rate cx=(tenth(x)) cy=(tenth(y)) r="3.5" {}
            text .strong x=(tenth(beside)) y=(tenth((y + 12.0).min(66.0))) text-anchor=(anchor) {
                (format!("{:.2}", marked.1))
            }
        }
    })
}

/// Histogram of timings with median and 99th percentile; everything beyond the axis is in the last bar.
pub(super) fn histogram(name: &str, series: &LatencySeries) -> Markup {
    let samples = series.samples_ms();
    let (Some(p50), Some(p99), Some(max)) = (series.quantile(0.5), series.quantile(0.99), series.quantile(1.0)) else {
        return Markup::default();
    };
    let low = f64::from(samples[0]).min(0.9 * p50);
    // A single late sample must not compress all others into one bar.
    let high = max.min(low + 1.6 * (p99 - low)).max(low + 1e-3);
    let counts = bars::<48>(samples.iter().copied().map(f64::from), (low, high));
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    // Square root: single late samples stay visible among thousands.
    let tall = |count: usize| 66.0 * (count as f64 / most as f64).sqrt();
    let scale = Scale::new((low, high), (4.0, 316.0));
    html! {
        svg .histogram viewBox="0 0 320 96" role="img" {
            title { (name) }
            @for (i, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                rect .bar x=(tenth(4.0 + 6.5 * i as f64)) y=(tenth(78.0 - tall(count))) width="5.9" height=(tenth(tall(count))) {
                    title { (count) }
                }
            }
            @for (value, label) in [(p50, "p50"), (p99, "p99")] {
                @let at = scale.at(value).clamp(4.0, 316.0);
                line .mark x1=(tenth(at)) x2=(tenth(at)) y1="12" y2="78" {}
                text x=(tenth(at.max(12.0))) y="9" text-anchor=(if at > 280.0 { "end" } else { "middle" }) { (label) }
            }
            line .grid x1="4" x2="316" y1="78" y2="78" {}
            text x="4" y="92" { (format!("{low:.2} ms")) }
            text x="316" y="92" text-anchor="end" { (format!("{high:.2}{} ms", if max > high { "+" } else { "" })) }
        }
    }
}
