//! The scripted expert: replaces a human for demonstrations and for the control row of an evaluation.
//!
//! It gets the object's position and destination ([`Assignment`], known to the stage that set up the scene), and otherwise
//! only tool pose and finger opening. It does not see the scene, so it loses an object that was pushed away, and notices
//! when its fingers close on nothing.
//!
//! Each action depends on the tool's pose, not on a plan in time, so that it recovers from disturbances and can be
//! imitated from single observations.

use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::random::disturbed;
use visuomotor_core::action::{Action, ActionBounds, ActionError, ActionSource, Decision};
use visuomotor_core::geometry::wrap_angle;
use visuomotor_core::observation::Observation;

/// Tool height for carrying \[m\].
const CARRY: f64 = 0.15;
/// Extra tool height over the grasp while not above the object \[m\].
const HOVER: f64 = 0.08;
/// Fastest horizontal and vertical motion \[m per decision\].
const STRIDE: f64 = 0.04;
/// Fastest turn \[rad per decision\].
const TURN: f64 = 0.15;
/// Share of the remaining distance commanded in one decision.
const GAIN: f64 = 0.7;
/// Close to the grasp: within this horizontally \[m\], vertically \[m\], in yaw \[rad\]. As wide as the fingers tolerate,
/// because an imitating policy must distinguish inside from outside in a 128x128 image.
const AT_GRASP: (f64, f64, f64) = (0.012, 0.009, 0.18);
/// Close to the release: within this horizontally and vertically \[m\].
const AT_RELEASE: (f64, f64) = (0.03, 0.016);
/// The grasp is aimed this far below the point in the object's file \[m\].
const DEEPER: f64 = 0.003;
/// Gripper fraction below which the fingers grasped nothing.
const EMPTY: f64 = 0.24;

/// The demonstrator's assignment for an episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Tool position at which the fingers close, base frame \[m\].
    pub grasp: [f64; 3],
    /// Tool yaw to grasp with (Bridge yaw) \[rad\].
    pub grasp_yaw: f64,
    /// What is done with closed fingers.
    pub then: Then,
}

/// What is done with closed fingers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Then {
    /// Carry the held object away and release it.
    Release {
        /// Tool position to release at, base frame \[m\].
        at: [f64; 3],
    },
    /// Push down on what is below.
    Press {
        /// Height of the tool to push down to, base frame \[m\].
        height: f64,
    },
}

/// Noise added to the demonstrator's actions; the undisturbed action is recorded as the label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disturbance {
    /// Standard deviation of slowly varying noise on each translation \[m per decision\].
    pub translation: f64,
    /// Standard deviation on each rotation \[rad per decision\].
    pub rotation: f64,
    /// Probability per decision that a push of a few decisions begins.
    pub push: f64,
    /// Probability per decision that the gripper closes by mistake for a few decisions, away from the object.
    pub slip: f64,
}

impl Disturbance {
    /// None.
    pub const NONE: Disturbance = Disturbance { translation: 0.0, rotation: 0.0, push: 0.0, slip: 0.0 };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Reach,
    Close,
    Carry,
    Press,
    Done,
}

/// The scripted expert.
pub struct Demonstrator {
    assignment: Assignment,
    bounds: ActionBounds,
    disturbance: Disturbance,
    rng: ChaCha8Rng,
    phase: Phase,
    last_gripper: f64,
    waited: u32,
    noise: [f64; 6],
    push: Option<([f64; 6], u32)>,
    slip: u32,
}

impl Demonstrator {
    /// An expert for one episode.
    pub fn new(assignment: Assignment, bounds: ActionBounds, disturbance: Disturbance, seed: u64) -> Self {
        Self {
            assignment,
            bounds,
            disturbance,
            rng: ChaCha8Rng::seed_from_u64(seed),
            phase: Phase::Reach,
            last_gripper: 1.0,
            waited: 0,
            noise: [0.0; 6],
            push: None,
            slip: 0,
        }
    }

