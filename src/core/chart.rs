//! What SVG charts share: the document, scales, lines, bars and colors.
//!
//! The marks of a chart are markup of [`maud`], which escapes every text and attribute. Places are in the units of the
//! drawing's view box, x to the right, y down.

use std::fmt::Write;

use maud::{Markup, html};

/// Colors of a chart's lines, in order.
pub const COLORS: [&str; 5] = ["#2f6fde", "#d9622b", "#2a9d5c", "#8b5bd6", "#c23b6b"];

/// A chart as a file of its own: white ground, sans-serif texts.
pub fn document(width: f64, height: f64, font_size: u32, marks: &Markup) -> String {
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) } font-family="sans-serif"
            font-size=(font_size) {
            rect width=(width) height=(height) fill="#fff" {}
            (marks)
        }
    };
    drawing.into_string() + "\n"
}

/// A linear scale from values to places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    span: f64,
    first: f64,
    length: f64,
}

impl Scale {
    /// The scale on which `values.0` lies at `places.0` and `values.1` at `places.1`. Equal values all lie at `places.0`.
    pub fn new(values: (f64, f64), places: (f64, f64)) -> Self {
        let span = (values.1 - values.0).max(1e-9);
        Self { low: values.0, span, first: places.0, length: places.1 - places.0 }
    }

    /// The place of a value.
    pub fn at(&self, value: f64) -> f64 {
        self.first + (value - self.low) / self.span * self.length
    }
}

/// The lowest and the highest of the finite values; `None` without one.
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite()).fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// How many values lie in each of `N` bars of equal width from `low` to `high`. Values beyond count in the outer bars.
pub fn bars<const N: usize>(values: impl IntoIterator<Item = f64>, (low, high): (f64, f64)) -> [usize; N] {
    let mut bars = [0; N];
    let width = (high - low).max(1e-9);
    for value in values {
        // The conversion makes 0 of a negative number.
        bars[(((value - low) / width * N as f64) as usize).min(N - 1)] += 1;
    }
    bars
}

/// A coordinate with one decimal.
pub fn tenth(place: f64) -> String {
    format!("{place:.1}")
}

/// The points of a `polyline`.
pub fn points(places: impl IntoIterator<Item = (f64, f64)>) -> String {
    places.into_iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

/// The course of a `path` from place to place; `None` interrupts it.
pub fn course(places: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
    let mut out = String::new();
    let mut letter = "M";
    for place in places {
        match place {
            Some((x, y)) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{letter}{x:.1} {y:.1}");
                letter = "L";
            }
            None => letter = "M",
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_maps_its_ends_and_survives_equal_values() {
        let scale = Scale::new((-1.0, 3.0), (200.0, 100.0));
        assert_eq!((scale.at(-1.0), scale.at(1.0), scale.at(3.0)), (200.0, 150.0, 100.0));
        assert_eq!(Scale::new((2.0, 2.0), (5.0, 9.0)).at(2.0), 5.0);
    }

    #[test]
    fn only_finite_values_have_a_range() {
        assert_eq!(range([f64::NAN, 2.0, f64::INFINITY, -1.0]), Some((-1.0, 2.0)));
        assert_eq!(range([f64::NAN]), None);
    }

    #[test]
    fn values_beyond_the_ends_are_in_the_outer_bars() {
        assert_eq!(bars::<4>([-9.0, 0.0, 0.9, 1.0, 3.9, 4.0, 99.0], (0.0, 4.0)), [3, 1, 0, 3]);
        assert_eq!(bars::<2>([1.0, 1.0], (1.0, 1.0)), [2, 0]);
    }

    #[test]
    fn a_course_goes_on_behind_a_gap() {
        let places = [Some((0.0, 1.0)), Some((2.0, 3.0)), None, Some((4.0, 5.06))];
        assert_eq!(course(places), "M0.0 1.0L2.0 3.0M4.0 5.1");
        assert_eq!(points(places.into_iter().flatten()), "0.0,1.0 2.0,3.0 4.0,5.1");
    }

    #[test]
    fn texts_of_a_document_are_escaped() {
        let drawing = document(20.0, 10.0, 11, &html! { text x="1" { "a < b & c" } });
        assert!(drawing.starts_with("<svg xmlns=") && drawing.ends_with("</svg>\n"), "{drawing}");
        assert!(drawing.contains("viewBox=\"0 0 20 10\"") && drawing.contains("a &lt; b &amp; c"), "{drawing}");
    }
}
