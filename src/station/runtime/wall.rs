//! The two loops on two threads in real time.
//!
//! The control loop has its own thread (the arm is `Send`); the decision loop with cameras, source, judge and sinks
//! stays on the calling thread (images and networks are not `Send`). The first control tick runs on the calling thread,
//! so that the first decision has a state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::control_loop::ControlLoop;
use super::decision_loop::DecisionLoop;
use super::error::RuntimeError;
use super::pace::Pacer;
use super::report::{ControlEnd, EpisodeReport, close};
use super::schedule::{DeadlineWatch, Due, Schedule, Strain};
use super::sleep::Sleeper;
use super::station::{EpisodeRequest, Station, Timing, WallOptions, length};
use super::stop::{StopFlag, guarded, message};
use visuomotor_core::episode::{Judge, Outcome};
use visuomotor_core::time::{Clock, SystemClock, Timestamp};

/// Longest sleep of the decision loop, within which it notices a stop and passes on control ticks.
const NAP: Duration = Duration::from_millis(20);

pub(super) fn run(
    station: &mut Station,
    request: EpisodeRequest<'_>,
    clock: &SystemClock,
    options: &WallOptions,
) -> EpisodeReport {
    let EpisodeRequest { start: episode, seconds, source, sinks, judge, stop } = request;
    let (control_period, policy_period) = (station.control_period, station.policy_period);
    // For the whole process, and slow: done before the first start is due.
    let mut realtime = options.realtime.apply_to_process();
    let (mut control, mut decision) = station.loops(source, sinks, clock.now());

    let begun = guarded(|| {
        decision.start(&episode)?;
        let now = clock.now();
        control.tick(Due::on_time(now), Strain::None, clock)?;
        Ok(now)
    });
    let start = match begun {
        Ok(start) => start,
        Err(error) => {
            let control = control.end(Timing::Wall { clock, options }, Ok(()));
            return close(decision, control, Err(error), 0.0, 0);
        }
    };

    let mut decisions = Schedule::new(start, policy_period);
    let (quit, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let pacer = Pacer::new(Timing::Wall { clock, options }, start + control_period, control_period);
    let (outcome, over, mut control) = std::thread::scope(|scope| {
        let side = ControlSide {
            control,
            pacer,
            clock,
            options,
            period: control_period,
            stop,
            quit: &quit,
            ended: Finished(&ended),
        };
        let thread = match std::thread::Builder::new().name("control".into()).spawn_scoped(scope, || side.run()) {
            Ok(thread) => thread,
            // The closure was dropped, and the guard in it commanded the arm to hold.
            Err(error) => return (Ok(None), clock.now(), ControlEnd::without_loop(RuntimeError::Thread(error))),
        };
        let end = start + length(seconds);
        let outcome = guarded(|| {
            decide(&mut decision, &mut decisions, judge, clock, end, || {
                stop.is_raised() || ended.load(Ordering::Acquire)
            })
        });
        // Watching the arm until it stands is not part of the episode.
        let over = clock.now();
        quit.store(true, Ordering::Release);
        let control = thread.join();
        (
            outcome,
            over,
            control.unwrap_or_else(|panic| ControlEnd::without_loop(RuntimeError::Panicked(message(panic.as_ref())))),
        )
    });
    realtime.append(&mut control.realtime);
    control.realtime = realtime;
    let lost = control_period.saturating_mul(u32::try_from(control.missed).unwrap_or(u32::MAX));
    if control.missed > 0 && lost >= options.budget.warn {
        tracing::warn!(missed = control.missed, ticks = control.counts.ticks, "control deadlines were missed");
    }
    // No outcome: the flag was raised, or the control loop ended and returns the reason itself.
    let outcome = outcome.map(|outcome| outcome.or_else(|| stop.outcome()).unwrap_or_else(control_ended));
    close(decision, control, outcome, over.since(start).as_secs_f64(), decisions.missed())
}

fn control_ended() -> Outcome {
    Outcome::Aborted { judge: "runtime".into(), why: "the control loop ended".into() }
}

/// Decides until the judge returns an outcome or time is up; `None` after a request to stop.
fn decide(
    decision: &mut DecisionLoop<'_>,
    decisions: &mut Schedule,
    judge: &mut dyn Judge,
    clock: &SystemClock,
    end: Timestamp,
    leave: impl Fn() -> bool,
) -> Result<Option<Outcome>, RuntimeError> {
    let sleeper = Sleeper::new(clock);
    loop {
        let next = decisions.next().min(end);
        while clock.now() < next {
            sleeper.until(next.min(clock.now() + NAP));
            decision.hand_on_ticks()?;
            decision.watch(clock.now())?;
            if leave() {
                return Ok(None);
            }
        }
        if leave() {
            return Ok(None);
        }
        let now = clock.now();
        if now >= end {
            return Ok(Some(judge.time_out(now)));
        }
        decisions.begin(now);
        decision.hand_on_ticks()?;
        decision.tick(now, clock, clock)?;
        if let Some(outcome) = judge.judge(clock.now()) {
            return Ok(Some(outcome));
        }
    }
}

/// Data of the control thread.
struct ControlSide<'a> {
    control: ControlLoop<'a>,
    pacer: Pacer<'a>,
    clock: &'a SystemClock,
    options: &'a WallOptions,
    period: Duration,
    stop: &'a StopFlag,
    quit: &'a AtomicBool,
    ended: Finished<'a>,
}

impl ControlSide<'_> {
    fn run(self) -> ControlEnd {
        let Self { mut control, mut pacer, clock, options, period, stop, quit, ended } = self;
        let realtime = options.realtime.apply_to_thread();
        let mut watch = DeadlineWatch::new(options.budget, period);
        let result = guarded(|| {
            while !quit.load(Ordering::Acquire) && !stop.is_raised() {
                let due = pacer.next();
                pacer.note(&due, &mut control.ledger);
                let strain = watch.after(&due);
                if strain == Strain::Stop {
                    return Err(RuntimeError::deadlines(watch.lost(), options.budget.stop));
                }
                control.tick(due, strain, clock)?;
            }
            Ok(())
        });
        // No decisions while the arm is being stopped.
        drop(ended);
        let end = control.end(Timing::Wall { clock, options }, result);
        ControlEnd { missed: pacer.missed(), realtime, ..end }
    }
}

/// Notifies the decision loop that the control loop has ended, for any reason.
struct Finished<'a>(&'a AtomicBool);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
