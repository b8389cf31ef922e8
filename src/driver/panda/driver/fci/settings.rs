//! How the arm is reached, loaded and limited over FCI.

use crate::config::Robot;
use crate::driver::ConnectError;
use crate::driver::panda::limits::{FER, FR3, JOINTS, MakerLimits};

/// Which of Franka's arms, and with it which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Franka Emika Robot, "Panda": FCI version 5.
    Fer,
    /// Franka Research 3: FCI version 10.
    Fr3,
}

impl Model {
    /// From the name in `robots/`.
    pub fn from_robot(name: &str) -> Option<Self> {
        [Model::Fer, Model::Fr3].into_iter().find(|model| model.robot() == name)
    }

    /// The arm that speaks a protocol version.
    pub fn from_version(version: u16) -> Option<Self> {
        [Model::Fer, Model::Fr3].into_iter().find(|model| model.version() == version)
    }

    /// Name in `robots/`.
    pub fn robot(self) -> &'static str {
        self.maker().robot
    }

    /// Protocol version.
    pub fn version(self) -> u16 {
        match self {
            Model::Fer => 5,
            Model::Fr3 => 10,
        }
    }

    /// What the maker allows.
    pub fn maker(self) -> &'static MakerLimits {
        match self {
            Model::Fer => &FER,
            Model::Fr3 => &FR3,
        }
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Model::Fer => "Franka Emika Robot (Panda)",
            Model::Fr3 => "Franka Research 3",
        })
    }
}

/// A mass fixed to the flange behind the end effector that Desk knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Mass \[kg\].
    pub mass: f64,
    /// Center of mass in the flange frame \[m\].
    pub center: [f64; 3],
    /// Inertia about the center of mass, column-major \[kg m2\].
    pub inertia: [f64; 9],
}

/// The Franka Hand.
#[derive(Clone, Debug, PartialEq)]
pub struct HandSettings {
    /// `host` or `host:port`; none is the arm's host and port 1338.
    pub address: Option<String>,
    /// Opening that is gripper 0 \[m between the fingers\].
    pub closed: f64,
    /// Opening that is gripper 1 \[m between the fingers\].
    pub open: f64,
    /// Speed of the fingers \[m/s\].
    pub speed: f64,
    /// Force of a grasp \[N\].
    pub force: f64,
}

/// The largest joint motion that is sent; at most the maker's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionLimits {
    /// Lowest joint positions \[rad\].
    pub lower: [f64; JOINTS],
    /// Highest joint positions \[rad\].
    pub upper: [f64; JOINTS],
    /// Joint speeds \[rad/s\].
    pub velocity: [f64; JOINTS],
    /// Joint accelerations \[rad/s2\].
    pub acceleration: [f64; JOINTS],
    /// Joint jerks \[rad/s3\].
    pub jerk: [f64; JOINTS],
    /// Joint torques on top of gravity \[Nm\].
    pub torque: [f64; JOINTS],
    /// Change of joint torques \[Nm/s\].
    pub torque_rate: [f64; JOINTS],
}

/// Share of the maker's limits used where no description says less: room for what the robot adds when packets get lost.
const SHARE: f64 = 0.9;

impl MotionLimits {
    /// Nine tenths of what the maker allows; the whole torque range. libfranka's own limiter keeps 0.1 % on rates alone,
    /// and users of it still meet discontinuity reflexes (franka_ros2 #127, #168).
    pub fn of(model: Model) -> Self {
        let maker = model.maker();
        let share = |values: [f64; JOINTS]| values.map(|value| SHARE * value);
        Self {
            lower: maker.lower,
            upper: maker.upper,
            velocity: share(maker.velocity),
            acceleration: share(maker.acceleration),
            jerk: share(maker.jerk),
            torque: maker.torque,
            torque_rate: share(maker.torque_rate),
        }
    }
}

