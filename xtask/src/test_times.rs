//! Duration of each test, from the test programs' output.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::process::line_of;

/// Number of tests shown.
const SHOWN: usize = 10;

/// Tests with their times, in the order they ended.
#[derive(Debug, Default)]
pub struct TestTimes {
    tests: Vec<Test>,
}

#[derive(Debug)]
struct Test {
    name: String,
    seconds: f64,
}

impl TestTimes {
    /// Runs the command visibly, and records the times that it prints.
    pub fn run(&mut self, mut command: Command) -> Result<(), Failure> {
        let line = line_of(&command);
        println!("$ {line}");
        let cannot = |error: std::io::Error| Failure::stage(format!("`{line}` cannot be run: {error}"));
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                self.see(&line);
            }
        }
        let status = child.wait().map_err(cannot)?;
        if status.success() { Ok(()) } else { Err(Failure::stage(format!("`{line}` ended with {status}"))) }
    }

    /// `test wall::it_waits ... ok <1.234s>`
    fn see(&mut self, line: &str) {
        let Some((name, rest)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else { return };
        let Some((_, time)) = rest.rsplit_once('<') else { return };
        if let Ok(seconds) = time.trim_end().trim_end_matches("s>").parse() {
            self.tests.push(Test { name: name.into(), seconds });
        }
    }

    /// The slowest, one per line.
    pub fn slowest(&self) -> String {
        let mut tests: Vec<&Test> = self.tests.iter().collect();
        tests.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let lines: Vec<_> = tests.iter().take(SHOWN).map(|t| format!("{:>7.1} s  {}", t.seconds, t.name)).collect();
        format!("slowest of {} tests:\n{}", tests.len(), lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_the_slowest_stand_first() {
        let mut times = TestTimes::default();
        for line in [
            "running 3 tests",
            "test a::quick ... ok <0.010s>",
            "test b::slow ... ok <12.500s>",
            "test c::skipped ... ignored",
            "test d::broken ... FAILED <0.200s>",
        ] {
            times.see(line);
        }
        assert_eq!(
            times.slowest(),
            "slowest of 3 tests:\n   12.5 s  b::slow\n    0.2 s  d::broken\n    0.0 s  a::quick"
        );
    }
}
