//! Jerk-limited motion between targets that arrive at any time: turns a slow policy into a smooth, fast stream.
//!
//! [`JerkLimited`] goes to joint positions, [`VelocityRamp`] to joint velocities. Both start from the stream's current
//! position, velocity and acceleration, so that velocity and acceleration never step. Radians, seconds. The solver is
//! `rsruckig` (Ruckig: Berscheid and Kroeger, RSS 2021) with its degrees of freedom on the stack;
//! `tests/motion/ruckig_oracle.rs` compares it with the original. Targets are reached at rest.
//!
//! Retargeting by `calculate` does not allocate (`tests/no_allocation.rs`). `update`, the crate's other entry point, does
//! not either, but reads a clock, which the control path must not. When the solver fails, it formats a message, which
//! allocates once; the old motion, which is within every limit, then continues, and the caller gets an error.
//!
//! One file because the planner and the tests of its limits are read together; half of it is its tests.

use std::time::Duration;

use rsruckig::prelude::{
    ControlInterface, DataArrayOrVec, InputParameter, Ruckig, RuckigError, RuckigErrorHandler, RuckigResult,
    Synchronization, Trajectory,
};

use visuomotor_core::config::Robot;
use visuomotor_core::kinematics::JointLimit;
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Larger input numbers are faults, not joint values \[rad, rad/s, rad/s2\].
const ABSURD: f64 = 1e4;
/// Tolerance for turning points beyond a joint's usable range \[rad\].
const OVERSHOOT: f64 = 1e-6;

/// Limits of a motion, chain order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionLimits {
    /// Speed of each joint \[rad/s\].
    pub velocity: JointVector,
    /// Acceleration of each joint \[rad/s2\].
    pub acceleration: JointVector,
    /// Jerk of each joint \[rad/s3\].
    pub jerk: JointVector,
}

impl MotionLimits {
    /// The limits of this arm.
    pub fn of(robot: &Robot) -> Self {
        Self {
            velocity: JointVector::from_slice(&robot.limits.joint_velocity),
            acceleration: JointVector::from_slice(&robot.limits.joint_acceleration),
            jerk: JointVector::from_slice(&robot.limits.joint_jerk),
        }
    }
}

/// State of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionState {
    /// Joint positions \[rad\].
    pub position: JointVector,
    /// Joint velocities \[rad/s\].
    pub velocity: JointVector,
    /// Joint accelerations \[rad/s2\].
    pub acceleration: JointVector,
}

impl MotionState {
    /// At rest at these positions \[rad\].
    pub fn at_rest(position: JointVector) -> Self {
        let still = JointVector::zeros(position.len());
        Self { position, velocity: still, acceleration: still }
    }

    fn is_plausible(&self, joints: usize) -> bool {
        [&self.position, &self.velocity, &self.acceleration].iter().all(|vector| is_plausible(vector, joints))
    }
}

/// No motion to a target was found; the old one goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no jerk-limited motion leads to the target; the old one goes on: is every number finite and every limit above 0?"
)]
pub struct NoMotion;

/// Errors without text, which the control thread could not report.
#[derive(Clone, Debug, Default)]
struct Silent;

impl RuckigErrorHandler for Silent {
    fn handle_validation_error(_: &str) -> Result<(), RuckigError> {
        Err(RuckigError::ValidationError(String::new()))
    }

    fn handle_calculator_error(_: &str) -> Result<(), RuckigError> {
        Err(RuckigError::CalculatorError(String::new()))
    }
}

type Values = DataArrayOrVec<f64, MAX_JOINTS>;

/// A solver with its input and its result.
#[derive(Clone, Debug)]
struct Solver {
    joints: usize,
    ruckig: Ruckig<MAX_JOINTS, Silent>,
    input: InputParameter<MAX_JOINTS>,
    found: Trajectory<MAX_JOINTS>,
}

