//! JSON messages of the websocket, in addition to images.

use serde::{Deserialize, Serialize};

use super::gamepad::PageGamepad;
use crate::operator::Wish;

/// Longest message accepted from a browser \[bytes\]: the longest note with every character escaped.
pub(super) const LONGEST_MESSAGE: usize = 16 << 10;

/// From a browser: one of these keys per message.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Request {
    /// `{"wish":"begin"}`, `{"wish":"note","text":"..."}`.
    Wish(Wish),
    /// `{"stop":true}`.
    Stop { stop: bool },
    /// `{"heartbeat":N}`: the page is alive and has seen the state with this sequence number.
    Heartbeat { heartbeat: u64 },
    /// `{"controls":"take"}`.
    Controls { controls: Change },
    /// `{"gamepad":{...}}`.
    Gamepad { gamepad: PageGamepad },
}

/// Request of a browser for the controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// Take them if they are free.
    Take,
    /// Take them from any holder.
    TakeOver,
    /// Give them back.
    GiveBack,
}

/// To a browser, in addition to the state.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// A wish was queued.
    Accepted(String),
    /// A request was refused, with the reason.
    Refused(String),
    /// The stop was triggered.
    Stopped(bool),
    /// A notice for the user.
    Notice(String),
}

impl Answer {
    /// The serialized message.
    pub fn text(&self) -> String {
        // Strings and a bool always serialize to JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Holder of the controls, from one browser's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Whose {
    /// This browser's.
    Yours,
    /// Free.
    Free,
    /// Another browser's.
    Another,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Request> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn every_request_is_read_and_nothing_else() {
        assert_eq!(read(r#"{"wish":"accept"}"#), Some(Request::Wish(Wish::Accept)));
        assert_eq!(read(r#"{"wish":"recover"}"#), Some(Request::Wish(Wish::Recover)));
        for (word, wish) in [
            ("pause", Wish::Pause),
            ("resume", Wish::Resume),
            ("take_over", Wish::TakeOver),
            ("hand_back", Wish::HandBack),
        ] {
            assert_eq!(read(&format!(r#"{{"wish":"{word}"}}"#)), Some(Request::Wish(wish)));
        }
        let note = Request::Wish(Wish::Note { text: "cloth slipped".into() });
        assert_eq!(read(r#"{"wish":"note","text":"cloth slipped"}"#), Some(note));
        assert_eq!(read(r#"{"stop":true}"#), Some(Request::Stop { stop: true }));
        assert_eq!(read(r#"{"heartbeat":7}"#), Some(Request::Heartbeat { heartbeat: 7 }));
        assert_eq!(read(r#"{"controls":"take_over"}"#), Some(Request::Controls { controls: Change::TakeOver }));
        assert!(matches!(
            read(r#"{"gamepad":{"axes":[0.5,-1],"buttons":[true],"sequence":1}}"#),
            Some(Request::Gamepad { .. })
        ));
        for text in ["", "[]", "{}", r#"{"wish":"dance"}"#, r#"{"gamepad":{"axes":[]}}"#, r#"{"controls":"mine"}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_longest_note_fits_into_a_message() {
        let text = "\u{1}".repeat(crate::operator::LONGEST_NOTE);
        assert!(serde_json::to_string(&Wish::Note { text }).unwrap().len() < LONGEST_MESSAGE);
    }
}
