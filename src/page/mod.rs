//! The local web page: what a lab looks at while an arm runs, and the buttons of whoever stands beside it.
//!
//! Start reading at [`Page`], then [`PageSink`]. The page shows the [`Panel`](crate::operator::Panel) and what the sink
//! hears of the episode, and puts down [`Wish`](crate::operator::Wish)es; a stop goes to
//! [`Operator::stop`](crate::operator::Operator::stop) at once.
//!
//! | address | what |
//! |---|---|
//! | `GET /`, `/page.css`, `/page.js` | the page, three files built into the program |
//! | `GET /live` | websocket: state as JSON ten times a second, images as one byte (camera) and a JPEG; wishes |
//! | `POST /stop` | stops, for a browser whose websocket is stuck; answered while every place is taken |
//! | `GET /episodes`, `/episodes/NAME`, `/episodes/NAME/CAMERA/STEP` | recordings: a list, one without images, one image |
//!
//! # What is promised
//! - The page never holds up a loop: the sink leaves newest values behind and images become JPEG on a thread of their own.
//! - One browser has the controls; taking them over is shown to the one that had them; a holder that is not heard of loses
//!   them, and its gamepad is forgotten. Stop works from every browser, with or without controls.
//! - It listens on the machine itself. A token is made where none is given, there too: every user of the machine reaches the
//!   page, and whoever reaches it can drive. [`PageSettings::open`] does without, on the machine itself alone.
//! - Stop cannot be locked out without the token: connections that have not shown it wait in a small room of their own, for
//!   a few seconds at most, and the oldest makes room for one more. With the token a stop needs no free place.
//!
//! Stop asks for the token like the rest. Without, any page of any site could call it with a form, any user of the machine
//! and anybody in the network could end every episode, and a stop that comes all the time is soon passed over. What
//! must work for everybody and always is the emergency stop on the robot; this one is for who drives.
//!
//! Refused: other sites' pages (`Origin`), other names for this machine (`Host`, DNS rebinding), messages over 16 KiB,
//! more browsers than [`MOST_BROWSERS`], and names of episodes that are not in the folder's list.
//! It is no TLS server: across an untrusted network, forward the port with `ssh -L 8480:localhost:8480 ROBOT`.

mod connections;
mod controls;
mod error;
mod gamepad;
mod guard;
mod live;
mod message;
mod pictures;
mod playback;
mod rooms;
mod routes;
mod server;
mod settings;
mod sink;
mod state;
mod words;

pub use error::PageError;
pub use gamepad::{GamepadSlot, PageGamepad};
pub use live::MOST_BROWSERS;
pub use server::Page;
pub use settings::{JointRange, PageSettings};
pub use sink::PageSink;
