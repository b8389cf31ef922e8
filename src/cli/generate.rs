//! `visuomotor generate`: shell completions and man pages, for whoever packs the program.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Arguments of `visuomotor generate`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  visuomotor generate --into share")]
pub struct GenerateArguments {
    /// Folder for the completions; man pages go into its `man`
    #[arg(long, value_name = "FOLDER")]
    pub into: PathBuf,
}

/// Runs the command.
pub fn generate(arguments: &GenerateArguments) -> anyhow::Result<u8> {
    let man = arguments.into.join("man");
    std::fs::create_dir_all(&man).with_context(|| format!("{}: cannot be made", man.display()))?;
    let mut command = super::Arguments::command();
    let failed = || format!("{}: cannot be written", arguments.into.display());
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "visuomotor", &arguments.into).with_context(failed)?;
    }
    // No page for each `help COMMAND`.
    clap_mangen::generate_to(command.disable_help_subcommand(true), &man).with_context(failed)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_and_a_page_for_each_command_are_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(generate(&GenerateArguments { into: folder.path().to_path_buf() }).unwrap(), 0);
        for file in ["visuomotor.bash", "_visuomotor", "visuomotor.fish", "man/visuomotor.1", "man/visuomotor-run.1"] {
            let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(text.contains("visuomotor"), "{file}");
        }
        let page = std::fs::read_to_string(folder.path().join("man/visuomotor-run.1")).unwrap();
        assert!(page.contains("dry\\-run"), "{page}");
    }
}
