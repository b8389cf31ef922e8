//! `comparison.html`: several policies on the same trials.

use maud::html;

use super::parts::{Allowed, axis_row, document, list, score_row, spoken};
use crate::evaluation::comparison::ComparisonReport;
use crate::evaluation::statistics::p_words;

/// The page of a comparison; each policy's own report is linked.
pub fn render_comparison(report: &ComparisonReport) -> String {
    let name = |letter: char, policy: &str| format!("{letter}: {policy}");
    let machine = &report.machine;
    let main = html! {
        div .kicker { "visuomotor comparison" }
        h1 { (report.standings.len()) " policies, " (report.planned) " trials each" }
        div .muted {
            "Scenario " (report.scenario.number()) ": " (report.scenario.title()) ", " (spoken(&report.scene)) ", seed "
            (report.seed) " "
            @if !report.complete { span .chip { "not complete" } }
        }

        h2 { "Success" }
        div .panel {
            @for standing in &report.standings {
                (score_row("", &name(standing.letter, &standing.policy), &standing.total, None, ""))
            }
            (axis_row())
        }

        h2 { "Which differences are real" }
        div .panel {
            p .muted {
                "Each layout was run with every policy before the next one, in random order. Only trials in which only one of \
                 a pair succeeded count (McNemar's exact test); with Holm's correction for the number of pairs, p below 0.05 \
                 counts as real. Fisher's test of the totals does not know that the layouts were the same."
            }
            div .wide {
                table .numbers {
                    tr {
                        th { "pair" } th { "trials of both" } th { "only the first" } th { "only the second" }
                        th { "McNemar p" } th { "corrected p" } th { "Fisher p" } th { "difference" }
                    }
                    @for pair in &report.pairs {
                        tr {
                            td { (pair.left) " \u{2013} " (pair.right) }
                            @for count in [pair.both_ran, pair.only_left, pair.only_right] { td { (count) } }
                            @for p in [pair.mcnemar_p, pair.corrected_p, pair.fisher_p] { td { (p_words(p)) } }
                            td { (if pair.differs() { "real" } else { "could be chance" }) }
                        }
                    }
                }
            }
        }

        h2 { "Task by task" }
        @for standing in &report.standings {
            h3 {
                (name(standing.letter, &standing.policy)) " "
                a .muted href={ (standing.folder) "/report.html" } { "its trials \u{2197}" }
            }
            div .panel {
                @for task in &standing.tasks { (score_row("", &task.task, &task.score, None, "")) }
            }
        }

        h2 { "To repeat it" }
        div .panel {
            pre { (report.command) }
            (list(&[
                ("revision", report.revision.clone()),
                ("machine", format!("{}, {} cores", machine.cpu, machine.cores)),
            ]))
        }
    };
    document(&format!("comparison of {} policies", report.standings.len()), Allowed::Nothing, &main, None)
}