    /// The expert's undisturbed action.
    fn wish(&mut self, state: &[f64; 7]) -> Action {
        let position = Vector3::new(state[0], state[1], state[2]);
        let gripper = state[6];
        let [x, y, z] = self.assignment.grasp;
        let grasp = Vector3::new(x, y, z - DEEPER);
        // A press carries nothing, so this position is never used.
        let (release, pressed) = match self.assignment.then {
            Then::Release { at } => (Vector3::from(at), grasp.z),
            Then::Press { height } => (grasp, height),
        };
        let yaw_error = wrap_angle(self.assignment.grasp_yaw - state[5]);
        let to_grasp = grasp - position;
        let across = to_grasp.xy().norm();
        match self.phase {
            Phase::Reach if across < AT_GRASP.0 && to_grasp.z.abs() < AT_GRASP.1 && yaw_error.abs() < AT_GRASP.2 => {
                self.phase = Phase::Close;
                self.waited = 0;
            }
            Phase::Close => {
                self.waited += 1;
                let settled = (gripper - self.last_gripper).abs() < 0.02;
                if settled && self.waited >= 2 {
                    self.phase = match self.assignment.then {
                        Then::Press { .. } if gripper < EMPTY => Phase::Press,
                        // Still closing.
                        Then::Press { .. } => Phase::Close,
                        Then::Release { .. } if gripper > EMPTY => Phase::Carry,
                        Then::Release { .. } => Phase::Reach,
                    };
                }
            }
            // Pushed aside: up again, so that the fingers do not drag the button.
            Phase::Press if across > 2.0 * AT_GRASP.0 => self.phase = Phase::Reach,
            Phase::Carry if gripper < EMPTY => self.phase = Phase::Reach,
            Phase::Carry => {
                let to_release = release - position;
                if to_release.xy().norm() < AT_RELEASE.0 && to_release.z.abs() < AT_RELEASE.1 {
                    self.phase = Phase::Done;
                }
            }
            _ => {}
        }
        self.last_gripper = gripper;
        match self.phase {
            Phase::Reach => {
                // A funnel: down only when above the object and aligned with it, else up.
                let off = (across - 0.010).max(0.0) + 0.08 * (yaw_error.abs() - 0.15).max(0.0);
                let height = grasp.z + (off * 4.0).min(HOVER);
                let goal = Vector3::new(grasp.x, grasp.y, height);
                // Fingers that closed by mistake open before going down.
                let blocked = gripper < 0.7 && position.z < height + 0.02;
                let goal = if blocked { position } else { goal };
                self.toward(state, goal, yaw_error, 1.0)
            }
            Phase::Close => self.toward(state, grasp, 0.0, 0.0),
            Phase::Carry => {
                let across = (release - position).xy().norm();
                let height = release.z + ((across - 0.025).max(0.0) * 3.0).min((CARRY - release.z).max(0.0));
                // Straight up first, sideways once clear of the rim.
                let clear = ((position.z - grasp.z - 0.03) / 0.05).clamp(0.0, 1.0);
                let sideways = (release - position).xy() * clear;
                let goal = Vector3::new(position.x + sideways.x, position.y + sideways.y, height);
                let yaw = wrap_angle(-state[5]) * clear;
                self.toward(state, goal, yaw, 0.0)
            }
            Phase::Press => self.toward(state, Vector3::new(grasp.x, grasp.y, pressed), 0.0, 0.0),
            Phase::Done => {
                let goal = Vector3::new(position.x, position.y, if gripper > 0.8 { CARRY } else { position.z });
                self.toward(state, goal, 0.0, 1.0)
            }
        }
    }

    fn toward(&self, state: &[f64; 7], goal: Vector3<f64>, yaw_error: f64, gripper: f64) -> Action {
        let way = (goal - Vector3::new(state[0], state[1], state[2])) * GAIN;
        let flat = way.xy();
        let scale = if flat.norm() > STRIDE { STRIDE / flat.norm() } else { 1.0 };
        let turn = |error: f64| (error * GAIN).clamp(-TURN, TURN);
        self.bounds.clip(&Action {
            translation: [flat.x * scale, flat.y * scale, way.z.clamp(-STRIDE, STRIDE)],
            rotation: [turn(wrap_angle(-state[3])), turn(-state[4]), turn(yaw_error)],
            gripper,
        })
    }

    /// The action with noise, pushes and slips.
    fn disturb(&mut self, wish: &Action, state: &[f64; 7]) -> Action {
        let d = self.disturbance;
        if d == Disturbance::NONE {
            return *wish;
        }
        // Less noise near the counter, where it would push objects away instead of being recovered from.
        let height = ((state[2] - 0.02) / 0.08).clamp(0.15, 1.0);
        for (i, noise) in self.noise.iter_mut().enumerate() {
            let std = if i < 3 { d.translation } else { d.rotation };
            let white: f64 = (0..6).map(|_| self.rng.random_range(-1.0..1.0)).sum::<f64>() * 0.707;
            *noise = 0.7 * *noise + 0.7 * std * white;
        }
        let high = state[2] > 0.09 && self.phase != Phase::Close;
        if self.push.is_none() && high && self.rng.random_bool(d.push) {
            let mut kick: [f64; 6] = std::array::from_fn(|_| self.rng.random_range(-1.0..1.0));
            for (i, k) in kick.iter_mut().enumerate() {
                *k *= if i < 3 { 0.05 } else { 0.12 };
            }
            kick[2] = kick[2].abs() * 0.5;
            self.push = Some((kick, self.rng.random_range(2..5)));
        }
        if self.slip == 0 && high && self.phase == Phase::Reach && self.rng.random_bool(d.slip) {
            self.slip = 3;
        }
        let mut kick = self.noise.map(|n| n * height);
        if let Some((push, left)) = self.push.as_mut() {
            for (k, p) in kick.iter_mut().zip(push.iter()) {
                *k += *p;
            }
            *left -= 1;
            if *left == 0 {
                self.push = None;
            }
        }
        let mut action = disturbed(wish, kick, &self.bounds);
        if self.slip > 0 {
            self.slip -= 1;
            action.gripper = 0.0;
            action.translation[2] = action.translation[2].max(0.0);
        }
        action
    }
}

impl ActionSource for Demonstrator {
    fn name(&self) -> &str {
        "expert"
    }

    fn reset(&mut self) {
        self.phase = Phase::Reach;
        self.last_gripper = 1.0;
        self.noise = [0.0; 6];
        self.push = None;
        self.slip = 0;
    }

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let state = observation.bridge_state;
        let label = self.wish(&state);
        let action = self.disturb(&label, &state);
        Ok(Decision { label, ..Decision::plain(action) })
    }

    fn looks_at_images(&self) -> bool {
        false
    }
}
