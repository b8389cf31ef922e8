//! The processes of a row: the emulated arm, the program that drives it, and what they print.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use visuomotor::action::ControlMode;
use visuomotor::protection::Protection;

use super::link::Link;
use super::trace::monotonic;
use super::wall::names;

/// Longest wait for a process to be ready.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a guard on the controller's host is shown.
const TOKEN: &str = "0123456789abcdef";

/// A process whose lines are kept; it is killed when this is dropped.
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(role: &str, arguments: &[&str], domain: u16, off: &[Protection]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("VISUOMOTOR_GUARD_TOKEN", TOKEN);
        command.env("ROS_DOMAIN_ID", domain.to_string()).env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST");
        if !off.is_empty() {
            command.env("VISUOMOTOR_PROTECTION_OFF", names(off));
        }
        // A terminal's signals are sent on purpose here, never by the terminal the matrix runs in.
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

    /// Everything printed so far, standard output and error as they came.
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
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Starts the emulated arm and waits until it is there.
pub fn arm(link: Link, scratch: &Scratch, domain: u16) -> anyhow::Result<Process> {
    let (port, trace) = (scratch.port(), scratch.trace());
    let mut arm = Process::start("arm", &[link.name(), text(&port), text(&trace)], domain, &[])?;
    arm.wait_for("ready")?;
    Ok(arm)
}

/// Starts the program that drives it and waits until the arm moves.
pub fn drive(
    link: Link,
    mode: ControlMode,
    scratch: &Scratch,
    domain: u16,
    off: &[Protection],
    guard: Option<&str>,
) -> anyhow::Result<Process> {
    let (port, mode) = (scratch.port(), mode.to_string());
    let mut arguments = vec![link.name(), &mode, text(&port), "30"];
    arguments.extend(guard);
    let mut drive = Process::start("drive", &arguments, domain, off)?;
    drive.wait_for("moving")?;
    Ok(drive)
}

/// Starts a guard as on the controller's host; answers where it listens, too.
pub fn listening_guard(domain: u16, off: &[Protection]) -> anyhow::Result<(Process, String)> {
    let mut guard = Process::start("guard", &["--listen", "127.0.0.1:0"], domain, off)?;
    guard.wait_for("guard at ")?;
    let lines = guard.lines();
    let line = lines.iter().find_map(|line| line.strip_prefix("guard at ")).unwrap_or_default();
    let address = line.split(';').next().unwrap_or_default().to_string();
    Ok((guard, address))
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
