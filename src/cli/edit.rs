//! `visuomotor recordings merge`, `split`, `delete` and `relabel`: edits data sets.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::episode::OutcomeKind;
use crate::recording::{EditOptions, EditReport, EpisodeChange, Placement, delete, merge, relabel, split};
use crate::untrusted::shown;

/// Arguments of `visuomotor recordings merge`.
#[derive(Args, Debug)]
#[command(
    override_usage = "visuomotor recordings merge [OPTIONS] <FOLDER>... <OUT>",
    after_help = "A name that an earlier folder has is continued by -2, -3 and so on; each such episode is listed.\n\nExamples:\n  \
                  visuomotor recordings merge results/monday results/tuesday results/week"
)]
pub struct MergeArguments {
    /// Folders of episodes, then the new folder
    #[arg(required = true, num_args = 2.., value_names = ["FOLDER", "OUT"])]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `visuomotor recordings split`.
#[derive(Args, Debug)]
#[command(
    after_help = "An episode's name and the seed decide where it goes (a hash): episodes that are added later move none of the \
                  others.\n\nExamples:\n  visuomotor recordings split results/demos results/train results/held-out --share 0.9\n  \
                  visuomotor recordings split results/demos results/a results/b --share 0.5 --seed 3"
)]
pub struct SplitArguments {
    /// Folder of episodes
    folder: PathBuf,
    /// New folder for the share
    out_a: PathBuf,
    /// New folder for the others
    out_b: PathBuf,
    /// About this share of the episodes goes to OUT_A, between 0 and 1
    #[arg(long)]
    share: f64,
    /// Another seed gives another split
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `visuomotor recordings delete`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor recordings delete results/demos knife_in_pot-0003 knife_in_pot-0007 --out results/clean\n  \
                  visuomotor recordings delete results/demos knife_in_pot-0003 --in-place"
)]
pub struct DeleteArguments {
    /// Folder of episodes
    folder: PathBuf,
    /// Names of the episodes to drop
    #[arg(required = true)]
    episodes: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `visuomotor recordings relabel`.
#[derive(Args, Debug)]
#[command(after_help = "Only what is named is changed: images and numbers are copied byte for byte.\n\nExamples:\n  \
                  visuomotor recordings relabel results/demos --instruction \"put the knife in the pot\" --out results/worded\n  \
                  visuomotor recordings relabel results/demos knife_in_pot-0003 --outcome failure --note \"the knife slipped\" --in-place")]
pub struct RelabelArguments {
    /// Folder of episodes
    folder: PathBuf,
    /// Names of the episodes to change (all otherwise)
    episodes: Vec<PathBuf>,
    /// New task name
    #[arg(long)]
    task: Option<String>,
    /// New instruction
    #[arg(long)]
    instruction: Option<String>,
    /// New outcome, judged by the operator
    #[arg(long)]
    outcome: Option<OutcomeWord>,
    /// Note to add
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Common {
    /// End at the first episode that cannot be read, and write nothing
    #[arg(long)]
    strict: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Target {
    /// New folder
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace the folder, and keep it as FOLDER.backup-YYYYmmdd-HHMMSS (UTC)
    #[arg(long)]
    in_place: bool,
}

impl Target {
    fn placement(&self) -> Placement<'_> {
        self.out.as_deref().map_or(Placement::InPlace, Placement::New)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OutcomeWord {
    Success,
    Failure,
    Aborted,
}

impl From<OutcomeWord> for OutcomeKind {
    fn from(word: OutcomeWord) -> Self {
        match word {
            OutcomeWord::Success => Self::Success,
            OutcomeWord::Failure => Self::Failure,
            OutcomeWord::Aborted => Self::Aborted,
        }
    }
}

impl Common {
    fn options(&self) -> EditOptions {
        // The program's folder is not about the data.
        let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        EditOptions { strict: self.strict, command: format!("visuomotor {}", words.join(" ")) }
    }
}

/// Runs `merge`; returns 0, or 1 when an episode was left out.
pub fn run_merge(arguments: &MergeArguments) -> anyhow::Result<u8> {
    let Some((out, folders)) = arguments.paths.split_last() else { return Ok(0) };
    Ok(told(&merge(folders, out, &arguments.common.options())?))
}

/// Runs `split`; returns 0, or 1 when an episode was left out.
pub fn run_split(arguments: &SplitArguments) -> anyhow::Result<u8> {
    let SplitArguments { folder, out_a, out_b, share, seed, common } = arguments;
    let reports = split(folder, [out_a, out_b], *share, *seed, &common.options())?;
    Ok(reports.iter().map(told).max().unwrap_or(0))
}

/// Runs `delete`; returns 0, or 1 when an episode was left out.
pub fn run_delete(arguments: &DeleteArguments) -> anyhow::Result<u8> {
    let DeleteArguments { folder, episodes, target, common } = arguments;
    Ok(told(&delete(folder, episodes, target.placement(), &common.options())?))
}

/// Runs `relabel`; returns 0, or 1 when an episode was left out.
pub fn run_relabel(arguments: &RelabelArguments) -> anyhow::Result<u8> {
    let RelabelArguments { folder, episodes, task, instruction, outcome, note, target, common } = arguments;
    let change = EpisodeChange {
        name: None,
        task: task.clone(),
        instruction: instruction.clone(),
        outcome: outcome.map(OutcomeKind::from),
        note: note.clone(),
    };
    Ok(told(&relabel(folder, episodes, &change, target.placement(), &common.options())?))
}

/// Prints what was done; returns the exit code.
fn told(report: &EditReport) -> u8 {
    for written in report.written.iter().filter(|written| !written.changed.is_empty()) {
        let name = shown(Path::new(&written.name));
        say!("{} -> {name}: {}", shown(&written.source), written.changed.join("; "));
    }
    for error in &report.left_out {
        say!("left out: {error}");
    }
    for remark in &report.remarks {
        say!("{remark}");
    }
    say!("{}: {} episodes", shown(&report.folder), report.written.len());
    if let Some(backup) = &report.backup {
        say!("backup: {}", shown(backup));
    }
    u8::from(!report.left_out.is_empty())
}
