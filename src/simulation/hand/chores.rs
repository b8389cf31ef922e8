//! The twelve chores of a hand, each a sequence of strokes over objects at random positions.

use std::f64::consts::FRAC_PI_2;

use nalgebra::{UnitQuaternion, Vector3};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::body::{Hand, grip_for};
use super::mjcf::vivid;
use super::motion::{Deed, HIDDEN, Moment, Props, Stroke};
use super::plan::{Plan, pose, pose_moved};
use super::things::Thing;

/// Names of the chores, as recorded.
pub(super) const CHORES: [&str; 12] = [
    "pick_and_place",
    "put_into",
    "take_out",
    "push_aside",
    "push_away",
    "open_drawer",
    "close_drawer",
    "take_lid_off",
    "put_lid_on",
    "wipe",
    "stack",
    "pour",
];

/// A chore with its layout and plan.
pub(super) struct Chore {
    /// One of [`CHORES`].
    pub kind: &'static str,
    /// All movable objects; their poses are in `start`.
    pub things: Vec<Thing>,
    /// Initial state.
    pub start: Moment,
    /// The strokes.
    pub strokes: Vec<Stroke>,
    /// Objects with effects of their own.
    pub props: Props,
}

/// A random chore for a hand.
pub(super) fn chore(hand: &Hand, rng: &mut ChaCha8Rng) -> Chore {
    let kind = CHORES[rng.random_range(0..CHORES.len())];
    let pace = rng.random_range(0.8..1.35);
    let rest = pose([rng.random_range(-0.22..-0.12), -hand.side * rng.random_range(0.05..0.22), 0.10], 0.0, 0.3, 0.0);
    let mut plan = Plan {
        rng,
        hand,
        pace,
        things: Vec::new(),
        poses: Vec::new(),
        strokes: Vec::new(),
        at: rest,
        props: Props::default(),
    };
    match kind {
        "pick_and_place" => plan.pick_and_place(),
        "put_into" => plan.put_into(),
        "take_out" => plan.take_out(),
        "push_aside" => plan.push_aside(),
        "push_away" => plan.push_away(),
        "open_drawer" => plan.drawer(true),
        "close_drawer" => plan.drawer(false),
        "take_lid_off" => plan.lid(false),
        "put_lid_on" => plan.lid(true),
        "wipe" => plan.wipe(),
        "stack" => plan.stack(),
        _ => plan.pour(),
    }
    plan.retreat(rest);
    plan.bystanders();
    let start = Moment { hand: rest, grip: 0.15, things: plan.poses };
    Chore { kind, things: plan.things, start, strokes: plan.strokes, props: plan.props }
}

