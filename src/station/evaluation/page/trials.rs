//! One card per trial: images, player, distance curve, verdict.

use std::path::Path;

use maud::{Markup, PreEscaped, html};

use super::chart;
use super::parts::{list, spoken};
use super::pictures::Pictures;
use crate::evaluation::journal::TrialRecord;
use crate::evaluation::protocol::{Placement, Scenario, TrialPlan};
use visuomotor_core::episode::OutcomeKind;

/// Symbol of an outcome, so that it is also distinguishable without color.
fn sign(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Success => "\u{2713}",
        OutcomeKind::Failure => "\u{2715}",
        OutcomeKind::Aborted => "\u{2013}",
    }
}

/// Anchor of a trial's card.
fn anchor(record: &TrialRecord) -> String {
    format!("{}-{}", record.plan.name(), record.attempt)
}

/// The cards of all tasks, each task under its heading.
pub(super) fn cards(plans: &[TrialPlan], records: &[TrialRecord], folder: &Path) -> Markup {
    html! {
        @for task in tasks(plans) {
            @let of_task: Vec<_> = records.iter().filter(|record| record.plan.task == task).collect();
            @let successes = of_task.iter().filter(|record| record.is_success()).count();
            @let counted = of_task.iter().filter(|record| record.counts()).count();
            section {
                h3 { (spoken(task)) " " span .muted { (successes) "/" (counted) } }
                div .cards {
                    @for record in of_task { (card(record, &Pictures::read(folder, record, records.len()))) }
                }
            }
        }
    }
}

fn card(record: &TrialRecord, pictures: &Pictures) -> Markup {
    let plan = &record.plan;
    // In the other scenarios the task's name includes the object.
    let place = match plan.scenario {
        Scenario::NovelTargets => format!("{}, {}", spoken(&plan.object), spoken(&plan.start)),
        _ => spoken(&plan.start),
    };
    html! {
        article class={ "card " (record.outcome.word()) } id=(anchor(record)) {
            header {
                b { (plan.trial) }
                span { (place) ", " (spoken(plan.placement.word())) }
                span .chip { (sign(record.outcome)) " " (record.outcome.word()) }
            }
            @if !pictures.frames.is_empty() { (player(plan, pictures)) }
            @if pictures.strip.is_empty() {
                p .muted { "No images in this page." }
            } @else {
                div .strip {
                    @for (at, uri) in &pictures.strip {
                        figure { img src=(uri) alt=""; figcaption { (format!("{at:.0} s")) } }
                    }
                }
            }
            (curves(record))
            p .verdict {
                @match record.outcome {
                    OutcomeKind::Success => { "Done after " b { (format!("{:.1} s", record.seconds)) } }
                    _ => { (record.why) " " span .muted { (format!("({:.1} s)", record.seconds)) } }
                }
                br;
                span .muted { "judged by " (spoken(&record.judge)) }
            }
            details { summary { "Layout and record" } (facts(record)) }
        }
    }
}

/// Plays the images; `player.js` reads them from the script element.
fn player(plan: &TrialPlan, pictures: &Pictures) -> Markup {
    let times: Vec<String> = pictures.frames.iter().map(|(at, _)| format!("{at:.2}")).collect();
    // Base64 has no letter that must be escaped.
    let codes: Vec<String> = pictures.frames.iter().map(|(_, code)| format!("\"{code}\"")).collect();
    let images = format!("{{\"times\":[{}],\"frames\":[{}]}}", times.join(","), codes.join(","));
    html! {
        div .player {
            img alt={ "trial " (plan.trial) " of " (spoken(&plan.task)) };
            div .controls {
                button .play type="button" aria-label="play" { "\u{25b6}" }
                input type="range" min="0" max=(pictures.frames.len() - 1) value="0" aria-label="moment";
                output { "0.0 s" }
                button .speed type="button" aria-label="speed" { "4\u{d7}" }
            }
            script type="application/json" { (PreEscaped(images)) }
        }
    }
}

