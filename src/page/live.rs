//! The websocket of one browser.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::controls::{BrowserId, Lost};
use super::message::{Answer, Change, LONGEST_MESSAGE, Request, Whose};
use super::shared::Shared;

/// Browsers that may watch at a time.
pub const MOST_BROWSERS: usize = 16;

/// Time between two states.
const PERIOD: Duration = Duration::from_millis(100);
/// States by which a browser may lag before it gets no more images: a slow link must not show the past.
const MOST_BEHIND: u64 = 10;
/// Time-out for a browser that receives nothing.
const LONGEST_SEND: Duration = Duration::from_secs(10);
/// Messages a browser may send in one second.
const MOST_MESSAGES: u32 = 400;

/// A watching browser; dropping it frees its slot.
struct Seat {
    shared: Arc<Shared>,
    id: BrowserId,
    /// The newest state it has acknowledged.
    seen: AtomicU64,
}

impl Seat {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let room = |count: usize| (count < MOST_BROWSERS).then_some(count + 1);
        shared.browsers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        shared.pictures.watch();
        let id = shared.next_browser.fetch_add(1, Ordering::Relaxed);
        Some(Self { shared: shared.clone(), id, seen: AtomicU64::new(0) })
    }

    fn whose(&self, holder: Option<BrowserId>) -> Whose {
        match holder {
            None => Whose::Free,
            Some(id) if id == self.id => Whose::Yours,
            Some(_) => Whose::Another,
        }
    }

    /// Executes a message.
    fn handle(&self, text: &str) -> Option<Answer> {
        let Ok(request) = serde_json::from_str(text) else {
            return Some(Answer::Refused("the message was not understood".into()));
        };
        // Before anything that might block.
        if let Request::Stop { stop } = request {
            if stop {
                self.shared.operator.stop("page");
            }
            return stop.then_some(Answer::Stopped(true));
        }
        self.shared.controls(|controls, now| controls.heard(self.id, now));
        match request {
            Request::Stop { .. } => None,
            Request::Heartbeat { heartbeat } => {
                self.seen.store(heartbeat, Ordering::Relaxed);
                None
            }
            Request::Controls { controls } => self.change(controls),
            Request::Gamepad { gamepad } => {
                // Under the lock, so that no other browser can take over: the next holder must find an empty slot.
                self.shared.controls(|controls, now| {
                    if controls.holder(now) == Some(self.id) {
                        self.shared.gamepad.put(gamepad, now);
                    }
                });
                None
            }
            Request::Wish(wish) => {
                // While the controls are free, the first browser to press a button gets them.
                let (mine, _) = self.shared.controls(|controls, now| controls.take(self.id, now));
                if !mine {
                    return Some(Answer::Refused("another browser has the controls; take them over first".into()));
                }
                let name = serde_json::to_value(&wish)
                    .ok()
                    .and_then(|value| Some(value.get("wish")?.as_str()?.to_string()))
                    .unwrap_or_default();
                Some(match self.shared.operator.wish(wish, "page") {
                    true => Answer::Accepted(name),
                    false => Answer::Refused(format!("{name}: too many wishes wait, or the note is too long")),
                })
            }
        }
    }

    fn change(&self, change: Change) -> Option<Answer> {
        let (done, _) = self.shared.controls(|controls, now| match change {
            Change::Take => controls.take(self.id, now),
            Change::TakeOver => {
                controls.take_over(self.id, now);
                true
            }
            Change::GiveBack => {
                controls.give_back(self.id);
                true
            }
        });
        (!done).then(|| Answer::Refused("another browser has the controls; take them over first".into()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.controls(|controls, _| controls.give_back(self.id));
        self.shared.pictures.unwatch();
        self.shared.browsers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `GET /live`.
pub(super) async fn live(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let Some(seat) = Seat::take(&shared) else {
        let words = format!("{MOST_BROWSERS} browsers watch already; close one");
        return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    };
    upgrade
        .max_message_size(LONGEST_MESSAGE)
        .max_frame_size(LONGEST_MESSAGE)
        .on_upgrade(move |socket| watch(socket, seat))
}

async fn watch(socket: WebSocket, seat: Seat) {
    let (out, messages) = socket.split();
    let (answers, answered) = mpsc::channel(32);
    // Reading never waits for writing: a stop gets through even if the browser is too slow for its images.
    tokio::select! {
        () = read(messages, &seat, answers) => {}
        () = write(out, &seat, answered) => {}
    }
}

async fn read(mut messages: SplitStream<WebSocket>, seat: &Seat, answers: mpsc::Sender<Answer>) {
    let (mut second, mut count) = (seat.shared.now(), 0);
    while let Some(Ok(message)) = messages.next().await {
        let now = seat.shared.now();
        if now.since(second) >= Duration::from_secs(1) {
            (second, count) = (now, 0);
        }
        count += 1;
        match message {
            _ if count > MOST_MESSAGES => return tracing::warn!("a browser sent too much and was disconnected"),
            Message::Text(text) => {
                if let Some(answer) = seat.handle(&text) {
                    // A browser that sends faster than it reads loses replies.
                    let _ = answers.try_send(answer);
                }
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) => return,
        }
    }
}

async fn write(mut out: SplitSink<WebSocket, Message>, seat: &Seat, mut answered: mpsc::Receiver<Answer>) {
    let mut due = interval(PERIOD);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut view = View::default();
    loop {
        let messages = tokio::select! {
            Some(answer) = answered.recv() => vec![Message::Text(answer.text().into())],
            _ = due.tick() => view.news(seat),
        };
        for message in messages {
            if !matches!(timeout(LONGEST_SEND, out.send(message)).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// State already sent to one browser.
#[derive(Default)]
struct View {
    sequence: u64,
    held: bool,
    /// Generation of the curve and points of it.
    curve: (u64, usize),
    /// Version of each camera's image.
    versions: Vec<u64>,
}

impl View {
    /// Messages to send to this browser now.
    fn news(&mut self, seat: &Seat) -> Vec<Message> {
        self.sequence += 1;
        let (lost, holder) = seat.shared.controls(|controls, now| {
            controls.holder(now);
            controls.lost(seat.id)
        });
        let whose = seat.whose(holder);
        let mut news = Vec::new();
        if std::mem::replace(&mut self.held, whose == Whose::Yours) && !self.held {
            let words = match lost {
                Some(Lost::TakenOver) => "Another browser took the controls over.",
                Some(Lost::Silent) => "This page was silent and lost the controls.",
                None => "The controls were given back.",
            };
            news.push(Message::Text(Answer::Notice(words.into()).text().into()));
        }
        news.push(Message::Text(self.state(seat, whose).into()));
        if self.sequence.saturating_sub(seat.seen.load(Ordering::Relaxed)) <= MOST_BEHIND {
            let pictures = seat.shared.pictures.pictures();
            self.versions.resize(pictures.len(), 0);
            for (sent, picture) in self.versions.iter_mut().zip(pictures) {
                if let Some(picture) = picture.filter(|picture| picture.version > *sent) {
                    *sent = picture.version;
                    news.push(Message::Binary(picture.message));
                }
            }
        }
        news
    }

    fn state(&mut self, seat: &Seat, whose: Whose) -> String {
        let (generation, from, points) = {
            let live = seat.shared.live();
            if live.curve.generation != self.curve.0 {
                self.curve = (live.curve.generation, 0);
            }
            let from = self.curve.1;
            self.curve.1 = live.curve.points.len();
            (self.curve.0, from, live.curve.points.get(from..).unwrap_or_default().to_vec())
        };
        let of_this_browser = serde_json::json!({
            "sequence": self.sequence,
            "controls": whose,
            "browsers": seat.shared.browsers.load(Ordering::Relaxed),
            "curve": { "generation": generation, "from": from, "points": points },
        });
        format!(r#"{{"view":{of_this_browser},"state":{}}}"#, seat.shared.snapshot())
    }
}
