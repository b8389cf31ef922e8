//! Moves the arm to a posture through the same control, safety and driver as an episode, and waits until it is there.

use std::time::Duration;

use super::control_loop::ControlLoop;
use super::pace::Pacer;
use super::schedule::{DeadlineWatch, Strain};
use super::stop::guarded;
use super::{RuntimeError, Station, StopFlag, Timing, latest};
use crate::episode::{Filtered, LimitReason};
use crate::observation::{JointVector, Proprioception};
use crate::time::Clock;

/// Joint distance at which the arm counts as there \[rad\].
const THERE: f64 = 0.02;
/// Joint speed below which it counts as at rest \[rad/s\].
const AT_REST: f64 = 0.02;
/// Joint distance that is still taken after waiting: a servo without integral part sags under load \[rad\].
const NEAR_ENOUGH: f64 = 0.1;
/// How long it is waited for after the motion's planned end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posture {
    /// Joint positions \[rad\], chain order; brought inside the usable limits.
    pub joints: JointVector,
    /// Gripper: 0 closed .. 1 open. Not waited for.
    pub gripper: f64,
    /// Planned length of the motion; the safety filter's speed limits may stretch it.
    pub duration: Duration,
}

/// How a motion to a posture went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// Largest distance of a joint from its target at the end \[rad\].
    pub off: f64,
    /// Length \[s\].
    pub seconds: f64,
    /// Control ticks whose command the safety filter changed.
    pub limited: u64,
}

/// Moves to `posture` and waits until the arm is there and at rest, at most two seconds beyond the planned duration.
/// Whatever happens, the arm is told to hold afterwards.
pub fn go_to(
    station: &mut Station,
    posture: &Posture,
    timing: Timing<'_>,
    stop: &StopFlag,
) -> Result<Arrival, RuntimeError> {
    let (clock, stopwatch, budget): (&dyn Clock, &dyn Clock, _) = match timing {
        Timing::Lockstep { clock, stopwatch } => (clock, stopwatch, Default::default()),
        Timing::Wall { clock, options } => (clock, clock, options.budget),
    };
    let start = clock.now();
    let mut pacer = Pacer::new(timing, start, station.control_period);
    let mut watch = DeadlineWatch::new(budget, station.control_period);
    // Nobody publishes actions and nobody reads the ticks here.
    let (_no_actions, actions) = latest();
    let (state_writer, mut states) = latest();
    let (ring, _no_reader) = rtrb::RingBuffer::new(1);
    let parts = (&mut *station.arm, &mut station.controller, &mut station.safety);
    let mut control = ControlLoop::new(parts, actions, state_writer, ring, start);

    let mut target = posture.joints;
    let arrived = guarded(|| {
        loop {
            if let Some(reason) = stop.reason() {
                return Err(RuntimeError::Interrupted(reason));
            }
            let due = pacer.next();
            let strain = watch.after(&due);
            if strain >= Strain::Hold {
                return Err(RuntimeError::deadlines(watch.lost(), budget.hold));
            }
            let tick = control.tick(due, strain, stopwatch)?;
            if let Filtered::Stopped(reason) = tick.filtered {
                return Err(RuntimeError::Stopped(reason));
            }
            if control.counts.ticks == 1 {
                target = control.move_to(due.now, posture).map_err(RuntimeError::Stopped)?;
            }
            let (state, _) = states.newest(due.now).ok_or(RuntimeError::NoState)?;
            let (joint, off) = farthest(&state, &target);
            let elapsed = due.now.since(start);
            let over = elapsed > posture.duration + PATIENCE;
            let settled = elapsed >= posture.duration && off <= THERE && at_rest(&state);
            let near_enough = off <= NEAR_ENOUGH;
            if over && !near_enough {
                let limit = NEAR_ENOUGH;
                return Err(match tick.filtered {
                    Filtered::Limited(LimitReason::Workspace) => RuntimeError::OutsideWorkspace { joint, off, limit },
                    _ => RuntimeError::NotReached { joint, off, limit },
                });
            }
            if settled || over {
                return Ok(Arrival { off, seconds: elapsed.as_secs_f64(), limited: control.counts.limited });
            }
        }
    });
    let mut end = control.end(timing, Ok(()));
    let arrived = end.and(arrived);
    if let Some(hold) = end.hold.filter(|hold| !hold.is_confirmed()) {
        tracing::error!("{hold}");
    }
    arrived
}

/// The joint farthest from its target, and how far \[rad\]; a missing or NaN joint is infinitely far.
fn farthest(state: &Proprioception, target: &JointVector) -> (usize, f64) {
    let mut worst = (0, if state.joint_positions.len() == target.len() { 0.0 } else { f64::INFINITY });
    for (joint, (q, goal)) in state.joint_positions.iter().zip(target.iter()).enumerate() {
        let off = (q - goal).abs();
        let off = if off.is_nan() { f64::INFINITY } else { off };
        if off > worst.1 {
            worst = (joint, off);
        }
    }
    worst
}

fn at_rest(state: &Proprioception) -> bool {
    state.joint_velocities.iter().all(|v| v.abs() <= AT_REST)
}
