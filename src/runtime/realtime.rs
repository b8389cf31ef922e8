//! Asking Linux for real-time treatment of the control thread. Every wish is optional and its outcome is told.
//!
//! Nothing here is needed for correct work: a refused wish costs punctuality, and the deadlines are counted anyway.

use std::io;

/// What to ask for. The default asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Realtime {
    /// `SCHED_FIFO` priority, 1..99; 50 to 80 is customary (below the kernel's own interrupt threads' needs).
    pub priority: Option<i32>,
    /// Keep all memory of the process, present and future, in RAM. Leave off beside CUDA, which maps far more than RAM.
    pub lock_memory: bool,
    /// Run the control thread on this CPU only, counted from 0.
    pub cpu: Option<usize>,
}

impl Realtime {
    /// Asks for the calling thread (memory: the process); answers one line per wish.
    pub fn apply(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(cpu) = self.cpu {
            lines.push(told(format!("CPU {cpu}"), choose_cpu(cpu), "choose a CPU the process may use"));
        }
        if self.lock_memory {
            lines.push(told("memory lock".into(), lock_memory(), "raise the memlock limit (ulimit -l)"));
        }
        if let Some(priority) = self.priority {
            let fix = "grant CAP_SYS_NICE or raise the rtprio limit (ulimit -r)";
            lines.push(told(format!("SCHED_FIFO priority {priority}"), choose_priority(priority), fix));
        }
        lines
    }
}

fn told(what: String, result: io::Result<()>, fix: &str) -> String {
    match result {
        Ok(()) => format!("{what}: granted"),
        Err(error) => format!("{what}: refused ({error}); {fix}"),
    }
}

fn choose_cpu(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: an all-zero cpu_set_t is the empty set (CPU_ZERO writes the same); `cpu` is below CPU_SETSIZE, so CPU_SET
    // stays inside it; the set outlives the call; 0 is the calling thread (sched_setaffinity(2)).
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn lock_memory() -> io::Result<()> {
    // SAFETY: mlockall takes no pointers and changes only where pages live (mlockall(2)).
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn choose_priority(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: pthread_self is the calling thread, which is alive; `parameters` outlives the call.
    let error = unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_FIFO, &parameters) };
    // pthread functions answer the error instead of setting errno.
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_nothing_told() {
        assert!(Realtime::default().apply().is_empty());
    }

    #[test]
    fn what_cannot_be_granted_is_told_with_what_to_do() {
        let lines = Realtime { priority: Some(1000), cpu: Some(1_000_000), lock_memory: false }.apply();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.contains("refused")), "{lines:?}");
        assert!(lines[1].contains("CAP_SYS_NICE"), "{lines:?}");
    }
}
