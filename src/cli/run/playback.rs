//! Plays recorded images and arm states at the recorded times, on the clock of a run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::observation::{JointVector, Proprioception};
use crate::recording::{RecordedEpisode, RecordedStep};
use crate::time::Timestamp;

/// The run has not begun; the first step is shown.
const IDLE: u64 = u64::MAX;
/// The run begins at the next read of the arm.
const READY: u64 = u64::MAX - 1;

/// Share of the steps that are shown at the decision with their number; the others were recorded later than most.
const IN_TIME: f64 = 0.9;

/// Steps and states of an episode, played from the beginning of a run.
pub struct Playback {
    /// Policy steps, in order; at least one.
    pub steps: Vec<RecordedStep>,
    /// States at control rate, oldest first; at policy rate if no ticks were recorded.
    states: Vec<Proprioception>,
    /// The recorded time at which the run begins.
    from: Timestamp,
    /// Start of the run, in nanoseconds of its clock.
    begin: AtomicU64,
}

impl Playback {
    /// Takes an episode with at least one step, read with images and control ticks; `period` is its decision period.
    pub fn new(recorded: &mut RecordedEpisode, period: Duration) -> Self {
        let steps = std::mem::take(&mut recorded.steps);
        let first = steps.first().map_or(Timestamp::ZERO, |step| step.observed_at);
        let mut states = states(recorded, &steps);
        states.sort_by_key(|state| state.measured_at);
        Self { from: first + delay(&steps, period), steps, states, begin: AtomicU64::new(IDLE) }
    }

    /// The run begins at the next read of the arm.
    pub fn make_ready(&self) {
        self.begin.store(READY, Ordering::Release);
    }

    /// The arm's state at `now`.
    pub fn read(&self, now: Timestamp) -> Proprioception {
        // Only the first read starts the run.
        let _ = self.begin.compare_exchange(READY, now.as_nanos(), Ordering::AcqRel, Ordering::Acquire);
        let at = self.recorded(now);
        let seen = self.states.partition_point(|state| state.measured_at <= at);
        let state = self.states[seen.saturating_sub(1)];
        // After the end the arm stays where it was.
        let measured_at = if seen == self.states.len() { now } else { self.played(state.measured_at, now) };
        Proprioception { measured_at, ..state }
    }

    /// The newest step at `now`.
    pub fn step(&self, now: Timestamp) -> &RecordedStep {
        let at = self.recorded(now);
        &self.steps[self.steps.partition_point(|step| step.observed_at <= at).saturating_sub(1)]
    }

    /// Index in `steps` of the newest image of one camera; `place` is the camera's index in each step.
    pub fn image(&self, now: Timestamp, place: &[usize]) -> usize {
        let at = self.recorded(now);
        let taken = |number: usize| self.steps[number].images[place[number]].captured_at <= at;
        let (mut low, mut high) = (0, self.steps.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if taken(middle) { low = middle + 1 } else { high = middle }
        }
        low.saturating_sub(1)
    }

    /// Converts a recorded time to the run's clock, which shows `now`.
    pub fn played(&self, recorded: Timestamp, now: Timestamp) -> Timestamp {
        let begin = self.begin(now).as_nanos();
        Timestamp::from_nanos((begin + recorded.as_nanos()).saturating_sub(self.from.as_nanos()))
    }

    /// Time since the run began.
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        now.since(self.begin(now))
    }

    fn recorded(&self, now: Timestamp) -> Timestamp {
        self.from + self.elapsed(now)
    }

    fn begin(&self, now: Timestamp) -> Timestamp {
        match self.begin.load(Ordering::Acquire) {
            IDLE | READY => now,
            begin => Timestamp::from_nanos(begin),
        }
    }
}

/// The states of the steps, which are complete, and of the control ticks between them.
fn states(recorded: &RecordedEpisode, steps: &[RecordedStep]) -> Vec<Proprioception> {
    let mut states: Vec<Proprioception> = steps.iter().map(|step| step.proprioception).collect();
    // A tick within half a period is the step's own: tick stamps are due times.
    let half = Duration::try_from_secs_f64(0.5 / recorded.start.control_rate_hz).unwrap_or(Duration::ZERO);
    let whole = |at: Timestamp| {
        let next = states.partition_point(|state| state.measured_at < at);
        let near = |state: &Proprioception| state.measured_at.since(at).max(at.since(state.measured_at)) < half;
        states.get(next).is_some_and(near) || next.checked_sub(1).is_some_and(|before| near(&states[before]))
    };
    let missing: Vec<_> = recorded.ticks.iter().enumerate().filter(|(_, tick)| !whole(tick.at)).collect();
    let more: Vec<Proprioception> = missing
        .into_iter()
        .map(|(index, tick)| {
            // Values missing in a tick are taken from the newest step.
            let after = steps.partition_point(|step| step.proprioception.measured_at <= tick.at);
            let step = &steps[after.saturating_sub(1)].proprioception;
            let mut velocities = JointVector::zeros(tick.measured.len());
            if let Some(before) = index.checked_sub(1).map(|before| &recorded.ticks[before]) {
                let seconds = tick.at.since(before.at).as_secs_f64();
                for (joint, velocity) in velocities.iter_mut().enumerate().filter(|_| seconds > 0.0) {
                    *velocity = (tick.measured[joint] - before.measured[joint]) / seconds;
                }
            }
            Proprioception {
                joint_positions: tick.measured,
                joint_velocities: velocities,
                joint_efforts: step.joint_efforts,
                finger_position: step.finger_position,
                gripper: tick.measured_gripper,
                measured_at: tick.at,
            }
        })
        .collect();
    states.extend(more);
    states
}

