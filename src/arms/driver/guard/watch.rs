//! When a guard trips, and what it sends then. Pure: time is an argument.

use std::time::Duration;

use super::message::Frame;
use visuomotor_core::observation::JointVector;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Why a guard stops the arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trip {
    /// No message from the program for longer than the limit: it hangs, or is suspended.
    Silent(Duration),
    /// The program, or the connection to it, is gone.
    Gone,
    /// The program sent an impossible frame.
    Malformed,
    /// The program requested it.
    Requested,
}

impl Trip {
    /// As text.
    pub fn text(&self) -> String {
        match self {
            Trip::Silent(for_long) => {
                format!("nothing was heard of the program for {:.0} ms", 1e3 * for_long.as_secs_f64())
            }
            Trip::Gone => "the program, or the connection to it, is gone".into(),
            Trip::Malformed => "the program says what cannot be".into(),
            Trip::Requested => "the program asks for it: it does not hear of the arm, or is not heard by it".into(),
        }
    }
}

/// What a guard must do now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Duty {
    /// Listen.
    Watch,
    /// Stop the arm; also after the program resumed.
    Stop(Trip),
    /// End: the arm stands still.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Nothing was commanded yet.
    Idle,
    /// Beats come.
    Watching(Timestamp),
    /// Beats need not come; the end of the program still counts.
    Paused,
    Tripped(Trip),
    Over,
}

/// Decides whether the program is alive.
#[derive(Debug)]
pub struct Watch {
    limit: Duration,
    phase: Phase,
    last: JointVector,
    gone: bool,
}

impl Watch {
    /// Trips when a program that has begun to command is silent for longer than `limit`. Silence before its first command does not
    /// trip it.
    pub fn new(limit: Duration, joints: usize) -> Self {
        Self { limit, phase: Phase::Idle, last: JointVector::zeros(joints), gone: false }
    }

    /// Takes a frame of the program. Once tripped, only its orderly end counts: a program that resumes is not trusted.
    pub fn receive(&mut self, now: Timestamp, frame: Frame) {
        match (frame, self.phase) {
            (Frame::Done, _) => self.phase = Phase::Over,
            (_, Phase::Tripped(_) | Phase::Over) => {}
            (Frame::Beat(last), _) => {
                self.last = last;
                self.phase = Phase::Watching(now);
            }
            // Whatever was commanded before: a request to stop is not questioned.
            (Frame::Stop, _) => self.trip(Trip::Requested),
            (Frame::Pause, Phase::Idle) => {}
            (Frame::Pause, _) => self.phase = Phase::Paused,
        }
    }

    /// The program's end of the connection is closed.
    pub fn connection_closed(&mut self) {
        self.gone = true;
        match self.phase {
            Phase::Watching(_) | Phase::Paused => self.trip(Trip::Gone),
            // It never commanded anything.
            Phase::Idle => self.phase = Phase::Over,
            Phase::Tripped(_) | Phase::Over => {}
        }
    }

    /// The program sent an impossible frame.
    pub fn malformed_frame(&mut self) {
        match self.phase {
            Phase::Watching(_) | Phase::Paused => self.trip(Trip::Malformed),
            Phase::Idle => self.phase = Phase::Over,
            Phase::Tripped(_) | Phase::Over => {}
        }
    }

    /// What to do at `now`. Everything that had arrived by then must have been passed in.
    pub fn check(&mut self, now: Timestamp) -> Duty {
        if let Phase::Watching(heard) = self.phase
            && now.since(heard) > self.limit
        {
            self.trip(Trip::Silent(now.since(heard)));
        }
        match self.phase {
            Phase::Idle | Phase::Watching(_) | Phase::Paused => Duty::Watch,
            Phase::Tripped(trip) => Duty::Stop(trip),
            Phase::Over => Duty::End,
        }
    }

    /// The last command the program sent.
    pub fn last(&self) -> JointVector {
        self.last
    }

    /// Is the program gone?
    pub fn gone(&self) -> bool {
        self.gone
    }

    fn trip(&mut self, why: Trip) {
        self.phase = if Protection::Guard.is_on() { Phase::Tripped(why) } else { Phase::Over };
    }
}

/// Period of commands while the arm is being stopped.
const PERIOD: Duration = Duration::from_millis(10);
/// How long commands are sent at that period: a lossy link delivers at least one of two hundred.
const INSISTING: Duration = Duration::from_secs(2);
/// Period afterwards, while a program that was only suspended may still send pending commands.
const LATER: Duration = Duration::from_millis(50);
/// Longest wait for the arm's state to show that it stands still.
const PATIENCE: Duration = Duration::from_secs(5);

/// The commands that stop an arm: from the last one to zero, and then zero repeatedly.
#[derive(Debug)]
pub struct Stopping {
    began: Timestamp,
    sent: Option<Timestamp>,
    command: JointVector,
    ramp: Vec<f64>,
    confirmed: bool,
}

impl Stopping {
    /// From this command on; `ramp` is the largest change in one second of each joint.
    pub fn new(now: Timestamp, last: JointVector, ramp: &[f64]) -> Self {
        Self { began: now, sent: None, command: last, ramp: ramp.to_vec(), confirmed: false }
    }

    /// The command to send now, if one is due.
    pub fn command(&mut self, now: Timestamp) -> Option<JointVector> {
        let period = if now.since(self.began) < INSISTING { PERIOD } else { LATER };
        if self.sent.is_some_and(|sent| now.since(sent) < period) {
            return None;
        }
        // A guard that was itself late does not catch up: the ramp counts commands, not seconds.
        for (value, ramp) in self.command.iter_mut().zip(&self.ramp) {
            let step = ramp * PERIOD.as_secs_f64();
            *value -= value.clamp(-step, step);
        }
        self.sent = Some(now);
        Some(self.command)
    }

