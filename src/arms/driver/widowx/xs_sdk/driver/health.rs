//! Which servo is polled for hardware errors, and when. Pure: times are arguments.
//!
//! A servo that shuts down stops following, and only `Hardware_Error_Status` gives the reason. The node has one bus and one thread:
//! it reads a register servo by servo, and publishes no states meanwhile. At the USB adapter's latency timer of 16 ms a servo takes
//! 17 ms. Polling all seven at once would delay the states by 0.12 s, so it could only be done rarely. So one servo is polled at a
//! time, between two states:
//!
//! - at once, one that looks dead: it does not follow its goal, or carries nothing where it carried something;
//! - else the one that has been known to be alive least recently: a servo whose current is not zero has not shut down;
//! - every fourth time the one polled least recently: some errors (input voltage, encoder) do not shut a servo down.
//!
//! Time until an error is known, by the simulation below, with the arm's weight on shoulder and elbow: 0.11 s at a latency of 1 ms.
//! At 16 ms it is 0.14 s for a servo that carries or moves, and 0.23 s for one that does neither, where only the register shows it.
//! The gripper, whose servo cannot let the arm fall, then takes up to half a second.

use std::time::Duration;

use crate::driver::widowx::xs_sdk::wire::ArmState;
use visuomotor_core::action::ControlMode;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::Timestamp;

/// Servos: six joints, then the gripper.
pub(super) const SERVOS: usize = 7;
/// Index of the gripper among them.
const GRIPPER: usize = 6;
/// After this many reads the least recently polled servo is read, whatever is known.
const ROUND: u32 = 4;
/// The gripper counts as alive for this long after a poll.
const GRIPPER_LIVES: Duration = Duration::from_millis(500);
/// Longest read: one servo at the adapter's slowest latency, a state before it, and what the network adds.
const LONGEST_READ: Duration = Duration::from_millis(200);
/// Normal silence between two states: three periods.
const STATES_APART: Duration = Duration::from_millis(30);
/// Time after which a reply counts as lost.
const LOST: Duration = Duration::from_secs(2);
/// Least number of states in a row that make a symptom, and their least duration.
const STATES: u32 = 2;
const LASTING: Duration = Duration::from_millis(30);
/// A servo farther than this from its goal does not follow: at 1 rad/s it lags by some 0.06 rad \[rad\].
const BEHIND: f64 = 0.15;
/// The same for a velocity \[rad/s\].
const SLOWER: f64 = 0.25;
/// Torque that a joint does not lose between two states unless its motor is off \[Nm\].
const LOAD: f64 = 0.3;
/// Torque that a motor without torque does not show \[Nm\]: some ten counts of its current.
const ALIVE: f64 = 0.05;

/// Record of one servo.
#[derive(Clone, Copy, Debug, Default)]
struct Servo {
    /// When it was last known to be alive.
    alive: Option<Timestamp>,
    /// When it was last polled.
    read: Option<Timestamp>,
    /// Since when, and in how many states, it has looked dead.
    odd: Option<(Timestamp, u32)>,
    /// Its last torque that was not zero \[Nm\].
    load: f64,
}

/// The schedule of reads, and the symptoms that make one urgent.
#[derive(Clone, Debug)]
pub(super) struct Health {
    /// Shortest time between two reads.
    pause: Duration,
    servos: [Servo; SERVOS],
    reads: u32,
    /// Duration of the last read.
    took: Option<Duration>,
    pending: Option<(usize, Timestamp)>,
    ended: Option<Timestamp>,
    /// A state came since the last read was requested: reads must not displace states.
    heard: bool,
    /// When the newest state came.
    heard_at: Timestamp,
    /// This one has an error.
    faulty: Option<usize>,
    /// Longest silence without a read.
    silence: Duration,
    /// Until when a read excuses missing states.
    excuse: Timestamp,
    /// Does the pending read excuse silence?
    excuses: bool,
}

