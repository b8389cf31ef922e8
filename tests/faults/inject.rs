//! Injects faults of processes, messages or the machine.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::malformed;
use super::processes;
use super::wall::{SetUp, now, watch};

/// Injects the fault; returns when \[s, monotonic\].
pub fn inject(fault: Fault, set_up: &mut SetUp) -> anyhow::Result<f64> {
    let SetUp { arm, drive, rival, .. } = set_up;
    Ok(match fault {
        Fault::Paused(ms) => {
            let at = drive.signal(libc::SIGSTOP);
            watch(at + ms as f64 * 1e-3);
            drive.signal(libc::SIGCONT);
            at
        }
        Fault::Signal(signal, _) => drive.signal(signal),
        Fault::Killed => drive.signal(libc::SIGKILL),
        Fault::GuardKilled => {
            let guards = processes::children(drive.id());
            anyhow::ensure!(!guards.is_empty(), "the driving program started no watchdog process");
            for guard in guards {
                // SAFETY: kill takes no pointers; the number was just read from the kernel (kill(2)).
                unsafe { libc::kill(guard as i32, libc::SIGKILL) };
            }
            now()
        }
        Fault::ControllerKilled => arm.signal(libc::SIGKILL),
        Fault::StatesLost => arm.tell("states lost")?,
        Fault::Recovered => {
            drive.tell("recover")?;
            let at = arm.tell("states lost")?;
            watch(at + 0.6);
            arm.tell("nothing lost")?;
            at
        }
        Fault::CommandsLost => arm.tell("commands lost")?,
        Fault::BothLost => arm.tell("both lost")?,
        Fault::NetworkLost => drive.tell("network lost")?,
        Fault::PolicySlow => drive.tell("slow")?,
        Fault::DiskSlow => drive.tell("slow disk")?,
        Fault::Malformed => malformed::send(arm, drive)?,
        Fault::SecondCommander => {
            let rival = rival.as_mut().ok_or_else(|| anyhow::anyhow!("the row has no second commander"))?;
            rival.tell("publish")?
        }
        // It sends nothing any more, and closes nothing either.
        Fault::HostLost => drive.signal(libc::SIGSTOP),
        Fault::Hogged(ms) => hog(Duration::from_millis(ms))?,
    })
}

/// Takes every processor with threads above all others; returns when it began.
fn hog(length: Duration) -> anyhow::Result<f64> {
    let count = std::thread::available_parallelism()?.get();
    let ready = Arc::new(Barrier::new(count + 1));
    let threads: Vec<_> = (0..count)
        .map(|processor| {
            let ready = Arc::clone(&ready);
            std::thread::spawn(move || {
                // Each on its own: the first to start would keep the others from being started beside it.
                let kept = stay_on(processor);
                ready.wait();
                let begun = now();
                kept?;
                take_over()?;
                let end = Instant::now() + length;
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
                anyhow::Ok(begun)
            })
        })
        .collect();
    ready.wait();
    let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a hog panicked"))?);
    let begun = joined.collect::<anyhow::Result<Vec<f64>>>()?;
    let (first, last) = begun.iter().fold((f64::MAX, f64::MIN), |(first, last), at| (first.min(*at), last.max(*at)));
    anyhow::ensure!(last - first < 0.1 * length.as_secs_f64(), "not all processors were hogged at once");
    Ok(first)
}

/// Keeps the calling thread on one processor.
fn stay_on(processor: usize) -> anyhow::Result<()> {
    // SAFETY: an all-zero set is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is whole, and a processor beyond it changes nothing (CPU_SET(3)).
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the calling thread, and a set that outlives the call (sched_setaffinity(2)).
    let result = unsafe { libc::sched_setaffinity(0, std::mem::size_of::<libc::cpu_set_t>(), &set) };
    anyhow::ensure!(result == 0, "processor {processor}: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Gives the calling thread a priority above every loop's.
fn take_over() -> anyhow::Result<()> {
    let parameters = libc::sched_param { sched_priority: 90 };
    // SAFETY: the calling thread is alive and `parameters` outlives the call (pthread_setschedparam(3)).
    let error = unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_FIFO, &parameters) };
    anyhow::ensure!(error == 0, "no real-time priority: {}", std::io::Error::from_raw_os_error(error));
    Ok(())
}