    /// Has the command reached zero?
    pub fn at_zero(&self) -> bool {
        self.command.iter().all(|value| *value == 0.0)
    }

    /// The arm's state shows that it stands still.
    pub fn confirm(&mut self) {
        self.confirmed = true;
    }

    /// Is there nothing more to do? `gone`: the program can no longer send.
    pub fn over(&self, now: Timestamp, gone: bool) -> bool {
        let since = now.since(self.began);
        gone && self.at_zero() && since >= INSISTING && (self.confirmed || since >= PATIENCE)
    }

    /// Has the wait for the arm's state timed out?
    pub fn timed_out(&self, now: Timestamp) -> bool {
        !self.confirmed && now.since(self.began) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn turning() -> Frame {
        Frame::Beat(JointVector::from_slice(&[0.5, 0.0]))
    }

    fn watching() -> Watch {
        let mut watch = Watch::new(LIMIT, 2);
        watch.receive(at(1000), turning());
        watch
    }

    #[test]
    fn beats_keep_it_quiet_and_their_absence_trips_it() {
        let mut watch = watching();
        for ms in (1020..2000).step_by(20) {
            watch.receive(at(ms), turning());
            assert_eq!(watch.check(at(ms + 99)), Duty::Watch);
        }
        assert_eq!(watch.check(at(1980 + 100)), Duty::Watch);
        assert_eq!(watch.check(at(1980 + 101)), Duty::Stop(Trip::Silent(Duration::from_millis(101))));
        assert_eq!(watch.last()[0], 0.5);
    }

    #[test]
    fn before_the_first_command_nothing_trips_it() {
        let mut watch = Watch::new(LIMIT, 2);
        watch.receive(at(0), Frame::Pause);
        assert_eq!(watch.check(at(60_000)), Duty::Watch);
        watch.connection_closed();
        assert_eq!(watch.check(at(60_001)), Duty::End, "a program that commanded nothing leaves nothing moving");
    }

    #[test]
    fn a_closed_pipe_trips_it_at_once_also_in_a_pause() {
        let mut watch = watching();
        watch.connection_closed();
        assert_eq!(watch.check(at(1000)), Duty::Stop(Trip::Gone));
        let mut watch = watching();
        watch.receive(at(1001), Frame::Pause);
        assert_eq!(watch.check(at(9000)), Duty::Watch, "silence is fine in a pause");
        watch.connection_closed();
        assert_eq!(watch.check(at(9001)), Duty::Stop(Trip::Gone));
        assert!(watch.gone());
    }

    #[test]
    fn once_tripped_it_stays_so_until_it_is_told_that_the_arm_stands() {
        let mut watch = watching();
        let silent = Duty::Stop(Trip::Silent(Duration::from_millis(500)));
        assert_eq!(watch.check(at(1500)), silent);
        // The program was suspended and resumes.
        for ms in (1510..3000).step_by(20) {
            watch.receive(at(ms), turning());
            watch.receive(at(ms), Frame::Pause);
            assert_eq!(watch.check(at(ms)), silent);
        }
        watch.receive(at(3000), Frame::Done);
        assert_eq!(watch.check(at(3000)), Duty::End);
    }

    #[test]
    fn an_orderly_end_and_what_comes_behind_it_trip_nothing() {
        let mut watch = watching();
        watch.receive(at(1010), Frame::Done);
        watch.connection_closed();
        assert_eq!(watch.check(at(9000)), Duty::End);
    }

    #[test]
    fn a_program_that_asks_for_it_has_its_arm_stopped_and_may_still_end_in_order() {
        let mut watch = watching();
        watch.receive(at(1010), Frame::Stop);
        watch.receive(at(1020), turning());
        assert_eq!(watch.check(at(1020)), Duty::Stop(Trip::Requested));
        watch.receive(at(3000), Frame::Done);
        assert_eq!(watch.check(at(3000)), Duty::End);
    }

    #[test]
    fn bytes_that_cannot_be_stop_the_arm() {
        let mut watch = watching();
        watch.malformed_frame();
        assert_eq!(watch.check(at(1000)), Duty::Stop(Trip::Malformed));
    }

    #[test]
    fn a_stop_ramps_to_zero_repeats_it_and_ends_when_the_arm_stands() {
        let mut stopping = Stopping::new(at(0), JointVector::from_slice(&[0.5, -0.3]), &[24.0, 24.0]);
        let (mut last, mut sent) = (JointVector::from_slice(&[0.5, -0.3]), 0);
        for ms in 0..1999 {
            if let Some(next) = stopping.command(at(ms)) {
                assert!((0..2).all(|j| (next[j] - last[j]).abs() <= 0.24 + 1e-12 && next[j].abs() <= last[j].abs()));
                (last, sent) = (next, sent + 1);
            }
        }
        assert_eq!((sent, stopping.at_zero()), (200, true));
        assert!(!stopping.over(at(1999), true));
        stopping.confirm();
        assert!(stopping.over(at(2000), true));
        assert!(!stopping.over(at(2000), false), "a program that is only suspended may still send something");
    }

    #[test]
    fn an_arm_that_does_not_show_that_it_stands_is_not_waited_for_forever() {
        let mut stopping = Stopping::new(at(0), JointVector::zeros(2), &[24.0, 24.0]);
        stopping.command(at(0));
        assert!(!stopping.over(at(4999), true) && !stopping.timed_out(at(4999)));
        assert!(stopping.over(at(5000), true) && stopping.timed_out(at(5000)));
    }
}