impl Health {
    /// Each servo is polled at most once per `period`; `silence` is the longest allowed silence without a read.
    pub fn new(period: Duration, silence: Duration) -> Self {
        Self {
            pause: period / SERVOS as u32,
            servos: [Servo::default(); SERVOS],
            reads: 0,
            took: None,
            pending: None,
            ended: None,
            heard: false,
            heard_at: Timestamp::ZERO,
            faulty: None,
            silence,
            excuse: Timestamp::ZERO,
            excuses: false,
        }
    }

    /// Takes a new state and the last command.
    pub fn state(&mut self, now: Timestamp, state: &ArmState, told: Option<(ControlMode, JointVector)>) {
        (self.heard, self.heard_at) = (true, now);
        for (joint, servo) in self.servos[..GRIPPER].iter_mut().enumerate() {
            // NaN counts as far.
            let behind = match told {
                Some((ControlMode::Position, goal)) => !((goal[joint] - state.positions[joint]).abs() <= BEHIND),
                Some((ControlMode::Velocity, goal)) => !((goal[joint] - state.velocities[joint]).abs() <= SLOWER),
                Some((ControlMode::Torque, _)) | None => false,
            };
            let torque = state.torques[joint];
            if torque.abs() > ALIVE {
                servo.alive = Some(now);
            }
            // Exactly zero is the report of a motor without torque.
            let dropped = servo.load.abs() > LOAD && torque == 0.0;
            if !dropped {
                servo.load = torque;
            }
            servo.odd = match servo.odd {
                _ if !behind && !dropped => None,
                None => Some((now, 1)),
                Some((since, states)) => Some((since, states.saturating_add(1))),
            };
        }
    }

    /// The servo that looks dead, if any.
    fn suspect(&self, now: Timestamp) -> Option<usize> {
        let dead = |servo: &Servo| servo.odd.is_some_and(|(at, n)| n >= STATES && now.since(at) >= LASTING);
        self.servos.iter().position(dead)
    }

    /// The servo to poll now, if a poll is due.
    pub fn due(&mut self, now: Timestamp) -> Option<usize> {
        if self.pending.is_some_and(|(_, at)| now.since(at) < LOST) || !self.heard {
            return None;
        }
        let suspect = self.suspect(now);
        // A slow read is followed by the next at once: the node publishes a state in between.
        let pause = self.pause.saturating_sub(self.took.unwrap_or_default());
        if suspect.is_none() && self.ended.is_some_and(|at| now.since(at) < pause) {
            return None;
        }
        let oldest = |of: fn(&Servo) -> Option<Timestamp>| {
            let when = |(index, servo): &(usize, &Servo)| {
                let lives = if *index == GRIPPER { GRIPPER_LIVES } else { Duration::ZERO };
                of(servo).map(|at| at + lives)
            };
            self.servos.iter().enumerate().min_by_key(when).map(|(index, _)| index)
        };
        let round = (self.reads + 1).is_multiple_of(ROUND);
        let turn = if round {
            self.servos.iter().enumerate().min_by_key(|(_, servo)| servo.read).map(|(index, _)| index)
        } else {
            oldest(|servo| servo.alive)
        };
        suspect.or(self.faulty).or(turn)
    }

    /// Records that this servo was polled.
    pub fn polled(&mut self, now: Timestamp, servo: usize) {
        self.pending = Some((servo, now));
        self.reads = self.reads.wrapping_add(1);
        // A read without a state since the last one excuses nothing. Otherwise a node that replies but publishes no states would
        // never count as silent.
        self.excuses = std::mem::take(&mut self.heard);
        if self.excuses {
            self.excuse = match self.took {
                None => now + LONGEST_READ,
                Some(took) => self.heard_at + (STATES_APART + took * 2).min(self.silence + LONGEST_READ),
            };
        }
    }

