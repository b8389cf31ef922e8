//! Moving to a posture.

use std::time::Duration;

use visuomotor::driver::DriverError;
use visuomotor::episode::LimitReason;
use visuomotor::runtime::{Posture, RuntimeError, StopFlag, Timing, go_to};
use visuomotor::time::{Clock, ManualClock, Timestamp};

use crate::station::station;

fn posture(station: &visuomotor::runtime::Station) -> Posture {
    let mut joints = *station.chain.home();
    joints[0] += 0.4;
    Posture { joints, gripper: 0.3, duration: Duration::from_secs(1) }
}

#[test]
fn the_arm_arrives_at_the_planned_time_and_holds() {
    let (mut station, arm, _) = station();
    let (clock, stopwatch, stop) = (ManualClock::new(), ManualClock::new(), StopFlag::new());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &stopwatch };
    let goal = posture(&station);
    let arrival = go_to(&mut station, &goal, timing, &stop).unwrap();
    assert!(arrival.off < 1e-3 && (arrival.seconds - 1.0).abs() < 0.05, "{arrival:?}");
    assert!(arm.holds());
    let sensed = station.arm.read(clock.now()).unwrap();
    assert_eq!(sensed.gripper, 0.3);
}

#[test]
fn a_blocked_arm_is_told_of_after_a_bounded_wait() {
    let (mut station, arm, _) = station();
    arm.stick(true);
    let (clock, stopwatch, stop) = (ManualClock::new(), ManualClock::new(), StopFlag::new());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &stopwatch };
    let goal = posture(&station);
    let error = go_to(&mut station, &goal, timing, &stop).unwrap_err();
    assert!(matches!(error, RuntimeError::NotReached { joint: 0, .. }), "{error}");
    assert!(clock.now() <= Timestamp::from_secs_f64(3.1) && arm.holds());
}

#[test]
fn a_way_that_leads_out_of_the_workspace_is_not_called_a_blocked_arm() {
    let (mut station, arm, _) = station();
    let (clock, stopwatch, stop) = (ManualClock::new(), ManualClock::new(), StopFlag::new());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &stopwatch };
    let mut goal = posture(&station);
    // Below the floor.
    goal.joints[1] += 1.8;
    goal.joints[4] -= 1.0;
    let error = go_to(&mut station, &goal, timing, &stop).unwrap_err();
    assert!(matches!(error, RuntimeError::OutsideWorkspace { joint: 1, .. }) && arm.holds(), "{error}");
    assert!(error.to_string().contains("workspace_low"), "{error}");
}

#[test]
fn every_way_out_holds() {
    let (clock, stopwatch) = (ManualClock::new(), ManualClock::new());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &stopwatch };

    let (mut silent, arm, _) = station();
    arm.silence(true);
    let goal = posture(&silent);
    let error = go_to(&mut silent, &goal, timing, &StopFlag::new()).unwrap_err();
    assert!(matches!(error, RuntimeError::Driver(DriverError::Silent)) && arm.holds(), "{error}");

    let (mut stopped, arm, _) = station();
    let stop = StopFlag::new();
    stop.raise("red button");
    let error = go_to(&mut stopped, &goal, timing, &stop).unwrap_err();
    assert!(matches!(error, RuntimeError::Interrupted(_)) && arm.holds(), "{error}");

    let (mut nowhere, arm, _) = station();
    let mut bad = goal;
    bad.joints[2] = f64::NAN;
    let error = go_to(&mut nowhere, &bad, timing, &StopFlag::new()).unwrap_err();
    assert!(matches!(error, RuntimeError::Stopped(LimitReason::NotFinite)) && arm.holds(), "{error}");

    let (mut broken, arm, _) = station();
    arm.panic(true);
    let error = go_to(&mut broken, &goal, timing, &StopFlag::new()).unwrap_err();
    assert!(matches!(error, RuntimeError::Panicked(_)) && arm.holds(), "{error}");
}
