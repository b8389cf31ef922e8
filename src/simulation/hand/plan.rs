//! Layout of objects and sequences of strokes: the common parts of all chores.

use std::f64::consts::FRAC_PI_2;

use nalgebra::{Translation3, UnitQuaternion, Vector3};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::body::{Hand, grip_for};
use super::motion::{Deed, Props, Stroke};
use super::things::Thing;
use visuomotor_core::geometry::Pose;

/// Working area \[m\].
const AREA: ([f64; 2], [f64; 2]) = ([0.04, -0.19], [0.30, 0.19]);
/// A shoulder in front of the surface, on a right hand's side, from which hands come \[m\].
const SHOULDER: [f64; 2] = [-0.42, -0.20];

/// Places objects and appends strokes.
pub(super) struct Plan<'a> {
    /// Source of all random numbers.
    pub rng: &'a mut ChaCha8Rng,
    /// The hand.
    pub hand: &'a Hand,
    /// Speed of this person (1: usual).
    pub pace: f64,
    /// Objects placed so far.
    pub things: Vec<Thing>,
    /// Their poses.
    pub poses: Vec<Pose>,
    /// Strokes so far.
    pub strokes: Vec<Stroke>,
    /// Pose of the hand after them.
    pub at: Pose,
    /// Objects with effects of their own.
    pub props: Props,
}

/// A pose from a position \[m\] and angles \[rad\].
pub(super) fn pose([x, y, z]: [f64; 3], roll: f64, pitch: f64, yaw: f64) -> Pose {
    Pose::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_euler_angles(roll, pitch, yaw))
}

/// The same orientation at another position \[m\].
pub(super) fn pose_moved(pose: &Pose, by: [f64; 3]) -> Pose {
    Pose::from_parts(Translation3::from(pose.translation.vector + Vector3::from(by)), pose.rotation)
}

