//! The program as a child process with little memory and little time.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Address space of the child \[bytes\]; libtorch takes half a GiB of it before the program does anything.
const ADDRESSES: u64 = 2 << 30;
/// Processor time of the child \[s\].
const PROCESSOR: u64 = 120;
/// A child that waits forever takes no processor time: this ends it \[s\].
const LONGEST: u32 = 300;

/// How a child ended.
pub struct Ended {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its output.
    pub said: String,
    /// Most memory it had \[MiB\].
    pub peak: u64,
}

/// Runs the program in `folder`.
#[expect(clippy::zombie_processes, reason = "it is waited for by `wait4`, which also tells what it used")]
pub fn call(folder: &Path, arguments: &[String]) -> Ended {
    let apart = tempfile::tempdir().unwrap();
    let path = apart.path().join("said");
    let out = File::create(&path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_visuomotor"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out);
    let limit = |resource, most| {
        let both = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: `both` is a valid `rlimit` that lives through the call.
        match unsafe { libc::setrlimit(resource, &both) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    let limits = move || {
        limit(libc::RLIMIT_AS, ADDRESSES)?;
        limit(libc::RLIMIT_CPU, PROCESSOR)?;
        limit(libc::RLIMIT_CORE, 0)?;
        // SAFETY: takes a number; the alarm stays over `exec`.
        unsafe { libc::alarm(LONGEST) };
        Ok(())
    };
    // SAFETY: between fork and exec only `setrlimit` and `alarm` are called, which may be.
    unsafe { command.pre_exec(limits) };
    let child = command.spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: all zeros are a valid `rusage`.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places live through the call; no other thread waits for this child.
    let waited = unsafe { libc::wait4(pid, &mut status, 0, &mut used) };
    assert_eq!(waited, pid);
    let exited = libc::WIFEXITED(status);
    let said = std::fs::read(&path).unwrap();
    Ended {
        code: exited.then(|| libc::WEXITSTATUS(status)),
        signal: (!exited).then(|| libc::WTERMSIG(status)),
        said: String::from_utf8_lossy(&said).into_owned(),
        peak: used.ru_maxrss as u64 / 1024,
    }
}
