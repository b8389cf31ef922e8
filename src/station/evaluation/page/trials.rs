//! One card per trial: images, player, distance curve, verdict.

use std::fmt::Write as _;
use std::path::Path;

use super::pictures::Pictures;
use super::{chart, escape, spoken};
use crate::evaluation::journal::TrialRecord;
use crate::evaluation::protocol::{Placement, Scenario, TrialPlan};
use visuomotor_core::episode::OutcomeKind;

/// Symbol and CSS class of an outcome; also distinguishable without color.
fn sign(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Success => "&#10003;",
        OutcomeKind::Failure => "&#10005;",
        OutcomeKind::Aborted => "&#8211;",
    }
}

/// Anchor of a trial's card.
fn anchor(record: &TrialRecord) -> String {
    escape(&format!("{}-{}", record.plan.name(), record.attempt))
}

/// The cards of all tasks, each task under its heading.
pub(super) fn cards(plans: &[TrialPlan], records: &[TrialRecord], folder: &Path) -> String {
    let mut out = String::new();
    for task in tasks(plans) {
        let of_task: Vec<_> = records.iter().filter(|record| record.plan.task == task).collect();
        let successes = of_task.iter().filter(|record| record.is_success()).count();
        let counted = of_task.iter().filter(|record| record.counts()).count();
        let _ = write!(
            out,
            r#"<section><h3>{} <span class="muted">{successes}/{counted}</span></h3><div class="cards">"#,
            escape(&spoken(task))
        );
        for record in of_task {
            out.push_str(&card(record, &Pictures::read(folder, record, records.len())));
        }
        out.push_str("</div></section>");
    }
    out
}

fn card(record: &TrialRecord, pictures: &Pictures) -> String {
    let plan = &record.plan;
    let id = anchor(record);
    // In the other scenarios the task's name includes the object.
    let place = match plan.scenario {
        Scenario::NovelTargets => format!("{}, {}", spoken(&plan.object), spoken(&plan.start)),
        _ => spoken(&plan.start),
    };
    let mut out = format!(
        concat!(
            r#"<article class="card {outcome}" id="{id}"><header><b>{trial}</b><span>{start}, {placement}</span>"#,
            r#"<span class="chip">{sign} {outcome}</span></header>"#
        ),
        outcome = record.outcome,
        id = id,
        trial = plan.trial,
        start = escape(&place),
        placement = spoken(plan.placement.word()),
        sign = sign(record.outcome),
    );
    if !pictures.frames.is_empty() {
        let times: Vec<String> = pictures.frames.iter().map(|(at, _)| format!("{at:.2}")).collect();
        let codes: Vec<String> = pictures.frames.iter().map(|(_, code)| format!("\"{code}\"")).collect();
        let _ = write!(
            out,
            concat!(
                r#"<div class="player"><img alt="trial {trial} of {task}"><div class="controls">"#,
                r#"<button type="button" class="play" aria-label="play">&#9654;</button>"#,
                r#"<input type="range" min="0" max="{last}" value="0" aria-label="moment">"#,
                r#"<output>0.0 s</output><button type="button" class="speed" aria-label="speed">4&#215;</button></div>"#,
                r#"<script type="application/json">{{"times":[{times}],"frames":[{codes}]}}</script></div>"#
            ),
            trial = plan.trial,
            task = escape(&spoken(&plan.task)),
            last = pictures.frames.len() - 1,
            times = times.join(","),
            codes = codes.join(",")
        );
    }
    if pictures.strip.is_empty() {
        out.push_str(r#"<p class="muted">No images in this page.</p>"#);
    } else {
        out.push_str(r#"<div class="strip">"#);
        for (at, uri) in &pictures.strip {
            let _ = write!(out, r#"<figure><img src="{uri}" alt=""><figcaption>{at:.0} s</figcaption></figure>"#);
        }
        out.push_str("</div>");
    }
    let distances: Vec<_> = record.distance_times.iter().copied().zip(record.goal_distances.iter().copied()).collect();
    let smallest = |curve: &[(f64, f64)]| curve.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
    let last = |curve: &[(f64, f64)]| curve.last().copied();
    for (label, points, marked) in [
        ("Embedding distance to the goal image", &distances, smallest(&distances)),
        (
            "V(s<sub>t</sub>): discounted reward the critic expects from here on",
            &record.state_value,
            last(&record.state_value),
        ),
    ] {
        let curve = chart::curve(label, points, marked, record.seconds);
        if !curve.is_empty() {
            let _ = write!(out, r#"<p class="label">{label}</p>{curve}"#);
        }
    }
    let verdict = match record.outcome {
        OutcomeKind::Success => format!("Done after <b>{:.1} s</b>", record.seconds),
        _ => format!("{} <span class=\"muted\">({:.1} s)</span>", escape(&record.why), record.seconds),
    };
    let _ = write!(
        out,
        r#"<p class="verdict">{verdict}<br><span class="muted">judged by {}</span></p>"#,
        escape(&spoken(&record.judge))
    );
    let _ = write!(out, "<details><summary>Layout and record</summary><dl>{}</dl></details></article>", facts(record));
    out
}

/// Further details of a trial.
fn facts(record: &TrialRecord) -> String {
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
    rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escape(value))).collect()
}

/// Grid of start transforms and placements per task; each cell links to its trial.
pub(super) fn fields(plans: &[TrialPlan], records: &[TrialRecord]) -> String {
    let mut out = String::new();
    for task in tasks(plans) {
        let of_task: Vec<_> = plans.iter().filter(|plan| plan.task == task).collect();
        let _ = write!(out, r#"<table class="field"><caption>{}</caption><tr><th></th>"#, escape(&spoken(task)));
        for placement in Placement::ALL {
            let _ = write!(out, "<th>{}</th>", spoken(placement.word()));
        }
        out.push_str("</tr>");
        for (start, object) in rows(&of_task) {
            let named = if of_task.iter().any(|plan| plan.object != of_task[0].object) {
                format!("{} ({})", spoken(start), spoken(object))
            } else {
                spoken(start)
            };
            let _ = write!(out, "<tr><th>{}</th>", escape(&named));
            for placement in Placement::ALL {
                // The newest attempt decides.
                let done = records.iter().rev().find(|record| {
                    record.plan.task == task && record.plan.start == start && record.plan.placement == placement
                });
                match done {
                    Some(record) => {
                        let _ = write!(
                            out,
                            r##"<td class="{0}"><a href="#{1}" title="trial {2}: {0}">{3}</a></td>"##,
                            record.outcome,
                            anchor(record),
                            record.plan.trial,
                            sign(record.outcome)
                        );
                    }
                    None => out.push_str(r#"<td class="open" title="not run yet">&#183;</td>"#),
                }
            }
            out.push_str("</tr>");
        }
        out.push_str("</table>");
    }
    out
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
