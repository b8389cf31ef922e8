//! Is a link fit to move an arm? Printed by `visuomotor check`.

use serde::Serialize;

/// How good a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, but the operator should know.
    Doubtful,
    /// The arm must not be moved like this.
    Bad,
}

/// One item checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What was checked: `servo 4 temperature`.
    pub what: String,
    /// Value found, with its unit.
    pub found: String,
    /// Value expected, with its unit.
    pub expected: String,
    /// How good it is.
    pub grade: Grade,
    /// What to do about it; empty when nothing is wrong.
    pub fix: String,
}

impl Finding {
    /// A good finding.
    pub fn good(what: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        let (what, found, expected) = (what.into(), found.into(), expected.into());
        Self { what, found, expected, grade: Grade::Good, fix: String::new() }
    }

    /// The same finding with a worse grade.
    pub fn graded(mut self, grade: Grade, fix: impl Into<String>) -> Self {
        self.grade = grade;
        self.fix = if grade == Grade::Good { String::new() } else { fix.into() };
        self
    }
}

/// Results of checking a driver's link, without moving the arm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckReport {
    /// Arm name.
    pub robot: String,
    /// Driver name.
    pub driver: String,
    /// Port, address or topic.
    pub link: String,
    /// Round-trip times measured \[s\], in order.
    pub round_trips: Vec<f64>,
    /// State messages or read cycles per second measured \[Hz\]; `None` where there is no stream.
    pub rate_hz: Option<f64>,
    /// All findings.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// The worst grade; a report without findings is bad.
    pub fn verdict(&self) -> Grade {
        self.findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_the_worst_finding_and_nothing_is_bad() {
        let mut report = CheckReport {
            robot: "widowx".into(),
            driver: "dynamixel".into(),
            link: "/dev/ttyDXL".into(),
            round_trips: vec![],
            rate_hz: None,
            findings: vec![],
        };
        assert_eq!(report.verdict(), Grade::Bad);
        report.findings.push(Finding::good("latency timer", "1 ms", "1 ms"));
        assert_eq!(report.verdict(), Grade::Good);
        let warm = Finding::good("servo 4 temperature", "66 degC", "below 65 degC");
        report.findings.push(warm.graded(Grade::Doubtful, "let it cool down"));
        assert_eq!(report.verdict(), Grade::Doubtful);
    }
}
