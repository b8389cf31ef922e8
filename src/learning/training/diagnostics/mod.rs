//! Evaluates a representation before a robot uses it: distances and values along clips, and how well a linear value function
//! fits on frozen features.
//!
//! [`bumps`] and [`falling_share`] count steps in the wrong direction, [`value_chart`] draws V(s_t), [`LinearValue::fit`] is
//! the closed-form SARSA probe, [`potential_rewards`] turns distances into rewards. All of these compute on rows of numbers;
//! [`embed_clip`] and [`rows`] turn images into rows.

mod chart;
mod distance;
mod embedding;
mod sarsa;

pub use chart::{ValueCurve, value_chart};
pub use distance::{
    Spread, bumps, distances_to, falling_share, mean_goal, potential_rewards, rising_share, value_rewards,
};
pub use embedding::{clip_images, embed_clip, rows, values_to_the_last};
pub use sarsa::{Errors, Fit, LinearValue, Trajectory};