impl Plan<'_> {
    fn some_thing(&mut self) -> usize {
        let thing = Thing::any(self.rng);
        let at = self.free(thing.radius, 0.02);
        let yaw = self.reach_yaw(at) + self.uniform(-0.5, 0.5);
        self.lay(thing, at, 0.0, yaw)
    }

    fn pick_and_place(&mut self) {
        let thing = self.some_thing();
        let to = self.free(self.things[thing].radius, 0.08);
        self.grasp(thing);
        let arc = self.uniform(0.05, 0.14);
        self.put(thing, to, 0.004, 0.0, arc);
    }

    fn put_into(&mut self) {
        let holder = Thing::holding(self.rng);
        let (rim, at) = (holder.height, self.free(holder.radius, 0.0));
        self.lay(holder, at, 0.0, 0.0);
        for _ in 0..self.rng.random_range(1..3) {
            let thing = self.some_thing();
            self.grasp(thing);
            let (dx, dy) = (self.uniform(-0.02, 0.02), self.uniform(-0.02, 0.02));
            let (release, arc) = (rim * self.uniform(0.5, 1.1), self.uniform(0.08, 0.15));
            self.put(thing, [at[0] + dx, at[1] + dy], release, 0.005, arc);
        }
    }

    fn take_out(&mut self) {
        let holder = Thing::holding(self.rng);
        let (radius, at) = (holder.radius, self.free(holder.radius, 0.0));
        self.lay(holder, at, 0.0, 0.0);
        let thing = Thing::any(self.rng);
        let to = self.free(thing.radius.max(radius * 0.3), 0.03);
        let yaw = self.reach_yaw(at) + self.uniform(-0.5, 0.5);
        let thing = self.lay(thing, at, 0.005, yaw);
        self.grasp(thing);
        let arc = self.uniform(0.10, 0.16);
        self.put(thing, to, 0.004, 0.0, arc);
    }

    /// Pushes an object across with the open hand on edge, towards the side the palm faces.
    fn push_aside(&mut self) {
        let thing = Thing::any(self.rng);
        let side = self.hand.side;
        let (way, radius) = (self.uniform(0.10, 0.20), thing.radius);
        let at = [self.uniform(0.06, 0.26), side * self.uniform(-0.15, -0.02)];
        let yaw = self.uniform(-0.6, 0.6);
        let number = self.lay(thing, at, 0.0, yaw);
        let turn = UnitQuaternion::from_euler_angles(side * (FRAC_PI_2 - 0.15), 0.15, self.uniform(-0.2, 0.2));
        let touch = Vector3::new(0.05, 0.0, -0.02);
        let beside = self.around([at[0], at[1] - side * (radius + 0.005), 0.045], touch, turn);
        let before = pose_moved(&beside, [0.0, -side * 0.04, 0.015]);
        self.stroke(before, 0.05, 0.04, Deed::None);
        self.stroke(beside, 0.05, 0.0, Deed::None);
        self.stroke(pose_moved(&beside, [0.0, side * way, 0.0]), 0.05, 0.0, Deed::Take(number));
        self.stroke(self.moved([-0.03, -side * 0.05, 0.03]), 0.1, 0.0, Deed::LetGo(0.0));
    }

    /// Pushes an object away with the knuckles.
    fn push_away(&mut self) {
        let thing = Thing::any(self.rng);
        let (way, radius) = (self.uniform(0.10, 0.18), thing.radius);
        let at = [self.uniform(0.06, 0.14), self.uniform(-0.15, 0.15)];
        let yaw = self.uniform(-0.6, 0.6);
        let number = self.lay(thing, at, 0.0, yaw);
        let yaw = self.uniform(-0.25, 0.25);
        let turn = UnitQuaternion::from_euler_angles(self.hand.side * self.uniform(0.0, 1.2), 0.1, yaw);
        let ahead = [yaw.cos(), yaw.sin()];
        let touch = Vector3::new(0.078, 0.0, -0.02);
        let place = [at[0] - radius * ahead[0], at[1] - radius * ahead[1], 0.045];
        let behind = self.around(place, touch, turn);
        let before = pose_moved(&behind, [-0.05 * ahead[0], -0.05 * ahead[1], 0.02]);
        self.stroke(before, 0.9, 0.03, Deed::None);
        self.stroke(behind, 0.95, 0.0, Deed::None);
        self.stroke(pose_moved(&behind, [way * ahead[0], way * ahead[1], 0.0]), 0.95, 0.0, Deed::Take(number));
        self.stroke(self.moved([-0.06, 0.0, 0.03]), 0.6, 0.0, Deed::LetGo(0.0));
    }

    fn drawer(&mut self, opens: bool) {
        let (chest, drawer, way) = Thing::chest(self.rng);
        let at = [self.uniform(0.26, 0.34), self.uniform(-0.14, 0.14)];
        let level = drawer.grip_height;
        self.lay(chest, at, 0.0, 0.0);
        let open = if opens { 0.0 } else { way };
        let number = self.lay(drawer, [at[0] - open, at[1]], 0.0, 0.0);
        let grip = grip_for(0.028);
        let turn = UnitQuaternion::from_euler_angles(
            self.uniform(-0.15, 0.15),
            self.uniform(-0.25, 0.05),
            self.uniform(-0.1, 0.1),
        );
        let to = self.around([at[0] - open - 0.026, at[1], level], self.hand.grip_point(grip), turn);
        self.stroke(pose_moved(&to, [-0.05, 0.0, 0.04]), grip - 0.35, 0.03, Deed::None);
        self.stroke(to, grip - 0.15, 0.0, Deed::None);
        let seconds = 0.22 / self.pace;
        self.stroke_lasting(to, grip, 0.0, seconds, Deed::None);
        let by = if opens { -way } else { way };
        self.stroke(pose_moved(&to, [by, 0.0, 0.0]), grip, 0.0, Deed::Take(number));
        let held = self.at;
        self.stroke_lasting(held, grip - 0.3, 0.0, seconds, Deed::LetGo(0.0));
        self.stroke(self.moved([-0.05, 0.0, 0.05]), 0.2, 0.0, Deed::None);
        if opens && self.rng.random_bool(0.5) {
            // The drawer contains the object that the hand is after.
            let trinket = Thing::trinket(self.rng);
            let inside = [at[0] - way * 0.45, at[1] + self.uniform(-0.03, 0.03)];
            let number = self.lay(trinket, inside, 0.02, 0.0);
            let to = [self.uniform(0.02, 0.10), at[1] + self.uniform(-0.15, 0.15)];
            self.grasp(number);
            self.put(number, to, 0.004, 0.0, 0.10);
        }
    }

    fn lid(&mut self, closes: bool) {
        let (crock, lid) = Thing::crock(self.rng);
        let (rim, radius) = (crock.height, crock.radius);
        let at = self.free(radius, 0.0);
        self.lay(crock, at, 0.0, 0.0);
        let beside = self.free(radius, 0.03);
        let number = if closes { self.lay(lid, beside, 0.0, 0.0) } else { self.lay(lid, at, rim, 0.0) };
        self.grasp(number);
        let (to, height) = if closes { (at, rim) } else { (beside, 0.0) };
        let arc = self.uniform(0.06, 0.12);
        self.put(number, to, height + 0.004, height, arc);
    }

    fn wipe(&mut self) {
        let cloth = Thing::cloth(self.rng);
        let at = [self.uniform(0.04, 0.12), -self.hand.side * self.uniform(0.0, 0.15)];
        let yaw = self.reach_yaw(at);
        let number = self.lay(cloth, at, 0.0, yaw);
        let middle = [self.uniform(0.15, 0.24), self.uniform(-0.08, 0.08)];
        let (deep, wide) = (self.uniform(0.04, 0.07), self.uniform(0.09, 0.14));
        for _ in 0..self.rng.random_range(3..9) {
            let stain = Thing::stain(self.rng);
            let place = [middle[0] + self.uniform(-deep, deep), middle[1] + self.uniform(-wide, wide)];
            let turn = self.uniform(-3.0, 3.0);
            let stain = self.lay(stain, place, 0.0005, turn);
            self.props.stains.push(stain);
        }
        let flat = Vector3::new(0.025, 0.0, -0.016);
        let turn = UnitQuaternion::from_euler_angles(0.0, 0.06, yaw);
        let on = self.around([at[0], at[1], 0.020], flat, turn);
        self.stroke(pose_moved(&on, [-0.02, 0.0, 0.05]), 0.05, 0.04, Deed::None);
        self.stroke(on, 0.08, 0.0, Deed::None);
        let rows = self.rng.random_range(3..6);
        for row in 0..rows {
            let x = middle[0] - deep + 2.0 * deep * f64::from(row) / f64::from(rows - 1);
            let first = if row % 2 == 0 { -1.0 } else { 1.0 };
            for side in [first, -first] {
                let to = self.around([x, middle[1] + side * wide, 0.020], flat, turn);
                let deed = if row == 0 && side == first { Deed::Take(number) } else { Deed::Wipe };
                self.stroke(to, 0.08, 0.0, deed);
            }
        }
        self.stroke(self.moved([-0.03, 0.0, 0.07]), 0.1, 0.0, Deed::LetGo(0.0));
    }

    fn stack(&mut self) {
        let kinds = ["carton", "book", "carton", "pyramid", "jar"];
        let base = Thing::handled(kinds[self.rng.random_range(0..2)], self.rng);
        let (at, mut top) = (self.free(base.radius, 0.0), base.height);
        let yaw = self.reach_yaw(at);
        self.lay(base, at, 0.0, yaw);
        for _ in 0..self.rng.random_range(1..3) {
            let thing = Thing::handled(kinds[self.rng.random_range(0..kinds.len())], self.rng);
            let (height, from) = (thing.height, self.free(thing.radius, 0.03));
            let yaw = self.reach_yaw(from);
            let number = self.lay(thing, from, 0.0, yaw);
            self.grasp(number);
            let arc = self.uniform(0.06, 0.12);
            self.put(number, at, top + 0.004, top, arc);
            top += height;
        }
    }

    /// Turns the wrist inward over a basin; beads fall out of the jug.
    fn pour(&mut self) {
        let side = self.hand.side;
        let holder = Thing::holding(self.rng);
        let (rim, middle) = (holder.height, [self.uniform(0.12, 0.24), side * self.uniform(0.02, 0.12)]);
        self.lay(holder, middle, 0.0, 0.0);
        let (jug, spout) = Thing::jug(side, self.rng);
        let grip = grip_for(jug.grip_width);
        let (level, reach) = (jug.grip_height, spout[2] - jug.grip_height);
        let from = [self.uniform(0.06, 0.22), middle[1] - side * self.uniform(0.20, 0.28)];
        let jug = self.lay(jug, from, 0.0, 0.0);
        let color = vivid(self.rng);
        for _ in 0..self.rng.random_range(8..15) {
            let bead = self.lay(Thing::bead(color), [0.0, 0.0], HIDDEN[2], 0.0);
            let spread = 0.030;
            let bottom = [
                middle[0] + self.uniform(-spread, spread),
                middle[1] + self.uniform(-spread, spread),
                self.uniform(0.004, 0.020),
            ];
            self.props.beads.push((bead, Vector3::from(bottom)));
        }
        self.props.spout = Vector3::from(spout);
        let level_hand = |plan: &mut Self, place: [f64; 3], tilt: f64| {
            let turn = UnitQuaternion::from_euler_angles(side * (FRAC_PI_2 - tilt), 0.0, 0.0);
            plan.around(place, plan.hand.grip_point(grip), turn)
        };
        let to = level_hand(self, [from[0], from[1], level], 0.0);
        self.stroke(pose_moved(&to, [-0.06, 0.0, 0.01]), grip - 0.3, 0.03, Deed::None);
        self.stroke(to, grip - 0.2, 0.0, Deed::None);
        let seconds = 0.22 / self.pace;
        self.stroke_lasting(to, grip, 0.0, seconds, Deed::None);
        // Beside the basin, so that the spout ends above its center once the jug is tipped.
        let height = rim + 0.07 + level;
        let over = level_hand(self, [middle[0], middle[1] - side * reach, height], 0.0);
        self.stroke(over, grip, 0.03, Deed::Take(jug));
        let tilt = self.uniform(1.65, 1.95);
        let tipped = level_hand(self, [middle[0], middle[1] - side * reach, height], tilt);
        self.stroke(tipped, grip, 0.0, Deed::None);
        let pours = self.uniform(0.9, 1.6) / self.pace;
        self.stroke_lasting(tipped, grip, 0.0, pours, Deed::Pour);
        self.stroke(over, grip, 0.0, Deed::None);
        let back = level_hand(self, [from[0], from[1], level + 0.004], 0.0);
        self.stroke(back, grip, 0.03, Deed::None);
        self.stroke_lasting(back, grip - 0.3, 0.0, seconds, Deed::LetGo(0.0));
        self.stroke(self.moved([-0.06, -side * 0.02, 0.02]), 0.2, 0.0, Deed::None);
    }
}