impl Solver {
    fn new(joints: usize, limits: &MotionLimits, interface: ControlInterface) -> Self {
        let joints = joints.min(MAX_JOINTS);
        let mut input = InputParameter::new(Some(joints));
        input.control_interface = interface;
        for joint in 0..joints {
            // Too short a vector leaves a limit that the solver refuses.
            let limit = |values: &JointVector| values.get(joint).copied().unwrap_or(f64::NAN);
            input.max_velocity[joint] = limit(&limits.velocity);
            input.max_acceleration[joint] = limit(&limits.acceleration);
            input.max_jerk[joint] = limit(&limits.jerk);
        }
        // Only `update` uses the cycle time.
        Self { joints, ruckig: Ruckig::new(Some(joints), 0.001), input, found: Trajectory::new(Some(joints)) }
    }

    fn start_from(&mut self, state: &MotionState) {
        for joint in 0..self.joints {
            self.input.current_position[joint] = state.position[joint];
            self.input.current_velocity[joint] = state.velocity[joint];
            self.input.current_acceleration[joint] = state.acceleration[joint];
        }
    }

    fn solve(&mut self) -> Result<(), NoMotion> {
        let limited = (0..self.joints).all(|joint| {
            let input = &self.input;
            [input.max_velocity[joint], input.max_acceleration[joint], input.max_jerk[joint]]
                .iter()
                .all(|limit| *limit > 0.0 && limit.is_finite())
        });
        if !limited {
            return Err(NoMotion);
        }
        match self.ruckig.calculate(&self.input, &mut self.found) {
            Ok(RuckigResult::Working | RuckigResult::Finished) if self.found.get_duration().is_finite() => Ok(()),
            Ok(_) | Err(_) => Err(NoMotion),
        }
    }
}

/// A stream of joint positions that goes to the newest target within velocity, acceleration and jerk limits.
#[derive(Clone, Debug)]
pub struct JerkLimited {
    solver: Solver,
    usable: [JointLimit; MAX_JOINTS],
    /// The motion followed since `started` while `moving`.
    motion: Trajectory<MAX_JOINTS>,
    moving: bool,
    started: Timestamp,
    /// Position while not moving \[rad\].
    rest: JointVector,
}

impl JerkLimited {
    /// A stream for joints with these limits; it has no position until [`JerkLimited::hold`]. It does not turn beyond the
    /// positions `usable` \[rad\].
    pub fn new(limits: &MotionLimits, usable: &[JointLimit]) -> Self {
        let solver = Solver::new(usable.len(), limits, ControlInterface::Position);
        let mut ranges = [JointLimit::default(); MAX_JOINTS];
        for (range, limit) in ranges.iter_mut().zip(usable) {
            *range = *limit;
        }
        let rest = JointVector::filled(solver.joints, f64::NAN);
        let motion = Trajectory::new(Some(solver.joints));
        Self { solver, usable: ranges, motion, moving: false, started: Timestamp::ZERO, rest }
    }

    /// Holds this position from now on \[rad\].
    pub fn hold(&mut self, at: JointVector) {
        self.moving = false;
        self.rest = at;
    }

    /// State of the stream at `now`; at rest after the end of its motion.
    pub fn state(&self, now: Timestamp) -> MotionState {
        if !self.moving {
            return MotionState::at_rest(self.rest);
        }
        let (mut position, mut velocity, mut acceleration) = (zeros(), zeros(), zeros());
        // Not beyond the end: the solver's rest is exact only to its tolerance, and would creep away.
        let over = self.ended(now);
        let at = if over { self.duration() } else { now.since(self.started).as_secs_f64() };
        self.motion.at_time(
            at,
            &mut Some(&mut position),
            &mut Some(&mut velocity),
            &mut Some(&mut acceleration),
            &mut None,
            &mut None,
        );
        let joints = self.solver.joints;
        let mut state = MotionState::at_rest(first(&position, joints));
        if !over {
            state.velocity = first(&velocity, joints);
            state.acceleration = first(&acceleration, joints);
        }
        state
    }

    /// Has the end of the motion been reached?
    pub fn ended(&self, now: Timestamp) -> bool {
        !self.moving || now.since(self.started).as_secs_f64() >= self.duration()
    }

