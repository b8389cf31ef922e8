//! When the servos are asked for hardware errors. Pure: times are handed in.
//!
//! A servo that shuts down stops following, and only `Hardware_Error_Status` says why. The node reads it servo by servo and
//! publishes no states meanwhile: about 10 ms for seven servos with the USB adapter's latency timer at 1 ms, about 0.15 s at 16 ms.
//! So it is asked as often as it is cheap, and at once when a servo looks dead.

use std::time::Duration;

use crate::action::ControlMode;
use crate::driver::widowx::wire::xs_sdk::ArmState;
use crate::observation::JointVector;
use crate::time::Timestamp;

/// The pause between two reads is at least this many times as long as a read, and as long while a servo looks dead.
const PAUSE: u32 = 6;
/// Longest read: seven servos at the adapter's slowest latency, and what the network adds.
const LONGEST_READ: Duration = Duration::from_millis(200);
/// When an answer counts as lost.
const LOST: Duration = Duration::from_secs(2);
/// States in a row that make a symptom.
const STATES: u32 = 4;
/// Farther than this behind its goal, a servo does not follow: at 1 rad/s it is some 0.06 rad behind \[rad\].
const BEHIND: f64 = 0.15;
/// The same of a velocity \[rad/s\].
const SLOWER: f64 = 0.25;
/// Torque that a joint does not lose between two states unless its motor is off \[Nm\].
const LOAD: f64 = 0.3;

/// The schedule of reads, and what makes one urgent.
#[derive(Clone, Debug)]
pub(super) struct Health {
    /// Shortest time between two reads.
    period: Duration,
    /// How long the last read took.
    took: Option<Duration>,
    asked: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// Longest silence without a read.
    silence: Duration,
    /// Until when a read excuses that no state comes.
    excuse: Timestamp,
    /// Does the read under way excuse silence?
    excuses: bool,
    /// A read excused silence since the last state; a second one does not, or a node that answers and says nothing else
    /// would never be silent.
    spent: bool,
    /// States in a row in which a joint did not follow.
    odd: u32,
    loads: Option<JointVector>,
}

impl Health {
    /// `silence` is how long no state may come without a read.
    pub fn new(period: Duration, silence: Duration) -> Self {
        Self {
            period,
            took: None,
            asked: None,
            ended: None,
            silence,
            excuse: Timestamp::ZERO,
            excuses: false,
            spent: false,
            odd: 0,
            loads: None,
        }
    }

    /// A new state, and what the arm was told last.
    pub fn state(&mut self, state: &ArmState, told: Option<(ControlMode, JointVector)>) {
        self.spent = false;
        let behind = match told {
            Some((ControlMode::Position, goal)) => far(&goal, &state.positions, BEHIND),
            Some((ControlMode::Velocity, goal)) => far(&goal, &state.velocities, SLOWER),
            Some((ControlMode::Torque, _)) | None => false,
        };
        // Exactly nothing is what a motor without torque reports.
        let dropped = self.loads.is_some_and(|before| {
            before.iter().zip(state.torques.iter()).any(|(before, now)| before.abs() > LOAD && *now == 0.0)
        });
        if !dropped {
            self.loads = Some(state.torques);
        }
        self.odd = if behind || dropped { self.odd.saturating_add(1) } else { 0 };
    }

    /// Does a servo look dead?
    pub fn suspicious(&self) -> bool {
        self.odd >= STATES
    }

    /// Is it time to ask?
    pub fn due(&self, now: Timestamp) -> bool {
        if self.asked.is_some_and(|at| now.since(at) < LOST) {
            return false;
        }
        let took = self.took.unwrap_or_default();
        let pause = if self.suspicious() { took } else { self.period.max(took * PAUSE) };
        self.ended.is_none_or(|at| now.since(at) >= pause)
    }

    /// It was asked.
    pub fn asked(&mut self, now: Timestamp) {
        self.asked = Some(now);
        self.excuses = !std::mem::replace(&mut self.spent, true);
        if self.excuses {
            self.excuse = now + self.took.map_or(LONGEST_READ, |took| (took * 2 + self.silence).min(LONGEST_READ));
        }
    }

    /// The answer came.
    pub fn answered(&mut self, now: Timestamp) {
        if let Some(asked) = self.asked.take() {
            self.took = Some(now.since(asked));
        }
        self.ended = Some(now);
        if std::mem::take(&mut self.excuses) {
            self.excuse = now + self.silence;
        }
        if self.odd > 0 {
            // What looked odd before it was asked has its answer; what happened during the read is still to be seen.
            self.loads = None;
        }
        self.odd = 0;
    }

