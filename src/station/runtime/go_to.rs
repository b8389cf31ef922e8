//! Moves the arm to a posture through the same control, safety and driver as an episode, and waits until it arrives.

use std::time::Duration;

use super::control_loop::ControlLoop;
use super::error::RuntimeError;
use super::latest::{LatestReader, latest};
use super::pace::Pacer;
use super::posture::Posture;
use super::schedule::{DeadlineBudget, DeadlineWatch, Strain};
use super::station::{Station, Timing};
use super::stop::{StopFlag, guarded, message};
use visuomotor_core::episode::{Filtered, LimitReason};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::realtime::Granted;
use visuomotor_core::time::Clock;

/// Joint distance at which the arm counts as arrived \[rad\].
const THERE: f64 = 0.02;
/// Joint speed below which it counts as at rest \[rad/s\].
const AT_REST: f64 = 0.02;
/// Joint distance that is accepted after the wait: a servo without integral term sags under load \[rad\].
const NEAR_ENOUGH: f64 = 0.1;
/// Wait after the motion's planned end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Report of a motion to a posture.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Largest distance of a joint from its target at the end \[rad\].
    pub off: f64,
    /// Duration \[s\].
    pub seconds: f64,
    /// Control ticks whose command the safety filter changed.
    pub limited: u64,
    /// Results of the real-time requests for the commanding thread; empty in lockstep.
    pub realtime: Vec<Granted>,
}

/// Moves to `posture` and waits until the arm is there and at rest, at most two seconds beyond the planned duration.
/// Afterwards the arm is always commanded to hold.
///
/// In real time a separate thread commands the arm, with the same real-time requests as an episode's control loop: the
/// caller's thread has normal priority.
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
    let period = station.control_period;
    // No actions are published and no ticks read here.
    let (_no_actions, actions) = latest();
    let (state_writer, states) = latest();
    let (ring, _no_reader) = rtrb::RingBuffer::new(1);
    let parts = (&mut *station.arm, &mut station.controller, &mut station.safety);
    let control = ControlLoop::new(parts, actions, state_writer, ring, clock.now());
    let motion = Motion { control, states, posture, timing, stop, period, budget, clock, stopwatch };
    let Timing::Wall { options, .. } = timing else { return motion.run() };
    let mut realtime = options.realtime.apply_to_process();
    std::thread::scope(|scope| {
        let commanding = std::thread::Builder::new().name("control".into()).spawn_scoped(scope, move || {
            let granted = options.realtime.apply_to_thread();
            (motion.run(), granted)
        });
        // Without a thread the closure was dropped, and the guard in it commanded the arm to hold.
        let (arrived, granted) = commanding.map_err(RuntimeError::Thread)?.join().map_err(|panic| {
            // The body catches panics; only its end can panic.
            RuntimeError::Panicked(message(panic.as_ref()))
        })?;
        realtime.extend(granted);
        arrived.map(|arrival| Arrival { realtime, ..arrival })
    })
}

/// Data of the thread that commands a motion to a posture.
struct Motion<'a> {
    control: ControlLoop<'a>,
    states: LatestReader<Proprioception>,
    posture: &'a Posture,
    timing: Timing<'a>,
    stop: &'a StopFlag,
    period: Duration,
    budget: DeadlineBudget,
    clock: &'a dyn Clock,
    stopwatch: &'a dyn Clock,
}

impl Motion<'_> {
    fn run(self) -> Result<Arrival, RuntimeError> {
        let Self { mut control, mut states, posture, timing, stop, period, budget, clock, stopwatch } = self;
        let start = clock.now();
        let mut pacer = Pacer::new(timing, start, period);
        let mut watch = DeadlineWatch::new(budget, period);
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
                        Filtered::Limited(LimitReason::Workspace) => {
                            RuntimeError::OutsideWorkspace { joint, off, limit }
                        }
                        _ => RuntimeError::NotReached { joint, off, limit },
                    });
                }
                if settled || over {
                    let limited = control.counts.limited;
                    return Ok(Arrival { off, seconds: elapsed.as_secs_f64(), limited, realtime: Vec::new() });
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
