//! Jerk-limited joint motion from slow commands: one step per millisecond, never beyond the limits, no overshoot of a
//! target at rest.
//! Each step replans with Ruckig (`rsruckig`; Berscheid and Kroeger, RSS 2021) from the present position, velocity and acceleration
//! and follows the plan for one millisecond. `franka::otg` was the alternative: it only supports targets at rest, so a moving
//! target is chased by alternating acceleration and braking, and a policy's arm shakes. A moving target is planned for in the frame
//! that moves with it, where it is at rest. A plan that had to meet it at a place with its speed would back up for a run-up
//! wherever the joint is already too near. The plan is then checked the way the robot checks it, by differences; a plan that fails
//! is replaced by braking.
//! Start reading at [`Shaper::follow`].

use rsruckig::prelude::*;

use super::envelope::Envelope;
use super::settings::MotionLimits;
use crate::driver::panda::limits::{CYCLE, JOINTS};

/// Slack of the check by differences, relative: rounding of a second difference over 1 ms is about 1e-9 rad/s2.
const SLACK: f64 = 1.0 + 1e-6;

/// Acceleration and jerk that a joint may use.
#[derive(Clone, Copy)]
struct Effort {
    /// \[rad/s2\]
    acceleration: f64,
    /// \[rad/s3\]
    jerk: f64,
}

/// Smallest speed limit passed to the planner \[rad/s\]; it cannot plan with zero.
const CREEP: f64 = 1e-3;

/// Share of the speed limits allowed for a target's own speed in planning \[1\]: the rest is for catching up with it.
const FOLLOWED: f64 = 0.95;

struct Joint {
    planner: Ruckig<1, ThrowErrorHandler>,
    input: InputParameter<1>,
    output: OutputParameter<1>,
    position: f64,
    velocity: f64,
    acceleration: f64,
}

/// Position, velocity, acceleration of every joint, advanced one millisecond at a time.
pub struct Shaper {
    joints: [Joint; JOINTS],
    limits: MotionLimits,
    envelope: Envelope,
    /// Plans that were replaced by braking since the start.
    pub replaced: u64,
}

impl Shaper {
    /// At rest at 0; [`Shaper::seed`] before the first step.
    pub fn new(limits: MotionLimits, envelope: Envelope) -> Self {
        let joints = std::array::from_fn(|i| {
            let mut input = InputParameter::new(None);
            input.synchronization = Synchronization::None;
            input.min_velocity = Some(DataArrayOrVec::Stack([-limits.velocity[i]]));
            Joint {
                planner: Ruckig::new(None, CYCLE),
                input,
                output: OutputParameter::new(None),
                position: 0.0,
                velocity: 0.0,
                acceleration: 0.0,
            }
        });
        Self { joints, limits, envelope, replaced: 0 }
    }

    /// Continues from here: positions \[rad\], velocities \[rad/s\], accelerations \[rad/s2\].
    pub fn seed(&mut self, q: &[f64; JOINTS], dq: &[f64; JOINTS], ddq: &[f64; JOINTS]) {
        for (i, joint) in self.joints.iter_mut().enumerate() {
            (joint.position, joint.velocity, joint.acceleration) = (q[i], dq[i], ddq[i]);
        }
    }

    /// One millisecond towards positions \[rad\] that move with velocities \[rad/s\].
    pub fn follow(&mut self, q: &[f64; JOINTS], dq: &[f64; JOINTS]) {
        for i in 0..JOINTS {
            let target = self.envelope.usable(i, q[i]);
            // A target clipped at the end of the range does not move.
            let velocity = if target == q[i] { dq[i] } else { 0.0 };
            self.step(i, Some(target), velocity, self.moving(i));
        }
    }

    /// One millisecond towards velocities \[rad/s\].
    pub fn keep(&mut self, dq: &[f64; JOINTS]) {
        for (i, velocity) in dq.iter().enumerate() {
            self.step(i, None, *velocity, self.moving(i));
        }
    }

    /// One millisecond of stopping, with the limits of a stop.
    pub fn brake(&mut self) {
        for i in 0..JOINTS {
            let effort = Effort { acceleration: self.limits.stop_acceleration[i], jerk: self.limits.stop_jerk[i] };
            self.step(i, None, 0.0, effort);
        }
    }

    /// Positions \[rad\].
    pub fn positions(&self) -> [f64; JOINTS] {
        std::array::from_fn(|i| self.joints[i].position)
    }

    /// Velocities \[rad/s\].
    pub fn velocities(&self) -> [f64; JOINTS] {
        std::array::from_fn(|i| self.joints[i].velocity)
    }

    /// Does every joint stand still?
    pub fn still(&self) -> bool {
        self.joints.iter().all(|joint| joint.velocity.abs() < 1e-6 && joint.acceleration.abs() < 1e-3)
    }

    fn moving(&self, i: usize) -> Effort {
        Effort { acceleration: self.limits.acceleration[i], jerk: self.limits.jerk[i] }
    }

