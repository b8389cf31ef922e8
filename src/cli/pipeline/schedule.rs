//! Schedules the jobs: in the plan's order, up to `at_once` in parallel, each after its dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::plan::Job;
use super::stage::{self, Done, NAP};
use crate::cli::exit::Failure;

/// Finished jobs, and jobs taken by a worker.
#[derive(Default)]
struct Ledger {
    done: BTreeMap<usize, Done>,
    taken: BTreeSet<usize>,
    /// Running jobs.
    running: usize,
}

impl Ledger {
    /// Takes the first runnable job.
    fn take(&mut self, jobs: &[Job]) -> Option<usize> {
        let can = |number: usize| {
            !self.done.contains_key(&number)
                && !self.taken.contains(&number)
                && jobs[number].needs.iter().all(|need| self.done.contains_key(need))
        };
        let number = (0..jobs.len()).find(|number| can(*number))?;
        self.taken.insert(number);
        self.running += 1;
        Some(number)
    }
}

/// Runs the jobs that are not in `done` and adds them, until all are done, `stop` returns true or a job fails. Several
/// jobs `at_once` share the cores, and each writes its output to a log file next to its folder.
pub fn run_all(
    jobs: &[Job],
    digests: &[String],
    root: &Path,
    at_once: usize,
    done: &mut BTreeMap<usize, Done>,
    stop: &(dyn Fn() -> bool + Sync),
) -> anyhow::Result<()> {
    let ledger = Mutex::new(Ledger { done: std::mem::take(done), ..Ledger::default() });
    let failed = AtomicBool::new(false);
    let halt = || stop() || failed.load(Ordering::Relaxed);
    let open = || ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let hand = || -> anyhow::Result<()> {
        while !halt() {
            let (taken, busy) = {
                let mut ledger = open();
                (ledger.take(jobs), ledger.running > 0)
            };
            let Some(number) = taken else {
                if !busy {
                    return Ok(());
                }
                std::thread::sleep(NAP);
                continue;
            };
            let job = &jobs[number];
            say!("[{}/{}] {}: visuomotor {}", number + 1, jobs.len(), job.name, job.words.join(" "));
            let ended = stage::run(job, root, &digests[number], at_once, &halt);
            let mut ledger = open();
            ledger.running -= 1;
            if let Some(was) = ended.inspect_err(|_| failed.store(true, Ordering::Relaxed))? {
                say!("[{}/{}] {}: done in {:.0} s", number + 1, jobs.len(), job.name, was.seconds);
                ledger.done.insert(number, was);
            }
        }
        Ok(())
    };
    let ended: Vec<_> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..at_once.max(1)).map(|_| scope.spawn(hand)).collect();
        hands.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    *done = std::mem::take(&mut open().done);
    ended.into_iter().try_for_each(|hand| {
        hand.unwrap_or_else(|_| Err(Failure::machine("a job's thread panicked: please report this").into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(needs: &[usize]) -> Job {
        Job { name: String::new(), words: Vec::new(), folder: "nowhere".into(), needs: needs.to_vec() }
    }

    #[test]
    fn a_job_waits_for_its_dependencies_and_is_taken_once() {
        let jobs = [job(&[]), job(&[0]), job(&[]), job(&[1, 2])];
        let mut ledger = Ledger::default();
        assert_eq!([ledger.take(&jobs), ledger.take(&jobs), ledger.take(&jobs)], [Some(0), Some(2), None]);
        let done = Done { command: Vec::new(), digest: String::new(), seconds: 1.0 };
        ledger.done.insert(0, done.clone());
        assert_eq!([ledger.take(&jobs), ledger.take(&jobs)], [Some(1), None]);
        ledger.done.extend([(1, done.clone()), (2, done)]);
        assert_eq!([ledger.take(&jobs), ledger.take(&jobs)], [Some(3), None]);
        assert_eq!(ledger.running, 4);
    }
}
