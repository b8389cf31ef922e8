//! `comparison.html`: several policies on the same trials.

use std::fmt::Write as _;

use super::{chart, escape, p_words, score_row, spoken, style};
use crate::evaluation::comparison::ComparisonReport;

/// The page of a comparison; each policy's own report is linked.
pub fn render_comparison(report: &ComparisonReport) -> String {
    let mut totals = String::new();
    let mut tasks = String::new();
    for standing in &report.standings {
        let name = format!("{}: {}", standing.letter, standing.policy);
        totals.push_str(&score_row("", &name, &standing.total, None, ""));
        let _ = write!(
            tasks,
            r#"<h3>{} <a class="muted" href="{}/report.html">its trials &#8599;</a></h3><div class="panel">"#,
            escape(&name),
            escape(&standing.folder)
        );
        for task in &standing.tasks {
            tasks.push_str(&score_row("", &task.task, &task.score, None, ""));
        }
        tasks.push_str("</div>");
    }
    let mut pairs = String::new();
    for pair in &report.pairs {
        let _ = write!(
            pairs,
            "<tr><td>{} &#8211; {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            pair.left,
            pair.right,
            pair.both_ran,
            pair.only_left,
            pair.only_right,
            p_words(pair.mcnemar_p),
            p_words(pair.corrected_p),
            p_words(pair.fisher_p),
            if pair.differs() { "real" } else { "could be chance" }
        );
    }
    let state = if report.complete { "" } else { r#"<span class="chip">not complete</span>"# };
    format!(
        concat!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
            "<title>comparison of {count} policies</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n",
            "<div class=\"kicker\">visuomotor comparison</div>\n<h1>{count} policies, {planned} trials each</h1>\n",
            "<div class=\"muted\">Scenario {number}: {title}, {scene}, seed {seed} {state}</div>\n",
            "<h2>Success</h2>\n<div class=\"panel\">\n{totals}\n",
            "<div class=\"row\"><span class=\"name\"></span><span class=\"count\"></span>{axis}</div></div>\n",
            "<h2>Which differences are real</h2>\n<div class=\"panel\">\n",
            "<p class=\"muted\">Each layout was run with every policy before the next one, in random order. Only trials in ",
            "which only one of a pair succeeded count (McNemar's exact test); with Holm's ",
            "correction for the number of pairs, p below 0.05 counts as real. Fisher's test of the totals does not know ",
            "that the layouts were the same.</p>\n<div class=\"wide\"><table class=\"numbers\"><tr><th>pair</th>",
            "<th>trials of both</th><th>only the first</th><th>only the second</th><th>McNemar p</th><th>corrected p</th>",
            "<th>Fisher p</th><th>difference</th></tr>{pairs}</table></div></div>\n<h2>Task by task</h2>\n{tasks}\n",
            "<h2>To repeat it</h2>\n<div class=\"panel\"><pre>{command}</pre><dl><dt>revision</dt><dd>{revision}</dd>",
            "<dt>machine</dt><dd>{cpu}, {cores} cores</dd></dl></div>\n</main>\n</body>\n</html>\n"
        ),
        count = report.standings.len(),
        planned = report.planned,
        style = style(),
        number = report.scenario.number(),
        title = escape(report.scenario.title()),
        scene = escape(&spoken(&report.scene)),
        seed = report.seed,
        state = state,
        totals = totals,
        axis = chart::interval_axis(),
        pairs = pairs,
        tasks = tasks,
        command = escape(&report.command),
        revision = escape(&report.revision),
        cpu = escape(&report.machine.cpu),
        cores = report.machine.cores
    )
}