    fn step(&mut self, i: usize, target: Option<f64>, velocity: f64, effort: Effort) {
        let (low, high) = self.envelope.velocities(i, self.joints[i].position);
        let limit = effort.acceleration;
        let joint = &mut self.joints[i];
        let (q, v, a) = (joint.position, joint.velocity, joint.acceleration);
        let input = &mut joint.input;
        // Braking decelerates upwards when moving down: the limit against the motion is the approach's.
        let slow = target.map_or(limit, |target| self.envelope.approach(i, target, limit));
        let up = target.map_or(v, |target| target - q) >= 0.0;
        (input.max_acceleration[0], input.min_acceleration) = if up {
            (limit, Some(DataArrayOrVec::Stack([-slow])))
        } else {
            (slow, Some(DataArrayOrVec::Stack([-limit])))
        };
        input.max_jerk[0] = effort.jerk;
        // The frame's velocity, and its position after this millisecond: at the target.
        let (frame, place) =
            target.map_or((0.0, 0.0), |target| (velocity.clamp(FOLLOWED * low, FOLLOWED * high), target));
        input.max_velocity[0] = (high - frame).max(CREEP);
        input.min_velocity = Some(DataArrayOrVec::Stack([(low - frame).min(-CREEP)]));
        input.current_position[0] = q - (place - frame * CYCLE);
        input.current_velocity[0] = v - frame;
        input.current_acceleration[0] = a;
        input.target_position[0] = 0.0;
        (input.control_interface, input.target_velocity[0]) = match target {
            Some(_) => (ControlInterface::Position, 0.0),
            None => (ControlInterface::Velocity, velocity.clamp(low, high)),
        };
        // New each time: the present state is an input, and it may have been seeded.
        joint.planner.reset();
        let planned = joint.planner.update(&joint.input, &mut joint.output);
        let output = &joint.output;
        let next = (place + output.new_position[0], frame + output.new_velocity[0], output.new_acceleration[0]);
        let found = matches!(planned, Ok(RuckigResult::Working | RuckigResult::Finished));
        let next = if found && self.is_allowed(i, next, effort) {
            next
        } else {
            self.replaced += 1;
            self.braked(i, effort)
        };
        let joint = &mut self.joints[i];
        (joint.position, joint.velocity, joint.acceleration) = next;
    }

    /// Would the robot accept this step? Written so that NaN fails. A speed above a lowered limit is accepted while it does not
    /// grow.
    fn is_allowed(&self, i: usize, (q, v, a): (f64, f64, f64), effort: Effort) -> bool {
        let joint = &self.joints[i];
        let speed = self.limits.velocity[i].max(joint.velocity.abs()) * SLACK;
        let acceleration = effort.acceleration.max(joint.acceleration.abs()) * SLACK;
        let change = (v - joint.velocity) / CYCLE;
        let jerk = (a - joint.acceleration) / CYCLE;
        let moved = (q - joint.position) / CYCLE;
        v.abs() <= speed + 1e-9
            && a.abs() <= acceleration + 1e-9
            && change.abs() <= acceleration + 1e-6
            && jerk.abs() <= effort.jerk * SLACK + 1e-3
            && moved.abs() <= speed + 1e-6
    }

    /// One millisecond of braking within the jerk limit, without a planner.
    fn braked(&self, i: usize, Effort { jerk, acceleration: limit }: Effort) -> (f64, f64, f64) {
        let joint = &self.joints[i];
        // The acceleration from which jerk can still bring it to zero together with the velocity: a = sqrt(2 j v).
        let wanted = -joint.velocity.signum() * (2.0 * jerk * joint.velocity.abs()).sqrt().min(limit);
        let most = jerk * CYCLE;
        let a = joint.acceleration + (0.7 * wanted - joint.acceleration).clamp(-most, most);
        let v = joint.velocity + 0.5 * (a + joint.acceleration) * CYCLE;
        if joint.velocity.abs() < most * CYCLE && joint.acceleration.abs() <= most {
            return (joint.position, 0.0, 0.0);
        }
        (joint.position + 0.5 * (v + joint.velocity) * CYCLE, v, a)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::settings::Model;
    use super::*;

    fn shaper(model: Model) -> Shaper {
        shaper_with(MotionLimits::of(model))
    }

    fn shaper_with(limits: MotionLimits) -> Shaper {
        let mut shaper = Shaper::new(limits, Envelope::flat(&limits));
        shaper.seed(&HOME, &[0.0; JOINTS], &[0.0; JOINTS]);
        shaper
    }

    const HOME: [f64; JOINTS] = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785];

    /// Largest speed, acceleration and jerk as shares of the maker's limits, by differences of positions over 1 ms.
    fn worst(positions: &[[f64; JOINTS]], model: Model) -> [f64; 3] {
        let maker = model.maker();
        let mut worst = [0.0f64; 3];
        for i in 0..JOINTS {
            let mut line: Vec<f64> = positions.iter().map(|q| q[i]).collect();
            for (order, limit) in [maker.velocity[i], maker.acceleration[i], maker.jerk[i]].into_iter().enumerate() {
                line = line.windows(2).map(|w| (w[1] - w[0]) / CYCLE).collect();
                for value in &line {
                    worst[order] = worst[order].max(value.abs() / limit);
                }
            }
        }
        worst
    }

