//! Time from the call of a run to its first command, by part.

use std::fmt;
use std::time::Instant;

use crate::time::Timestamp;

/// Parts of a start-up, in order.
pub struct StartUp {
    parts: Vec<(&'static str, f64)>,
    since: Instant,
}

impl StartUp {
    /// Starts with the program's own work; loading its libraries is the first part.
    pub fn begin() -> Self {
        let loading = process_age().map(|seconds| ("program", seconds));
        Self { parts: loading.into_iter().collect(), since: Instant::now() }
    }

    /// Adds a part: the time since the one before \[s\].
    pub fn mark(&mut self, part: &'static str) {
        let now = Instant::now();
        self.parts.push((part, now.duration_since(self.since).as_secs_f64()));
        self.since = now;
    }

    /// Skips the time since the part before: neither a motion nor waiting for consent counts as start-up.
    pub fn skip(&mut self) {
        self.since = Instant::now();
    }

    /// Adds the episode's part: its beginning, the first decision and the first tick that executed it, on one clock.
    pub fn first(&mut self, begin: Timestamp, decided: Option<Timestamp>, commanded: Option<Timestamp>) {
        let (Some(decided), Some(commanded)) = (decided, commanded) else { return };
        self.parts.push(("first decision", decided.since(begin).as_secs_f64()));
        self.parts.push(("first command", commanded.since(decided).as_secs_f64()));
    }
}

impl fmt::Display for StartUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: f64 = self.parts.iter().map(|(_, seconds)| seconds).sum();
        let parts: Vec<String> = self.parts.iter().map(|(part, seconds)| format!("{part} {seconds:.3}")).collect();
        write!(f, "{total:.3} s ({})", parts.join(", "))
    }
}

/// Age of this process \[s\]; `None` without /proc.
fn process_age() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The process name may contain spaces; it ends at the last parenthesis. `starttime` is field 22.
    let started: f64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = std::fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    // SAFETY: sysconf only reads a system constant.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (ticks > 0).then(|| (uptime - started / ticks as f64).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let mut start = StartUp { parts: vec![("program", 0.25)], since: Instant::now() };
        let at = |seconds| Some(Timestamp::from_secs_f64(seconds));
        start.first(Timestamp::from_secs_f64(1.0), at(1.5), at(1.75));
        assert_eq!(start.to_string(), "1.000 s (program 0.250, first decision 0.500, first command 0.250)");
        start.first(Timestamp::ZERO, None, None);
        assert_eq!(start.parts.len(), 3);
        assert!(process_age().is_some_and(|age| age < 3600.0));
    }
}
