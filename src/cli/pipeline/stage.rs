//! Runs one job in its own process, and records its completion on disk.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::plan::Job;
use crate::cli::exit::{FAULT, Failure};

/// File in a job's folder that records its completion and inputs.
const DONE: &str = "stage.json";
/// Interval at which running jobs are polled and runnable ones looked for.
pub(super) const NAP: Duration = Duration::from_millis(100);
/// Time that a job has to save its state after a request to stop.
const FAREWELL: Duration = Duration::from_secs(120);

/// Record of a finished job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// Words of the command.
    pub command: Vec<String>,
    /// Digest of its inputs.
    pub digest: String,
    /// Total time of all its runs [s].
    pub seconds: f64,
}

/// Reads a folder's completion record; `None` if the job is not done. A record with other inputs is an error.
pub fn done(job: &Job, digest: &str) -> anyhow::Result<Option<Done>> {
    let file = job.folder.join(DONE);
    let Ok(text) = crate::untrusted::read(&file, crate::untrusted::LARGEST_TEXT) else { return Ok(None) };
    let done: Done = serde_json::from_slice(&text)
        .with_context(|| format!("{}: cannot be read; remove the folder to make it again", file.display()))?;
    ensure!(
        done.digest == digest,
        "{}: was made by `{}` from other settings or data than now (`{}`); remove the folder to make it again, or choose \
         another --out",
        job.folder.display(),
        done.command.join(" "),
        job.words.join(" ")
    );
    Ok(Some(done))
}

/// Runs a job, or resumes one that was stopped, and polls `stop` meanwhile. With several jobs `at_once`, it gets its share
/// of the cores and writes its output to a log file. Returns its record, or `None` if it was stopped and can be resumed.
pub fn run(
    job: &Job,
    root: &Path,
    digest: &str,
    at_once: usize,
    stop: &dyn Fn() -> bool,
) -> anyhow::Result<Option<Done>> {
    let mut words = job.words.clone();
    let (clock, spent) = (job.folder.with_extension("seconds"), Instant::now());
    let before: f64 = std::fs::read_to_string(&clock).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0.0);
    if job.folder.join("checkpoint.safetensors").exists() {
        words.push("--resume".into());
    } else if job.folder.exists() {
        // Partial data cannot be distinguished from complete data.
        std::fs::remove_dir_all(&job.folder).with_context(|| format!("{}: cannot be removed", job.folder.display()))?;
    }
    let program = std::env::current_exe().context("this program cannot be found again")?;
    let mut command = Command::new(program);
    command.args(&words).current_dir(root);
    let log = job.folder.with_extension("log");
    if at_once > 1 {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("{}: cannot be written", log.display()))?;
        // libtorch reads this once, at start-up.
        command.env("OMP_NUM_THREADS", (cores / at_once).max(1).to_string());
        command.stdout(file.try_clone()?).stderr(file);
    }
    let said = || if at_once > 1 { log.display().to_string() } else { "what it said above".into() };
    let mut child = command.spawn().with_context(|| format!("`visuomotor {}` cannot be started", words.join(" ")))?;
    let status = wait(&mut child, stop)?;
    let seconds = before + spent.elapsed().as_secs_f64();
    match status {
        Some(0) => {
            let done = Done { command: words, digest: digest.to_string(), seconds };
            let file = job.folder.join(DONE);
            let partial = file.with_extension("partial");
            std::fs::write(&partial, serde_json::to_vec_pretty(&done)?)
                .and_then(|()| std::fs::rename(&partial, &file))
                .with_context(|| format!("{}: cannot be written", file.display()))?;
            let _ = std::fs::remove_file(&clock);
            Ok(Some(done))
        }
        _ if stop() => {
            // Only for the table: time of earlier runs.
            let _ = std::fs::write(&clock, format!("{seconds}\n"));
            Ok(None)
        }
        Some(code) => {
            let text = format!("`visuomotor {}` ended with exit code {code}; see {}", words.join(" "), said());
            let failure = if code == i32::from(FAULT) { Failure::machine(text) } else { Failure::usage(text) };
            Err(failure.into())
        }
        None => {
            let killed = format!("`visuomotor {}` was killed; start the pipeline again to go on", words.join(" "));
            Err(Failure::machine(killed).into())
        }
    }
}

/// Waits for the process to end; forwards a request to stop.
fn wait(child: &mut Child, stop: &dyn Fn() -> bool) -> anyhow::Result<Option<i32>> {
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        match asked {
            None if stop() => {
                // SAFETY: the process is our child and not yet reaped, so its PID has not been reused.
                unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
                asked = Some(Instant::now());
            }
            Some(at) if at.elapsed() > FAREWELL => {
                child.kill()?;
                return Ok(child.wait()?.code());
            }
            _ => {}
        }
        std::thread::sleep(NAP);
    }
}