    /// The reply came: is there an error?
    pub fn replied(&mut self, now: Timestamp, error: bool) {
        if let Some((index, asked)) = self.pending.take() {
            let took = now.since(asked);
            self.took = Some(took);
            // The node was busy for this long, and no longer: further silence is its own.
            if std::mem::take(&mut self.excuses) {
                self.excuse = self.heard_at + (STATES_APART + took).min(self.silence + LONGEST_READ);
            }
            let servo = &mut self.servos[index];
            (servo.read, servo.odd, servo.load) = (Some(now), None, 0.0);
            if error {
                self.faulty = Some(index);
            } else {
                servo.alive = Some(asked);
                self.faulty = self.faulty.filter(|faulty| *faulty != index);
            }
        }
        self.ended = Some(now);
    }

    /// No reply will come.
    pub fn failed(&mut self, now: Timestamp) {
        self.pending = None;
        self.ended = Some(now);
    }

    /// Until when the pending read, or the one that just ended, excuses missing states.
    pub fn excused_until(&self) -> Timestamp {
        self.excuse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_millis(50);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn state(torques: [f64; 6]) -> ArmState {
        let still = JointVector::zeros(6);
        ArmState { positions: still, velocities: still, torques: JointVector::from_slice(&torques), finger: 0.03 }
    }

    /// A node with one bus: a register takes this long \[ms\], and a state too.
    #[derive(Clone, Copy)]
    struct Node {
        register: u64,
        state: u64,
    }

    /// One millisecond, and sixteen, of the adapter's latency timer.
    const FAST: Node = Node { register: 2, state: 2 };
    const SLOW: Node = Node { register: 17, state: 19 };

    /// A servo dies at `died`; returns when that is known \[ms later\]. Joints in `loaded` carry 1 Nm while alive. `follows`: the
    /// dead one does not have to move.
    fn known_after(node: Node, dead: usize, died: u64, loaded: &[usize], follows: bool) -> u64 {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        let (mut now, mut timer, mut pending) = (0, 0, None);
        while now < died + 3000 {
            let begun = now;
            // States go first: the node's timer is served before its services.
            if now >= timer {
                now += node.state;
                timer = (timer + 10).max(now);
                let alive = |joint: usize| joint != dead || begun + node.state / 2 < died;
                let mut torques = [0.0; 6];
                loaded.iter().filter(|joint| alive(**joint)).for_each(|joint| torques[*joint] = 1.0);
                let mut goal = JointVector::zeros(6);
                if dead < 6 && !alive(dead) && !follows {
                    goal[dead] = 0.3;
                }
                health.state(at(now), &state(torques), Some((ControlMode::Position, goal)));
            }
            if let Some(servo) = pending.take() {
                let error = servo == dead && now + node.register / 2 >= died;
                now += node.register;
                health.replied(at(now), error);
                if error {
                    return now - died;
                }
            }
            if let Some(servo) = health.due(at(now)) {
                health.polled(at(now), servo);
                pending = Some(servo);
            }
            now = now.max(begun + 1);
        }
        panic!("the fault was never known")
    }

    fn longest(node: Node, dead: usize, loaded: &[usize], follows: bool) -> u64 {
        (1500..2500).step_by(3).map(|died| known_after(node, dead, died, loaded, follows)).max().unwrap()
    }

    #[test]
    fn a_servo_error_is_known_within_a_quarter_of_a_second_at_any_latency() {
        // The arm's weight, on shoulder and elbow.
        let loaded = [1, 2];
        for (name, node) in [("fast", FAST), ("slow", SLOW)] {
            for dead in 0..6 {
                // The death of a servo that carries shows in its torque.
                let still = longest(node, dead, &loaded, true);
                let moving = longest(node, dead, &loaded, false);
                println!("{name} adapter, servo {dead}: {still} ms at rest, {moving} ms in motion");
                assert!(still <= 250 && moving <= 250, "{name} adapter, servo {dead}: {still} ms and {moving} ms");
            }
        }
    }

    #[test]
    fn the_gripper_and_an_arm_that_carries_nothing_are_asked_too() {
        assert!(longest(SLOW, GRIPPER, &[1, 2], true) <= 500);
        for dead in 0..6 {
            let took = longest(SLOW, dead, &[], true);
            assert!(took <= 300, "servo {dead}: {took} ms");
        }
    }

    /// Errors that do not shut a servo down leave its current.
    #[test]
    fn a_servo_that_is_alive_is_asked_all_the_same() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        let mut asked = [0; SERVOS];
        for ms in (1000..4000).step_by(20) {
            health.state(at(ms), &state([1.0; 6]), None);
            if let Some(servo) = health.due(at(ms)) {
                asked[servo] += 1;
                health.polled(at(ms), servo);
                health.replied(at(ms + 2), false);
            }
        }
        assert!(asked.iter().all(|times| *times >= 4), "{asked:?}");
    }

