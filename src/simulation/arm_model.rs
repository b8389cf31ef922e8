//! The arm's MJCF text, generated from its description, so that no number is written twice.

use std::fmt::Write;

use mujoco_rs::prelude::*;
use mujoco_rs::wrappers::mj_model::MjtObjBase;

use visuomotor_core::config::{FingerJoint, Primitive, PrimitiveKind, Robot};
use visuomotor_core::geometry::rotation_from_euler;

/// Name of the site at the tool point.
pub(super) const TOOL_SITE: &str = "tool";

/// Indices of an arm in a compiled model's arrays. Its actuators come first: joints in chain order, then fingers.
#[derive(Clone, Debug)]
pub(super) struct ArmPlaces {
    /// Position coordinate of each arm joint, chain order.
    pub(super) joint_qpos: Vec<usize>,
    /// Velocity coordinate of each arm joint, chain order.
    pub(super) joint_dof: Vec<usize>,
    /// Position coordinate of each finger; the first is the measured one.
    pub(super) finger_qpos: Vec<usize>,
}

impl ArmPlaces {
    pub(super) fn find(model: &MjModel, robot: &Robot) -> Result<Self, String> {
        let id = |joint: &str| {
            model
                .name_to_id(MjtObjBase::mjOBJ_JOINT, joint)
                .ok_or_else(|| format!("joint `{joint}` is missing; the model was made from another description"))
        };
        let mut places = Self { joint_qpos: Vec::new(), joint_dof: Vec::new(), finger_qpos: Vec::new() };
        for joint in &robot.joint {
            let id = id(&joint.name)?;
            places.joint_qpos.push(model.jnt_qposadr()[id] as usize);
            places.joint_dof.push(model.jnt_dofadr()[id] as usize);
        }
        for finger in &robot.gripper.finger {
            places.finger_qpos.push(model.jnt_qposadr()[id(&finger.name)?] as usize);
        }
        Ok(places)
    }
}

/// The arm as MJCF sections (`worldbody`, `contact`, `equality`, `actuator`), to be put inside `<mujoco>`.
pub fn arm_mjcf(robot: &Robot) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_arm(&mut out, robot);
    out
}

fn write_arm(out: &mut String, robot: &Robot) -> std::fmt::Result {
    writeln!(out, "<asset>")?;
    let look = &robot.look;
    for (name, [r, g, b], shine) in [
        ("arm_dark", look.body, "specular=\"0.3\" shininess=\"0.4\""),
        ("arm_servo", look.joint, "specular=\"0.3\" shininess=\"0.4\""),
        ("arm_pad", look.pad, "specular=\"0.1\" shininess=\"0.1\""),
    ] {
        writeln!(out, "<material name=\"{name}\" rgba=\"{r} {g} {b} 1\" {shine}/>")?;
    }
    writeln!(out, "</asset>")?;
    writeln!(out, "<worldbody>")?;
    write_body(out, robot, &robot.identity.base_link)?;
    writeln!(out, "</worldbody>")?;
    writeln!(out, "<contact>")?;
    for pair in robot.joint.windows(2) {
        // Neighbors overlap at the joint, and so do links two joints apart around a short servo.
        writeln!(out, "<exclude body1=\"{}\" body2=\"{}\"/>", pair[0].parent, pair[0].child)?;
        writeln!(out, "<exclude body1=\"{}\" body2=\"{}\"/>", pair[0].parent, pair[1].child)?;
    }
    writeln!(out, "</contact>")?;
    writeln!(out, "<equality>")?;
    if let [first, others @ ..] = robot.gripper.finger.as_slice() {
        for other in others {
            writeln!(
                out,
                "<joint joint1=\"{}\" joint2=\"{}\" polycoef=\"0 1 0 0 0\" solref=\"0.004 1\"/>",
                other.name, first.name
            )?;
        }
    }
    writeln!(out, "</equality>")?;
    writeln!(out, "<actuator>")?;
    for (i, joint) in robot.joint.iter().enumerate() {
        writeln!(
            out,
            "<position name=\"{0}\" joint=\"{0}\" kp=\"{1}\" kv=\"{2}\" forcerange=\"-{3} {3}\" ctrlrange=\"{4} {5}\"/>",
            joint.name,
            robot.simulation.stiffness[i],
            robot.simulation.damping[i],
            robot.simulation.force[i],
            joint.lower,
            joint.upper
        )?;
    }
    let gripper = &robot.gripper;
    for finger in &gripper.finger {
        writeln!(
            out,
            "<position name=\"{0}\" joint=\"{0}\" kp=\"{1}\" kv=\"{2}\" forcerange=\"-{3} {3}\"/>",
            finger.name, gripper.finger_stiffness, gripper.finger_damping, gripper.finger_force
        )?;
    }
    writeln!(out, "</actuator>")
}

