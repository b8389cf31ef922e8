//! Two programs that would command one arm: the second is refused with a message, and the arm holds or continues under the first.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use visuomotor::recording::read_episode;

use super::bench::{Bench, Link};

/// Runs that may stall on a machine that is busy with other tests, ever farther apart: the emulated bus shares its processors, and
/// an arm whose bus is starved for 46 ms rightly ends its run.
const TRIES: u32 = 24;
const APART: Duration = Duration::from_millis(250);

/// Result of the first program, which drove the arm, and of the second, which was started meanwhile.
struct Two {
    code: Option<i32>,
    said: String,
    second: Output,
}

impl Two {
    /// `None` if the first ended before it drove the arm.
    fn run(bench: &Bench, folder: &Path) -> Option<Self> {
        let mut first = bench.run(folder, &["--seconds", "4", "--record", "runs"]);
        let mut first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(first.stdout.take().unwrap());
        let mut said = String::new();
        while out.read_line(&mut said).unwrap() > 0 && !said.ends_with("running\n") {}
        let drives = said.ends_with("running\n");
        let second = drives.then(|| politely(bench.run(folder, &["--seconds", "1"])).output().unwrap());
        out.read_to_string(&mut said).unwrap();
        first.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let code = first.wait().unwrap().code();
        println!("{code:?}: {said}{second:?}");
        Some(Self { code, said, second: second? })
    }

    /// Was the second refused with exit code 3, in one message that contains all of these words?
    fn is_refused(&self, words: &[&str]) -> bool {
        let text = String::from_utf8_lossy(&self.second.stderr);
        let refused = self.second.status.code() == Some(3) && text.matches("error:").count() == 1;
        refused && words.iter().all(|word| text.contains(word))
    }
}

/// A program whose start leaves the processors to the driving one.
fn politely(mut command: Command) -> Command {
    // SAFETY: between fork and exec only setpriority is called, a plain system call with values.
    unsafe {
        command.pre_exec(|| match libc::setpriority(libc::PRIO_PROCESS, 0, 19) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    command
}

/// The newest recording in this folder is complete.
fn is_recorded_whole(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder.join("runs")).unwrap().flatten().map(|entry| entry.path());
    let newest = files.filter(|path| path.extension().is_some_and(|kind| kind == "mcap")).max();
    newest
        .and_then(|file| read_episode(&file).ok())
        .is_some_and(|episode| episode.complete && !episode.steps.is_empty())
}

/// The second is refused with these words, and the recording of the first is complete. `went_right` judges the first.
fn the_second_is_refused(link: Link, words: &[&str], went_right: impl Fn(&Two) -> bool) {
    let _processor = super::processor();
    let bench = Bench::start(link);
    let folder = tempfile::tempdir().unwrap();
    let mut runs = (0..TRIES).filter_map(|before| {
        std::thread::sleep(before * APART);
        Two::run(&bench, folder.path())
    });
    assert!(runs.any(|two| two.is_refused(words) && went_right(&two)), "their output is above");
    assert!(is_recorded_whole(folder.path()));
}

/// Did the first program drive the arm to the end of its time?
fn went_on(two: &Two) -> bool {
    two.code == Some(0) && two.said.contains("time is up")
}

#[test]
fn a_second_program_on_a_servo_bus_is_refused_and_the_first_goes_on() {
    let words = ["serial port", "another program holds the port", "stop the other program"];
    the_second_is_refused(Link::Servos, &words, went_on);
}

/// The first checks for other programs now and then: it continues, or it detected the second and holds.
#[test]
fn a_second_program_over_ros_is_refused_and_the_first_goes_on_or_holds() {
    let words = ["sawyer", "publishers of commands", "stop the other program"];
    the_second_is_refused(Link::Sawyer, &words, |two| {
        let held = two.said.contains("the arm stands and holds") || two.said.contains("COULD NOT BE CONFIRMED");
        went_on(two) || (held && two.code == Some(3) && two.said.contains("commands this arm"))
    });
}
