//! `table.html`: methods compared over tasks, scenarios and training seeds.

use maud::{Markup, html};

use super::parts::{Allowed, axis_row, document, score_row, spoken};
use crate::evaluation::methods::{MethodRow, ScenarioTable};
use crate::evaluation::statistics::p_words;

/// The page of a table. `stages` are (name, curves if any, duration in seconds) of the stages run for it.
pub fn render_methods(
    name: &str,
    scale: &str,
    tables: &[ScenarioTable],
    stages: &[(String, Option<String>, f64)],
) -> String {
    let main = html! {
        div .kicker { "visuomotor pipeline, scale " (scale) }
        h1 { (spoken(name)) }
        p .muted {
            "All policies ran the same trials, interleaved. A row sums the training seeds of a method. p: Fisher's exact test \
             against the first row, in brackets after Holm's correction. The paper's figures are of a real robot and not \
             comparable one to one."
        }
        @for table in tables {
            h2 { "Scenario " (table.scenario) ": " (table.title) }
            div .panel {
                @for row in &table.rows { (score_row("", &row.label, &row.total, None, &note(row))) }
                (axis_row())
                (by_task(table))
            }
        }
        @if tables.is_empty() {
            p { "Fewer than two policies are finished: no comparison yet." }
        }

        h2 { "What was run" }
        div .panel {
            table .numbers.slim {
                tr { th { "stage" } th { "time" } }
                @for (stage, curves, seconds) in stages {
                    tr {
                        td {
                            @if let Some(file) = curves { a href=(file) { (stage) } } @else { (stage) }
                        }
                        td { (format!("{seconds:.0} s")) }
                    }
                }
            }
        }
    };
    document(&spoken(name), Allowed::Nothing, &main, None)
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
fn by_task(table: &ScenarioTable) -> Markup {
    let Some(first) = table.rows.first() else { return Markup::default() };
    html! {
        div .wide {
            table .numbers {
                tr {
                    th { "successes" }
                    @for task in &first.tasks { th { (spoken(&task.task)) } }
                }
                @for row in &table.rows {
                    tr {
                        td { (row.label) }
                        @for task in &row.tasks { td { (task.score.successes) "/" (task.score.trials) } }
                    }
                }
            }
        }
    }
}
