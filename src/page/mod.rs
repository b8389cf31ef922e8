//! The local web page: live view of a running arm, and buttons for the operator.
//!
//! Start reading at [`Page`], then [`PageSink`]. The page shows the [`Panel`](crate::operator::Panel) and the episode data
//! from the sink, and queues [`Wish`](crate::operator::Wish)es; a stop goes to
//! [`Operator::stop`](crate::operator::Operator::stop) at once.
//!
//! | address | what |
//! |---|---|
//! | `GET /`, `/page.css`, `/page.js` | the page, three files built into the program |
//! | `GET /live` | websocket: state as JSON ten times a second, images as one byte (camera) and a JPEG; wishes |
//! | `POST /stop` | stops, for a browser whose websocket is stuck; accepted while every place is taken |
//! | `GET /episodes`, `/episodes/NAME`, `/episodes/NAME/CAMERA/STEP` | recordings: a list, one without images, one image |
//!
//! # Guarantees
//! - The page never blocks a loop: the sink only stores newest values, and a separate thread encodes JPEGs.
//! - One browser has the controls; the previous holder is notified of a takeover; a silent holder loses them, and its
//!   gamepad is cleared. Stop works from every browser, with or without controls.
//! - It listens on localhost by default. A token is always generated if none is given, because every user of the machine can
//!   reach the page, and whoever reaches it can drive. [`PageSettings::open`] turns it off, only on localhost.
//! - Stop cannot be locked out without the token: unauthenticated connections wait in a small room of their own, for a few
//!   seconds at most, and a new one evicts the oldest. With the token a stop needs no free place.
//!
//! Stop needs the token like the rest. Without it, any web site could call it with a form, and any user of the machine or
//! the network could end every episode; operators soon ignore stops that come all the time. The stop that must always work
//! for everyone is the emergency stop on the robot; this one is for the operator.
//!
//! Refused: other sites' pages (`Origin`), other names for this machine (`Host`, DNS rebinding), messages over 16 KiB,
//! more browsers than [`MOST_BROWSERS`], and names of episodes that are not in the folder's list.
//! It is no TLS server: across an untrusted network, forward the port with `ssh -L 8480:localhost:8480 ROBOT`.

mod connections;
mod controls;
mod error;
mod gamepad;
mod gate;
mod guard;
mod live;
mod message;
mod pictures;
mod playback;
mod rooms;
mod routes;
mod server;
mod settings;
mod shared;
mod sink;
mod state;
mod words;

pub use error::PageError;
pub use gamepad::{GamepadSlot, PageGamepad};
pub use live::MOST_BROWSERS;
pub use server::Page;
pub use settings::{JointRange, PageSettings};
pub use sink::PageSink;
