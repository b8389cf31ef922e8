//! The control loop: read, accept, command, filter, write, report. Control rate; never allocates, locks or prints.
//!
//! It holds the measured position until a first action arrives. After a stop it holds until a *new* action arrives,
//! and seeds control and safety from the measured state before it moves again.

use rtrb::Producer;

use super::go_to::Posture;
use super::latest::{LatestReader, LatestWriter};
use super::ledger::{Ledger, Series};
use super::schedule::{Due, Strain};
use super::stop::HoldGuard;
use crate::action::{Action, JointCommand, TimedAction};
use crate::control::{Accepted, Controller};
use crate::driver::{ArmDriver, DriverError};
use crate::episode::{ControlTick, Filtered, LimitReason};
use crate::observation::{JointVector, Proprioception};
use crate::protection::Protection;
use crate::safety::SafetyFilter;
use crate::time::{Clock, Timestamp};

/// What the control loop counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlCounts {
    /// Ticks run.
    pub ticks: u64,
    /// Ticks whose command the safety filter changed.
    pub limited: u64,
    /// Times the arm was told to hold, by the filter, a refused or expired action or the deadline budget.
    pub stopped: u64,
    /// Times a new action made the arm move again after that.
    pub resumed: u64,
    /// Actions inverse kinematics had no solution for.
    pub no_solution: u64,
    /// Ticks that found the ring full and were not recorded.
    pub dropped: u64,
}

/// What the control loop drives with.
pub type ControlParts<'a> = (&'a mut (dyn ArmDriver + 'static), &'a mut Controller, &'a mut SafetyFilter);

/// The fast side: from the newest action to the arm.
pub struct ControlLoop<'a> {
    pub(super) arm: HoldGuard<'a>,
    controller: &'a mut Controller,
    safety: &'a mut SafetyFilter,
    actions: LatestReader<TimedAction>,
    states: LatestWriter<Proprioception>,
    ticks: Producer<ControlTick>,
    pub(super) ledger: Ledger,
    pub(super) counts: ControlCounts,
    action: Option<TimedAction>,
    held: Option<(LimitReason, JointCommand)>,
}

impl<'a> ControlLoop<'a> {
    /// A loop over these parts, at `now`; the slots and the ring are its only ties to the decision loop.
    pub fn new(
        (arm, controller, safety): ControlParts<'a>,
        actions: LatestReader<TimedAction>,
        states: LatestWriter<Proprioception>,
        ticks: Producer<ControlTick>,
        now: Timestamp,
    ) -> Self {
        let arm = HoldGuard::new(arm, now);
        let (ledger, counts) = (Ledger::new(), ControlCounts::default());
        Self { arm, controller, safety, actions, states, ticks, ledger, counts, action: None, held: None }
    }

    /// One tick. `stopwatch` only measures how long it took. After an error the arm holds.
    pub fn tick(&mut self, due: Due, strain: Strain, stopwatch: &dyn Clock) -> Result<ControlTick, DriverError> {
        let (started, now) = (stopwatch.now(), due.now);
        let sensed = self.arm.read(now)?;
        self.states.publish(now, sensed);
        if self.counts.ticks == 0 {
            self.seed(now, &sensed);
        }
        let refused = if strain >= Strain::Hold { Some(LimitReason::Deadlines) } else { self.accept(now, &sensed) };
        let (wished, sent, filtered) = self.filter(now, &sensed, refused);
        match filtered {
            Filtered::Stopped(reason) => self.stay(now, reason, sent)?,
            Filtered::Limited(_) | Filtered::Passed => self.arm.write(now, &sent)?,
        }
        let image_age = self.action.map(|action| now.since(action.image_captured_at));
        let took = stopwatch.now().since(started);
        let tick = ControlTick {
            at: due.planned,
            measured: sensed.joint_positions,
            measured_gripper: sensed.gripper,
            wished,
            sent,
            action: self.action.map_or(Action::stay(sensed.gripper), |action| action.action),
            step_index: self.action.map(|action| action.step_index),
            filtered,
            image_age_seconds: image_age.map_or(f64::NAN, |age| age.as_secs_f64()),
            tick_seconds: took.as_secs_f64(),
        };
        self.ledger.record(Series::ControlTick, took);
        image_age.inspect(|&age| self.ledger.record(Series::ImageAge, age));
        self.counts.ticks += 1;
        self.counts.dropped += u64::from(self.ticks.push(tick).is_err());
        Ok(tick)
    }