    #[test]
    fn a_far_target_is_reached_exactly_without_overshoot_and_within_the_limits() {
        for model in [Model::Fer, Model::Fr3] {
            let mut shaper = shaper(model);
            let target = [0.8, -0.2, -0.7, -1.6, 0.9, 2.2, -0.4];
            let mut positions = vec![HOME; 4];
            for _ in 0..3000 {
                shaper.follow(&target, &[0.0; JOINTS]);
                positions.push(shaper.positions());
            }
            assert!(shaper.still());
            for i in 0..JOINTS {
                assert!((shaper.positions()[i] - target[i]).abs() < 1e-9);
                let (low, high) = (HOME[i].min(target[i]), HOME[i].max(target[i]));
                assert!(positions.iter().all(|q| q[i] > low - 1e-9 && q[i] < high + 1e-9), "joint {i} overshoots");
            }
            let [speed, acceleration, jerk] = worst(&positions, model);
            assert!(speed <= 0.9001 && acceleration <= 0.9001 && jerk <= 0.9001, "{speed} {acceleration} {jerk}");
            assert_eq!(shaper.replaced, 0);
        }
    }

    /// Behind a moving target or ahead of it, as after lost packets: it catches up or waits, and never moves backwards.
    #[test]
    fn a_moving_target_is_joined_without_a_run_up() {
        for off in [-5e-3, -3e-4, -1e-6, 1e-6, 3e-4, 5e-3] {
            let mut shaper = shaper(Model::Fer);
            let speed = 0.4;
            let start = HOME.map(|q| q + off);
            shaper.seed(&start, &[speed; JOINTS], &[0.0; JOINTS]);
            for ms in 1..=200 {
                let target = HOME.map(|q| q + speed * f64::from(ms) * CYCLE);
                shaper.follow(&target, &[speed; JOINTS]);
                for i in 0..JOINTS {
                    let (q, v) = (shaper.positions()[i], shaper.velocities()[i]);
                    assert!(v > 0.1, "{off} rad off, joint {i}: {v} rad/s after {ms} ms");
                    assert!(ms < 150 || (q - target[i]).abs() < 1e-9, "joint {i}: {} rad off", q - target[i]);
                }
            }
        }
    }

    #[test]
    fn velocities_are_kept_and_the_end_of_the_range_is_not_passed() {
        let mut shaper = shaper(Model::Fer);
        let mut positions = vec![HOME; 4];
        for _ in 0..6000 {
            shaper.keep(&[1.0; JOINTS]);
            positions.push(shaper.positions());
        }
        let upper = MotionLimits::of(Model::Fer).upper;
        for i in 0..JOINTS {
            let q = shaper.positions()[i];
            assert!(q <= upper[i] && q > upper[i] - 0.1, "joint {i} at {q} of {}", upper[i]);
        }
        let [speed, acceleration, jerk] = worst(&positions, Model::Fer);
        assert!(speed <= 1.0 && acceleration <= 0.9001 && jerk <= 0.9001, "{speed} {acceleration} {jerk}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// For any request, however often it changes: the limits hold, by differences as the robot computes them.
        #[test]
        fn limits_hold_for_any_stream(
            targets in proptest::collection::vec(proptest::array::uniform7(-4.0..4.0f64), 1..12),
            every in 1usize..120,
            stop in 0usize..60,
            share in prop_oneof![Just(1.0), Just(0.5)],
            velocity_too in proptest::bool::ANY,
            speed in prop_oneof![Just(0.0), -3.0..3.0f64],
        ) {
            for model in [Model::Fer, Model::Fr3] {
                let mut gentle = MotionLimits::of(model);
                (gentle.acceleration, gentle.jerk) = (gentle.acceleration.map(|a| share * a), gentle.jerk.map(|j| share * j));
                let mut shaper = shaper_with(gentle);
                let mut positions = vec![HOME; 4];
                for target in &targets {
                    for _ in 0..every {
                        match velocity_too {
                            true => shaper.keep(target),
                            false => shaper.follow(target, &[speed; JOINTS]),
                        }
                        positions.push(shaper.positions());
                    }
                    // A stop in between, finished or not, with its own limits.
                    for _ in 0..stop {
                        shaper.brake();
                        positions.push(shaper.positions());
                    }
                }
                for _ in 0..1500 {
                    shaper.brake();
                    positions.push(shaper.positions());
                }
                prop_assert!(shaper.still());
                let [speed, acceleration, jerk] = worst(&positions, model);
                prop_assert!(speed <= 1.0 && acceleration <= 1.0 && jerk <= 1.0, "{} {} {}", speed, acceleration, jerk);
                let limits = MotionLimits::of(model);
                for q in &positions {
                    for i in 0..JOINTS {
                        prop_assert!(q[i] >= limits.lower[i] && q[i] <= limits.upper[i], "joint {} at {}", i, q[i]);
                    }
                }
            }
        }
    }
}
