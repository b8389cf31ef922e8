//! The process of a second commander: a separate node that, on a line of its standard input, announces a publisher
//! of the arm's commands. It sends nothing: announcing is enough.

use std::any::Any;
use std::io::BufRead;

use visuomotor::action::ControlMode;
use visuomotor::driver::{jaco, panda, sawyer, widowx};
use visuomotor::transport::ros2::messages::std::Float64MultiArray;
use visuomotor::transport::ros2::messages::{intera, interbotix, kinova};
use visuomotor::transport::ros2::{Qos, RosNode, RosSettings};

use super::link::Link;

/// Runs until its standard input ends.
pub fn run(link: Link, mode: ControlMode) -> anyhow::Result<()> {
    let mut settings = RosSettings::from_environment("somebody")?;
    match link {
        Link::WidowxXsSdk => settings = settings.with_namespace(widowx::xs_sdk::wire::NAMESPACE),
        Link::Jaco => settings = settings.with_namespace(&jaco::wire::namespace("j2s7s300")),
        _ => {}
    }
    let node = RosNode::start(settings)?;
    println!("ready");
    let mut publishers: Vec<Box<dyn Any>> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        line?;
        publishers.push(match link {
            Link::WidowxXsSdk => {
                Box::new(node.publisher::<interbotix::JointGroupCommand>("commands/joint_group", Qos::Command)?)
            }
            Link::PandaRos2Control => {
                Box::new(node.publisher::<Float64MultiArray>(&panda::ros2::wire::commands(mode), Qos::Command)?)
            }
            Link::Sawyer => Box::new(node.publisher::<intera::JointCommand>(sawyer::wire::COMMAND, Qos::Command)?),
            Link::Jaco if mode == ControlMode::Torque => {
                Box::new(node.publisher::<kinova::JointTorque>("in/joint_torque", Qos::Command)?)
            }
            Link::Jaco => Box::new(node.publisher::<kinova::JointVelocity>("in/joint_velocity", Qos::Command)?),
            Link::WidowxDynamixel | Link::PandaFci => anyhow::bail!("{} has no place for another", link.name()),
        });
    }
    Ok(())
}
