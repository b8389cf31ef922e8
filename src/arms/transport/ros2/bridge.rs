//! The thread between the control loop and ROS 2. The control thread never publishes, takes or calls: it writes its newest command
//! to a slot and reads the newest state from another; both are wait-free.
//!
//! A [`BridgeWorker`] converts subscriptions to states and commands to messages; a [`Bridge`] runs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::RosError;
use visuomotor_core::time::{Clock, Timestamp};

/// The work of a bridge between the slots and ROS 2. Runs on the bridge thread only.
pub trait BridgeWorker: Send + 'static {
    /// The arm's state; only the newest counts.
    type State: Copy + Send + 'static;
    /// Command of the control loop.
    type Command: Copy + Send + 'static;
    /// A slow call (a service), made while connecting, activating, recovering; `()` where there is none.
    type Request: Send + 'static;
    /// Its reply.
    type Response: Send + 'static;

    /// The newest state, if something new came. Called in every turn of the thread; a turn comes when a message arrives.
    fn poll(&mut self, now: Timestamp) -> Option<Self::State>;
    /// Handles the newest command; `fresh` when it was not passed before. Called as [`Pacing`] specifies, once there is one.
    fn command(&mut self, now: Timestamp, command: &Self::Command, fresh: bool);
    /// A slow call. States are not polled and commands not sent meanwhile.
    fn request(&mut self, now: Timestamp, request: Self::Request) -> Self::Response;
    /// The thread ends: the last chance to send a stop or a hold.
    fn ended(&mut self, now: Timestamp);
}

/// When [`BridgeWorker::command`] is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// At exactly this period, on absolute deadlines: whole periods that were missed are skipped, never made up for.
    Exact(Duration),
    /// At once for a fresh command, and again with the old one after each such time without a fresh one.
    Prompt(Duration),
}

impl Pacing {
    fn period(self) -> Duration {
        match self {
            Pacing::Exact(period) | Pacing::Prompt(period) => period.max(Duration::from_micros(100)),
        }
    }
}

type Call<W> = (<W as BridgeWorker>::Request, SyncSender<<W as BridgeWorker>::Response>);

/// The control loop's end of a bridge; dropping it ends the thread, after [`BridgeWorker::ended`].
pub struct Bridge<W: BridgeWorker> {
    name: String,
    states: triple_buffer::Output<Option<(W::State, Timestamp)>>,
    commands: triple_buffer::Input<Option<W::Command>>,
    calls: SyncSender<Call<W>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<W: BridgeWorker> Bridge<W> {
    /// Starts the thread. `clock` stamps when states were received.
    pub fn spawn(name: &str, worker: W, pacing: Pacing, clock: Arc<dyn Clock>) -> Result<Self, RosError> {
        let (states_in, states) = triple_buffer::triple_buffer(&None);
        let (commands, commands_out) = triple_buffer::triple_buffer(&None);
        // One slot: callers wait for their reply, so each caller has at most one pending call.
        let (calls, calls_out) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let turns = Turns {
            worker,
            pacing,
            clock,
            states: states_in,
            commands: commands_out,
            calls: calls_out,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || turns.run()).map_err(|error| {
            RosError::Create {
                what: format!("bridge thread `{name}`"),
                cause: error.to_string(),
                fix: "too many threads: end other programs".into(),
            }
        })?;
        Ok(Self { name: name.into(), states, commands, calls, stop, thread: Some(thread) })
    }

    /// The newest state with the time it was received. Wait-free.
    pub fn state(&mut self) -> Option<(W::State, Timestamp)> {
        *self.states.read()
    }

    /// Writes a command for the bridge thread and wakes it. Takes no lock and does not allocate.
    pub fn send(&mut self, command: W::Command) {
        self.commands.write(Some(command));
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Is the thread alive? It ends by itself only when the worker panicked.
    pub fn alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// A slow call; waits for its reply. Not for the control thread while the arm is active.
    pub fn request(&self, request: W::Request, timeout: Duration) -> Result<W::Response, RosError> {
        let ended = || RosError::Ended { name: self.name.clone() };
        let (answer, answered) = sync_channel(1);
        self.calls.send((request, answer)).map_err(|_| ended())?;
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        match answered.recv_timeout(timeout) {
            Ok(response) => Ok(response),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
            Err(RecvTimeoutError::Timeout) => Err(RosError::Unanswered {
                service: self.name.clone(),
                seconds: timeout.as_secs_f64(),
                fix: "a service call hangs: is the arm's node still there?".into(),
            }),
        }
    }
}

impl<W: BridgeWorker> Drop for Bridge<W> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A worker that panicked has reported it.
            let _ = thread.join();
        }
    }
}

