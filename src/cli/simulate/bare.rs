//! A stage without a scene: it only reports which controller is emulated.

use crate::cli::link::LinkAddress;
use crate::cli::stage::{Answer, Handler, Question};

/// An arm alone on its pedestal.
pub struct Bare {
    /// Which controller is emulated.
    pub plays: LinkAddress,
}

impl Handler for Bare {
    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Plays => Answer::Plays { whereabouts: self.plays.clone() },
            Question::Judge => Answer::Undecided,
            Question::SetUp { .. } | Question::TimeOut => Answer::Refused {
                why: "this arm stands alone: its launch file has no [scene] to lay or to judge".into(),
            },
        }
    }
}
