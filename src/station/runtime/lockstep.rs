//! Both loops on one thread with a manual clock: as fast as possible, and repeatable.
//!
//! At each control time the control tick runs; a due decision runs right after it, so that its action takes effect at
//! the next control tick.

use super::report::{EpisodeReport, close};
use super::schedule::{Due, Schedule, Strain};
use super::station::{EpisodeRequest, Station, Timing, length};
use super::stop::guarded;
use visuomotor_core::time::{Clock, ManualClock};

pub(super) fn run(
    station: &mut Station,
    request: EpisodeRequest<'_>,
    clock: &ManualClock,
    stopwatch: &dyn Clock,
) -> EpisodeReport {
    let EpisodeRequest { start: episode, seconds, source, sinks, judge, stop } = request;
    let (start, control_period) = (clock.now(), station.control_period);
    let end = start + length(seconds);
    let mut decisions = Schedule::new(start, station.policy_period);
    let (mut control, mut decision) = station.loops(source, sinks, start);

    let ended = guarded(|| {
        decision.start(&episode)?;
        loop {
            let now = clock.now();
            if let Some(outcome) = stop.outcome() {
                return Ok(outcome);
            }
            if now >= end {
                return Ok(judge.time_out(now));
            }
            control.tick(Due::on_time(now), Strain::None, stopwatch)?;
            decision.hand_on_ticks()?;
            decision.watch(now)?;
            if now >= decisions.next() {
                decisions.begin(now);
                decision.tick(now, clock, stopwatch)?;
                if let Some(outcome) = judge.judge(now) {
                    return Ok(outcome);
                }
            }
            clock.advance(control_period);
        }
    });

    let now = clock.now();
    let control = control.end(Timing::Lockstep { clock, stopwatch }, Ok(()));
    close(decision, control, ended, now.since(start).as_secs_f64(), decisions.missed())
}