    /// Length of the present motion \[s\].
    pub fn duration(&self) -> f64 {
        if self.moving { self.motion.get_duration() } else { 0.0 }
    }

    /// Goes to `goal` \[rad\] from the stream's state at `now`, in no less than `minimum`.
    pub fn retarget(&mut self, now: Timestamp, goal: &JointVector, minimum: Duration) -> Result<(), NoMotion> {
        let from = self.state(now);
        self.retarget_from(now, &from, goal, minimum)
    }

    /// Goes to `goal` \[rad\] from this state of the stream at `now`, in no less than `minimum`.
    ///
    /// If stretching the motion to `minimum` would turn a joint beyond its usable range, every joint moves independently at
    /// its limits, so that this joint brakes at once.
    pub fn retarget_from(
        &mut self,
        now: Timestamp,
        from: &MotionState,
        goal: &JointVector,
        minimum: Duration,
    ) -> Result<(), NoMotion> {
        let joints = self.solver.joints;
        if !from.is_plausible(joints) || !is_plausible(goal, joints) {
            if !Protection::Finite.is_on() {
                // Without this check the stream would jump to the goal.
                self.hold(*goal);
                return Ok(());
            }
            return Err(NoMotion);
        }
        self.solver.start_from(from);
        for joint in 0..joints {
            self.solver.input.target_position[joint] = goal[joint];
        }
        let minimum = minimum.as_secs_f64();
        self.solver.input.minimum_duration = (minimum > 0.0).then_some(minimum);
        // If possible, all joints follow one straight line.
        self.solver.input.synchronization = Synchronization::Phase;
        if self.solver.solve().is_err() || self.turns_beyond_range(from, goal) {
            self.solver.input.minimum_duration = None;
            self.solver.input.synchronization = Synchronization::None;
            self.solver.solve()?;
        }
        std::mem::swap(&mut self.solver.found, &mut self.motion);
        self.moving = true;
        self.started = now;
        Ok(())
    }

    fn turns_beyond_range(&mut self, from: &MotionState, goal: &JointVector) -> bool {
        let extrema = self.solver.found.get_position_extrema();
        (0..goal.len()).any(|joint| {
            let lower = self.usable[joint].lower.min(from.position[joint]).min(goal[joint]);
            let upper = self.usable[joint].upper.max(from.position[joint]).max(goal[joint]);
            !(extrema[joint].min >= lower - OVERSHOOT && extrema[joint].max <= upper + OVERSHOOT)
        })
    }
}

/// A stream of joint velocities that follows a desired velocity within acceleration and jerk limits.
#[derive(Clone, Debug)]
pub struct VelocityRamp {
    solver: Solver,
    state: MotionState,
}

impl VelocityRamp {
    /// A stream for this many joints with these limits, at rest.
    pub fn new(limits: &MotionLimits, joints: usize) -> Self {
        let mut solver = Solver::new(joints, limits, ControlInterface::Velocity);
        solver.input.synchronization = Synchronization::None;
        let state = MotionState::at_rest(JointVector::zeros(solver.joints));
        Self { solver, state }
    }

    /// Resets to rest.
    pub fn rest(&mut self) {
        self.state = MotionState::at_rest(JointVector::zeros(self.solver.joints));
    }

    /// Velocity of the stream after `elapsed` \[s\] toward `wished` \[rad/s\]; unchanged if the solver finds no motion.
    pub fn toward(&mut self, wished: &JointVector, elapsed: f64) -> JointVector {
        let joints = self.solver.joints;
        if is_plausible(wished, joints) && elapsed > 0.0 && elapsed.is_finite() {
            self.solver.start_from(&self.state);
            for joint in 0..joints {
                self.solver.input.target_velocity[joint] = wished[joint];
            }
            if self.solver.solve().is_ok() {
                let (mut velocity, mut acceleration) = (zeros(), zeros());
                let at = elapsed.min(self.solver.found.get_duration());
                let speeds = &mut Some(&mut velocity);
                self.solver.found.at_time(at, &mut None, speeds, &mut Some(&mut acceleration), &mut None, &mut None);
                self.state.velocity = first(&velocity, joints);
                self.state.acceleration = first(&acceleration, joints);
            }
        }
        self.state.velocity
    }
}