fn write_body(out: &mut String, robot: &Robot, link: &str) -> std::fmt::Result {
    let joint = robot.joint.iter().enumerate().find(|(_, j)| j.child == link);
    let finger = robot.gripper.finger.iter().find(|f| f.link == link);
    match (joint, finger) {
        (Some((_, j)), _) => {
            writeln!(out, "<body name=\"{link}\" {}>", placed(j.xyz, j.rpy))?;
        }
        (None, Some(f)) => {
            writeln!(out, "<body name=\"{link}\" {}>", placed(f.xyz, f.rpy))?;
        }
        (None, None) => writeln!(out, "<body name=\"{link}\">")?,
    }
    if let Some(l) = robot.link_named(link) {
        writeln!(
            out,
            "<inertial pos=\"{} {} {}\" mass=\"{}\" fullinertia=\"{} {} {} {} {} {}\"/>",
            l.com[0],
            l.com[1],
            l.com[2],
            l.mass,
            l.inertia[0],
            l.inertia[1],
            l.inertia[2],
            l.inertia[3],
            l.inertia[4],
            l.inertia[5]
        )?;
    }
    if let Some((i, j)) = joint {
        writeln!(
            out,
            "<joint name=\"{}\" type=\"hinge\" axis=\"{} {} {}\" range=\"{} {}\" armature=\"{}\"/>",
            j.name, j.axis[0], j.axis[1], j.axis[2], j.lower, j.upper, robot.simulation.armature[i]
        )?;
    }
    if let Some(f) = finger {
        let g = &robot.gripper;
        let kind = match g.finger_joint {
            FingerJoint::Slide => "slide",
            FingerJoint::Hinge => "hinge",
        };
        writeln!(
            out,
            "<joint name=\"{}\" type=\"{kind}\" axis=\"{} {} {}\" range=\"{} {}\" limited=\"true\" armature=\"{}\"/>",
            f.name, f.axis[0], f.axis[1], f.axis[2], g.finger_min, g.finger_max, g.finger_armature
        )?;
    }
    for primitive in robot.primitive.iter().filter(|p| p.link == link) {
        write_geom(out, robot, primitive)?;
    }
    if robot.identity.tool.parent == link {
        let tool = &robot.identity.tool;
        writeln!(out, "<site name=\"{TOOL_SITE}\" {} size=\"0.001\" group=\"4\"/>", placed(tool.xyz, tool.rpy))?;
    }
    for child in robot.joint.iter().filter(|j| j.parent == link) {
        write_body(out, robot, &child.child)?;
    }
    for child in robot.gripper.finger.iter().filter(|f| f.parent == link) {
        write_body(out, robot, &child.link)?;
    }
    writeln!(out, "</body>")
}

fn placed(xyz: [f64; 3], rpy: [f64; 3]) -> String {
    let q = rotation_from_euler(rpy[0], rpy[1], rpy[2]);
    format!("pos=\"{} {} {}\" quat=\"{} {} {} {}\"", xyz[0], xyz[1], xyz[2], q.w, q.i, q.j, q.k)
}

fn write_geom(out: &mut String, robot: &Robot, p: &Primitive) -> std::fmt::Result {
    let size = match p.kind {
        PrimitiveKind::Box => {
            let h = p.half.unwrap_or_default();
            format!("type=\"box\" size=\"{} {} {}\"", h[0], h[1], h[2])
        }
        PrimitiveKind::Cylinder | PrimitiveKind::Capsule => {
            let kind = if p.kind == PrimitiveKind::Capsule { "capsule" } else { "cylinder" };
            format!("type=\"{kind}\" size=\"{} {}\"", p.radius.unwrap_or_default(), p.half_height.unwrap_or_default())
        }
    };
    let look = if p.pad {
        // Pads grip: friction in all directions, stiff contact, and priority over the object's own parameters.
        format!(
            "material=\"arm_pad\" friction=\"{} 0.05 0.002\" condim=\"6\" priority=\"1\" solref=\"0.006 1\" solimp=\"0.95 0.99 0.001\"",
            robot.gripper.pad_friction
        )
    } else if p.accent || p.kind == PrimitiveKind::Cylinder {
        "material=\"arm_servo\"".to_string()
    } else {
        "material=\"arm_dark\"".to_string()
    };
    writeln!(
        out,
        "<geom {size} pos=\"{} {} {}\" quat=\"{} {} {} {}\" {look}/>",
        p.pos[0], p.pos[1], p.pos[2], p.quat_wxyz[0], p.quat_wxyz[1], p.quat_wxyz[2], p.quat_wxyz[3]
    )
}
