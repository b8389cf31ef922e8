//! Trace of the emulated arm's joint positions: shows how far an arm moved after its program ended.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use super::mechanics::{SharedPlant, joints_of};
use crate::time::{Clock, SystemClock};

/// Time between two lines.
const PERIOD: Duration = Duration::from_millis(10);

/// Writes one line per period until dropped: seconds on this process's clock, then joint positions \[rad\] in chain order.
pub struct Trace {
    quit: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Trace {
    /// Starts a new file.
    pub fn start(path: &Path, plant: SharedPlant, clock: Arc<SystemClock>) -> anyhow::Result<Self> {
        let mut file = File::create(path)
            .with_context(|| format!("{}: cannot be created; choose another --trace", path.display()))?;
        let quit = Arc::new(AtomicBool::new(false));
        let (ended, path) = (quit.clone(), path.to_path_buf());
        let thread = std::thread::Builder::new().name("trace".into()).spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                // One write per line, so that a reader sees whole lines and nothing is lost when this process is killed.
                if let Err(error) = file.write_all(line(&plant, &clock).as_bytes()) {
                    tracing::error!("{}: {error}; the trace ends here", path.display());
                    return;
                }
                std::thread::sleep(PERIOD);
            }
        })?;
        Ok(Self { quit, thread: Some(thread) })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was already printed.
            let _ = thread.join();
        }
    }
}

fn line(plant: &SharedPlant, clock: &SystemClock) -> String {
    let mut line = format!("{:.6}", clock.now().as_secs_f64());
    for joint in joints_of(plant).iter() {
        // Writing to a String cannot fail.
        let _ = write!(line, " {joint:.9}");
    }
    line.push('\n');
    line
}
