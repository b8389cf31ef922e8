//! Messages on a stage's socket: one JSON object per line, alternating requests and replies.

use serde::{Deserialize, Serialize};

use crate::cli::link::LinkAddress;
use crate::cli::set_up::SetUp;
use crate::episode::Outcome;
use crate::scripted::Assignment;

/// Maximum line length \[bytes\].
pub const LONGEST: usize = 64 * 1024;

/// From the process that runs the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Which controller is emulated?
    Plays,
    /// Set up this scene around the arm in its current posture.
    SetUp {
        /// Objects and their positions.
        set_up: Box<SetUp>,
    },
    /// Has the episode ended?
    Judge,
    /// Time is up: what is the verdict?
    TimeOut,
}

/// From the process that simulates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// This one.
    Plays {
        /// Driver and address.
        whereabouts: LinkAddress,
    },
    /// The scene is set up.
    Ready {
        /// The scripted expert's assignment.
        assignment: Assignment,
    },
    /// Not ended.
    Undecided,
    /// Ended.
    Ended {
        /// How.
        outcome: Outcome,
    },
    /// The request failed.
    Refused {
        /// The reason and the fix.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_read_as_they_are_written() {
        let ended = Answer::Ended { outcome: Outcome::Success { judge: "success_rule".into() } };
        let text = serde_json::to_string(&ended).unwrap();
        assert!(text.contains("\"answer\":\"ended\""), "{text}");
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), ended);
        assert_eq!(serde_json::to_string(&Question::Judge).unwrap(), "{\"ask\":\"judge\"}");
        assert!(serde_json::from_str::<Question>("{\"ask\":\"dance\"}").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read_but_never_panics(text in ".{0,200}") {
            let _ = serde_json::from_str::<Question>(&text);
            let _ = serde_json::from_str::<Answer>(&text);
        }
    }
}
