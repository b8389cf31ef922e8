//! The URDF with which an FR3 describes itself: bodies and joints of our own description of the arm, ranges and speeds as in its
//! control box.
//!
//! The element `position_based_velocity_limits` is the maker's own; its clients read the joints' speed curves from it. Links
//! and joints have the names that libfranka 0.21 looks for (`link0` to the flange `link8`, `joint1` to `joint8`): without them
//! its model of the arm crashes. There are neither meshes nor the hand's fingers.

use std::fmt::{Result, Write};

use crate::driver::panda::limits::SpeedCurve;
use visuomotor_core::config::{Joint, Link, Robot};

/// The flange in the last moving link \[m\].
const FLANGE: f64 = 0.107;

/// The URDF of an arm whose joints, in chain order, have this curve.
pub fn urdf(robot: &Robot, curve: &SpeedCurve) -> String {
    let mut out = String::new();
    // Writing into a string does not fail.
    let _ = write_robot(&mut out, robot, curve);
    out
}

fn write_robot(out: &mut String, robot: &Robot, curve: &SpeedCurve) -> Result {
    writeln!(out, "<?xml version=\"1.0\"?>")?;
    writeln!(out, "<robot name=\"{}\">", robot.identity.name)?;
    let name = |long: &str| long.strip_prefix(&format!("{}_", robot.identity.name)).unwrap_or(long).to_string();
    // Only links with joints: an unconnected body makes it no tree, and the maker's client refuses it.
    let joined = |link: &&Link| robot.joint.iter().any(|joint| joint.parent == link.name || joint.child == link.name);
    for link in robot.link.iter().filter(joined) {
        write_link(out, link, &name(&link.name))?;
    }
    for (i, joint) in robot.joint.iter().enumerate().take(curve.offset.len()) {
        let names = Names { joint: name(&joint.name), parent: name(&joint.parent), child: name(&joint.child) };
        write_joint(out, &names, joint, i, curve)?;
    }
    let last = robot.joint.last().map(|joint| name(&joint.child)).unwrap_or_default();
    writeln!(out, "  <link name=\"link8\"/>\n  <joint name=\"joint8\" type=\"fixed\">")?;
    writeln!(out, "    <origin rpy=\"0 0 0\" xyz=\"0 0 {FLANGE}\"/>")?;
    writeln!(out, "    <parent link=\"{last}\"/>\n    <child link=\"link8\"/>\n  </joint>")?;
    writeln!(out, "</robot>")
}

/// A joint's names as the robot has them.
struct Names {
    joint: String,
    parent: String,
    child: String,
}

fn write_link(out: &mut String, link: &Link, name: &str) -> Result {
    let [x, y, z] = link.com;
    let [ixx, iyy, izz, ixy, ixz, iyz] = link.inertia;
    writeln!(out, "  <link name=\"{name}\">\n    <inertial>")?;
    writeln!(out, "      <origin rpy=\"0 0 0\" xyz=\"{x} {y} {z}\"/>")?;
    writeln!(out, "      <mass value=\"{}\"/>", link.mass)?;
    writeln!(
        out,
        "      <inertia ixx=\"{ixx}\" ixy=\"{ixy}\" ixz=\"{ixz}\" iyy=\"{iyy}\" iyz=\"{iyz}\" izz=\"{izz}\"/>"
    )?;
    writeln!(out, "    </inertial>\n  </link>")
}

fn write_joint(out: &mut String, names: &Names, joint: &Joint, i: usize, curve: &SpeedCurve) -> Result {
    let ([x, y, z], [roll, pitch, yaw], [ax, ay, az]) = (joint.xyz, joint.rpy, joint.axis);
    writeln!(out, "  <joint name=\"{}\" type=\"revolute\">", names.joint)?;
    writeln!(out, "    <origin rpy=\"{roll} {pitch} {yaw}\" xyz=\"{x} {y} {z}\"/>")?;
    writeln!(out, "    <parent link=\"{}\"/>\n    <child link=\"{}\"/>", names.parent, names.child)?;
    writeln!(out, "    <axis xyz=\"{ax} {ay} {az}\"/>")?;
    writeln!(
        out,
        "    <limit effort=\"{}\" lower=\"{}\" upper=\"{}\" velocity=\"{}\"/>",
        joint.effort, curve.lower[i], curve.upper[i], curve.velocity[i]
    )?;
    writeln!(
        out,
        "    <position_based_velocity_limits deceleration_limit=\"{}\" velocity_offset=\"{}\"/>",
        curve.deceleration[i], curve.offset[i]
    )?;
    writeln!(out, "  </joint>")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use franka::JointVelocityLimitsConfig;

    use super::*;
    use crate::driver::panda::limits::FR3_CURVE;

    #[test]
    fn it_is_one_chain_under_the_maker_s_names_without_the_fingers() {
        let robot = Robot::load(Path::new(crate::CHECKOUT), "fr3").unwrap();
        let text = urdf(&robot, &FR3_CURVE);
        let names = |before: &str| -> Vec<String> {
            text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).map(String::from).collect()
        };
        let numbered = |what: &str, from: u32, to: u32| (from..=to).map(|i| format!("{what}{i}")).collect::<Vec<_>>();
        assert_eq!(names("<link name=\""), numbered("link", 0, 8));
        assert_eq!(names("<joint name=\""), numbered("joint", 1, 8));
        assert_eq!(names("<parent link=\""), numbered("link", 0, 7));
        assert_eq!(names("<child link=\""), numbered("link", 1, 8));
    }

    /// franka-rs's reader is a port of the maker's; its curve equals ours except for the thousandth it subtracts.
    #[test]
    fn the_client_reads_the_joints_speed_curves_from_it() {
        let robot = Robot::load(Path::new(crate::CHECKOUT), "fr3").unwrap();
        let read = JointVelocityLimitsConfig::from_urdf(&urdf(&robot, &FR3_CURVE)).unwrap();
        for share in [0.0, 0.02, 0.5, 0.97, 1.0] {
            let q = std::array::from_fn(|i| FR3_CURVE.lower[i] + share * (FR3_CURVE.upper[i] - FR3_CURVE.lower[i]));
            let (lowest, highest) = (read.lower_limits(&q), read.upper_limits(&q));
            for i in 0..q.len() {
                let (low, high) = FR3_CURVE.velocities(i, q[i]);
                assert!((lowest[i] - low - 1e-3).abs() < 1e-9 && (highest[i] - high + 1e-3).abs() < 1e-9, "joint {i}");
            }
        }
    }
}
