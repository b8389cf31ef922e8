//! What happened during training: named series over steps, kept as JSON and drawn as SVG.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Series by name: (step, value) pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// `train_loss`, `validation_loss`, `success`, `seconds`.
    pub series: BTreeMap<String, Vec<(u64, f64)>>,
}

impl Curves {
    /// Adds a point.
    pub fn push(&mut self, name: &str, step: u64, value: f64) {
        self.series.entry(name.to_string()).or_default().push((step, value));
    }
}

const COLORS: [&str; 5] = ["#2f6fde", "#d9622b", "#2a9d5c", "#8b5bd6", "#c23b6b"];

/// The chosen series as one SVG chart, each scaled to its own largest value, which its label names. The axis is at 0, or
/// at a series' smallest value where that is negative.
pub fn curves_svg(curves: &Curves, names: &[&str]) -> String {
    let (width, height, left, bottom) = (640.0, 260.0, 40.0, 30.0);
    let last = curves.series.values().flatten().map(|p| p.0).max().unwrap_or(1).max(1) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>"
    );
    let _ = write!(
        out,
        "<path d=\"M{left} 20V{0}H{1}\" fill=\"none\" stroke=\"#999\"/><text x=\"{1}\" y=\"{2}\" text-anchor=\"end\" fill=\"#555\">step {last}</text>",
        height - bottom,
        width - 10.0,
        height - 12.0
    );
    for (i, name) in names.iter().enumerate() {
        let Some(points) = curves.series.get(*name).filter(|p| !p.is_empty()) else { continue };
        let top = points.iter().map(|p| p.1).fold(f64::MIN, f64::max).max(1e-9);
        let low = points.iter().map(|p| p.1).fold(0.0, f64::min);
        let color = COLORS[i % COLORS.len()];
        let mut path = String::new();
        for (k, (step, value)) in points.iter().enumerate() {
            let x = left + *step as f64 / last * (width - left - 10.0);
            let y = height - bottom - (value - low) / (top - low) * (height - bottom - 20.0);
            let _ = write!(path, "{}{x:.1} {y:.1}", if k == 0 { "M" } else { "L" });
        }
        let _ = write!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{color}\">{name} (top {top:.4})</text>",
            width - 12.0,
            18.0 + 14.0 * i as f64
        );
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_holds_its_curves_also_negative_ones() {
        let mut curves = Curves::default();
        for (step, value) in [(0, -4.0), (50, 1.0), (100, -2.0)] {
            curves.push("q", step, value);
        }
        let chart = curves_svg(&curves, &["q", "missing"]);
        // Smallest value on the axis, largest at the top.
        assert!(chart.contains("M40.0 230.0L335.0 20.0L630.0 146.0"), "{chart}");
        assert!(chart.contains("q (top 1.0000)") && !chart.contains("missing"), "{chart}");
    }
}
