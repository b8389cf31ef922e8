//! The pipeline file: stages, each a command of this program, and the methods they lead to; unrolled into jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::{ConfigError, digest, load};
use crate::training::under_former_names;

/// A pipeline file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the table.
    pub name: String,
    /// How the policies are scored.
    pub evaluation: Scoring,
    /// Numbers by scale (`smoke`, `small`, `paper`), substituted for `{name}` in commands. `seeds` is the number of training
    /// seeds, `trials` the number of trials per task (default: all).
    pub scale: BTreeMap<String, BTreeMap<String, u64>>,
    /// Commands, in any order.
    pub stage: Vec<Stage>,
    /// Rows of the table.
    pub method: Vec<Method>,
}

/// How the policies are scored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scoring {
    /// Launch file of the target kitchen.
    pub launch: PathBuf,
    /// Scenarios, 1 to 3.
    pub scenarios: Vec<u8>,
    /// Seed of the trials.
    pub seed: u64,
}

/// A command of this program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name, also of its folder.
    pub name: String,
    /// Is it run for every training seed? If so, `--seed N` is appended.
    #[serde(default)]
    pub per_seed: bool,
    /// Words of the command. `{scale}`, the scale's `{number}`s and `{stage}`, another stage's folder, are substituted;
    /// `--out FOLDER` is appended.
    pub run: Vec<String>,
}

/// A row of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Name, of letters, digits and `_`.
    pub name: String,
    /// Its label in the table.
    pub label: String,
    /// The stage whose folder contains the policy.
    pub policy: String,
    /// Is it trained with every seed of the scale, or only with the first?
    #[serde(default)]
    pub every_seed: bool,
    /// The paper's successes in scenarios 1, 2, 3 (of 48, 48, 9), if it reports the method.
    #[serde(default)]
    pub paper: Option<[u64; 3]>,
}

/// One run of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// `stage`, or `stage-seed`.
    pub name: String,
    /// Words of the command, with all substitutions.
    pub words: Vec<String>,
    /// Its output folder.
    pub folder: PathBuf,
    /// Numbers of the jobs it needs; all smaller than its own.
    pub needs: Vec<usize>,
}

/// A policy to score.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Number of the method.
    pub method: usize,
    /// Training seed.
    pub seed: u64,
    /// Number of the job whose folder contains the policy.
    pub job: usize,
}

impl Plan {
    /// Reads and checks a pipeline file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let plan: Self = load(file)?;
        let bad = |key: String, found: String, expected: &str, fix: &str| {
            Err(ConfigError::unfit(file, key, found, expected, fix))
        };
        let mut names = BTreeSet::new();
        for (i, name) in plan.stage.iter().map(|s| &s.name).enumerate() {
            if !is_name(name) || !names.insert(name.clone()) {
                let expected = "a name of its own, of letters, digits and _";
                return bad(format!("stage[{i}].name"), format!("`{name}`"), expected, "rename the stage");
            }
        }
        let mut methods = BTreeSet::new();
        for (i, method) in plan.method.iter().enumerate() {
            if !is_name(&method.name) || !methods.insert(method.name.clone()) {
                let expected = "a name of its own, of letters, digits and _";
                return bad(format!("method[{i}].name"), format!("`{}`", method.name), expected, "rename the method");
            }
            if !plan.stage.iter().any(|s| s.name == method.policy && s.per_seed) {
                let key = format!("method[{i}].policy");
                let expected = "the name of a stage that is run for every seed";
                return bad(key, format!("`{}`", method.policy), expected, "name one of the file's stages");
            }
        }
        if plan.evaluation.scenarios.iter().any(|s| !(1..=3).contains(s)) {
            let found = format!("{:?}", plan.evaluation.scenarios);
            return bad("evaluation.scenarios".into(), found, "numbers from 1 to 3", "leave the others out");
        }
        Ok(plan)
    }

    /// The jobs that `methods` (all if empty) need at a scale, the first seed's first, and the policies to score.
    pub fn jobs(
        &self,
        file: &Path,
        scale: &str,
        methods: &[String],
        out: &Path,
    ) -> Result<(Vec<Job>, Vec<Scored>), ConfigError> {
        let Some(numbers) = self.scale.get(scale) else {
            let known: Vec<&str> = self.scale.keys().map(String::as_str).collect();
            return Err(ConfigError::unfit(
                file,
                "scale",
                format!("`{scale}`"),
                known.join(", "),
                "choose one with --scale",
            ));
        };
        if let Some(unknown) = methods.iter().find(|name| !self.method.iter().any(|m| m.name == **name)) {
            let known: Vec<&str> = self.method.iter().map(|m| m.name.as_str()).collect();
            return Err(ConfigError::unfit(
                file,
                "method",
                format!("`{unknown}`"),
                known.join(", "),
                "choose with --method",
            ));
        }
        let mut unrolled = Unrolled { plan: self, file, scale, numbers, out, jobs: Vec::new() };
        let mut scored = Vec::new();
        for seed in 1..=numbers.get("seeds").copied().unwrap_or(1) {
            for (number, method) in self.method.iter().enumerate() {
                let wanted = methods.is_empty() || methods.contains(&method.name);
                if wanted && (seed == 1 || method.every_seed) {
                    let job = unrolled.job(&method.policy, seed, &mut Vec::new())?;
                    scored.push(Scored { method: number, seed, job });
                }
            }
        }
        Ok((unrolled.jobs, scored))
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Unrolled<'a> {
    plan: &'a Plan,
    file: &'a Path,
    scale: &'a str,
    numbers: &'a BTreeMap<String, u64>,
    out: &'a Path,
    jobs: Vec<Job>,
}