    #[test]
    fn a_read_is_asked_only_when_a_state_came_since_the_last() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        assert_eq!(health.due(at(0)), None, "no state came yet");
        health.state(at(1), &state([0.0; 6]), None);
        let servo = health.due(at(1)).unwrap();
        health.polled(at(1), servo);
        assert_eq!(health.due(at(20)), None, "one is under way");
        health.replied(at(20), false);
        assert_eq!(health.due(at(40)), None, "states go first");
        health.state(at(41), &state([0.0; 6]), None);
        let next = health.due(at(41)).unwrap();
        assert_ne!(next, servo);
        health.polled(at(41), next);
        health.state(at(60), &state([0.0; 6]), None);
        assert!(health.due(at(41) + LOST).is_some(), "an answer that is lost is not waited for");
    }

    #[test]
    fn a_servo_with_an_error_is_asked_until_it_has_none() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        for ms in (1000..1200).step_by(20) {
            health.state(at(ms), &state([0.0; 6]), None);
            let servo = health.due(at(ms)).unwrap();
            assert!(ms < 1020 || servo == 0);
            health.polled(at(ms), servo);
            health.replied(at(ms + 2), true);
        }
    }

    #[test]
    fn a_read_excuses_as_much_silence_as_it_took_and_no_more() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        assert_eq!(health.excused_until(), Timestamp::ZERO);
        health.state(at(990), &state([0.0; 6]), None);
        health.polled(at(1000), 0);
        assert_eq!(health.excused_until(), at(1200), "it may be a slow adapter");
        health.replied(at(1010), false);
        assert_eq!(health.excused_until(), at(1030));
        health.polled(at(1200), 1);
        assert_eq!(health.excused_until(), at(1030), "no state came since the last read: this one excuses nothing");
        health.replied(at(1210), false);
        assert_eq!(health.excused_until(), at(1030));
        health.state(at(1390), &state([0.0; 6]), None);
        health.polled(at(1400), 2);
        assert_eq!(health.excused_until(), at(1440), "three states, and twice the last read");
    }

    #[test]
    fn a_quick_read_makes_no_silence_longer() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        health.state(at(990), &state([0.0; 6]), None);
        health.polled(at(991), 0);
        health.replied(at(994), false);
        health.state(at(1000), &state([0.0; 6]), None);
        health.polled(at(1001), 1);
        assert!(health.excused_until() <= at(1000 + 40), "the bridge finds 40 ms of silence");
    }

    #[test]
    fn an_arm_that_follows_is_not_suspicious() {
        let mut health = Health::new(Duration::from_millis(100), SILENCE);
        for (turn, torque) in [1.0, 0.5, 0.0, 0.2, 0.0, 0.0, 0.0].into_iter().enumerate() {
            let now = at(1000 + 20 * turn as u64);
            health.state(
                now,
                &state([0.0, torque, 0.0, 0.0, 0.0, 0.0]),
                Some((ControlMode::Velocity, JointVector::zeros(6))),
            );
            // From 0.5 to zero is a symptom only as long as it stays; 0.2 to zero is none.
            assert_eq!(health.suspect(now), None);
        }
    }
}
