//! Are the middleware's own threads alive? Without its event loop nothing is sent or received any more, and no error is reported.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names of the middleware's threads; the kernel keeps 15 letters.
const NAMES: [&str; 2] = ["RustDDS Partici", "RustDDS discove"];

/// How long a thread may take to set its name.
const NAMING: Duration = Duration::from_secs(2);

/// A thread of this process. Its id may be reused after it ended; its start time is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LoopThread {
    id: u32,
    started: u64,
}

/// The middleware's threads of one participant.
#[derive(Debug)]
pub(super) struct Loops {
    threads: Vec<LoopThread>,
}

impl Loops {
    /// Runs `start`, which creates a participant, and records the threads that it started.
    pub fn of<T, E>(start: impl FnOnce() -> Result<T, E>) -> Result<(T, Self), E> {
        Self::with_names(&NAMES, start)
    }

    fn with_names<T, E>(names: &[&str], start: impl FnOnce() -> Result<T, E>) -> Result<(T, Self), E> {
        // One at a time: threads started by two participants at once could not be distinguished.
        static STARTING: Mutex<()> = Mutex::new(());
        let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever their names: a new thread sets its name a moment later.
        let before = threads(|_| true);
        let started = start()?;
        let deadline = Instant::now() + NAMING;
        loop {
            let mut threads = threads(|name| names.contains(&name));
            threads.retain(|thread| !before.contains(thread));
            if threads.len() >= names.len() {
                return Ok((started, Self { threads }));
            }
            if Instant::now() >= deadline {
                tracing::warn!(
                    "{} of the {} ROS 2 threads were found: the end of the others would not be noticed",
                    threads.len(),
                    names.len()
                );
                return Ok((started, Self { threads }));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Are they all alive? Reads some small files: not for the control thread.
    pub fn alive(&self) -> bool {
        self.threads.iter().all(|thread| start_time(thread.id) == Some(thread.started))
    }
}

/// The threads of this process with such names.
fn threads(like: impl Fn(&str) -> bool) -> Vec<LoopThread> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    tasks
        .flatten()
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| like(name.trim_end())))
        .filter_map(|task| task.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some(LoopThread { id, started: start_time(id)? }))
        .collect()
}

/// When a thread of this process started, in clock ticks since boot; `None` when it ended.
fn start_time(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).ok()?;
    // The name may have spaces and brackets in it; after its last bracket come the state and 18 more before the start time
    // (proc_pid_stat(5), field 22).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use std::thread::JoinHandle;

    fn thread(name: &str) -> (Sender<()>, JoinHandle<()>) {
        let (end, ended) = channel::<()>();
        let body = move || assert!(ended.recv().is_err());
        (end, std::thread::Builder::new().name(name.into()).spawn(body).unwrap())
    }

    #[test]
    fn the_end_of_either_thread_is_noticed_and_threads_of_before_do_not_count() {
        let names = ["watched (a) b", "watched c"];
        let (end_other, other) = thread(names[0]);
        let (threads, loops) =
            Loops::with_names(&names, || Ok::<_, ()>(names.map(thread))).expect("starting cannot fail here");
        assert_eq!(loops.threads.len(), 2);
        assert!(loops.alive());
        drop(end_other);
        other.join().unwrap();
        assert!(loops.alive(), "another participant's thread is none of ours");
        let [(end_first, first), (end_second, second)] = threads;
        drop(end_first);
        first.join().unwrap();
        // A joined thread may remain visible for a moment.
        let deadline = Instant::now() + Duration::from_secs(30);
        while loops.alive() {
            assert!(Instant::now() < deadline, "its end was not noticed");
        }
        drop(end_second);
        second.join().unwrap();
    }

    #[test]
    fn a_thread_that_is_not_there_has_no_start_time() {
        assert_eq!(start_time(u32::MAX), None);
        assert!(start_time(std::process::id()).is_some(), "the main thread is there");
    }
}
