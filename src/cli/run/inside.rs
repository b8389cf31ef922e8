//! Checks that the tool is inside its workspace before a run begins.

use nalgebra::Vector3;

use crate::config::Limits;

/// Distance by which the tool may start outside its workspace \[m\]: the safety filter's tolerance.
const BORNE: f64 = 0.005;

/// Error text for a tool at this position, base frame \[m\]; `None` inside the workspace.
pub fn outside(limits: &Limits, tool: &Vector3<f64>) -> Option<String> {
    let sides = ["x", "y", "z"].into_iter().enumerate();
    let mut beyond = sides.filter_map(|(axis, name)| {
        let (low, high, at) = (limits.workspace_low[axis], limits.workspace_high[axis], tool[axis]);
        // Written so that NaN counts as outside.
        let inside = at >= low - BORNE && at <= high + BORNE;
        (!inside).then(|| format!("{name} = {at:.3} m, allowed are {low} to {high}"))
    });
    let first = beyond.next()?;
    let rest: String = beyond.map(|side| format!("; {side}")).collect();
    Some(format!(
        "the tool stands outside of workspace_low and workspace_high: {first}{rest}; name a posture with --start, move the arm by hand, or \
         correct [limits] in the launch file"
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Robot;

    #[test]
    fn axes_outside_are_named_and_nan_counts_as_outside() {
        let limits = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "panda").unwrap().limits;
        assert_eq!(outside(&limits, &Vector3::new(0.4, 0.0, 0.3)), None);
        let said = outside(&limits, &Vector3::new(0.1, 0.0, f64::NAN)).unwrap();
        for word in ["x = 0.100", "0.2 to 0.75", "z = NaN", "--start"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}
