//! The disk becomes full under `--record`: the arm continues, and the program reports what is missing.

use std::os::unix::process::CommandExt;

use visuomotor::recording::{list_partial, read_episode};

use super::LAUNCH;
use crate::program::Project;

/// Files may be this long \[bytes\]: some steps, not all of them.
const LONGEST: u64 = 400_000;

#[test]
fn a_disk_that_runs_full_does_not_stop_the_arm_and_the_run_says_what_is_missing() {
    let project = Project::new();
    let run = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "random", "--seconds", "8", "--record", "runs"];
    let mut command = project.command(&run);
    let limit = libc::rlimit { rlim_cur: LONGEST, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: between fork and exec only setrlimit is called, which signal-safety(7) does not forbid and which takes no lock;
    // the struct is a copy of its own.
    let output = unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    }
    .output()
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // All of its decisions were made and executed.
    assert!(said.contains("40 in 8.0 s") && said.contains("400 ticks"), "{said}");
    let line = said.lines().find(|line| line.starts_with("recorded")).unwrap();
    assert!(line.contains("File too large") && said.matches("File too large").count() == 1, "{said}");
    let left = list_partial(&project.path("runs")).unwrap();
    let recorded = read_episode(&left[0]).unwrap();
    // What was written before is kept and opens; of the incomplete step it may hold all but the end.
    let counted = line.split_once(".mcap: ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<usize>().ok());
    let kept = recorded.steps.len();
    assert!(!recorded.complete && kept < 40, "{kept} steps: {said}");
    assert!(counted.is_some_and(|counted| counted > 1 && kept >= counted), "{kept} steps: {said}");
}
