//! Real-time settings of the FCI thread: attempted and reported, not required.

/// The settings obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realtime {
    /// Priority under `SCHED_FIFO`; none when the thread is scheduled like any other.
    pub priority: Option<i32>,
    /// The program's memory is locked.
    pub memory_locked: bool,
    /// The kernel is a real-time kernel.
    pub kernel: bool,
    /// The system's error where it refused.
    pub refusals: Vec<String>,
}

/// Requests a priority for the calling thread and, where wanted, a memory lock.
pub fn try_for(priority: i32, lock_memory: bool) -> Realtime {
    let mut refusals = Vec::new();
    // franka-rs has asked for the highest priority while connecting; 99 starves the kernel's own threads.
    if let Err(refusal) = franka::realtime::set_current_thread_scheduler_priority(priority) {
        refusals.push(format!("priority {priority}: {refusal}; raise the rtprio limit (ulimit -r)"));
    }
    let mut memory_locked = false;
    if lock_memory {
        // SAFETY: mlockall takes no pointers and changes only where pages live (mlockall(2)).
        if unsafe { libc::mlockall(libc::MCL_CURRENT) } == 0 {
            memory_locked = true;
        } else {
            let error = std::io::Error::last_os_error();
            refusals.push(format!("memory lock: {error}; raise the memlock limit (ulimit -l)"));
        }
    }
    Realtime { priority: present_priority(), memory_locked, kernel: franka::realtime::has_realtime_kernel(), refusals }
}

fn present_priority() -> Option<i32> {
    // SAFETY: all zeros is a valid sched_param, a plain C structure.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    let mut policy = 0;
    // SAFETY: both pointers are to live locals; pthread_self is the calling thread.
    let result = unsafe { libc::pthread_getschedparam(libc::pthread_self(), &mut policy, &mut parameters) };
    (result == 0 && policy == libc::SCHED_FIFO).then_some(parameters.sched_priority)
}