/// Offset of playback from the first step's decision grid, so that the run's punctual decisions see the images of most
/// steps.
fn delay(steps: &[RecordedStep], period: Duration) -> Duration {
    let Some(first) = steps.first() else { return Duration::ZERO };
    let period = period.as_nanos().max(1);
    let late = steps.iter().map(|step| step.observed_at.since(first.observed_at).as_nanos() % period);
    // More than half a period late counts as early for the next decision.
    let mut late: Vec<u128> = late.map(|late| if late > period / 2 { 0 } else { late }).collect();
    late.sort_unstable();
    let most = late[((late.len() - 1) as f64 * IN_TIME).ceil() as usize];
    Duration::from_nanos(u64::try_from(most).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;
    use crate::geometry::Pose;
    use crate::recording::RecordedImage;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_secs_f64(seconds)
    }

    fn state(seconds: f64, joint: f64) -> Proprioception {
        let joints = JointVector::from_slice(&[joint]);
        Proprioception {
            joint_positions: joints,
            joint_velocities: joints,
            joint_efforts: joints,
            finger_position: 0.0,
            gripper: 1.0,
            measured_at: at(seconds),
        }
    }

    /// Decisions at 5 Hz from 7 s on, each this late, of images that are 20 ms old.
    fn steps(late: &[f64]) -> Vec<RecordedStep> {
        let step = |(index, late): (usize, &f64)| {
            let seconds = 7.0 + 0.2 * index as f64 + late;
            let image = RecordedImage {
                camera: "front".into(),
                captured_at: at(seconds - 0.02),
                sequence: index as u64,
                camera_size: (4, 4),
                jpeg: Vec::new(),
            };
            RecordedStep {
                index: index as u64,
                observed_at: at(seconds),
                decided_at: at(seconds),
                images: vec![image],
                proprioception: state(seconds, index as f64),
                base_from_tool: Pose::identity(),
                bridge_state: [0.0; 7],
                action: Action::stay(1.0),
                label: Action::stay(1.0),
                motion: None,
                decided_by: None,
                embedding: None,
                encoder_seconds: 0.0,
                policy_seconds: 0.0,
            }
        };
        late.iter().enumerate().map(step).collect()
    }

    fn playback(late: &[f64]) -> Playback {
        let steps = steps(late);
        let states = steps.iter().map(|step| step.proprioception).collect();
        let from = steps[0].observed_at + delay(&steps, Duration::from_millis(200));
        Playback { from, steps, states, begin: AtomicU64::new(IDLE) }
    }

    #[test]
    fn each_decision_finds_the_step_with_its_number_despite_recorded_jitter() {
        for late in [[0.0; 6], [0.0, 0.004, 0.001, 0.009, 0.0, 0.002]] {
            let played = playback(&late);
            played.make_ready();
            let start = at(31.0);
            assert_eq!(played.read(start).joint_positions[0], 0.0);
            for number in 0..6u32 {
                let now = start + Duration::from_millis(200) * number;
                assert_eq!(played.step(now).index, u64::from(number), "{late:?}");
                let image = played.image(now, &[0; 6]);
                assert_eq!(image, number as usize, "{late:?}");
                let age = now.since(played.played(played.steps[image].images[0].captured_at, now)).as_secs_f64();
                assert!((0.0199..0.031).contains(&age), "{age} s old");
                assert_eq!(played.read(now).joint_positions[0], f64::from(number));
            }
            // After the end the arm stands still, and its states stay fresh.
            let late = start + Duration::from_secs(60);
            assert_eq!((played.read(late).joint_positions[0], played.read(late).measured_at), (5.0, late));
        }
    }

    #[test]
    fn before_the_run_the_first_step_is_shown() {
        let played = playback(&[0.0; 3]);
        for seconds in [0.5, 4.0, 90.0] {
            let now = at(seconds);
            assert_eq!((played.read(now).joint_positions[0], played.image(now, &[0; 3])), (0.0, 0));
            assert_eq!(played.elapsed(now), Duration::ZERO);
        }
    }
}