/// Everything about a connection that is not the address.
#[derive(Clone, Debug, PartialEq)]
pub struct FciSettings {
    /// What is sent at most.
    pub motion: MotionLimits,
    /// Contact torques per joint above which a contact is told \[Nm\].
    pub contact_torque: [f64; JOINTS],
    /// Torques per joint above which the robot stops with a reflex \[Nm\].
    pub collision_torque: [f64; JOINTS],
    /// Forces and torques at the end effector above which a contact is told \[N, Nm\].
    pub contact_force: [f64; 6],
    /// Forces and torques at the end effector above which the robot stops with a reflex \[N, Nm\].
    pub collision_force: [f64; 6],
    /// Stiffness of the robot's joint controller, for positions and velocities \[Nm/rad\].
    pub joint_impedance: [f64; JOINTS],
    /// What the arm carries beside the end effector that Desk knows; none leaves it as it is.
    pub load: Option<Load>,
    /// The hand; none where the arm has none.
    pub hand: Option<HandSettings>,
    /// Age of a command at which the arm is held \[s\].
    pub command_age: f64,
    /// Age of a robot state at which the arm counts as silent \[s\]; the robot itself stops after 0.02 s without us.
    pub silence: f64,
    /// Longest time that an activation may take \[s\].
    pub activation: f64,
    /// Longest time that a recovery may take, tries and pauses together \[s\]. Users saw up to 12 s (franka_ros #317).
    pub recovery: f64,
    /// Priority of the FCI thread under `SCHED_FIFO`, 1 to 99; used where the system grants it.
    pub priority: i32,
    /// Lock the program's memory where the system grants it, so that the FCI thread waits for no page.
    pub lock_memory: bool,
}

impl FciSettings {
    /// Usual values for an arm without a hand.
    pub fn of(model: Model) -> Self {
        Self {
            motion: MotionLimits::of(model),
            contact_torque: [20.0, 20.0, 18.0, 18.0, 16.0, 14.0, 12.0],
            collision_torque: [40.0, 40.0, 36.0, 36.0, 32.0, 28.0, 24.0],
            contact_force: [20.0, 20.0, 20.0, 25.0, 25.0, 25.0],
            collision_force: [40.0, 40.0, 40.0, 50.0, 50.0, 50.0],
            joint_impedance: [3000.0, 3000.0, 3000.0, 2500.0, 2500.0, 2000.0, 2000.0],
            load: None,
            hand: None,
            // Three ticks of a 50 Hz control loop.
            command_age: 0.06,
            silence: 0.02,
            activation: 5.0,
            recovery: 15.0,
            priority: 80,
            lock_memory: true,
        }
    }

    /// From a description, its limits checked against the maker's.
    pub fn from_robot(robot: &Robot) -> Result<(Model, Self), ConnectError> {
        let model = Model::from_robot(&robot.robot.name).ok_or_else(|| ConnectError::Unfit {
            arm: robot.robot.name.clone(),
            link: "fci".into(),
            what: "the arm".into(),
            found: robot.robot.name.clone(),
            expected: "panda or fr3".into(),
            fix: "only Franka's arms speak FCI: choose another driver".into(),
        })?;
        model.maker().check(robot)?;
        let row = |values: &[f64]| std::array::from_fn(|i| values[i]);
        let limits = &robot.limits;
        let mut settings = Self::of(model);
        settings.motion = MotionLimits {
            lower: std::array::from_fn(|i| robot.joint[i].lower + limits.joint_margin),
            upper: std::array::from_fn(|i| robot.joint[i].upper - limits.joint_margin),
            velocity: row(&limits.joint_velocity),
            acceleration: row(&limits.joint_acceleration),
            jerk: row(&limits.joint_jerk),
            torque: row(&limits.joint_torque),
            torque_rate: row(&limits.joint_torque_rate),
        };
        let hand = &robot.gripper;
        settings.hand = Some(HandSettings {
            address: None,
            closed: 2.0 * hand.finger_closed,
            open: 2.0 * hand.finger_open,
            speed: hand.finger_velocity,
            force: hand.finger_force,
        });
        Ok((model, settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_by_name_and_by_version() {
        for model in [Model::Fer, Model::Fr3] {
            assert_eq!(Model::from_robot(model.robot()), Some(model));
            assert_eq!(Model::from_version(model.version()), Some(model));
        }
        assert_eq!(Model::from_version(7), None);
    }

    #[test]
    fn nothing_is_sent_beyond_the_maker() {
        for model in [Model::Fer, Model::Fr3] {
            let (ours, maker) = (MotionLimits::of(model), model.maker());
            for i in 0..JOINTS {
                assert!(ours.velocity[i] < maker.velocity[i] && ours.jerk[i] < maker.jerk[i]);
                assert!(ours.acceleration[i] < maker.acceleration[i] && ours.torque_rate[i] < maker.torque_rate[i]);
            }
        }
    }
}
