//! A chart of values along clips: V(s_t) over the elapsed share of the clip.

use maud::html;

use visuomotor_core::chart::{COLORS, Scale, course, document, range, tenth};

/// One line of the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueCurve {
    /// Its name in the legend.
    pub name: String,
    /// Value at each image, from the first to the last.
    pub values: Vec<f64>,
}

/// Width and height of the chart, and its margins.
const SIZE: (f64, f64) = (640.0, 300.0);
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 30.0;

/// The curves in one SVG over one axis; steps on which a value falls are drawn thick. Values that are not finite are
/// left out.
pub fn value_chart(title: &str, curves: &[ValueCurve]) -> String {
    // A margin around a single value; an empty chart has an axis, too.
    let (low, high) = match range(curves.iter().flat_map(|curve| &curve.values).copied()) {
        Some((low, high)) if low < high => (low, high),
        Some((low, _)) => (low - 0.5, low + 0.5),
        None => (0.0, 1.0),
    };
    let (width, height) = SIZE;
    let (right, ground) = (width - RIGHT, height - BOTTOM);
    let (x, y) = (Scale::new((0.0, 1.0), (LEFT, right)), Scale::new((low, high), (ground, TOP)));
    let line = |i: usize, curve: &ValueCurve| {
        let last = curve.values.len().saturating_sub(1).max(1) as f64;
        let places: Vec<Option<(f64, f64)>> = curve
            .values
            .iter()
            .enumerate()
            .map(|(t, value)| value.is_finite().then(|| (x.at(t as f64 / last), y.at(*value))))
            .collect();
        // NaN and infinity have no place, so that they begin or end no step.
        let steps = places.windows(2).zip(curve.values.windows(2));
        let falls = steps.filter(|(_, values)| values[1] < values[0]).flat_map(|(step, _)| match *step {
            [Some(before), Some(here)] => [Some(before), Some(here), None],
            _ => [None; 3],
        });
        let color = COLORS[i % COLORS.len()];
        html! {
            path d=(course(places.iter().copied())) fill="none" stroke=(color) stroke-width="1.3" {}
            path class="falls" d=(course(falls)) fill="none" stroke=(color) stroke-width="3.2" {}
            text x=(right) y=(16.0 + 13.0 * i as f64) text-anchor="end" fill=(color) { (curve.name) }
        }
    };
    let marks = html! {
        text x=(LEFT) y="16" fill="#333" { (title) }
        path d={ "M" (LEFT) " " (TOP) "V" (ground) "H" (right) } fill="none" stroke="#999" {}
        text x=(right) y=(height - 10.0) text-anchor="end" fill="#555" { "end of the clip" }
        @for value in [low, high] {
            text x=(LEFT - 4.0) y=(tenth(y.at(value) + 4.0)) text-anchor="end" fill="#555" { (format!("{value:.2}")) }
        }
        @for (i, curve) in curves.iter().enumerate() { (line(i, curve)) }
    };
    document(width, height, 11, &marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> ValueCurve {
        ValueCurve { name: "a < b & c".into(), values: values.to_vec() }
    }

    #[test]
    fn falling_steps_stand_out_and_text_is_escaped() {
        let chart = value_chart("V(s_t)", &[curve(&[-2.0, -1.0, -1.5, 0.0])]);
        // From t = 1 to t = 2, of values -2 .. 0 on 270 .. 30.
        assert!(chart.contains("class=\"falls\" d=\"M246.7 150.0L437.3 210.0\""), "{chart}");
        assert!(chart.contains("a &lt; b &amp; c") && chart.contains(">-2.00<") && chart.contains(">0.00<"));
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let chart = value_chart("", &[curve(&[f64::NAN, -1.0, f64::INFINITY, 0.0]), curve(&[]), curve(&[-0.5])]);
        assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart}");
        for empty in [value_chart("", &[]), value_chart("", &[curve(&[2.0])])] {
            assert!(empty.starts_with("<svg") && empty.ends_with("</svg>\n") && !empty.contains("NaN"), "{empty}");
        }
    }
}
