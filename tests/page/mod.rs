//! The page as a browser sees it: a plain websocket client for what goes over the wire, Chromium for what a person sees.

mod browser;
pub mod client;
mod controls;
mod crowd;
pub mod devtools;
mod live;
mod playback;
mod refusals;
mod synthetic;
