//! `report.html`: the results of one policy.

use std::path::Path;

use maud::{Markup, PreEscaped, html};

use super::parts::{Allowed, axis_row, document, list, range, score_row, spoken};
use super::{chart, trials};
use crate::evaluation::journal::TrialRecord;
use crate::evaluation::paper;
use crate::evaluation::protocol::{Scenario, TrialPlan};
use crate::evaluation::report::{Report, merged_latency};
use crate::evaluation::score::Score;
use crate::evaluation::statistics::{p_words, plain_words};

/// Plays the images of a trial.
const PLAYER: &str = include_str!("player.js");

/// The page of a report; images are read from `folder`.
pub fn render(report: &Report, plans: &[TrialPlan], records: &[TrialRecord], folder: &Path) -> String {
    let (total, paper) = (&report.total, paper::total(report.scenario));
    let main = html! {
        div .kicker { "visuomotor evaluation" }
        h1 { (report.policy) }
        div .muted {
            "Scenario " (report.scenario.number()) ": " (report.scenario.title()) " "
            @if !report.complete {
                span .chip { "not complete: " (total.trials) " of " (report.planned) " trials" }
            }
        }
        div .panel.hero {
            div .big { (total.successes) small { "/" (total.trials) } }
            div {
                b { "successful trials" } ", a true rate of " (range(total)) " at 95 %"
                p .muted { (report.plain_words) }
                @if !report.missing.is_empty() {
                    p { b { "missing in the record:" } }
                    ul { @for line in &report.missing { li { (line) } } }
                }
            }
        }

        h2 { "Success" }
        div .panel {
            (scores(report))
            (axis_row())
            (legend())
            details { summary { "What each count can and cannot tell" } (task_words(report)) }
        }

        h2 { "Where it worked" }
        div .fields { (trials::fields(plans, records)) }

        h2 { "Trials" }
        p .muted { "In the order they were run within each task. Play a trial, or drag through it." }
        (trials::cards(plans, records, folder))

        h2 { "Timing" }
        div .panel {
            p {
                "Control ticks that missed their deadline: " b { (report.deadline_misses) } ". Bars are on a square-root scale, \
                 so that single late samples show; the last bar holds everything beyond the axis."
            }
            (latency(records))
        }

        h2 { "The paper's real-robot results" }
        div .panel {
            p {
                "V-PTR on a real WidowX in a toy kitchen, as published: " b { (paper.successes) "/" (paper.trials) } " in this \
                 scenario. These are " b { "real-robot numbers from the paper" } ". Arm, camera, kitchen, objects and training \
                 data differ from this evaluation: they show the size of the task, and are not comparable one to one."
            }
            table .numbers.slim {
                tr { th { "task or object" } th { "successes" } }
                @for row in report.paper.iter().chain([&paper]) {
                    tr { td { (row.label) } td { (row.successes) "/" (row.trials) } }
                }
            }
        }

        h2 { "Repeat it" }
        div .panel {
            pre { (report.command) }
            (facts(report))
            details { summary { "Resolved settings" } pre { (report.settings) } }
        }
    };
    let title = format!("{} {}/{}", report.policy, total.successes, total.trials);
    document(&title, Allowed::ImagesAndPrograms, &main, Some(PLAYER))
}

fn legend() -> Markup {
    let entry = |marks: &str, words: &str| html! { span { svg viewBox="0 0 26 14" { (PreEscaped(marks)) } (words) } };
    html! {
        div .legend {
            (entry(
                r#"<rect class="wilson" x="1" y="2" width="24" height="10" rx="5"/><circle class="rate" cx="13" cy="7" r="4"/>"#,
                "rate with Wilson 95 % interval"
            ))
            (entry(r#"<path class="exact" d="M1 7H25M1 3V11M25 3V11"/>"#, "exact (Clopper-Pearson) 95 % interval"))
            (entry(
                r#"<path class="paper" d="M13 1l6 6l-6 6l-6 -6z"/>"#,
                "the paper, on a real robot: not comparable one to one"
            ))
        }
    }
}

/// The tasks, or in scenario 3 the objects, that are scored one by one.
fn parts(report: &Report) -> Vec<(&str, &Score)> {
    if report.scenario == Scenario::NovelTargets {
        report.objects.iter().map(|object| (object.object.as_str(), &object.score)).collect()
    } else {
        report.tasks.iter().map(|task| (task.task.as_str(), &task.score)).collect()
    }
}

/// Rows of the parts, the total and the controls.
fn scores(report: &Report) -> Markup {
    let total = paper::total(report.scenario);
    // The paper's total covers all its tasks: next to only some of them it would mislead.
    let beside_total = (total.trials == report.planned).then_some(&total);
    html! {
        @for (name, score) in parts(report) {
            (score_row("", name, score, paper::beside(report.scenario, name).as_ref(), ""))
        }
        (score_row("total", "total", &report.total, beside_total, ""))
        @for (control, comparison) in report.controls.iter().zip(&report.comparisons) {
            @let note = format!("difference: p {}", p_words(comparison.fisher_p));
            (score_row("control", &format!("control: {}", control.policy), &control.total, None, &note))
        }
    }
}

/// Statistical interpretation of each part's trials.
fn task_words(report: &Report) -> Markup {
    let row = |(name, score): &(&str, &Score)| (spoken(name), plain_words(score.successes, score.trials));
    list(&parts(report).iter().map(row).collect::<Vec<_>>())
}

/// Table and histograms of all timings.
fn latency(records: &[TrialRecord]) -> Markup {
    let merged = merged_latency(records);
    if merged.is_empty() {
        return html! { p .muted { "No timing was recorded." } };
    }
    html! {
        div .wide {
            table .numbers {
                tr { th { "timing" } th { "p50" } th { "p99" } th { "max" } th { "samples" } }
                @for (name, series) in &merged {
                    @let summary = series.summary();
                    tr {
                        td { (spoken(name)) }
                        @for millis in [summary.p50, summary.p99, summary.max] { td { (format!("{millis:.3} ms")) } }
                        td { (summary.count) }
                    }
                }
            }
        }
        div .charts {
            @for (name, series) in &merged {
                figure { figcaption { (spoken(name)) } (chart::histogram(&spoken(name), series)) }
            }
        }
    }
}

/// Data needed to repeat the evaluation.
fn facts(report: &Report) -> Markup {
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
    list(&rows)
}
