//! V-PTR's phases 2 and 3, each from data to a policy folder.

use std::path::Path;

use serde_json::{Value, json};

use super::{Cql, Settings, continued, described};
use crate::training::transitions::{Mixture, Transitions};
use crate::training::{Run, learn};
use visuomotor_core::untrusted;

/// Phase 2 on `prior` data of many tasks; with the `target` tasks' data phase 3 follows in the same run, from
/// [`Settings::switch_at`] on. Trains to the end, or until asked to stop. Returns whether it came to the end.
pub fn train(
    settings: &Settings,
    prior: &Transitions,
    target: Option<&Transitions>,
    run: &Run<'_>,
) -> anyhow::Result<bool> {
    let checkpoint = described(settings, &prior.robot, prior.rate_hz, prior.state_scale());
    let mixture = Mixture::new(settings, &checkpoint, prior, target)?;
    (run.tell)(&mixture.describe());
    let mut learner = Cql::new(settings, &checkpoint, mixture.held_out()?, run.device)?;
    let record = json!({
        "algorithm": "cql",
        "settings": settings,
        "data": { "prior": prior.record(), "target": target.map(Transitions::record) },
    });
    learn(&mut learner, &mixture, &settings.schedule(), record, run)
}

/// Phase 3 from the folder of a phase 2 (`from`), on its `prior` data and the `target` tasks'. Trains to the end, or until
/// asked to stop. Returns whether it came to the end.
pub fn finetune(
    settings: &Settings,
    from: &Path,
    prior: &Transitions,
    target: &Transitions,
    run: &Run<'_>,
) -> anyhow::Result<bool> {
    let checkpoint = continued(settings, from)?;
    let mixture = Mixture::new(settings, &checkpoint, prior, Some(target))?;
    (run.tell)(&mixture.describe());
    let mut learner = Cql::new(settings, &checkpoint, mixture.held_out()?, run.device)?;
    if !run.resume {
        learner.go_on_from(from)?;
    }
    let record = json!({
        "algorithm": "finetune",
        "settings": settings,
        "from": record_of(from),
        "data": { "prior": prior.record(), "target": target.record() },
    });
    learn(&mut learner, &mixture, &settings.schedule(), record, run)
}

/// The training record of phase 2, to include in this one; `None` if there is none.
fn record_of(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&untrusted::read(&folder.join("record.json"), untrusted::LARGEST_TEXT).ok()?).ok()
}
