//! `visuomotor recordings`: list a folder's episodes, finish cut-off ones, edit data sets, exchange them with other programs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;

use clap::{Args, Subcommand};

use crate::action::{Decider, MotionKind};
use crate::config::Robot;
use crate::evaluation::Card;
use crate::recording::{
    Gravity, ReadOptions, RecordedEpisode, RecordedStep, RecordingError, Verdict, finish_partial, list_episodes,
    list_partial, read_episode, read_episode_with, recover, trim, verify,
};
use crate::untrusted::shown;

/// Arguments of `visuomotor recordings`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor recordings list results/demonstrations\n  visuomotor recordings verify results/demonstrations --robot widowx\n  visuomotor recordings card results/demonstrations\n  visuomotor recordings trim results/demonstrations/knife_in_pot-0003.mcap --from 5 --to 40\n  visuomotor recordings recover results/demonstrations/knife_in_pot-0003.mcap.partial\n  visuomotor recordings merge results/monday results/tuesday results/week\n  visuomotor recordings split results/week results/train results/held-out --share 0.9\n  visuomotor recordings relabel results/week knife_in_pot-0003 --outcome failure --out results/relabeled"
)]
pub struct RecordingsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// One line per episode of a folder: task, steps, outcome, and the action space if it is not pose changes
    List {
        /// Folder of episodes
        folder: PathBuf,
    },
    /// Check every episode of a folder and grade it: order, gaps, rates, stamps, limits, images, words
    Verify {
        /// Folder of episodes
        folder: PathBuf,
        /// Required arm: a folder under `robots/`, whose limits are checked too
        #[arg(long)]
        robot: Option<String>,
        /// Also write the verdicts as JSON
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Save a part of an episode as a new episode
    Trim {
        /// Recorded episode; it is not changed
        file: PathBuf,
        /// First step to keep
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Step after the last one to keep (the end otherwise)
        #[arg(long)]
        to: Option<u64>,
        /// The new episode (`NAME-trimmed.mcap` beside it otherwise)
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Write an HTML page about a folder: counts, lengths, tool positions, actions
    Card {
        /// Folder of episodes
        folder: PathBuf,
        /// The page (`FOLDER/card.html` otherwise)
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Show and play back a folder's episodes on the local web page
    #[cfg(feature = "page")]
    Page {
        /// Folder of episodes
        folder: PathBuf,
        /// Address to listen on; the printed link contains the page's token
        #[arg(long, default_value = "127.0.0.1:8480")]
        address: std::net::SocketAddr,
        /// No token: every user of this machine may view; refused beyond 127.0.0.1
        #[arg(long)]
        page_open: bool,
    },
    /// Repair a cut-off recording and report what was lost
    Recover {
        /// Cut-off recordings (`.mcap.partial`)
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write the episodes of several folders to one new folder
    Merge(super::edit::MergeArguments),
    /// Write a folder's episodes to two new folders, by a share
    Split(super::edit::SplitArguments),
    /// Write a folder's episodes anew without some of them
    Delete(super::edit::DeleteArguments),
    /// Write a folder's episodes anew with another task, instruction, outcome or a note
    Relabel(super::edit::RelabelArguments),
    /// Convert episodes to LeRobot, robomimic or Bridge
    #[cfg(feature = "exchange")]
    Export(super::exchange::ExportArguments),
    /// Convert episodes from LeRobot or Bridge
    #[cfg(feature = "exchange")]
    Import(super::exchange::ImportArguments),
}

/// Runs the command; returns 0, or 1 when something was lost.
pub fn recordings(arguments: &RecordingsArguments) -> anyhow::Result<u8> {
    match &arguments.action {
        Action::Verify { folder, robot, json } => verify_folder(folder, robot.as_deref(), json.as_deref()),
        #[cfg(feature = "page")]
        Action::Page { folder, address, page_open } => page(folder, *address, *page_open),
        Action::Trim { file, from, to, out } => cut(file, *from, to.unwrap_or(u64::MAX), out.as_deref()),
        Action::Card { folder, out } => card(folder, out.as_deref()),
        Action::List { folder } => {
            finish(folder)?;
            let mut left_out = 0;
            for file in list_episodes(folder)?.into_iter().chain(list_partial(folder)?) {
                let episode = match read_episode(&file) {
                    Ok(episode) => episode,
                    Err(error) => {
                        say!("left out: {error}");
                        left_out += 1;
                        continue;
                    }
                };
                let outcome = episode.end.as_ref().map_or("cut off", |end| end.outcome.word());
                let (task, steps) = (&episode.start.task, episode.steps.len());
                let of_operator = |step: &&RecordedStep| step.decided_by == Some(Decider::Operator);
                let by = match episode.steps.iter().filter(of_operator).count() {
                    0 => String::new(),
                    count => format!(", {count} by the operator"),
                };
                let edited = match episode.edits.len() {
                    0 => String::new(),
                    1 => "  edited".into(),
                    count => format!("  edited {count} times"),
                };
                say!("{}  {task}  {steps} steps{by}  {outcome}{}{edited}", shown(&file), asked_for(&episode));
            }
            Ok(u8::from(left_out > 0))
        }
        Action::Recover { files } => {
            let mut lost = false;
            for file in files {
                let recovered = recover(file)?;
                say!("{}: {} steps", recovered.path.display(), recovered.steps);
                if let Some(what) = &recovered.lost {
                    say!("  lost: {what}");
                    lost = true;
                }
            }
            Ok(u8::from(lost))
        }
        Action::Merge(arguments) => super::edit::run_merge(arguments),
        Action::Split(arguments) => super::edit::run_split(arguments),
        Action::Delete(arguments) => super::edit::run_delete(arguments),
        Action::Relabel(arguments) => super::edit::run_relabel(arguments),
        #[cfg(feature = "exchange")]
        Action::Export(arguments) => super::exchange::export(arguments),
        #[cfg(feature = "exchange")]
        Action::Import(arguments) => super::exchange::import(arguments),
    }
}

/// The action space of an episode, if it is not pose changes alone.
fn asked_for(episode: &RecordedEpisode) -> String {
    let kinds: BTreeSet<_> = episode.steps.iter().map(|step| MotionKind::of(step.motion.as_ref())).collect();
    if kinds.iter().all(|kind| *kind == MotionKind::PoseChange) {
        return String::new();
    }
    let words: Vec<String> = kinds.iter().map(MotionKind::to_string).collect();
    format!("  {}", words.join(", "))
}

const ALL: ReadOptions = ReadOptions { images: true, control_ticks: true };

/// Repairs recordings that an earlier run left cut off, and reports what was lost.
pub(super) fn finish(folder: &Path) -> anyhow::Result<()> {
    for line in finish_partial(folder)? {
        say!("{line}");
    }
    Ok(())
}

fn verify_folder(folder: &Path, robot: Option<&str>, json: Option<&Path>) -> anyhow::Result<u8> {
    finish(folder)?;
    let robot = robot.map(|name| Robot::load(Path::new("."), name)).transpose()?;
    let mut verdicts: Vec<(String, Verdict)> = Vec::new();
    for file in list_episodes(folder)? {
        let name = shown(Path::new(file.file_name().unwrap_or_default()));
        let verdict = match read_episode_with(&file, ALL) {
            Ok(episode) => verify(&episode, robot.as_ref()),
            Err(error) => unreadable(&error),
        };
        say!("{:8}  {name}", verdict.word());
        for remark in &verdict.remarks {
            say!("          {}", remark.what);
        }
        verdicts.push((name, verdict));
    }
    let count = |word: &str| verdicts.iter().filter(|(_, verdict)| verdict.word() == word).count();
    say!("{} good, {} doubtful, {} bad", count("good"), count("doubtful"), count("bad"));
    if let Some(path) = json {
        let all: Vec<_> = verdicts
            .iter()
            .map(|(name, verdict)| {
                serde_json::json!({ "episode": name, "verdict": verdict.word(), "remarks": verdict.remarks })
            })
            .collect();
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    Ok(u8::from(count("bad") > 0))
}

fn unreadable(error: &RecordingError) -> Verdict {
    Verdict { remarks: vec![crate::recording::Remark { gravity: Gravity::Bad, what: error.to_string() }] }
}

fn card(folder: &Path, out: Option<&Path>) -> anyhow::Result<u8> {
    finish(folder)?;
    let (mut card, mut left_out) = (Card::default(), 0);
    for file in list_episodes(folder)? {
        match read_episode_with(&file, ALL) {
            Ok(episode) => card.add(&episode, &verify(&episode, None)),
            Err(error) => {
                say!("left out: {error}");
                left_out += 1;
            }
        }
    }
    anyhow::ensure!(card.episodes() > 0, "{}: no episodes to write about", folder.display());
    let out = out.map_or_else(|| folder.join("card.html"), Path::to_path_buf);
    std::fs::write(&out, card.page(&folder.display().to_string()))
        .with_context(|| format!("{}: cannot be written; choose another --out", out.display()))?;
    say!("{}", out.display());
    Ok(u8::from(left_out > 0))
}

fn cut(file: &Path, from: u64, to: u64, out: Option<&Path>) -> anyhow::Result<u8> {
    let episode = read_episode_with(file, ALL)?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let out = out.map_or_else(|| file.with_file_name(format!("{stem}-trimmed.mcap")), Path::to_path_buf);
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name
        .strip_suffix(".mcap")
        .with_context(|| format!("--out {}: a recording's name ends in .mcap", out.display()))?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    say!("{}", trim(&episode, from, to, folder, name)?.display());
    Ok(0)
}

#[cfg(feature = "page")]
fn page(folder: &Path, address: std::net::SocketAddr, open: bool) -> anyhow::Result<u8> {
    use crate::operator::Operator;
    use crate::page::{Page, PageSettings};
    use crate::runtime::StopFlag;
    finish(folder)?;
    // A folder that cannot be read is reported here, not in a browser.
    list_episodes(folder)?;
    let stop = StopFlag::on_signals()?;
    let raised = stop.clone();
    let operator = Operator::new(move |by| raised.raise(format!("stop pressed ({by})")));
    let settings = PageSettings { address, open, episodes: Some(folder.to_path_buf()), ..PageSettings::default() };
    let page = Page::start(settings, operator)?;
    say!("page: {} (Ctrl-C ends it)", page.url());
    while !stop.is_raised() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(0)
}
