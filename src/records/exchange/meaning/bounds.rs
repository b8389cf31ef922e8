//! Physical bounds of converted states and actions: values beyond them show that the numbers mean something else.

use visuomotor_core::action::{Action, ActionBounds};

use super::layout::Converted;

/// No table-top arm reaches farther from its base \[m\]; larger numbers are millimeters, or no positions.
const FARTHEST: f64 = 5.0;
/// Largest angle of a state \[rad\]: two turns. Larger numbers are degrees.
const LARGEST_ANGLE: f64 = 4.0 * std::f64::consts::PI;
/// Largest change of position in one step \[m\].
const LONGEST_STEP: f64 = 0.5;
/// Largest change of orientation in one step \[rad\].
const LARGEST_TURN: f64 = std::f64::consts::PI;
/// Least and largest gripper: calibrations are some percent off, other conventions reach -1 or 100.
const GRIPPER: std::ops::RangeInclusive<f64> = -0.5..=1.5;

/// Counts steps that are possible, but beyond what a policy can be trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    steps: u64,
    beyond_bridge: u64,
    gripper_outside: u64,
}

impl Bounds {
    /// Takes in a step; returns what cannot be, and the option that would help.
    pub fn check(&mut self, step: &Converted) -> Result<(), String> {
        let Converted { state, action } = step;
        let largest = |numbers: &[f64]| numbers.iter().fold(0.0, |most: f64, number| most.max(number.abs()));
        // NaN is refused elsewhere, by its name.
        if largest(&state[..3]) > FARTHEST {
            return Err(format!("a state's position of {} m (--state-scale METERS)", largest(&state[..3])));
        }
        if largest(&state[3..6]) > LARGEST_ANGLE {
            return Err(format!(
                "a state's angle of {} rad (degrees: --state-scale 1,0.017453)",
                largest(&state[3..6])
            ));
        }
        if largest(&action[..3]) > LONGEST_STEP {
            let length = largest(&action[..3]);
            return Err(format!("an action of {length} m in one step (--scale METERS, --action-kind absolute)"));
        }
        if largest(&action[3..6]) > LARGEST_TURN + 1e-9 {
            let turn = largest(&action[3..6]);
            return Err(format!("an action of {turn} rad in one step (--scale METERS,RADIANS)"));
        }
        for (name, number, option) in [("state", state[6], "--gripper"), ("action", action[6], "--action-gripper")] {
            if number.is_finite() && !GRIPPER.contains(&number) {
                return Err(format!("a gripper of {number} in the {name}, outside 0 .. 1 ({option})"));
            }
        }
        self.steps += 1;
        let low_high = ActionBounds::BRIDGE;
        let clipped = low_high.clip(&Action::from_array(*action)).to_array();
        let beyond = |range: std::ops::Range<usize>| range.clone().any(|i| (clipped[i] - action[i]).abs() > 1e-6);
        self.beyond_bridge += u64::from(beyond(0..6));
        let outside = |number: f64| !(-0.05..=1.05).contains(&number);
        self.gripper_outside += u64::from(outside(state[6]) || outside(action[6]));
        Ok(())
    }

    /// What should be known before training on them.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.beyond_bridge > 0 {
            notes.push(format!(
                "actions beyond Bridge's bounds (0.05 m, 0.25 rad): {} of {} steps; training clips them",
                self.beyond_bridge, self.steps
            ));
        }
        if self.gripper_outside > 0 {
            notes.push(format!("gripper outside 0 .. 1: {} of {} steps", self.gripper_outside, self.steps));
        }
        notes
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.beyond_bridge += other.beyond_bridge;
        self.gripper_outside += other.gripper_outside;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(state: [f64; 7], action: [f64; 7]) -> Result<(), String> {
        Bounds::default().check(&Converted { state, action })
    }

    #[test]
    fn other_units_are_found() {
        let (state, action) = ([0.2, 0.0, 0.1, 0.0, 1.0, 0.0, 0.5], [0.01, 0.0, 0.0, 0.0, 0.1, 0.0, 1.0]);
        assert_eq!(step(state, action), Ok(()));
        let with = |mut numbers: [f64; 7], place: usize, number: f64| {
            numbers[place] = number;
            numbers
        };
        for (state, action, word) in [
            (with(state, 0, 210.0), action, "--state-scale"),
            (with(state, 4, 90.0), action, "degrees"),
            (state, with(action, 1, -0.8), "--scale"),
            (state, with(action, 5, 20.0), "--scale"),
            (with(state, 6, 55.0), action, "--gripper"),
            (state, with(action, 6, -1.0), "--action-gripper"),
        ] {
            assert!(step(state, action).unwrap_err().contains(word));
        }
    }

    #[test]
    fn large_actions_are_counted() {
        let mut bounds = Bounds::default();
        for size in [0.01, 0.2] {
            let action = [size, 0.0, 0.0, 0.0, 0.0, 0.0, 1.2];
            bounds.check(&Converted { state: [0.0; 7], action }).unwrap();
        }
        assert_eq!(bounds.notes().len(), 2);
        assert!(bounds.notes()[0].contains("1 of 2 steps"));
    }
}