/// Distance to the goal image with its minimum marked, and the critic's value with its last.
fn curves(record: &TrialRecord) -> Markup {
    let distances: Vec<_> = record.distance_times.iter().copied().zip(record.goal_distances.iter().copied()).collect();
    let smallest = distances.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
    let curve = |label: Markup, points: &[(f64, f64)], marked| {
        chart::curve(&label, points, marked, record.seconds).map(|drawing| html! { p .label { (label) } (drawing) })
    };
    let value = html! { "V(s" sub { "t" } "): discounted reward the critic expects from here on" };
    let drawn = [
        curve(html! { "Embedding distance to the goal image" }, &distances, smallest),
        curve(value, &record.state_value, record.state_value.last().copied()),
    ];
    html! { @for curve in drawn.into_iter().flatten() { (curve) } }
}

/// Further details of a trial.
fn facts(record: &TrialRecord) -> Markup {
    let plan = &record.plan;
    let place = |at: [f64; 2]| format!("{:.3}, {:.3} m", at[0], at[1]);
    let mut rows = vec![
        ("instruction", plan.instruction.clone()),
        ("object", format!("{} at {}, yaw {:.2} rad", spoken(&plan.object), place(plan.object_at), plan.object_yaw)),
        ("gripper", place(plan.start_at)),
    ];
    if let (Some(container), Some(at)) = (&plan.container, plan.container_at) {
        rows.insert(2, ("container", format!("{} at {}", spoken(container), place(at))));
    }
    for distractor in &plan.distractors {
        rows.push(("distractor", format!("{} at {}", spoken(&distractor.object), place(distractor.at))));
    }
    rows.push(("steps", record.steps.to_string()));
    rows.push(("deadline misses", record.deadline_misses.to_string()));
    rows.push(("attempt", record.attempt.to_string()));
    rows.push(("seed", plan.seed.to_string()));
    rows.push(("episode", record.episode.clone()));
    list(&rows)
}

/// Grid of start transforms and placements per task; each cell links to its trial.
pub(super) fn fields(plans: &[TrialPlan], records: &[TrialRecord]) -> Markup {
    html! {
        @for task in tasks(plans) {
            @let of_task: Vec<_> = plans.iter().filter(|plan| plan.task == task).collect();
            @let several = of_task.iter().any(|plan| plan.object != of_task[0].object);
            table .field {
                caption { (spoken(task)) }
                tr {
                    th {}
                    @for placement in Placement::ALL { th { (spoken(placement.word())) } }
                }
                @for (start, object) in rows(&of_task) {
                    tr {
                        th { (spoken(start)) @if several { " (" (spoken(object)) ")" } }
                        @for placement in Placement::ALL {
                            // The newest attempt decides.
                            (cell(records.iter().rev().find(|record| {
                                record.plan.task == task && record.plan.start == start && record.plan.placement == placement
                            })))
                        }
                    }
                }
            }
        }
    }
}

fn cell(done: Option<&TrialRecord>) -> Markup {
    let Some(record) = done else { return html! { td .open title="not run yet" { "\u{b7}" } } };
    let outcome = record.outcome.word();
    html! {
        td class=(outcome) {
            a href={ "#" (anchor(record)) } title={ "trial " (record.plan.trial) ": " (outcome) } { (sign(record.outcome)) }
        }
    }
}

/// Distinct start transforms with their object, sorted by name, since the run order is shuffled.
fn rows<'a>(plans: &[&'a TrialPlan]) -> Vec<(&'a str, &'a str)> {
    let mut rows: Vec<_> = plans.iter().map(|plan| (plan.start.as_str(), plan.object.as_str())).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// Distinct tasks in run order.
fn tasks(plans: &[TrialPlan]) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for plan in plans {
        if !found.contains(&plan.task.as_str()) {
            found.push(&plan.task);
        }
    }
    found
}
