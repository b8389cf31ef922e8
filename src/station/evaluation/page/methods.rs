//! `table.html`: methods compared over tasks, scenarios and training seeds.

use std::fmt::Write as _;

use super::{chart, escape, p_words, score_row, spoken, style};
use crate::evaluation::methods::{MethodRow, ScenarioTable};

/// The page of a table. `stages` are (name, curves if any, duration in seconds) of the stages run for it.
pub fn render_methods(
    name: &str,
    scale: &str,
    tables: &[ScenarioTable],
    stages: &[(String, Option<String>, f64)],
) -> String {
    let mut parts = String::new();
    for table in tables {
        let _ = write!(parts, "<h2>Scenario {}: {}</h2><div class=\"panel\">", table.scenario, escape(&table.title));
        for row in &table.rows {
            parts.push_str(&score_row("", &row.label, &row.total, None, &note(row)));
        }
        let _ = write!(
            parts,
            "<div class=\"row\"><span class=\"name\"></span><span class=\"count\"></span>{}</div>{}</div>",
            chart::interval_axis(),
            by_task(table)
        );
    }
    if tables.is_empty() {
        parts.push_str("<p>Fewer than two policies are finished: no comparison yet.</p>");
    }
    let mut rows = String::new();
    for (stage, curves, seconds) in stages {
        let name = escape(stage);
        let name = curves.as_ref().map_or(name.clone(), |file| format!("<a href=\"{}\">{name}</a>", escape(file)));
        let _ = write!(rows, "<tr><td>{name}</td><td>{seconds:.0} s</td></tr>");
    }
    format!(
        concat!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
            "<title>{name}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n",
            "<div class=\"kicker\">visuomotor pipeline, scale {scale}</div>\n<h1>{name}</h1>\n",
            "<p class=\"muted\">All policies ran the same trials, interleaved. A row sums the training seeds of a method. p: ",
            "Fisher's exact test against the first row, in brackets after Holm's correction. The paper's figures are of a ",
            "real robot and not comparable one to one.</p>\n{parts}\n<h2>What was run</h2>\n<div class=\"panel\">",
            "<table class=\"numbers slim\"><tr><th>stage</th><th>time</th></tr>{rows}</table></div>\n</main>\n</body>\n</html>\n"
        ),
        name = escape(&spoken(name)),
        scale = escape(scale),
        style = style(),
        parts = parts,
        rows = rows
    )
}

fn note(row: &MethodRow) -> String {
    let seeds: Vec<String> = row.seeds.iter().map(|(_, s)| s.successes.to_string()).collect();
    let mut notes = vec![format!("by seed {}", seeds.join(", "))];
    if let Some((successes, trials)) = row.paper {
        notes.push(format!("paper {successes}/{trials}"));
    }
    if let Some((p, corrected)) = row.against_first {
        notes.push(format!("p {} ({})", p_words(p), p_words(corrected)));
    }
    notes.join(", ")
}

/// Methods down, tasks across.
fn by_task(table: &ScenarioTable) -> String {
    let Some(first) = table.rows.first() else { return String::new() };
    let mut out = String::from("<div class=\"wide\"><table class=\"numbers\"><tr><th>successes</th>");
    for task in &first.tasks {
        let _ = write!(out, "<th>{}</th>", escape(&spoken(&task.task)));
    }
    out.push_str("</tr>");
    for row in &table.rows {
        let _ = write!(out, "<tr><td>{}</td>", escape(&row.label));
        for task in &row.tasks {
            let _ = write!(out, "<td>{}/{}</td>", task.score.successes, task.score.trials);
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
    out
}