impl Plan<'_> {
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.rng.random_range(low..high)
    }

    /// Places an object; returns its index.
    pub fn lay(&mut self, thing: Thing, [x, y]: [f64; 2], z: f64, yaw: f64) -> usize {
        self.things.push(thing);
        self.poses.push(pose([x, y, z], 0.0, 0.0, yaw));
        self.things.len() - 1
    }

    /// A position in the working area, `gap` \[m\] from the objects placed so far beyond their radii.
    pub fn free(&mut self, radius: f64, gap: f64) -> [f64; 2] {
        let mut best = ([0.15, 0.0], f64::MIN);
        for _ in 0..60 {
            let at = std::array::from_fn(|axis| self.rng.random_range(AREA.0[axis]..AREA.1[axis]));
            let room = self.room_at(at, radius);
            if room >= gap {
                return at;
            }
            if room > best.1 {
                best = (at, room);
            }
        }
        best.0
    }

    /// Distance to the nearest object \[m\].
    pub fn room_at(&self, at: [f64; 2], radius: f64) -> f64 {
        let things = self.things.iter().zip(&self.poses);
        let away = things.filter(|(_, pose)| pose.translation.z > -1.0).map(|(thing, pose)| {
            (at[0] - pose.translation.x).hypot(at[1] - pose.translation.y) - radius - thing.radius
        });
        away.fold(f64::MAX, f64::min)
    }

    /// Yaw of a hand that reaches for a position \[rad\].
    pub fn reach_yaw(&mut self, at: [f64; 2]) -> f64 {
        let shoulder = [SHOULDER[0], SHOULDER[1] * self.hand.side];
        (at[1] - shoulder[1]).atan2(at[0] - shoulder[0]) + self.uniform(-0.15, 0.15)
    }

    /// The hand pose whose grip is at a position: from above, or from the side with the thumb up.
    pub fn holding(&mut self, place: [f64; 3], grip: f64, upright: bool) -> Pose {
        let yaw = self.reach_yaw([place[0], place[1]]);
        let (roll, pitch) = if upright {
            (self.hand.side * (FRAC_PI_2 - self.uniform(0.0, 0.2)), self.uniform(0.05, 0.2))
        } else {
            (self.uniform(-0.2, 0.2), self.uniform(0.10, 0.45))
        };
        let turn = UnitQuaternion::from_euler_angles(roll, pitch, yaw);
        self.around(place, self.hand.grip_point(grip), turn)
    }

    /// The hand pose with this orientation whose `point` (in the hand's frame) is at a position.
    pub fn around(&self, place: [f64; 3], point: Vector3<f64>, turn: UnitQuaternion<f64>) -> Pose {
        Pose::from_parts(Translation3::from(Vector3::from(place) - turn * point), turn)
    }

    /// A stroke to a hand pose, with a duration that fits its length.
    pub fn stroke(&mut self, to: Pose, grip: f64, arc: f64, deed: Deed) {
        let way = (to.translation.vector - self.at.translation.vector).norm() + 2.0 * arc;
        let turn = self.at.rotation.angle_to(&to.rotation);
        let seconds = (0.28 + 2.2 * way + 0.25 * turn) * self.uniform(0.9, 1.15) / self.pace;
        self.stroke_lasting(to, grip, arc, seconds, deed);
    }

    pub fn stroke_lasting(&mut self, to: Pose, grip: f64, arc: f64, seconds: f64, deed: Deed) {
        self.strokes.push(Stroke { to, grip, seconds, arc, deed });
        self.at = to;
    }

    /// The same hand orientation at another position.
    pub fn moved(&self, by: [f64; 3]) -> Pose {
        Pose::from_parts(Translation3::from(self.at.translation.vector + Vector3::from(by)), self.at.rotation)
    }

    /// Reaches for an object and closes the hand around it.
    pub fn grasp(&mut self, number: usize) {
        let thing = self.things[number].clone();
        let place = self.poses[number].translation;
        let grip = grip_for(thing.grip_width);
        let height = place.z + thing.grip_height;
        let to = self.holding([place.x, place.y, height], grip, thing.upright);
        let back =
            if thing.upright { to.rotation * Vector3::new(-0.05, 0.0, 0.0) } else { Vector3::new(-0.01, 0.0, 0.05) };
        let before = Pose::from_parts(Translation3::from(to.translation.vector + back), to.rotation);
        let arc = self.uniform(0.02, 0.07);
        self.stroke(before, (grip - 0.35).max(0.05), arc, Deed::None);
        self.stroke(to, (grip - 0.22).max(0.05), 0.0, Deed::None);
        let seconds = 0.22 / self.pace;
        self.stroke_lasting(to, grip, 0.0, seconds, Deed::None);
    }

    /// Carries the held object to a position (of its origin), releases it there, and draws the hand back.
    pub fn put(&mut self, number: usize, at: [f64; 2], release: f64, support: f64, arc: f64) {
        let thing = self.things[number].clone();
        let grip = grip_for(thing.grip_width);
        let lift = self.uniform(0.01, 0.03);
        let up = self.moved([0.0, 0.0, lift]);
        self.stroke(up, grip, 0.0, Deed::Take(number));
        let to = self.holding([at[0], at[1], release + thing.grip_height], grip, thing.upright);
        self.stroke(to, grip, arc, Deed::None);
        let open = (grip - 0.3).max(0.05);
        let seconds = 0.25 / self.pace;
        self.stroke_lasting(to, open, 0.0, seconds, Deed::LetGo(support));
        let back =
            if thing.upright { to.rotation * Vector3::new(-0.06, 0.0, 0.01) } else { Vector3::new(-0.02, 0.0, 0.07) };
        self.stroke(self.moved([back.x, back.y, back.z]), open, 0.0, Deed::None);
    }

    pub fn retreat(&mut self, rest: Pose) {
        let (away, arc) = (self.uniform(0.6, 1.0), self.uniform(0.0, 0.04));
        let place = self.at.translation.vector.lerp(&rest.translation.vector, away);
        self.stroke(Pose::from_parts(Translation3::from(place), rest.rotation), 0.2, arc, Deed::None);
    }

    /// Other objects that no hand touches.
    pub fn bystanders(&mut self) {
        let wanted = self.rng.random_range(0..4);
        let ways: Vec<[f64; 2]> =
            self.strokes.iter().map(|s| [s.to.translation.x + 0.05, s.to.translation.y]).collect();
        for _ in 0..wanted {
            let thing = Thing::any(self.rng);
            let at = [self.uniform(0.0, 0.42), self.uniform(-0.38, 0.38)];
            let clear = ways.iter().all(|way| (at[0] - way[0]).hypot(at[1] - way[1]) > 0.08 + thing.radius);
            if clear && self.room_at(at, thing.radius) > 0.02 {
                let yaw = self.uniform(-3.0, 3.0);
                self.lay(thing, at, 0.0, yaw);
            }
        }
    }
}
