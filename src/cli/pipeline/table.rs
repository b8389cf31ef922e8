//! Results table of a pipeline: `table.json` and `table.html`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::plan::{Job, Plan, Scored};
use super::stage::Done;
use crate::evaluation::ComparisonReport;
use crate::evaluation::methods::{MethodName, ScenarioTable};
use crate::evaluation::page::render_methods;

/// HTML file.
pub const PAGE_FILE: &str = "table.html";
/// JSON file.
const FILE: &str = "table.json";

/// The table so far.
pub struct Table {
    name: String,
    scale: String,
    methods: Vec<MethodName>,
    /// Name, which is also the folder name, and duration \[s\] of each finished job.
    stages: Vec<(String, f64)>,
    /// Policies that are not finished.
    missing: Vec<String>,
    scenarios: Vec<ScenarioTable>,
}

impl Table {
    /// A table without scores.
    pub fn new(plan: &Plan, scale: &str, jobs: &[Job], scored: &[Scored], done: &BTreeMap<usize, Done>) -> Self {
        let name = |policy: &Scored| format!("{}-{}", plan.method[policy.method].name, policy.seed);
        Self {
            name: plan.name.clone(),
            scale: scale.to_string(),
            methods: plan
                .method
                .iter()
                .map(|m| MethodName { name: m.name.clone(), label: m.label.clone(), paper: m.paper })
                .collect(),
            stages: done.iter().map(|(number, was)| (jobs[*number].name.clone(), was.seconds)).collect(),
            missing: scored.iter().filter(|policy| !done.contains_key(&policy.job)).map(name).collect(),
            scenarios: Vec::new(),
        }
    }

    /// Adds a scenario.
    pub fn add(&mut self, report: &ComparisonReport) {
        self.scenarios.push(ScenarioTable::new(&self.methods, report));
    }

    /// Writes both files.
    pub fn write(&self, out: &Path) -> anyhow::Result<()> {
        let times: Vec<_> =
            self.stages.iter().map(|(name, seconds)| json!({"stage": name, "seconds": seconds})).collect();
        let json = json!({
            "name": self.name, "scale": self.scale, "scenarios": self.scenarios, "stages": times, "missing": self.missing,
        });
        let with_curves = |(name, seconds): &(String, f64)| {
            let curves = format!("{name}/curves.svg");
            let link = out.join(&curves).is_file().then_some(curves);
            (name.clone(), link, *seconds)
        };
        let stages: Vec<_> = self.stages.iter().map(with_curves).collect();
        let page = render_methods(&self.name, &self.scale, &self.scenarios, &stages);
        for (name, text) in [(FILE, serde_json::to_string_pretty(&json)? + "\n"), (PAGE_FILE, page)] {
            let file = out.join(name);
            let partial = out.join(format!("{name}.partial"));
            std::fs::write(&partial, text)
                .and_then(|()| std::fs::rename(&partial, &file))
                .with_context(|| format!("{}: cannot be written", file.display()))?;
        }
        Ok(())
    }

    /// As text for the terminal.
    pub fn text(&self) -> String {
        let mut out: String = self.scenarios.iter().map(ScenarioTable::text).collect();
        if !self.missing.is_empty() {
            out.push_str(&format!("not ready: {}\n", self.missing.join(", ")));
        }
        out
    }
}
