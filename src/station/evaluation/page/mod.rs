//! `report.html`: the results as a self-contained page that opens from disk.
//!
//! The template (style, player, order of sections) is `report.html` next to this module; this module fills its
//! placeholders.

mod chart;
mod comparison;
mod methods;
mod pictures;
mod trials;

use std::fmt::Write as _;
use std::path::Path;

use super::journal::TrialRecord;
use super::paper::{self, PaperScore};
use super::protocol::{Scenario, TrialPlan};
use super::report::{Report, merged_latency};
use super::score::Score;
use super::statistics::{self, plain_words};

pub use comparison::render_comparison;
pub use methods::render_methods;

/// The page's template; placeholders are `{{name}}`.
const TEMPLATE: &str = include_str!("../report.html");

/// The shared style of all pages.
fn style() -> &'static str {
    TEMPLATE.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).map_or("", |(style, _)| style)
}

/// The page of a report; images are read from `folder`.
pub fn render(report: &Report, plans: &[TrialPlan], records: &[TrialRecord], folder: &Path) -> String {
    let scenario = format!("Scenario {}: {}", report.scenario.number(), report.scenario.title());
    let state = if report.complete {
        String::new()
    } else {
        format!(r#"<span class="chip">not complete: {} of {} trials</span>"#, report.total.trials, report.planned)
    };
    let paper_total = paper::total(report.scenario);
    fill(TEMPLATE, |gap| match gap {
        "title" => escape(&format!("{} {}/{}", report.policy, report.total.successes, report.total.trials)),
        "policy" => escape(&report.policy),
        "scenario" => escape(&scenario),
        "state" => state.clone(),
        "successes" => report.total.successes.to_string(),
        "counted" => report.total.trials.to_string(),
        "range" => range(&report.total),
        "plain_words" => escape(&report.plain_words),
        "missing" => missing(report),
        "scores" => scores(report),
        "task_words" => task_words(report),
        "axis" => chart::interval_axis(),
        "fields" => trials::fields(plans, records),
        "paper_total" => format!("{}/{}", paper_total.successes, paper_total.trials),
        "paper_rows" => paper_rows(report),
        "cards" => trials::cards(plans, records, folder),
        "latency" => latency(records),
        "deadline_misses" => report.deadline_misses.to_string(),
        "facts" => facts(report),
        "command" => escape(&report.command),
        "settings" => escape(&report.settings),
        _ => String::new(),
    })
}

/// Replaces every `{{name}}` of the template; inserted values are not searched again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(template.len() * 4);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        match after.split_once("}}") {
            Some((name, after)) => {
                out.push_str(&value(name));
                rest = after;
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

/// Gaps in the record.
fn missing(report: &Report) -> String {
    if report.missing.is_empty() {
        return String::new();
    }
    let lines: String = report.missing.iter().map(|line| format!("<li>{}</li>", escape(line))).collect();
    format!("<p><b>missing in the record:</b></p><ul>{lines}</ul>")
}

/// Text as HTML, also within quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A name as display text.
fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

/// Wilson's interval in percent.
fn range(score: &Score) -> String {
    if score.trials == 0 {
        return "no trial yet".into();
    }
    format!("{:.0}&#8211;{:.0} %", score.wilson95.low * 100.0, score.wilson95.high * 100.0)
}

/// One line of the chart.
fn score_row(class: &str, name: &str, score: &Score, paper: Option<&PaperScore>, note: &str) -> String {
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
    format!(
        concat!(
            r#"<div class="row {class}"><span class="name">{name}</span><span class="count">{successes}<small>/{trials}"#,
            r#"</small></span>{chart}<span class="range">{range}</span><span class="note muted">{notes}</span></div>"#
        ),
        class = class,
        name = escape(&spoken(name)),
        successes = score.successes,
        trials = score.trials,
        chart = chart::interval(score, rate),
        range = range(score),
        notes = notes.join(", ")
    )
}

/// Tasks (scenario 3: objects), total, control rows.
fn scores(report: &Report) -> String {
    let mut out = String::new();
    if report.scenario == Scenario::NovelTargets {
        for object in &report.objects {
            let beside = paper::beside(report.scenario, &object.object);
            out.push_str(&score_row("", &object.object, &object.score, beside.as_ref(), ""));
        }
    } else {
        for task in &report.tasks {
            let beside = paper::beside(report.scenario, &task.task);
            out.push_str(&score_row("", &task.task, &task.score, beside.as_ref(), ""));
        }
    }
    let total = paper::total(report.scenario);
    // The paper's total covers all its tasks: next to only some of them it would mislead.
    let same_size = total.trials == report.planned;
    out.push_str(&score_row("total", "total", &report.total, same_size.then_some(&total), ""));
    for (control, comparison) in report.controls.iter().zip(&report.comparisons) {
        let note = format!("difference: p {}", p_words(comparison.fisher_p));
        out.push_str(&score_row("control", &format!("control: {}", control.policy), &control.total, None, &note));
    }
    out
}

/// Statistical interpretation of each task's trials (scenario 3: object's).
fn task_words(report: &Report) -> String {
    let named: Vec<(&str, &Score)> = if report.scenario == Scenario::NovelTargets {
        report.objects.iter().map(|object| (object.object.as_str(), &object.score)).collect()
    } else {
        report.tasks.iter().map(|task| (task.task.as_str(), &task.score)).collect()
    };
    let words = |score: &Score| escape(&plain_words(score.successes, score.trials));
    named.iter().map(|(name, score)| format!("<dt>{}</dt><dd>{}</dd>", escape(&spoken(name)), words(score))).collect()
}

/// A probability with its comparison sign.
fn p_words(p: f64) -> String {
    escape(&statistics::p_words(p))
}

/// The paper's table.
fn paper_rows(report: &Report) -> String {
    let mut rows = report.paper.clone();
    rows.push(paper::total(report.scenario));
    rows.iter()
        .map(|row| format!("<tr><td>{}</td><td>{}/{}</td></tr>", escape(&row.label), row.successes, row.trials))
        .collect()
}

/// Table and histograms of all timings.
fn latency(records: &[TrialRecord]) -> String {
    let merged = merged_latency(records);
    if merged.is_empty() {
        return r#"<p class="muted">No timing was recorded.</p>"#.into();
    }
    let mut table = String::from(
        r#"<div class="wide"><table class="numbers"><tr><th>timing</th><th>p50</th><th>p99</th><th>max</th><th>samples</th></tr>"#,
    );
    let mut charts = String::from(r#"<div class="charts">"#);
    for (name, series) in &merged {
        let summary = series.summary();
        let _ = write!(
            table,
            "<tr><td>{}</td><td>{:.3} ms</td><td>{:.3} ms</td><td>{:.3} ms</td><td>{}</td></tr>",
            escape(&spoken(name)),
            summary.p50,
            summary.p99,
            summary.max,
            summary.count
        );
        let drawing = chart::histogram(&spoken(name), series);
        let _ = write!(charts, "<figure><figcaption>{}</figcaption>{drawing}</figure>", escape(&spoken(name)));
    }
    format!("{table}</table></div>{charts}</div>")
}

/// Data needed to repeat the evaluation.
fn facts(report: &Report) -> String {
    let weights = if report.weights_digest.is_empty() { "none" } else { &report.weights_digest };
    let mut rows = vec![
        ("policy", report.policy.clone()),
        ("scene", report.scene.clone()),
        ("seed", report.seed.to_string()),
        ("revision", report.revision.clone()),
        ("settings digest", report.settings_digest.clone()),
        ("weights digest", weights.into()),
        ("machine", format!("{}, {} cores", report.machine.cpu, report.machine.cores)),
    ];
    rows.extend(report.machine.realtime.iter().map(|line| ("control loop", line.clone())));
    for control in &report.controls {
        rows.push(("control", format!("{}: seed {}, revision {}", control.policy, control.seed, control.revision)));
    }
    rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escape(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_values_are_not_searched_for_placeholders() {
        assert_eq!(fill("a{{x}}b{{y}}", |gap| format!("<{gap}{{{{y}}}}>")), "a<x{{y}}>b<y{{y}}>");
    }
}
