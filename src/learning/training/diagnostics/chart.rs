//! A chart of values along clips: V(s_t) over the elapsed share of the clip.

use std::fmt::Write;

/// One line of the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueCurve {
    /// Its name in the legend.
    pub name: String,
    /// Value at each image, from the first to the last.
    pub values: Vec<f64>,
}

const COLORS: [&str; 5] = ["#2f6fde", "#d9622b", "#2a9d5c", "#8b5bd6", "#c23b6b"];
/// Width and height of the chart, and its margins.
const SIZE: (f64, f64) = (640.0, 300.0);
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 30.0;

/// The curves in one SVG over one axis; steps on which a value falls are drawn thick. Values that are not finite are
/// left out.
pub fn value_chart(title: &str, curves: &[ValueCurve]) -> String {
    let values = || curves.iter().flat_map(|curve| &curve.values).copied().filter(|value| value.is_finite());
    let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    // A margin around a single value; an empty chart has an axis, too.
    let (low, high) = if low < high {
        (low, high)
    } else if low.is_finite() {
        (low - 0.5, low + 0.5)
    } else {
        (0.0, 1.0)
    };
    let (width, height) = SIZE;
    let x = |share: f64| LEFT + share * (width - LEFT - RIGHT);
    let y = |value: f64| height - BOTTOM - (value - low) / (high - low) * (height - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\"><rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\
         <text x=\"{LEFT}\" y=\"16\" fill=\"#333\">{}</text>\
         <path d=\"M{LEFT} {TOP}V{}H{}\" fill=\"none\" stroke=\"#999\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#555\">end of the clip</text>",
        escaped(title),
        height - BOTTOM,
        width - RIGHT,
        width - RIGHT,
        height - 10.0
    );
    for value in [low, high] {
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{value:.2}</text>",
            LEFT - 4.0,
            y(value) + 4.0
        );
    }
    for (i, curve) in curves.iter().enumerate() {
        let color = COLORS[i % COLORS.len()];
        let last = curve.values.len().saturating_sub(1).max(1) as f64;
        let at = |t: usize| (x(t as f64 / last), y(curve.values[t]));
        let (mut line, mut falls) = (String::new(), String::new());
        for t in 0..curve.values.len() {
            if !curve.values[t].is_finite() {
                continue;
            }
            let here = at(t);
            let after = t > 0 && curve.values[t - 1].is_finite();
            let _ = write!(line, "{}{:.1} {:.1}", if after { "L" } else { "M" }, here.0, here.1);
            if after && curve.values[t] < curve.values[t - 1] {
                let before = at(t - 1);
                let _ = write!(falls, "M{:.1} {:.1}L{:.1} {:.1}", before.0, before.1, here.0, here.1);
            }
        }
        let _ = write!(
            out,
            "<path d=\"{line}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.3\"/>\
             <path class=\"falls\" d=\"{falls}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"3.2\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{color}\">{}</text>",
            width - RIGHT,
            16.0 + 13.0 * i as f64,
            escaped(&curve.name)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
