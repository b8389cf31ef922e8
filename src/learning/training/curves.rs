//! Training curves: named series over steps, saved as JSON and drawn as SVG.

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

/// The chosen series as one SVG chart, each scaled to its own range, which its label gives.
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
        // From 0, or from below it, to the largest value.
        let (low, high) = points.iter().fold((0.0f64, 0.0f64), |(low, high), p| (low.min(p.1), high.max(p.1)));
        let range = (high - low).max(1e-9);
        let scale = if low < 0.0 { format!("{low:.4} to {high:.4}") } else { format!("top {high:.4}") };
        let color = COLORS[i % COLORS.len()];
        let mut path = String::new();
        for (k, (step, value)) in points.iter().enumerate() {
            let x = left + *step as f64 / last * (width - left - 10.0);
            let y = height - bottom - (value - low) / range * (height - bottom - 20.0);
            let _ = write!(path, "{}{x:.1} {y:.1}", if k == 0 { "M" } else { "L" });
        }
        let _ = write!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{color}\">{name} ({scale})</text>",
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
    fn values_below_zero_stay_in_the_chart() {
        let mut curves = Curves::default();
        for (step, value) in [(1, -1.0), (2, -4.0)] {
            curves.push("value", step, value);
            curves.push("loss", step, -value);
        }
        let chart = curves_svg(&curves, &["value", "loss"]);
        assert!(chart.contains("value (-4.0000 to 0.0000)") && chart.contains("loss (top 4.0000)"), "{chart}");
        assert!(chart.contains("M335.0 72.5L630.0 230.0") && chart.contains("M335.0 177.5L630.0 20.0"), "{chart}");
    }
}