impl Unrolled<'_> {
    /// The number of a stage's job for a seed; adds the job and its dependencies if missing. `above` are the stages that
    /// need this one.
    fn job(&mut self, stage: &str, seed: u64, above: &mut Vec<String>) -> Result<usize, ConfigError> {
        let plan = self.plan;
        let Some((number, found)) = plan.stage.iter().enumerate().find(|(_, s)| s.name == stage) else {
            let known: Vec<&str> = plan.stage.iter().map(|s| s.name.as_str()).collect();
            return Err(self.bad(above.last(), format!("{{{stage}}}"), known.join(", ")));
        };
        let name = if found.per_seed { format!("{stage}-{seed}") } else { stage.to_string() };
        if let Some(there) = self.jobs.iter().position(|job| job.name == name) {
            return Ok(there);
        }
        if above.iter().any(|s| s == stage) {
            let circle = format!("{} -> {stage}", above.join(" -> "));
            let key = format!("stage[{number}].run");
            return Err(ConfigError::unfit(self.file, key, circle, "no circle", "let no stage need itself"));
        }
        above.push(stage.to_string());
        let folder = self.out.join(&name);
        let mut words = Vec::with_capacity(found.run.len() + 4);
        let mut needs = Vec::new();
        for word in &found.run {
            words.push(self.filled(word, seed, above, &mut needs)?);
        }
        if found.per_seed {
            words.extend(["--seed".into(), seed.to_string()]);
        }
        words.extend(["--out".into(), folder.display().to_string()]);
        above.pop();
        self.jobs.push(Job { name, words, folder, needs });
        Ok(self.jobs.len() - 1)
    }

    /// A word with its `{names}` substituted.
    fn filled(
        &mut self,
        word: &str,
        seed: u64,
        above: &mut Vec<String>,
        needs: &mut Vec<usize>,
    ) -> Result<String, ConfigError> {
        let mut out = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                return Err(self.bad(above.last(), word.to_string(), "a closing brace".into()));
            };
            if name == "scale" {
                out.push_str(self.scale);
            } else if let Some(number) = self.numbers.get(name) {
                out.push_str(&number.to_string());
            } else {
                let job = self.job(name, seed, above)?;
                if !needs.contains(&job) {
                    needs.push(job);
                }
                out.push_str(&self.jobs[job].folder.display().to_string());
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn bad(&self, stage: Option<&String>, found: String, expected: String) -> ConfigError {
        let number = stage.and_then(|name| self.plan.stage.iter().position(|s| s.name == *name)).unwrap_or(0);
        let fix = "name a stage, a number of the scale, or `scale`";
        ConfigError::unfit(self.file, format!("stage[{number}].run"), found, expected, fix)
    }
}

impl Job {
    /// Digest of the job's inputs: its words, the values in the settings files they name, and the digests of the jobs it
    /// needs. Comments in settings files do not count.
    pub fn digest(&self, root: &Path, needed: &[String]) -> String {
        // Under the names of earlier versions, so that what those made is known on.
        let former = |word: &String| match (self.words.first().map(String::as_str), word.as_str()) {
            (Some("train"), "--reinit-actor") => "--actor-anew".into(),
            (Some("train"), "--max-state-age") => "--stale".into(),
            _ => word.clone(),
        };
        let words: Vec<String> = self.words.iter().map(former).collect();
        let mut text = format!("{words:?}{needed:?}");
        // Settings files only; outputs of other jobs count by their digests.
        for word in self.words.iter().filter(|word| word.ends_with(".toml")) {
            if let Ok(settings) = crate::untrusted::read_text(&root.join(word), crate::untrusted::LARGEST_TEXT) {
                // The job itself refuses invalid TOML.
                let values = settings.parse::<toml::Table>().map_or(settings, |table| self.former(table).to_string());
                text.push_str(&digest(values.as_bytes()));
            }
        }
        digest(text.as_bytes())
    }

