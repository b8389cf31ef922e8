//! Running other programs: quietly for their output, or visibly with the end of their error output kept.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Most lines of a failed program's error output in our own message.
const KEPT_LINES: usize = 12;

/// The output of `program`, or nothing if it is missing or failed.
pub fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a command visibly; the error is the last lines of its standard error.
///
/// Its standard output is the caller's own, so that a progress bar stays a progress bar.
pub fn run_in_view(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let mut last = VecDeque::new();
    if let Some(complaints) = child.stderr.take() {
        for line in BufReader::new(complaints).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            eprintln!("{line}");
            if last.len() == KEPT_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    let status = child.wait().map_err(|error| format!("`{program}` was lost: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let last: Vec<_> = last.into_iter().map(|line| format!("  {line}")).collect();
    Err(format!("`{program}` ended with {status}:\n{}", last.join("\n")))
}

/// A command line as typed in a shell.
pub fn line_of(command: &Command) -> String {
    let program = command.get_program();
    let program = std::path::Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_leaves_its_last_lines() {
        let mut command = Command::new("sh");
        command.args(["-c", "for i in $(seq 40); do echo line $i >&2; done; exit 3"]);
        let complaint = run_in_view(&mut command).unwrap_err();
        assert!(complaint.contains("line 40") && !complaint.contains("line 28\n"), "{complaint}");
    }

    #[test]
    fn a_program_that_is_not_there_has_no_answer() {
        assert_eq!(answer("no-such-program-anywhere", &[]), None);
        assert_eq!(answer("echo", &["yes"]).as_deref(), Some("yes"));
    }

    #[test]
    fn a_line_shows_the_program_without_its_folder() {
        let mut command = Command::new("/opt/tools/cargo");
        command.args(["test", "--release"]);
        assert_eq!(line_of(&command), "cargo test --release");
    }
}
