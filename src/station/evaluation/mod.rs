//! Scores a policy by the protocol of the V-PTR paper and writes reports.
//!
//! [`protocol`] plans the trials (twelve per task), a [`TrialRunner`] runs them one by one, [`journal`] keeps every
//! finished trial on disk so that a stopped evaluation resumes without repeating or losing one, [`statistics`]
//! interprets the counts, and [`report`] and [`page`] turn them into `report.json` and `report.html`. [`compare`] runs several
//! policies, interleaved, on the same trials; [`comparison`] is what comes of it.
//! Start reading at [`evaluate`].
//!
//! Places are in the base frame \[m\] (x forward, y left), times in \[s\] unless a name says otherwise. An aborted trial
//! (a fault, an operator's stop) is recorded but counts neither as success nor as failure.
//!
//! Results of different settings, weights, seeds or policies are never mixed in one folder.

mod card;
pub mod comparison;
mod contest;
mod distractors;
mod draw;
pub mod journal;
pub mod latency;
pub mod methods;
mod options;
pub mod page;
pub mod paper;
mod placement;
pub mod protocol;
pub mod report;
mod run;
pub mod score;
pub mod statistics;
mod trial;

pub use card::Card;
pub use comparison::{ComparisonReport, letters};
pub use contest::{Contest, compare};
pub use journal::{Journal, JournalError, JournalHeader, TrialRecord};
pub use latency::{LatencySeries, LatencySummary};
pub use options::{EvaluationOptions, Machine, revision};
pub use protocol::{Distractor, Placement, Scenario, TrialPlan, plans};
pub use report::Report;
pub use run::{Progress, evaluate, report_again};
pub use score::Control;
pub use trial::{TrialRun, TrialRunner};