    /// A settings file under the names of earlier versions.
    fn former(&self, settings: toml::Table) -> toml::Table {
        match &self.words[..] {
            [train, algorithm, ..] if train == "train" => under_former_names(algorithm, settings),
            _ => settings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        name = "test"
        [evaluation]
        launch = "launch/widowx_kitchen.toml"
        scenarios = [1]
        seed = 7
        [scale.smoke]
        seeds = 2
        clips = 24
        [[stage]]
        name = "videos"
        run = ["videos", "--clips", "{clips}"]
        [[stage]]
        name = "icvf"
        per_seed = true
        run = ["train", "icvf", "launch/{scale}/icvf.toml", "--data", "{videos}"]
        [[stage]]
        name = "vptr"
        per_seed = true
        run = ["train", "cql", "--encoder-weights", "{icvf}/encoder.safetensors"]
        [[stage]]
        name = "bc"
        per_seed = true
        run = ["train", "behavior-cloning"]
        [[method]]
        name = "vptr"
        label = "V-PTR"
        policy = "vptr"
        every_seed = true
        paper = [24, 20, 3]
        [[method]]
        name = "bc"
        label = "BC"
        policy = "bc"
    "#;

    fn plan(text: &str) -> Result<Plan, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.toml");
        std::fs::write(&file, text).unwrap();
        Plan::load(&file)
    }

    #[test]
    fn a_plan_unrolls_into_jobs_in_dependency_order() {
        let (jobs, scored) = plan(FILE).unwrap().jobs(Path::new("p.toml"), "smoke", &[], Path::new("o")).unwrap();
        let names: Vec<&str> = jobs.iter().map(|j| j.name.as_str()).collect();
        assert_eq!(names, ["videos", "icvf-1", "vptr-1", "bc-1", "icvf-2", "vptr-2"]);
        assert_eq!(jobs[0].words, ["videos", "--clips", "24", "--out", "o/videos"]);
        assert_eq!(jobs[1].words[2..5], ["launch/smoke/icvf.toml", "--data", "o/videos"]);
        assert_eq!(jobs[5].words[3], "o/icvf-2/encoder.safetensors");
        assert_eq!((jobs[1].needs.clone(), jobs[5].needs.clone()), (vec![0], vec![4]));
        assert_eq!(
            scored.iter().map(|s| (s.method, s.seed, s.job)).collect::<Vec<_>>(),
            [(0, 1, 2), (1, 1, 3), (0, 2, 5)]
        );
    }

    #[test]
    fn only_the_jobs_of_the_chosen_methods_are_run() {
        let chosen = ["bc".to_string()];
        let (jobs, _) = plan(FILE).unwrap().jobs(Path::new("p.toml"), "smoke", &chosen, Path::new("o")).unwrap();
        assert_eq!(jobs.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |from: &str, to: &str| {
            let text = FILE.replacen(from, to, 1);
            let jobs = plan(&text).and_then(|p| p.jobs(Path::new("p.toml"), "smoke", &[], Path::new("o")));
            jobs.unwrap_err().to_string()
        };
        assert!(with("{videos}", "{video}").contains("stage[1].run"), "{}", with("{videos}", "{video}"));
        let circle = with("\"--clips\", \"{clips}\"", "\"{vptr}\"");
        assert!(circle.contains("vptr -> icvf -> videos -> vptr"), "{circle}");
        assert!(with("policy = \"bc\"", "policy = \"videos\"").contains("method[1].policy"));
        assert!(with("name = \"icvf\"", "name = \"../icvf\"").contains("stage[1].name"));
        assert!(with("scenarios = [1]", "scenarios = [4]").contains("evaluation.scenarios"));
        assert!(with("[scale.smoke]", "[scale.other]").contains("--scale"));
    }

    #[test]
    fn a_changed_dependency_or_settings_file_changes_the_digest() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("s.toml"), "a = 1").unwrap();
        let job =
            Job { name: "x".into(), words: vec!["train".into(), "s.toml".into()], folder: "x".into(), needs: vec![] };
        let first = job.digest(root.path(), &[]);
        assert_eq!(first, job.digest(root.path(), &[]));
        assert_ne!(first, job.digest(root.path(), &["other".into()]));
        std::fs::write(root.path().join("s.toml"), "# Why it is 1.\na = 1.0").unwrap();
        assert_ne!(first, job.digest(root.path(), &[]), "another kind of number");
        std::fs::write(root.path().join("s.toml"), "# Why it is 1.\na = 1").unwrap();
        assert_eq!(first, job.digest(root.path(), &[]), "a comment made other settings");
        std::fs::write(root.path().join("s.toml"), "a = 2").unwrap();
        assert_ne!(first, job.digest(root.path(), &[]));
    }
}
