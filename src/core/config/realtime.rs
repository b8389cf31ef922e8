//! `[realtime]` of a launch file: real-time requests for the control loop, and its deadline budget.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Requests to the operating system for the control loop. By default sensible ones for an arm, and none in the
/// simulator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealtimeSetting {
    /// `SCHED_FIFO` priority of the control thread, 1 to 98; 0 requests none. Default: 60 for an arm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Lock the program's memory in RAM. Default: for an arm, unless networks run on a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_memory: Option<bool>,
    /// CPU of the control thread, counted from 0. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<usize>,
    /// Deadline budget of the control loop.
    #[serde(skip_serializing_if = "super::file::is_default")]
    pub budget: BudgetSetting,
}

/// How much time the control loop may lose to missed periods before it reacts \[s\]. Ten punctual periods make up for a
/// missed one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSetting {
    /// From here on it is logged \[s\].
    pub warn: f64,
    /// From here on the arm holds \[s\].
    pub hold: f64,
    /// From here on the episode ends, with the arm holding \[s\].
    pub stop: f64,
}

impl Default for BudgetSetting {
    fn default() -> Self {
        Self { warn: 0.02, hold: 0.1, stop: 0.5 }
    }
}

/// Longest budget: an arm without commands for longer is not under control \[s\].
const LONGEST: f64 = 5.0;

impl RealtimeSetting {
    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        if let Some(priority) = self.priority.filter(|priority| !(0..=98).contains(priority)) {
            return Err(ConfigError::unfit(
                path,
                "realtime.priority",
                priority,
                "0 (none) or 1 to 98",
                "60 is customary; 99 starves the kernel's own threads",
            ));
        }
        let BudgetSetting { warn, hold, stop } = self.budget;
        // Written so that NaN fails each.
        let rows = [
            ("warn", warn, warn > 0.0 && warn <= hold, format!("more than 0 and at most hold = {hold} s")),
            ("hold", hold, hold > 0.0 && hold < stop, format!("more than 0 and less than stop = {stop} s")),
            ("stop", stop, stop > 0.0 && stop <= LONGEST, format!("more than 0 and at most {LONGEST} s")),
        ];
        for (key, found, fits, expected) in rows {
            if !fits {
                return Err(ConfigError::unfit(
                    path,
                    format!("realtime.budget.{key}"),
                    found,
                    expected,
                    "leave it out: warn 0.02, hold 0.1, stop 0.5 s",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realtime(text: &str) -> Result<RealtimeSetting, String> {
        let setting: RealtimeSetting = toml::from_str(text).map_err(|error| error.to_string())?;
        setting.check(Path::new("launch/a.toml")).map_err(|error| error.to_string())?;
        Ok(setting)
    }

    #[test]
    fn an_empty_table_is_the_default_and_is_not_written_out() {
        let setting = realtime("").unwrap();
        assert_eq!(setting, RealtimeSetting::default());
        assert_eq!(toml::to_string(&setting).unwrap(), "");
        let setting = realtime("priority = 0\ncpu = 3\nbudget = { hold = 0.2 }").unwrap();
        assert_eq!((setting.priority, setting.cpu, setting.budget.hold), (Some(0), Some(3), 0.2));
        assert_eq!(toml::from_str::<RealtimeSetting>(&toml::to_string(&setting).unwrap()).unwrap(), setting);
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        for (text, key) in [
            ("priority = 99", "realtime.priority"),
            ("priority = -1", "realtime.priority"),
            ("budget = { warn = 0.2 }", "realtime.budget.warn"),
            ("budget = { hold = nan }", "realtime.budget.warn"),
            ("budget = { hold = 0.5 }", "realtime.budget.hold"),
            ("budget = { stop = 60.0 }", "realtime.budget.stop"),
            ("budget = { stop = inf }", "realtime.budget.stop"),
        ] {
            let error = realtime(text).unwrap_err();
            assert!(error.contains(key) && error.contains("launch/a.toml"), "{text}: {error}");
        }
        assert!(realtime("nice = 3").unwrap_err().contains("nice"));
    }
}
