//! How long a run takes from its call to its first command, by part.

use std::fmt;
use std::time::Instant;

use crate::time::Timestamp;

/// Parts of a start, in order.
pub struct StartUp {
    parts: Vec<(&'static str, f64)>,
    since: Instant,
}

impl StartUp {
    /// Begins where the program's own work does; what loading its libraries took is the first part.
    pub fn begin() -> Self {
        let loading = process_age().map(|seconds| ("program", seconds));
        Self { parts: loading.into_iter().collect(), since: Instant::now() }
    }

    /// What was done since the part before \[s\].
    pub fn mark(&mut self, part: &'static str) {
        let now = Instant::now();
        self.parts.push((part, now.duration_since(self.since).as_secs_f64()));
        self.since = now;
    }

    /// Leaves out what was done since the part before: a motion is no start, nor is waiting for consent.
    pub fn skip(&mut self) {
        self.since = Instant::now();
    }

    /// The episode's own part: its beginning, the first decision and the first tick that carried it out, on one clock.
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

/// How long this process has been there \[s\]; none where /proc does not say.
fn process_age() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name before may hold spaces; its parenthesis is the last. `starttime` is field 22.
    let started: f64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = std::fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    // SAFETY: sysconf only reads a constant of the system.
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
