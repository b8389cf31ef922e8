//! Requests real-time scheduling of a thread and locked memory from Linux. Every request is optional and its outcome is reported.
//!
//! Nothing here is needed for correctness: a refused request costs punctuality, and deadlines are counted anyway.

use std::io;

use serde::{Deserialize, Serialize};

/// Requests. The default requests nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Realtime {
    /// `SCHED_FIFO` priority, 1..99; 50 to 80 is customary (below the kernel's own interrupt threads' needs).
    pub priority: Option<i32>,
    /// Lock the process's used memory, now and later, in RAM. Leave off with CUDA, which maps far more than RAM.
    pub lock_memory: bool,
    /// Run the thread on this CPU only, counted from 0.
    pub cpu: Option<usize>,
}

/// Result of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// The request: `SCHED_FIFO priority 60`.
    #[serde(rename = "wish")]
    pub request: String,
    /// Was it granted?
    pub granted: bool,
    /// The system's error if it refused; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The fix if it refused; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

impl std::fmt::Display for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.granted {
            true => write!(f, "{}: granted", self.request),
            false => write!(f, "{}: refused ({}); {}", self.request, self.why, self.fix),
        }
    }
}

impl Realtime {
    /// Applies the requests for the whole process: memory.
    pub fn apply_to_process(&self) -> Vec<Granted> {
        self.lock_memory.then(|| outcome("memory lock".into(), lock_memory(), MEMORY_FIX)).into_iter().collect()
    }

    /// Applies the requests for the calling thread: CPU and priority.
    pub fn apply_to_thread(&self) -> Vec<Granted> {
        let mut outcomes = Vec::new();
        if let Some(cpu) = self.cpu {
            outcomes.push(outcome(format!("CPU {cpu}"), choose_cpu(cpu), "choose a CPU the process may use"));
        }
        if let Some(priority) = self.priority {
            let fix = "grant CAP_SYS_NICE, or raise the rtprio limit (ulimit -r; rtprio in /etc/security/limits.conf)";
            outcomes.push(outcome(format!("SCHED_FIFO priority {priority}"), choose_priority(priority), fix));
        }
        outcomes
    }

    /// Tries the requests on a short-lived thread. Memory stays locked if that is granted.
    pub fn try_out(self) -> Vec<Granted> {
        let mut outcomes = self.apply_to_process();
        let tried = std::thread::Builder::new().name("realtime".into()).spawn(move || self.apply_to_thread());
        match tried.map(std::thread::JoinHandle::join) {
            Ok(Ok(more)) => outcomes.extend(more),
            // No test thread: the system will refuse the control thread as well.
            Ok(Err(_)) | Err(_) => outcomes.push(Granted {
                request: "a test thread".into(),
                granted: false,
                why: "the system refused it".into(),
                fix: "close other programs".into(),
            }),
        }
        outcomes
    }
}

/// The calling thread's priority under `SCHED_FIFO`; `None` when it is scheduled like any other.
pub fn present_priority() -> Option<i32> {
    // SAFETY: all zeros is a valid sched_param, a plain C structure.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    let mut policy = 0;
    // SAFETY: both pointers are to live locals; pthread_self is the calling thread.
    let result = unsafe { libc::pthread_getschedparam(libc::pthread_self(), &mut policy, &mut parameters) };
    (result == 0 && policy == libc::SCHED_FIFO).then_some(parameters.sched_priority)
}

/// Locks the memory that the process uses now, and none that it takes later: granted within a limit too.
pub fn lock_present_memory() -> Granted {
    // SAFETY: mlockall takes no pointers and changes only where pages live (mlockall(2)).
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT) };
    let result = if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    outcome("memory lock".into(), result, MEMORY_FIX)
}

const MEMORY_FIX: &str =
    "grant CAP_IPC_LOCK, or no limit on locked memory (ulimit -l unlimited; memlock in /etc/security/limits.conf)";

fn outcome(request: String, result: io::Result<()>, fix: &str) -> Granted {
    match result {
        Ok(()) => Granted { request, granted: true, why: String::new(), fix: String::new() },
        Err(error) => Granted { request, granted: false, why: error.to_string(), fix: fix.into() },
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

/// Locks pages on first use, so that sparsely used stacks do not fill the RAM. Only without a limit: with one, the lock
/// would be granted now and memory refused later, in the middle of a motion.
fn lock_memory() -> io::Result<()> {
    if !may_lock_all() {
        return Err(io::Error::other("locked memory is limited"));
    }
    // SAFETY: mlockall takes no pointers and changes only where pages live (mlockall(2)).
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Is locked memory unlimited, by its limit or by capability?
fn may_lock_all() -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit to write to.
    let unlimited =
        unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } == 0 && limit.rlim_cur == libc::RLIM_INFINITY;
    unlimited || has_capability(IPC_LOCK)
}

/// Number of `CAP_IPC_LOCK` (capabilities(7)).
const IPC_LOCK: u32 = 14;

fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits >> number & 1 == 1)
}

fn choose_priority(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: pthread_self is the calling thread, which is alive; `parameters` outlives the call.
    let error = unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_FIFO, &parameters) };
    // pthread functions return the error instead of setting errno.
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_requests_give_no_results() {
        assert!(Realtime::default().try_out().is_empty());
    }

    #[test]
    fn refused_requests_are_reported_with_a_fix() {
        let outcomes = Realtime { priority: Some(1000), cpu: Some(1_000_000), lock_memory: false }.try_out();
        assert_eq!(outcomes.len(), 2);
        assert!(outcomes.iter().all(|one| !one.granted && !one.why.is_empty()), "{outcomes:?}");
        let line = outcomes[1].to_string();
        for word in ["SCHED_FIFO priority 1000", "refused", "CAP_SYS_NICE", "ulimit -r"] {
            assert!(line.contains(word), "{word}: {line}");
        }
    }

    #[test]
    fn trying_leaves_the_calling_thread_as_it_was() {
        let policy = || {
            let mut parameters = libc::sched_param { sched_priority: 0 };
            let mut policy = 0;
            // SAFETY: both pointers are to live locals; pthread_self is the calling thread.
            unsafe { libc::pthread_getschedparam(libc::pthread_self(), &mut policy, &mut parameters) };
            (policy, parameters.sched_priority)
        };
        let before = policy();
        let outcomes = Realtime { priority: Some(60), cpu: Some(0), lock_memory: false }.try_out();
        assert_eq!((outcomes.len(), policy()), (2, before));
    }
}
