//! The processes of a row: the emulated arm, the program that drives it, and what they print.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use visuomotor::action::ControlMode;
use visuomotor::episode::Filtered;
use visuomotor::protection::Protection;
use visuomotor::recording::{ReadOptions, read_episode_with};

use super::drive::RECORDING;
use super::finding::names;
use super::link::Link;
use super::trace::monotonic;

/// Longest wait for a process to be ready.
const PATIENCE: Duration = Duration::from_secs(40);

/// A process whose lines are kept; it is killed when this is dropped.
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(
        role: &str,
        arguments: &[&str],
        domain: u16,
        off: &[Protection],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).args(arguments);
        command.env("ROS_DOMAIN_ID", domain.to_string()).env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST");
        command.envs(variables.iter().copied());
        if !off.is_empty() {
            command.env("VISUOMOTOR_PROTECTION_OFF", names(off));
        }
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A terminal's signals are sent here on purpose, never by the terminal that runs the matrix.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        for stream in [
            child.stdout.take().map(|s| Box::new(s) as Box<dyn std::io::Read + Send>),
            child.stderr.take().map(|s| Box::new(s) as Box<dyn std::io::Read + Send>),
        ] {
            let (Some(stream), lines) = (stream, Arc::clone(&lines)) else { continue };
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.lock().expect("readers do not panic").push(line);
                }
            });
        }
        Ok(Self { child, lines })
    }

    /// Everything printed so far, standard output and error in order.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("readers do not panic").clone()
    }

    /// Waits for a line that contains `what`.
    pub fn wait_for(&mut self, what: &str) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            if self.lines().iter().any(|line| line.contains(what)) {
                return Ok(());
            }
            let gone = self.child.try_wait()?.is_some();
            anyhow::ensure!(
                !gone && Instant::now() < end,
                "{} before it said `{what}`: {}",
                if gone { "a process ended" } else { "patience ended" },
                self.lines().join(" | ")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal; returns the time \[s, monotonic\].
    pub fn signal(&self, signal: i32) -> f64 {
        // SAFETY: kill takes no pointers; the child was not waited for, so its number is still its own (kill(2)).
        unsafe { libc::kill(self.child.id() as i32, signal) };
        monotonic() as f64 * 1e-9
    }

    /// Writes a line to its standard input; returns the time \[s, monotonic\].
    pub fn tell(&mut self, line: &str) -> anyhow::Result<f64> {
        let stdin = self.child.stdin.as_mut().ok_or_else(|| anyhow::anyhow!("no standard input"))?;
        writeln!(stdin, "{line}")?;
        stdin.flush()?;
        Ok(monotonic() as f64 * 1e-9)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended, and with which code?
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(libc::SIGCONT);
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of a row: trace, serial port.
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    pub fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    pub fn port(&self) -> PathBuf {
        self.folder.path().join("port")
    }

    /// Contents of the driving program's recording, in words: complete if it `ended`, so far otherwise.
    pub fn kept(&self, ended: bool) -> String {
        let whole = self.folder.path().join(format!("{RECORDING}.mcap"));
        let partial = self.folder.path().join(format!("{RECORDING}.mcap.partial"));
        let path = if whole.exists() { whole } else { partial };
        let options = ReadOptions { images: false, control_ticks: true };
        match read_episode_with(&path, options) {
            Err(error) => format!("nothing that can be read: {error}"),
            Ok(episode) => {
                let held = episode.ticks.iter().filter(|tick| matches!(tick.filtered, Filtered::Stopped(_))).count();
                let end = match (episode.end, ended) {
                    (Some(end), _) => format!("how it ended ({})", end.outcome.word()),
                    (None, true) => "no end".into(),
                    (None, false) => "it goes on".into(),
                };
                let gaps: u64 = episode.gaps.iter().map(|gap| gap.steps).sum();
                let missing = if gaps > 0 { format!(" ({gaps} left out)") } else { String::new() };
                let (steps, ticks) = (episode.steps.len(), episode.ticks.len());
                format!("{steps} steps{missing}, {ticks} ticks, {held} of them held; {end}")
            }
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Starts the emulated arm and waits until it is ready.
pub fn arm(link: Link, scratch: &Scratch, domain: u16) -> anyhow::Result<Process> {
    let (port, trace) = (scratch.port(), scratch.trace());
    let mut arm = Process::start("arm", &[link.name(), text(&port), text(&trace)], domain, &[], &[])?;
    arm.wait_for("ready")?;
    Ok(arm)
}

/// The token that a program shows a watchdog on the controller's side.
const TOKEN: (&str, &str) = ("VISUOMOTOR_GUARD_TOKEN", "0123456789abcdef");
/// That watchdog's address, for the driving program.
pub const GUARD: &str = "VISUOMOTOR_FAULTS_GUARD";

/// Starts the driving program and waits until the arm moves.
pub fn drive(
    link: Link,
    mode: ControlMode,
    scratch: &Scratch,
    domain: u16,
    off: &[Protection],
    guard: Option<&Process>,
) -> anyhow::Result<Process> {
    let port = scratch.port();
    let address = guard.and_then(|guard| guard.lines().iter().find_map(|line| address(line)));
    let mut variables = vec![];
    if let Some(address) = &address {
        variables.extend([TOKEN, (GUARD, address.as_str())]);
    }
    let arguments = [link.name(), &mode.to_string(), text(&port), "60"];
    let mut drive = Process::start("drive", &arguments, domain, off, &variables)?;
    drive.wait_for("moving")?;
    Ok(drive)
}

/// Starts LeRobot's loop over the arm's serial port and waits until it moves the arm.
pub fn lerobot(python: &Path, scratch: &Scratch) -> anyhow::Result<Process> {
    let mut command = Command::new(python);
    command.arg(super::link::root().join("tests/faults/lerobot_widowx.py")).arg(scratch.port());
    // Its own folder for calibrations and caches; nothing is downloaded.
    command.env("HF_HOME", scratch.folder.path().join("hf")).env("HF_HUB_OFFLINE", "1");
    let mut drive = Process::spawn(command)?;
    drive.wait_for("moving")?;
    Ok(drive)
}

/// Starts the watchdog on the controller's side and waits until it listens.
pub fn guard(domain: u16, off: &[Protection]) -> anyhow::Result<Process> {
    let mut guard = Process::start("guard", &["--listen", "127.0.0.1:0"], domain, off, &[TOKEN])?;
    guard.wait_for("guard at ")?;
    Ok(guard)
}

/// The address on which a watchdog reports that it listens.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("guard at ")?;
    Some(rest.split(';').next()?.to_owned())
}

/// Starts the program that will also command, on request.
pub fn rival(link: Link, mode: ControlMode, domain: u16) -> anyhow::Result<Process> {
    let mut rival = Process::start("rival", &[link.name(), &mode.to_string()], domain, &[], &[])?;
    rival.wait_for("ready")?;
    Ok(rival)
}

/// Children of a process, by `/proc`.
pub fn children(of: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let mut all: Vec<u32> = list.split_whitespace().filter_map(|id| id.parse().ok()).collect();
    // A child may have been started by another thread.
    for task in std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(list.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    all.sort_unstable();
    all.dedup();
    all
}