fn zeros() -> Values {
    DataArrayOrVec::new(None, 0.0)
}

fn first(values: &Values, joints: usize) -> JointVector {
    let values: &[f64] = values;
    JointVector::from_slice(&values[..joints.min(values.len())])
}

fn is_plausible(vector: &JointVector, joints: usize) -> bool {
    vector.len() == joints && vector.iter().all(|value| value.abs() <= ABSURD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    fn limits(joints: usize) -> MotionLimits {
        let spread = |values: [f64; 3]| {
            let all: Vec<f64> = (0..joints).map(|joint| values[joint % 3]).collect();
            JointVector::from_slice(&all)
        };
        MotionLimits {
            velocity: spread([2.0, 1.0, 2.5]),
            acceleration: spread([24.0, 7.5, 12.0]),
            jerk: spread([600.0, 3750.0, 200.0]),
        }
    }

    fn range(joints: usize) -> Vec<JointLimit> {
        vec![JointLimit { lower: -2.0, upper: 2.0 }; joints]
    }

    #[test]
    fn it_stands_moves_and_stands_at_the_goal() {
        let mut stream = JerkLimited::new(&limits(6), &range(6));
        let start = JointVector::zeros(6);
        stream.hold(start);
        assert!(stream.ended(Timestamp::ZERO));
        let goal = JointVector::from_slice(&[0.5, -0.4, 0.3, 0.0, 0.1, -0.6]);
        stream.retarget(Timestamp::ZERO, &goal, Duration::from_secs(2)).unwrap();
        assert!((stream.duration() - 2.0).abs() < 1e-9, "{}", stream.duration());
        assert_eq!(stream.state(Timestamp::ZERO), MotionState::at_rest(start));
        // One straight line from rest: half the time is half the distance.
        let middle = stream.state(Timestamp::from_secs_f64(1.0));
        for joint in 0..6 {
            assert!((middle.position[joint] - 0.5 * goal[joint]).abs() < 1e-6, "{middle:?}");
        }
        for late in [2.0, 3600.0] {
            let end = stream.state(Timestamp::from_secs_f64(late));
            assert!((0..6).all(|joint| (end.position[joint] - goal[joint]).abs() < 1e-8), "{end:?}");
            assert!(end.velocity.iter().chain(end.acceleration.iter()).all(|v| *v == 0.0));
        }
    }

    #[test]
    fn impossible_joint_values_are_refused_and_the_old_motion_goes_on() {
        let mut stream = JerkLimited::new(&limits(6), &range(6));
        let goal = JointVector::from_slice(&[0.5; 6]);
        assert_eq!(stream.retarget(Timestamp::ZERO, &goal, TICK), Err(NoMotion), "no position was set");
        stream.hold(JointVector::zeros(6));
        stream.retarget(Timestamp::ZERO, &goal, TICK).unwrap();
        let before = stream.state(Timestamp::from_secs_f64(0.1));
        for bad in [f64::NAN, f64::INFINITY, 1e9] {
            let mut wrong = goal;
            wrong[3] = bad;
            assert_eq!(stream.retarget(Timestamp::ZERO, &wrong, TICK), Err(NoMotion));
        }
        assert_eq!(stream.retarget(Timestamp::ZERO, &JointVector::zeros(5), TICK), Err(NoMotion));
        assert_eq!(stream.state(Timestamp::from_secs_f64(0.1)), before);
        let mut none = limits(6);
        none.jerk[2] = f64::NAN;
        let mut stream = JerkLimited::new(&none, &range(6));
        stream.hold(JointVector::zeros(6));
        assert_eq!(stream.retarget(Timestamp::ZERO, &goal, TICK), Err(NoMotion));
    }

    /// Largest finite differences of a sampled stream, as shares of the limits: speed, acceleration, jerk.
    fn shares(samples: &[JointVector], limits: &MotionLimits, tick: f64) -> [f64; 3] {
        let mut worst = [0.0_f64; 3];
        for window in samples.windows(4) {
            for joint in 0..window[0].len() {
                let q = |i: usize| window[i][joint];
                let speed = (q(1) - q(0)) / tick;
                let acceleration = (q(2) - 2.0 * q(1) + q(0)) / tick.powi(2);
                let jerk = (q(3) - 3.0 * q(2) + 3.0 * q(1) - q(0)) / tick.powi(3);
                worst[0] = worst[0].max(speed.abs() / limits.velocity[joint]);
                worst[1] = worst[1].max(acceleration.abs() / limits.acceleration[joint]);
                worst[2] = worst[2].max(jerk.abs() / limits.jerk[joint]);
            }
        }
        worst
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_stream_with_reversals_midway_keeps_speed_acceleration_and_jerk(
            joints in 6usize..=7,
            targets in proptest::collection::vec(
                (proptest::collection::vec(-1.9..1.9f64, 7), 1u64..400, 0u64..400), 2..8),
        ) {
            let limits = limits(joints);
            let mut stream = JerkLimited::new(&limits, &range(joints));
            stream.hold(JointVector::zeros(joints));
            let (mut now, mut samples) = (Timestamp::ZERO, vec![JointVector::zeros(joints)]);
            for (target, ticks, minimum) in &targets {
                let goal = JointVector::from_slice(&target[..joints]);
                prop_assert_eq!(stream.retarget(now, &goal, TICK * (*minimum as u32)), Ok(()));
                for _ in 0..*ticks {
                    now = now + TICK;
                    samples.push(stream.state(now).position);
                }
            }
            let [speed, acceleration, jerk] = shares(&samples, &limits, TICK.as_secs_f64());
            // Third differences of radians over 1e-9 s3 carry rounding of 1e-6 rad/s3 and the solver's 1e-8 rad.
            prop_assert!(speed <= 1.0 + 1e-6, "{speed}");
            prop_assert!(acceleration <= 1.0 + 1e-4, "{acceleration}");
            prop_assert!(jerk <= 1.0 + 1e-2, "{jerk}");
            for sample in &samples {
                prop_assert!(sample.iter().all(|q| q.abs() <= 2.0 + 1e-5), "{sample:?}");
            }
        }

        #[test]
        fn a_velocity_ramp_keeps_acceleration_and_jerk(
            wishes in proptest::collection::vec((proptest::collection::vec(-2.0..2.0f64, 7), 1u64..60), 2..10),
        ) {
            let limits = limits(7);
            let mut ramp = VelocityRamp::new(&limits, 7);
            let mut samples = vec![JointVector::zeros(7)];
            for (wish, ticks) in &wishes {
                for _ in 0..*ticks {
                    samples.push(ramp.toward(&JointVector::from_slice(wish), 0.001));
                }
            }
            for window in samples.windows(3) {
                for joint in 0..7 {
                    let acceleration = (window[1][joint] - window[0][joint]) / 1e-3;
                    let jerk = (window[2][joint] - 2.0 * window[1][joint] + window[0][joint]) / 1e-6;
                    prop_assert!(acceleration.abs() <= limits.acceleration[joint] * (1.0 + 1e-6), "{acceleration}");
                    prop_assert!(jerk.abs() <= limits.jerk[joint] * (1.0 + 1e-3), "{jerk}");
                }
            }
        }
    }

    #[test]
    fn a_velocity_ramp_arrives_stays_and_takes_no_nonsense() {
        let mut ramp = VelocityRamp::new(&limits(6), 6);
        let wish = JointVector::from_slice(&[0.5; 6]);
        assert_eq!(ramp.toward(&wish, 0.0), JointVector::zeros(6));
        for _ in 0..1000 {
            ramp.toward(&wish, 0.001);
        }
        let there = ramp.toward(&wish, 0.001);
        assert!(there.iter().all(|v| (v - 0.5).abs() < 1e-9), "{there:?}");
        assert_eq!(ramp.toward(&JointVector::from_slice(&[f64::NAN; 6]), 0.001), there);
        ramp.rest();
        assert_eq!(ramp.toward(&wish, 0.0), JointVector::zeros(6));
    }
}
