//! `visuomotor recordings`: list a folder's episodes, finish cut-off ones, exchange them with other programs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::recording::{list_episodes, list_partial, read_episode, recover};

/// Arguments of `visuomotor recordings`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor recordings list results/demonstrations\n  visuomotor recordings recover results/demonstrations/knife_in_pot-0003.mcap.partial"
)]
pub struct RecordingsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// One line per episode of a folder: task, steps, outcome
    List {
        /// Folder of episodes
        folder: PathBuf,
    },
    /// Turn a cut-off recording into a whole one and say what was lost
    Recover {
        /// Cut-off recordings (`.mcap.partial`)
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write episodes for other programs: LeRobot, robomimic, Bridge
    #[cfg(feature = "exchange")]
    Export(super::exchange::ExportArguments),
    /// Read episodes of other programs: LeRobot, Bridge
    #[cfg(feature = "exchange")]
    Import(super::exchange::ImportArguments),
}

/// Runs the command; answers 0, or 1 when something was lost.
pub fn recordings(arguments: &RecordingsArguments) -> anyhow::Result<u8> {
    match &arguments.action {
        Action::List { folder } => {
            for file in list_episodes(folder)?.into_iter().chain(list_partial(folder)?) {
                let episode = read_episode(&file)?;
                let outcome = episode.end.as_ref().map_or("cut off", |end| end.outcome.word());
                say!("{}  {}  {} steps  {outcome}", file.display(), episode.start.task, episode.steps.len());
            }
            Ok(0)
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
        #[cfg(feature = "exchange")]
        Action::Export(arguments) => super::exchange::export(arguments),
        #[cfg(feature = "exchange")]
        Action::Import(arguments) => super::exchange::import(arguments),
    }
}