    /// Until when the read under way, or the one that just ended, excuses that no state came.
    pub fn excused_until(&self) -> Timestamp {
        self.excuse
    }
}

/// Is any joint farther than `limit` from its goal? NaN is.
fn far(goal: &JointVector, measured: &JointVector, limit: f64) -> bool {
    goal.iter().zip(measured.iter()).any(|(goal, measured)| !((goal - measured).abs() <= limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_millis(50);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn state(torque: f64) -> ArmState {
        let still = JointVector::zeros(6);
        let torques = JointVector::from_slice(&[0.0, torque, 0.0, 0.0, 0.0, 0.0]);
        ArmState { positions: still, velocities: still, torques, finger: 0.03 }
    }

    /// A servo dies at `died`; the node answers after `read` and publishes nothing meanwhile. When is the fault known?
    fn known_after(read: u64, died: u64, behind: bool, loaded: bool) -> u64 {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        let (mut under_way, mut known) = (None, None);
        for ms in 0..died + 3000 {
            if under_way == Some(ms) {
                under_way = None;
                health.answered(at(ms));
                // What the servo said is from the middle of the read.
                if ms - read / 2 >= died {
                    known = Some(ms - died);
                    break;
                }
            }
            let dead = ms >= died;
            if ms % 10 == 0 && under_way.is_none() {
                let goal = JointVector::from_slice(&[0.0, if dead && behind { 0.3 } else { 0.0 }, 0.0, 0.0, 0.0, 0.0]);
                let torque = if !loaded || dead { 0.0 } else { 1.0 };
                health.state(&state(torque), Some((ControlMode::Position, goal)));
            }
            if under_way.is_none() && health.due(at(ms)) {
                health.asked(at(ms));
                under_way = Some(ms + read);
            }
        }
        known.expect("the fault was never known")
    }

    #[test]
    fn a_servo_error_is_known_within_a_quarter_of_a_second() {
        for died in 1000..1150 {
            // A fast adapter, whether or not anything can be seen.
            for (behind, loaded) in [(false, false), (true, false), (false, true)] {
                let took = known_after(10, died, behind, loaded);
                assert!(took <= 250, "{took} ms, died at {died}");
            }
        }
    }

    #[test]
    fn a_slow_adapter_takes_a_symptom_and_at_most_the_read_before_it_longer() {
        let mut within = 0;
        for died in 1000..2000 {
            for (behind, loaded) in [(true, false), (false, true)] {
                let took = known_after(150, died, behind, loaded);
                // A read under way asked the servo before it died: that one ends first, and a pause as long follows.
                assert!(took <= 150 + 150 + 50 + 150, "{took} ms, died at {died}");
                within += u32::from(took <= 250);
            }
        }
        assert!(within >= 1600, "{within} of 2000");
    }

    #[test]
    fn reads_take_no_more_than_their_share_of_the_time() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        health.asked(at(0));
        assert!(!health.due(at(100)), "one is under way");
        health.answered(at(150));
        assert!(!health.due(at(150 + 899)));
        assert!(health.due(at(150 + 900)));
        health.asked(at(2000));
        assert!(health.due(at(2000) + LOST), "an answer that is lost is not waited for");
    }

    #[test]
    fn only_a_read_excuses_silence_and_not_for_long() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        assert_eq!(health.excused_until(), Timestamp::ZERO);
        health.asked(at(1000));
        assert_eq!(health.excused_until(), at(1200), "it may be a slow adapter");
        health.answered(at(1010));
        assert_eq!(health.excused_until(), at(1060));
        health.asked(at(1200));
        assert_eq!(health.excused_until(), at(1060), "no state came since the last read: this one excuses nothing");
        health.answered(at(1210));
        assert_eq!(health.excused_until(), at(1060));
        health.state(&state(0.0), None);
        health.asked(at(1400));
        assert_eq!(health.excused_until(), at(1470), "twice the last read and what is silence without one");
    }

    #[test]
    fn an_arm_that_follows_is_not_suspicious() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        for torque in [1.0, 0.5, 0.0, 0.2, 0.0, 0.0, 0.0] {
            health.state(&state(torque), Some((ControlMode::Velocity, JointVector::zeros(6))));
        }
        // From 0.5 to nothing is a symptom only as long as it stays; 0.2 to nothing is none.
        assert!(!health.suspicious());
    }
}
