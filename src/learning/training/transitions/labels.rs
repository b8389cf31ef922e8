//! Rewards, masks, returns and actions of a trajectory's steps, as in PTR's and V-PTR's released code.

use std::f64::consts::PI;

/// Reward of each of the last steps of a success: 11 * 1 - 1.
pub const SUCCESS_REWARD: f32 = 10.0;
/// Reward of every other step: 11 * 0 - 1.
pub const STEP_REWARD: f32 = -1.0;
/// Beyond these a gripper's action is open or closed; between them it is undecided.
const OPEN: f64 = 0.95;
const CLOSED: f64 = 0.05;

/// How episodes become transitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labels {
    /// Steps at the end of a success that are rewarded and terminal (PTR, V-PTR: 3).
    pub rewarded_steps: usize,
    /// Discount gamma of the returns.
    pub discount: f64,
    /// Use the state change that a step achieved as its action, instead of the requested action.
    pub relabel: bool,
    /// Make the gripper's action 0 or 1.
    pub binarize_gripper: bool,
}

impl Labels {
    /// Reward r and mask m of each of `steps` steps: +10 and 0 on the last of a success, -1 and 1 everywhere else. All
    /// rewarded steps are terminal, as in the release: the episode may go on but nothing is worth more than 10.
    pub fn rewards(&self, steps: usize, success: bool) -> Vec<(f32, f32)> {
        let first = if success { steps.saturating_sub(self.rewarded_steps) } else { steps };
        (0..steps).map(|i| if i >= first { (SUCCESS_REWARD, 0.0) } else { (STEP_REWARD, 1.0) }).collect()
    }

    /// Return of each step, G = r + gamma m G'. After the last step of a failure the release adds nothing, so a failure's
    /// returns are truncated at its time limit.
    pub fn returns(&self, rewards: &[(f32, f32)]) -> Vec<f32> {
        let mut out = vec![0.0; rewards.len()];
        let mut next = 0.0f64;
        for (slot, (reward, mask)) in out.iter_mut().zip(rewards).rev() {
            next = f64::from(*reward) + self.discount * f64::from(*mask) * next;
            *slot = next as f32;
        }
        out
    }

    /// The action of each step: as asked for, or relabelled from the states (x, y, z \[m\], roll, pitch, yaw \[rad\],
    /// gripper) that the steps reached. The last step has no known next state and keeps what was asked for.
    pub fn actions(&self, states: &[[f64; 7]], asked: &[[f64; 7]]) -> Vec<[f64; 7]> {
        let mut out = asked.to_vec();
        if self.relabel {
            for (action, pair) in out.iter_mut().zip(states.windows(2)) {
                for (i, value) in action.iter_mut().take(6).enumerate() {
                    let change = pair[1][i] - pair[0][i];
                    // The release subtracts Euler angles without wrapping, a jump of 2 pi at +-pi.
                    *value = if i < 3 { change } else { wrapped(change) };
                }
            }
        }
        if self.binarize_gripper {
            // A moving gripper counts as the position it moves to: the next decided value, going backwards.
            let mut decided = out.last().map_or(1.0, |action| if action[6] > 0.5 { 1.0 } else { 0.0 });
            for action in out.iter_mut().rev() {
                if action[6] > OPEN {
                    decided = 1.0;
                } else if action[6] < CLOSED {
                    decided = 0.0;
                }
                action[6] = decided;
            }
        }
        out
    }
}

/// The same angle in \[-pi, pi).
fn wrapped(angle: f64) -> f64 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels = Labels { rewarded_steps: 3, discount: 0.96, relabel: false, binarize_gripper: false };

    #[test]
    fn the_last_three_steps_of_a_success_are_rewarded_and_terminal() {
        let labels = LABELS.rewards(5, true);
        assert_eq!(labels, [(-1.0, 1.0), (-1.0, 1.0), (10.0, 0.0), (10.0, 0.0), (10.0, 0.0)]);
        assert!(LABELS.rewards(5, false).iter().all(|label| *label == (-1.0, 1.0)));
        assert_eq!(LABELS.rewards(2, true), [(10.0, 0.0); 2]);
    }

    #[test]
    fn returns_follow_the_closed_form() {
        let returns = LABELS.returns(&LABELS.rewards(12, true));
        for k in 0..9usize {
            // k steps before the first rewarded one: -(1 - g^k) / (1 - g) + 10 g^k.
            let g = 0.96f64.powi(k as i32);
            let expected = -(1.0 - g) / 0.04 + 10.0 * g;
            assert!((f64::from(returns[9 - k]) - expected).abs() < 1e-4, "{k}");
        }
        assert_eq!(returns[11], 10.0);
        let failed = LABELS.returns(&LABELS.rewards(400, false));
        assert!((failed[0] + 25.0).abs() < 1e-3 && failed[399] == -1.0);
    }

    #[test]
    fn relabelled_actions_are_changes_of_the_state_with_wrapped_angles() {
        let mut states = [[0.0; 7]; 3];
        states[1] = [0.01, 0.0, -0.02, 0.0, 0.0, 3.1, 0.4];
        states[2] = [0.03, 0.0, -0.02, 0.0, 0.0, -3.1, 0.2];
        let asked = [[0.5; 7]; 3];
        let labels = Labels { relabel: true, ..LABELS };
        let actions = labels.actions(&states, &asked);
        assert_eq!(actions[0][..3], [0.01, 0.0, -0.02]);
        assert!((actions[1][5] - (2.0 * PI - 6.2)).abs() < 1e-12, "{:?}", actions[1]);
        assert_eq!(actions[0][6], 0.5);
        assert_eq!(actions[2], asked[2]);
        assert_eq!(LABELS.actions(&states, &asked), asked);
    }

    #[test]
    fn a_moving_gripper_counts_as_its_target() {
        let asked: Vec<[f64; 7]> = [1.0, 0.7, 0.0, 0.3, 0.99, 0.6].map(|g| [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, g]).to_vec();
        let labels = Labels { binarize_gripper: true, ..LABELS };
        let grippers: Vec<f64> = labels.actions(&[], &asked).iter().map(|a| a[6]).collect();
        assert_eq!(grippers, [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    }
}
