//! Training curves: named series over steps, saved as JSON and drawn as SVG.

use std::collections::BTreeMap;

use maud::html;
use serde::{Deserialize, Serialize};

use visuomotor_core::chart::{COLORS, Scale, course, document};

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

/// The chosen series as one SVG chart, each scaled to its own range, which its label gives.
pub fn curves_svg(curves: &Curves, names: &[&str]) -> String {
    let (width, height, left, bottom) = (640.0, 260.0, 40.0, 30.0);
    let last = curves.series.values().flatten().map(|p| p.0).max().unwrap_or(1).max(1) as f64;
    let x = Scale::new((0.0, last), (left, width - 10.0));
    let line = |i: usize, name: &str, points: &[(u64, f64)]| {
        // From 0, or from below it, to the largest value.
        let (low, high) = points.iter().fold((0.0f64, 0.0f64), |(low, high), p| (low.min(p.1), high.max(p.1)));
        let y = Scale::new((low, high), (height - bottom, 20.0));
        let range = if low < 0.0 { format!("{low:.4} to {high:.4}") } else { format!("top {high:.4}") };
        let color = COLORS[i % COLORS.len()];
        html! {
            path d=(course(points.iter().map(|(step, value)| Some((x.at(*step as f64), y.at(*value)))))) fill="none"
                stroke=(color) stroke-width="1.5" {}
            text x=(width - 12.0) y=(18.0 + 14.0 * i as f64) text-anchor="end" fill=(color) { (name) " (" (range) ")" }
        }
    };
    let marks = html! {
        path d={ "M" (left) " 20V" (height - bottom) "H" (width - 10.0) } fill="none" stroke="#999" {}
        text x=(width - 10.0) y=(height - 12.0) text-anchor="end" fill="#555" { "step " (last) }
        @for (i, name) in names.iter().enumerate() {
            @if let Some(points) = curves.series.get(*name).filter(|points| !points.is_empty()) { (line(i, name, points)) }
        }
    };
    document(width, height, 11, &marks)
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
