//! The page as a browser sees it: a plain websocket client for what goes over the wire, Chromium for what a person sees.

mod browser;
mod client;
mod controls;
mod devtools;
mod live;
mod playback;
mod refusals;
mod synthetic;
