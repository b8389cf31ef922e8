//! The page as a browser sees it: a plain websocket client for the protocol, Chromium for the operator's view.

mod browser;
pub mod client;
mod controls;
mod crowd;
pub mod devtools;
mod live;
mod playback;
mod refusals;
mod synthetic;
