//! Stand-in for a link that this program was built without.

use std::sync::Arc;

use anyhow::bail;

use super::{Emulated, LinkAddress};
use crate::camera::Camera;
use crate::config::{CameraCalibration, Launch, Robot};
use crate::driver::{ArmDriver, CheckReport, Plant};
use crate::time::SystemClock;

const ABSENT: &str = "this program was built without that driver: build with its feature (dynamixel, ros2, fci)";

pub fn connect(_: &Launch, _: &Robot, _: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    bail!(ABSENT)
}

#[allow(dead_code, reason = "over ROS 2 connecting commands nothing")]
pub fn connect_to_watch(_: &Launch, _: &Robot, _: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    bail!(ABSENT)
}

#[allow(dead_code, reason = "over ROS 2 a faulted arm connects like any other")]
pub fn connect_faulted(_: &Launch, _: &Robot, _: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    bail!(ABSENT)
}

pub fn link_address(_: &Launch, _: &Robot) -> anyhow::Result<LinkAddress> {
    bail!(ABSENT)
}

pub fn check(_: &Launch, _: &Robot, _: &Arc<SystemClock>) -> anyhow::Result<CheckReport> {
    bail!(ABSENT)
}

pub fn emulate(_: &Launch, _: &Robot, _: Box<dyn Plant>, _: &Arc<SystemClock>) -> anyhow::Result<Emulated> {
    bail!(ABSENT)
}

#[allow(dead_code, reason = "only ROS 2 brings cameras")]
pub fn cameras(_: &Launch, _: &[CameraCalibration], _: &Arc<SystemClock>) -> anyhow::Result<Vec<Box<dyn Camera>>> {
    bail!(ABSENT)
}
