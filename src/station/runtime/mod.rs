//! Runs an episode: the decision loop (policy rate), the control loop (control rate), and the slot between them.
//!
//! ```text
//! cameras -> decision_loop -> [newest action] -> control_loop -> arm
//!                 ^   |                              |    |
//!                 |   `-> sinks, judge               |    `-> [ring of ticks] -> sinks
//!                 `----------- [newest state] <------'
//! ```
//!
//! The same two tick functions run in both timing modes: [`Timing::Lockstep`] runs them on one thread with a manual
//! clock, as fast as possible and repeatably; [`Timing::Wall`] runs them on two threads in real time.
//! Start reading at `lockstep.rs`, then `decision_loop.rs` and `control_loop.rs`.
//!
//! Seconds, radians, base frame. The runtime is independent of source, listeners and arm. It neither activates nor releases
//! the arm: however an episode ends, the arm is commanded to hold, and in real time it is watched until its controller's
//! states show it at rest ([`Hold`]).

mod control_loop;
mod decision_loop;
mod error;
pub mod fake;
mod go_to;
mod latest;
mod ledger;
mod lockstep;
mod pace;
mod posture;
mod report;
mod schedule;
mod sleep;
mod standing;
mod station;
mod stop;
mod wall;

pub use control_loop::{ControlCounts, ControlLoop, ControlParts};
pub use decision_loop::{AgedCamera, DecisionLoop};
pub use error::RuntimeError;
pub use go_to::{Arrival, go_to};
pub use latest::{LatestReader, LatestWriter, latest};
pub use ledger::{Ledger, LedgerSummary, Series, SeriesSummary};
pub use posture::Posture;
pub use report::{DeadlineMisses, EpisodeReport};
pub use schedule::{DeadlineBudget, DeadlineWatch, Due, PAYBACK, Schedule, Strain};
pub use sleep::Sleeper;
pub use standing::{Doubt, Hold, StandingWatch};
pub use station::{EpisodeRequest, Station, Timing, WallOptions};
pub use stop::{HoldGuard, StopFlag};
pub use visuomotor_core::realtime::{Granted, Realtime};

/// Runs one episode to its end. In every case the arm is commanded to hold and the sinks receive the outcome;
/// [`EpisodeReport::hold`] reports whether the arm was seen at rest.
///
/// ```no_run
/// use visuomotor_core::time::ManualClock;
/// use visuomotor_station::runtime::{EpisodeRequest, Station, Timing, run_episode};
///
/// /// In lockstep, as fast as it goes. `examples/fake_arm.rs` makes the station and the request.
/// fn run(station: &mut Station, request: EpisodeRequest<'_>) {
///     let clock = ManualClock::new();
///     let report = run_episode(station, request, Timing::Lockstep { clock: &clock, stopwatch: &clock });
///     println!("{:?} after {} s", report.outcome, report.seconds);
/// }
/// ```
pub fn run_episode(station: &mut Station, request: EpisodeRequest<'_>, timing: Timing<'_>) -> EpisodeReport {
    match timing {
        Timing::Lockstep { clock, stopwatch } => lockstep::run(station, request, clock, stopwatch),
        Timing::Wall { clock, options } => wall::run(station, request, clock, options),
    }
}