    /// Starts control and safety from where the arm is, at rest.
    fn seed(&mut self, now: Timestamp, sensed: &Proprioception) {
        self.controller.seed(now, sensed);
        self.safety.seed(now, sensed);
    }

    /// Takes a new action out of the slot, if there is one; answers why it was refused.
    fn accept(&mut self, now: Timestamp, sensed: &Proprioception) -> Option<LimitReason> {
        let (newest, _) = self.actions.newest(now)?;
        if let Some(action) = self.action.as_mut().filter(|action| action.step_index == newest.step_index) {
            // The decision side takes an action back when its camera is at fault.
            action.expires_at = action.expires_at.min(newest.expires_at);
            return None;
        }
        if newest.is_expired(now) {
            // It came after a stall, or was taken back before it was seen: the one before goes on until it expires itself.
            return None;
        }
        self.action = Some(newest);
        if self.held.is_some() {
            // Not `seed`: the gripper keeps its target, so that a held object is not let go.
            self.controller.resume(now, sensed);
            self.safety.seed(now, sensed);
        }
        let accepted = match &newest.joint_torques {
            Some(torques) if Protection::ActionKind.is_on() => {
                self.controller.accept_torques(torques, newest.action.gripper)
            }
            _ => self.controller.accept(now, &newest.action, sensed),
        };
        let usable = matches!(accepted, Accepted::Taken | Accepted::NoSolution);
        if usable && self.held.take().is_some() {
            self.counts.resumed += 1;
        }
        match accepted {
            Accepted::Taken => None,
            Accepted::NoSolution => {
                self.counts.no_solution += 1;
                Some(LimitReason::NoSolution)
            }
            Accepted::WrongAction => Some(LimitReason::WrongAction),
            Accepted::NotFinite => Some(LimitReason::NotFinite),
        }
    }

    /// The wished and the sent command, and what happened in between.
    fn filter(
        &mut self,
        now: Timestamp,
        sensed: &Proprioception,
        refused: Option<LimitReason>,
    ) -> (JointCommand, JointCommand, Filtered) {
        let here = JointCommand::position(sensed.joint_positions, sensed.gripper);
        match (refused, self.held) {
            // An action that cannot be followed leaves the last target in force.
            (None | Some(LimitReason::NoSolution), None) => {}
            (None, Some((reason, still))) => return (still, still, Filtered::Stopped(reason)),
            (Some(reason), held) => {
                let still = held.map_or(here, |(_, still)| still);
                return (still, still, Filtered::Stopped(reason));
            }
        }
        let wished = self.controller.command(now, sensed);
        if self.action.is_some_and(|action| action.is_expired(now)) {
            return (wished, here, Filtered::Stopped(LimitReason::ImageAge));
        }
        let age = self.action.map(|action| now.since(action.decided_at));
        let verdict = self.safety.filter(now, &wished, sensed, age);
        match verdict.filtered {
            Filtered::Stopped(reason) => (wished, here, Filtered::Stopped(reason)),
            Filtered::Limited(reason) => {
                self.counts.limited += 1;
                (wished, verdict.sent, Filtered::Limited(reason))
            }
            Filtered::Passed => (wished, verdict.sent, refused.map_or(Filtered::Passed, Filtered::Limited)),
        }
    }

