//! What the pages share: the document, and the rows of success rates.

use maud::{Markup, PreEscaped, html};

use super::chart;
use crate::evaluation::paper::PaperScore;
use crate::evaluation::score::Score;

/// The style of all pages.
const STYLE: &str = include_str!("style.css");

/// What a page may load, besides the styles inside it.
pub(super) enum Allowed {
    Nothing,
    /// Images and programs inside the page.
    ImagesAndPrograms,
}

/// A whole page. `script` runs when the page was read.
pub(super) fn document(title: &str, allowed: Allowed, main: &Markup, script: Option<&str>) -> String {
    let policy = match allowed {
        Allowed::Nothing => "default-src 'none'; style-src 'unsafe-inline'",
        Allowed::ImagesAndPrograms => {
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
        }
    };
    let page = html! {
        (PreEscaped("<!doctype html>"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (main) }
                @if let Some(script) = script {
                    script { (PreEscaped(script)) }
                }
            }
        }
    };
    page.into_string() + "\n"
}

/// A name as display text.
pub(super) fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

/// Wilson's interval in percent.
pub(super) fn range(score: &Score) -> String {
    if score.trials == 0 {
        return "no trial yet".into();
    }
    format!("{:.0}\u{2013}{:.0} %", score.wilson95.low * 100.0, score.wilson95.high * 100.0)
}

/// One success rate of the chart.
pub(super) fn score_row(class: &str, name: &str, score: &Score, paper: Option<&PaperScore>, note: &str) -> Markup {
    let rate = paper.map(|paper| paper.successes as f64 / paper.trials as f64);
    let mut notes = Vec::new();
    if let Some(paper) = paper {
        notes.push(format!("paper {}/{}", paper.successes, paper.trials));
    }
    if score.aborted > 0 {
        notes.push(format!("{} aborted", score.aborted));
    }
    if !note.is_empty() {
        notes.push(note.into());
    }
    html! {
        div class={ "row " (class) } {
            span .name { (spoken(name)) }
            span .count { (score.successes) small { "/" (score.trials) } }
            (chart::interval(score, rate))
            span .range { (range(score)) }
            span .note.muted { (notes.join(", ")) }
        }
    }
}

/// The axis below the rows.
pub(super) fn axis_row() -> Markup {
    html! {
        div .row { span .name {} span .count {} (chart::interval_axis()) }
    }
}

/// Names and values, in two columns.
pub(super) fn list(rows: &[(impl AsRef<str>, String)]) -> Markup {
    html! {
        dl {
            @for (name, value) in rows {
                dt { (name.as_ref()) }
                dd { (value) }
            }
        }
    }
}
