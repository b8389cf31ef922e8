//! Every arm of `robots/`: our kinematics and dynamics against MuJoCo, and MuJoCo under each drive.

use std::path::Path;

use visuomotor::config::Robot;
use visuomotor::observation::JointVector;
use visuomotor::simulation::Pedestal;

/// Our formulas against MuJoCo's.
mod agreement;
/// MuJoCo held by our gravity compensation, and driven.
mod drives;

const ARMS: [&str; 7] = ["widowx", "panda", "fr3", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"];

fn robot(name: &str) -> Robot {
    Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).unwrap()
}

fn at_home(robot: &Robot) -> Pedestal {
    Pedestal::build(robot, &JointVector::from_slice(&robot.identity.home)).unwrap()
}
