//! Two programs that would command one arm: the second is refused in words, and the arm holds or goes on under the first.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Output, Stdio};

use visuomotor::recording::read_episode;

use super::bench::{Bench, Link};

/// Runs that may stall on a machine that is busy with other tests.
const TRIES: usize = 6;

/// The first program, which drives the arm, and the second, which was started meanwhile and has ended.
struct Two {
    first: Child,
    said: String,
    out: BufReader<ChildStdout>,
    second: Output,
}

impl Two {
    fn start(bench: &Bench, folder: &Path, seconds: &str) -> Self {
        let mut first = bench.run(folder, &["--seconds", seconds, "--record", "runs"]);
        let mut first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(first.stdout.take().unwrap());
        let mut said = String::new();
        while out.read_line(&mut said).unwrap() > 0 && !said.ends_with("running\n") {}
        let second = bench.run(folder, &["--seconds", "1"]).output().unwrap();
        Self { first, said, out, second }
    }

    /// Waits for the first program: exit code, and all that it said.
    fn end(mut self) -> (Option<i32>, String) {
        self.out.read_to_string(&mut self.said).unwrap();
        let code = self.first.wait().unwrap().code();
        self.first.stderr.take().unwrap().read_to_string(&mut self.said).unwrap();
        (code, self.said)
    }
}

/// The only recording in this folder is whole.
fn recorded_whole(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder.join("runs")).unwrap().flatten().map(|entry| entry.path());
    let newest = files.filter(|path| path.extension().is_some_and(|kind| kind == "mcap")).max();
    newest
        .and_then(|file| read_episode(&file).ok())
        .is_some_and(|episode| episode.complete && !episode.steps.is_empty())
}

/// Exit code 3 with one message that has all of `words`.
fn is_refused(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(text.matches("error:").count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[test]
fn a_second_program_on_a_servo_bus_is_refused_and_the_first_goes_on() {
    let bench = Bench::start(Link::Servos);
    let folder = tempfile::tempdir().unwrap();
    let mut told = String::new();
    let went_on = (0..TRIES).any(|_| {
        let two = Two::start(&bench, folder.path(), "4");
        is_refused(&two.second, &["serial port", "another program"]);
        let (code, said) = two.end();
        let ended = code == Some(0) && said.contains("time is up");
        told.push_str(&said);
        ended
    });
    assert!(went_on, "the first program did not come to its end: {told}");
    assert!(recorded_whole(folder.path()), "{told}");
}

#[test]
fn a_second_program_over_ros_is_refused_and_the_arm_holds() {
    let bench = Bench::start(Link::Sawyer);
    let folder = tempfile::tempdir().unwrap();
    let mut told = String::new();
    let held = (0..TRIES).any(|_| {
        let two = Two::start(&bench, folder.path(), "20");
        is_refused(&two.second, &["sawyer", "publishers of commands", "stop the other program"]);
        let (code, said) = two.end();
        told.push_str(&said);
        // A run that ended before for a stall of this machine says so in other words.
        code == Some(3) && said.contains("commands this arm") && said.contains("the arm stands and holds")
    });
    assert!(held, "the first program did not hold for the second: {told}");
    assert!(recorded_whole(folder.path()), "{told}");
}
