//! Checks that the newest action is fresh enough to move the arm.

use std::time::Duration;

/// Is an action of this age too old for the limit \[s\]? No action expected yet (`None`) never is.
pub(super) fn too_old(action_age: Option<Duration>, limit_seconds: f64) -> bool {
    // Written so that a limit that is NaN makes every action too old.
    action_age.is_some_and(|age| !(age.as_secs_f64() <= limit_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_at_the_limit_passes_and_one_nanosecond_more_does_not() {
        assert!(!too_old(None, 0.5));
        assert!(!too_old(Some(Duration::from_millis(500)), 0.5));
        assert!(too_old(Some(Duration::from_nanos(500_000_001)), 0.5));
    }

    #[test]
    fn a_limit_that_is_nan_stops() {
        assert!(too_old(Some(Duration::ZERO), f64::NAN));
    }
}