    /// Tells the arm to hold, once per stop: telling it at every tick would let it creep under load.
    fn stay(&mut self, now: Timestamp, reason: LimitReason, still: JointCommand) -> Result<(), DriverError> {
        if self.held.is_none() {
            self.arm.hold(now)?;
            self.counts.stopped += 1;
        }
        self.held = Some((reason, still));
        Ok(())
    }

    /// Moves to a posture instead of following actions.
    ///
    /// Answers where it leads to \[rad\]: the joints asked for, brought inside the usable limits.
    pub(super) fn move_to(&mut self, now: Timestamp, posture: &Posture) -> Result<JointVector, LimitReason> {
        match self.controller.move_to(now, &posture.joints, posture.duration, posture.gripper) {
            Accepted::Taken => Ok(self.controller.goal()),
            Accepted::WrongAction => Err(LimitReason::WrongAction),
            Accepted::NoSolution => Err(LimitReason::NoSolution),
            Accepted::NotFinite => Err(LimitReason::NotFinite),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::action::ActionBounds;
    use crate::config::{GripperPolicy, Robot};
    use crate::kinematics::Chain;
    use crate::runtime::fake::{FakeArm, Switches};
    use crate::runtime::latest;
    use crate::time::ManualClock;

    /// A loop over the WidowX with a fake arm, driven by hand.
    struct Bench {
        arm: FakeArm,
        switches: Switches,
        controller: Controller,
        safety: SafetyFilter,
        period: Duration,
    }

    impl Bench {
        fn new() -> Self {
            let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
            let chain = Chain::from_robot(&robot).unwrap();
            let (arm, switches) = FakeArm::at(*chain.home(), 1.0);
            let (bounds, period) = (ActionBounds::BRIDGE, Duration::from_millis(200));
            let controller = Controller::new(&robot, chain.clone(), bounds, GripperPolicy::Direct, period);
            let safety = SafetyFilter::new(&robot, chain);
            Self { arm, switches, controller, safety, period: Duration::from_millis(20) }
        }

        /// Runs `ticks` ticks; `each` sees every tick's index and may publish an action before it.
        fn run(
            &mut self,
            ticks: u32,
            ring: usize,
            mut each: impl FnMut(u32, Timestamp) -> (Option<TimedAction>, Strain),
        ) -> (Vec<Result<ControlTick, DriverError>>, ControlCounts) {
            let (mut action_writer, actions) = latest();
            let (states, _reader) = latest();
            let (producer, _consumer) = rtrb::RingBuffer::new(ring);
            let parts: ControlParts<'_> = (&mut self.arm, &mut self.controller, &mut self.safety);
            let mut control = ControlLoop::new(parts, actions, states, producer, Timestamp::ZERO);
            let stopwatch = ManualClock::new();
            let mut now = Timestamp::ZERO;
            let mut results = Vec::new();
            for index in 0..ticks {
                let (action, strain) = each(index, now);
                if let Some(action) = action {
                    action_writer.publish(now, action);
                }
                results.push(control.tick(Due::on_time(now), strain, &stopwatch));
                now = now + self.period;
            }
            (results, control.counts)
        }
    }

    fn lift(step_index: u64, now: Timestamp) -> TimedAction {
        let action = Action { translation: [0.0, 0.0, 0.01], rotation: [0.0; 3], gripper: 1.0 };
        TimedAction {
            action,
            joint_torques: None,
            step_index,
            image_captured_at: now,
            decided_at: now,
            expires_at: Timestamp::NEVER,
        }
    }

    fn filtered(results: &[Result<ControlTick, DriverError>]) -> Vec<Filtered> {
        results.iter().map(|tick| tick.unwrap().filtered).collect()
    }

    #[test]
    fn until_an_action_comes_the_measured_position_is_sent() {
        let mut bench = Bench::new();
        let (results, counts) = bench.run(5, 16, |_, _| (None, Strain::None));
        for tick in results {
            let tick = tick.unwrap();
            assert_eq!((tick.sent.joints, tick.sent.gripper), (tick.measured, 1.0));
            assert_eq!((tick.filtered, tick.step_index), (Filtered::Passed, None));
            assert!(tick.image_age_seconds.is_nan());
        }
        assert_eq!(counts, ControlCounts { ticks: 5, ..Default::default() });
    }

    #[test]
    fn an_old_action_makes_the_arm_hold_once_and_a_new_one_moves_it_again() {
        let mut bench = Bench::new();
        // Actions at ticks 0 and 40; the first is too old (0.5 s) from tick 26 on.
        let (results, counts) = bench
            .run(50, 64, |index, now| (matches!(index, 0 | 40).then(|| lift(u64::from(index), now)), Strain::None));
        let filtered = filtered(&results);
        assert!(filtered[..26].iter().all(|f| !matches!(f, Filtered::Stopped(_))), "{filtered:?}");
        assert!(filtered[26..40].iter().all(|f| *f == Filtered::Stopped(LimitReason::CommandAge)), "{filtered:?}");
        assert!(filtered[40..].iter().all(|f| !matches!(f, Filtered::Stopped(_))), "{filtered:?}");
        assert_eq!((counts.stopped, counts.resumed), (1, 1));
        assert_eq!(bench.switches.hold_count(), 2, "one for the stop, one by the guard at the end");
        // It goes on from where it was measured, not from an old target.
        let resumed = results[40].unwrap();
        for (sent, measured) in resumed.sent.joints.iter().zip(resumed.measured.iter()) {
            assert!((sent - measured).abs() < 1e-9);
        }
    }

    #[test]
    fn an_action_that_is_not_finite_is_refused_and_the_arm_holds_until_the_next() {
        let mut bench = Bench::new();
        let (results, counts) = bench.run(30, 64, |index, now| {
            let mut action = (index % 10 == 0).then(|| lift(u64::from(index), now));
            if let (10, Some(action)) = (index, &mut action) {
                action.action.rotation[1] = f64::NAN;
            }
            (action, Strain::None)
        });
        let filtered = filtered(&results);
        assert!(filtered[10..20].iter().all(|f| *f == Filtered::Stopped(LimitReason::NotFinite)), "{filtered:?}");
        assert!(filtered[20..].iter().all(|f| !matches!(f, Filtered::Stopped(_))), "{filtered:?}");
        assert_eq!((counts.stopped, counts.resumed), (1, 1));
    }

    #[test]
    fn a_strained_loop_holds_and_takes_no_action_until_it_is_on_time() {
        let mut bench = Bench::new();
        let (results, counts) = bench.run(6, 16, |index, now| {
            let strain = if (1..4).contains(&index) { Strain::Hold } else { Strain::None };
            (Some(lift(u64::from(index), now)), strain)
        });
        let held = Filtered::Stopped(LimitReason::Deadlines);
        let filtered = filtered(&results);
        assert_eq!(filtered.iter().map(|f| *f == held).collect::<Vec<_>>(), [false, true, true, true, false, false]);
        assert_eq!((counts.stopped, counts.resumed), (1, 1));
    }

    #[test]
    fn an_unreachable_target_keeps_the_last_one() {
        let mut bench = Bench::new();
        let (results, counts) = bench.run(100, 128, |index, now| {
            let mut action = (index % 10 == 0).then(|| lift(u64::from(index), now));
            if let Some(action) = &mut action {
                // Ever more roll about the base x axis: the wrist runs into its limits.
                action.action = Action { translation: [0.0; 3], rotation: [0.25, 0.25, 0.25], gripper: 1.0 };
            }
            (action, Strain::None)
        });
        assert!(counts.no_solution > 0);
        assert!(filtered(&results).contains(&Filtered::Limited(LimitReason::NoSolution)));
        assert!(results.iter().all(|tick| tick.unwrap().sent.joints.is_finite()));
        assert_eq!(counts.stopped, 0);
    }

    #[test]
    fn an_action_is_as_old_as_what_it_was_decided_on() {
        let mut bench = Bench::new();
        // Decided just now on something that may move the arm until 0.1 s.
        let (results, counts) = bench.run(20, 64, |index, now| {
            let expires_at = Timestamp::from_nanos(100_000_000);
            ((index == 0).then(|| TimedAction { expires_at, ..lift(0, now) }), Strain::None)
        });
        let filtered = filtered(&results);
        assert!(filtered[..6].iter().all(|f| !matches!(f, Filtered::Stopped(_))), "{filtered:?}");
        assert!(filtered[6..].iter().all(|f| *f == Filtered::Stopped(LimitReason::ImageAge)), "{filtered:?}");
        assert_eq!((counts.stopped, bench.switches.hold_count()), (1, 1), "told once, and the guard knows");
    }

    #[test]
    fn a_result_that_comes_after_a_stall_is_not_executed_and_the_one_before_goes_on() {
        let mut bench = Bench::new();
        let (results, counts) = bench.run(24, 64, |index, now| {
            let late = TimedAction { expires_at: Timestamp::from_nanos(1), ..lift(1, now) };
            let action = match index {
                0 => Some(lift(0, now)),
                5 => Some(late),
                _ => None,
            };
            (action, Strain::None)
        });
        assert!(results[1..].iter().all(|tick| tick.unwrap().step_index == Some(0)));
        assert_eq!(counts.stopped, 0);
    }

    #[test]
    fn an_action_that_is_taken_back_holds_at_the_next_tick_and_a_new_one_moves_again() {
        let mut bench = Bench::new();
        let (results, counts) = bench.run(20, 64, |index, now| {
            let action = match index {
                0 => Some(lift(0, now)),
                5 => Some(lift(0, Timestamp::ZERO).taken_back()),
                // Taken back before it was ever seen.
                8 => Some(lift(1, now).taken_back()),
                12 => Some(lift(2, now)),
                _ => None,
            };
            (action, Strain::None)
        });
        let held: Vec<bool> =
            filtered(&results).iter().map(|f| *f == Filtered::Stopped(LimitReason::ImageAge)).collect();
        let expected: Vec<bool> = (0..20).map(|tick| (5..12).contains(&tick)).collect();
        assert_eq!(held, expected);
        assert_eq!((counts.stopped, counts.resumed), (1, 1));
        assert!(results[12..].iter().all(|tick| tick.unwrap().step_index == Some(2)));
    }

    #[test]
    fn after_a_jump_of_the_clock_nothing_old_moves_the_arm() {
        let mut bench = Bench::new();
        // The process was stopped for 0.6 s between two ticks, as by SIGSTOP.
        bench.period = Duration::from_millis(600);
        let (results, _) = bench.run(3, 8, |index, now| {
            let expires_at = now + Duration::from_millis(500);
            ((index == 0).then(|| TimedAction { expires_at, ..lift(0, now) }), Strain::None)
        });
        let home = results[0].unwrap().measured;
        for tick in &results[1..] {
            let tick = tick.unwrap();
            assert_eq!(tick.filtered, Filtered::Stopped(LimitReason::ImageAge));
            assert_eq!(tick.measured, home);
        }
    }

    #[test]
    fn a_full_ring_drops_ticks_and_counts_them() {
        let mut bench = Bench::new();
        let (results, counts) = bench.run(10, 4, |_, _| (None, Strain::None));
        assert_eq!((results.len(), counts.ticks, counts.dropped), (10, 10, 6));
    }

    #[test]
    fn a_silent_arm_is_told_to_hold_at_once() {
        let mut bench = Bench::new();
        let switches = bench.switches.clone();
        let (results, counts) = bench.run(3, 16, |index, now| {
            if index == 2 {
                assert!(!switches.holds());
                switches.silence(true);
            }
            (Some(lift(0, now)), Strain::None)
        });
        assert_eq!(results[2], Err(DriverError::Silent));
        assert_eq!(counts.ticks, 2);
        assert!(bench.switches.holds());
        assert_eq!(bench.switches.hold_count(), 1, "the guard knows that it holds");
    }
}