/// The bridge thread.
struct Turns<W: BridgeWorker> {
    worker: W,
    pacing: Pacing,
    clock: Arc<dyn Clock>,
    states: triple_buffer::Input<Option<(W::State, Timestamp)>>,
    commands: triple_buffer::Output<Option<W::Command>>,
    calls: Receiver<Call<W>>,
    stop: Arc<AtomicBool>,
}

impl<W: BridgeWorker> Turns<W> {
    fn run(mut self) {
        let period = self.pacing.period();
        let mut due = Instant::now() + period;
        while !self.stop.load(Ordering::Acquire) {
            self.answer_calls();
            if let Some(state) = self.worker.poll(self.clock.now()) {
                self.states.write(Some((state, self.clock.now())));
            }
            let waiting = self.commands.updated();
            let now = Instant::now();
            let in_time = now < due;
            let turn = match self.pacing {
                Pacing::Exact(_) => !in_time,
                Pacing::Prompt(_) => waiting || !in_time,
            };
            if turn {
                due = match self.pacing {
                    Pacing::Exact(_) => next_due(due, now, period),
                    Pacing::Prompt(_) => now + period,
                };
                if let Some(command) = *self.commands.read() {
                    self.worker.command(self.clock.now(), &command, waiting);
                }
            }
            // Woken early by a command, a call, or a message for which the worker had polled without result.
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
        self.worker.ended(self.clock.now());
    }

    fn answer_calls(&mut self) {
        loop {
            match self.calls.try_recv() {
                Ok((request, answer)) => {
                    let response = self.worker.request(self.clock.now(), request);
                    // The caller may have given up.
                    let _ = answer.try_send(response);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }
}

/// The first start after `now` on the time grid of `due`.
fn next_due(due: Instant, now: Instant, period: Duration) -> Instant {
    let late = now.saturating_duration_since(due);
    let skipped = (late.as_nanos() / period.as_nanos().max(1)) as u32;
    due + period * (skipped + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use visuomotor_core::time::SystemClock;

    #[derive(Debug, PartialEq)]
    enum Seen {
        Command(u32, bool),
        Ended,
    }

    struct Recorder {
        seen: Arc<Mutex<Vec<Seen>>>,
        polled: u32,
    }

    impl BridgeWorker for Recorder {
        type State = u32;
        type Command = u32;
        type Request = u32;
        type Response = u32;
        fn poll(&mut self, _: Timestamp) -> Option<u32> {
            self.polled += 1;
            Some(self.polled)
        }
        fn command(&mut self, _: Timestamp, command: &u32, fresh: bool) {
            self.seen.lock().unwrap().push(Seen::Command(*command, fresh));
        }
        fn request(&mut self, _: Timestamp, request: u32) -> u32 {
            assert_ne!(request, 666, "asked to fail");
            request + 1
        }
        fn ended(&mut self, _: Timestamp) {
            self.seen.lock().unwrap().push(Seen::Ended);
        }
    }

    fn bridge(pacing: Pacing) -> (Bridge<Recorder>, Arc<Mutex<Vec<Seen>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let worker = Recorder { seen: Arc::clone(&seen), polled: 0 };
        (Bridge::spawn("test", worker, pacing, Arc::new(SystemClock::new())).unwrap(), seen)
    }

    #[test]
    fn commands_states_and_calls_cross_and_the_end_is_told() {
        let (mut bridge, seen) = bridge(Pacing::Prompt(Duration::from_secs(3600)));
        assert_eq!(bridge.request(4, Duration::from_secs(10)).unwrap(), 5);
        bridge.send(7);
        while seen.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        assert!(bridge.state().is_some());
        assert!(bridge.alive());
        drop(bridge);
        assert_eq!(*seen.lock().unwrap(), [Seen::Command(7, true), Seen::Ended]);
    }

    #[test]
    fn an_exact_pace_repeats_the_last_command_and_says_that_it_is_old() {
        let (mut bridge, seen) = bridge(Pacing::Exact(Duration::from_millis(1)));
        bridge.send(1);
        while seen.lock().unwrap().len() < 3 {
            std::thread::yield_now();
        }
        drop(bridge);
        let seen = seen.lock().unwrap();
        assert_eq!(seen[..3], [Seen::Command(1, true), Seen::Command(1, false), Seen::Command(1, false)]);
        assert_eq!(seen.last(), Some(&Seen::Ended));
    }

    #[test]
    fn a_worker_that_panicked_is_an_error_and_not_a_hang() {
        let (bridge, _) = bridge(Pacing::Exact(Duration::from_millis(1)));
        assert!(matches!(bridge.request(666, Duration::from_secs(10)), Err(RosError::Ended { .. })));
    }

    #[test]
    fn missed_periods_are_skipped_and_the_grid_is_kept() {
        let (start, period) = (Instant::now(), Duration::from_millis(10));
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(next_due(at(10), at(10), period), at(20));
        assert_eq!(next_due(at(10), at(13), period), at(20));
        assert_eq!(next_due(at(10), at(47), period), at(50));
    }
}
