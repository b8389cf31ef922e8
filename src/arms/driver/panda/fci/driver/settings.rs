//! Connection, payload and limits of the arm over FCI.

use crate::driver::ConnectError;
use crate::driver::panda::limits::{COLLISION_THRESHOLD, FER, FR3, JOINT_IMPEDANCE, JOINTS, MakerLimits, PAYLOAD};
use visuomotor_core::config::{FciSetting, Payload, Robot};

/// Franka arm type, which determines the protocol.
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

    /// The arm with this protocol version.
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

    /// The maker's limits.
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

/// A mass fixed to the flange beyond the end effector configured in Desk.
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
    /// Joint accelerations of a stop \[rad/s2\].
    pub stop_acceleration: [f64; JOINTS],
    /// Joint jerks of a stop \[rad/s3\].
    pub stop_jerk: [f64; JOINTS],
    /// Joint torques on top of gravity \[Nm\].
    pub torque: [f64; JOINTS],
    /// Change of joint torques \[Nm/s\].
    pub torque_rate: [f64; JOINTS],
}

/// Share of the maker's limits used where a description gives none: room for what the robot adds when packets get lost.
const SHARE: f64 = 0.9;

impl MotionLimits {
    /// Nine tenths of the maker's limits; the whole torque range. libfranka's own limiter keeps 0.1 % on rates alone, and its users
    /// still meet discontinuity reflexes (franka_ros2 #127, #168).
    pub fn of(model: Model) -> Self {
        let maker = model.maker();
        let share = |values: [f64; JOINTS]| values.map(|value| SHARE * value);
        Self {
            lower: maker.lower,
            upper: maker.upper,
            velocity: share(maker.velocity),
            acceleration: share(maker.acceleration),
            jerk: share(maker.jerk),
            stop_acceleration: share(maker.acceleration),
            stop_jerk: share(maker.jerk),
            torque: maker.torque,
            torque_rate: share(maker.torque_rate),
        }
    }
}

/// Everything about a connection except the address.
#[derive(Clone, Debug, PartialEq)]
pub struct FciSettings {
    /// Limits of the commands sent.
    pub motion: MotionLimits,
    /// Contact torques per joint above which a contact is reported \[Nm\].
    pub contact_torque: [f64; JOINTS],
    /// Torques per joint above which the robot stops with a reflex \[Nm\].
    pub collision_torque: [f64; JOINTS],
    /// Forces and torques at the end effector above which a contact is reported \[N, Nm\].
    pub contact_force: [f64; 6],
    /// Forces and torques at the end effector above which the robot stops with a reflex \[N, Nm\].
    pub collision_force: [f64; 6],
    /// Stiffness of the robot's joint controller, for positions and velocities \[Nm/rad\].
    pub joint_impedance: [f64; JOINTS],
    /// Payload beyond the end effector configured in Desk; `None` leaves it unchanged.
    pub load: Option<Load>,
    /// The hand; `None` where the arm has none.
    pub hand: Option<HandSettings>,
    /// Age of a command at which the arm is held \[s\].
    pub command_age: f64,
    /// Age of a robot state at which the arm counts as silent \[s\]. The robot tolerates 0.02 s without us and then stops by
    /// itself. So a program suspended for less must not take its unread states for silence.
    pub silence: f64,
    /// Longest time that an activation may take \[s\].
    pub activation: f64,
    /// Longest time for a recovery, attempts and pauses together \[s\]. Users saw up to 12 s (franka_ros #317).
    pub recovery: f64,
    /// Priority of the FCI thread under `SCHED_FIFO`, 1 to 99; used where the system grants it.
    pub priority: i32,
    /// Lock the program's memory where the system permits it, so that the FCI thread has no page faults.
    pub lock_memory: bool,
    /// Is the robot only watched? Then it is sent nothing when it is connected, and is not activated.
    pub watch_only: bool,
}

impl FciSettings {
    /// Defaults for an arm without a hand.
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
            silence: 0.04,
            activation: 5.0,
            recovery: 15.0,
            priority: 80,
            lock_memory: true,
            watch_only: false,
        }
    }

    /// From a description, its limits checked against the maker's. A description may ask for gentler motion; a stop keeps the
    /// maker's full limits.
    pub fn from_robot(robot: &Robot) -> Result<(Model, Self), ConnectError> {
        let model = Model::from_robot(&robot.identity.name).ok_or_else(|| ConnectError::Unfit {
            arm: robot.identity.name.clone(),
            link: "fci".into(),
            what: "the arm".into(),
            found: robot.identity.name.clone(),
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
            ..settings.motion
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

impl FciSettings {
    /// With a launch file's settings, checked against the maker's limits.
    pub fn with(mut self, model: Model, setting: &FciSetting) -> Result<Self, ConnectError> {
        self.contact_torque = setting.contact_torque.unwrap_or(self.contact_torque);
        self.collision_torque = setting.collision_torque.unwrap_or(self.collision_torque);
        self.contact_force = setting.contact_force.unwrap_or(self.contact_force);
        self.collision_force = setting.collision_force.unwrap_or(self.collision_force);
        self.joint_impedance = setting.joint_impedance.unwrap_or(self.joint_impedance);
        if let Some(payload) = &setting.payload {
            self.load = Some(load_of(model, payload)?);
        }
        let tables: [(&str, &[f64], f64, &str); 5] = [
            ("collision_torque", &self.collision_torque, COLLISION_THRESHOLD, "Nm"),
            ("collision_force", &self.collision_force, COLLISION_THRESHOLD, "N (Nm)"),
            ("contact_torque", &self.contact_torque, COLLISION_THRESHOLD, "Nm"),
            ("contact_force", &self.contact_force, COLLISION_THRESHOLD, "N (Nm)"),
            ("joint_impedance", &self.joint_impedance, JOINT_IMPEDANCE, "Nm/rad"),
        ];
        for (key, values, most, unit) in tables {
            // Written so that NaN fails it.
            if let Some((i, value)) = values.iter().enumerate().find(|(_, value)| !(**value > 0.0 && **value <= most)) {
                let expected = format!("more than 0 and at most {most} {unit}");
                return Err(unfit(model, &format!("{key}[{i}]"), format!("{value} {unit}"), expected));
            }
        }
        let pairs: [(&str, &[f64], &[f64]); 2] = [
            ("contact_torque", &self.contact_torque, &self.collision_torque),
            ("contact_force", &self.contact_force, &self.collision_force),
        ];
        for (key, contact, collision) in pairs {
            if let Some(i) = (0..contact.len()).find(|&i| !(contact[i] <= collision[i])) {
                let expected = format!("at most the collision threshold, {}", collision[i]);
                return Err(unfit(model, &format!("{key}[{i}]"), contact[i].to_string(), expected));
            }
        }
        Ok(self)
    }
}

fn unfit(model: Model, key: &str, found: String, expected: String) -> ConnectError {
    ConnectError::Unfit {
        arm: model.robot().into(),
        link: "fci".into(),
        what: format!("`fci.{key}` of the launch file"),
        found,
        expected,
        fix: "leave the key out for the driver's own value, or correct it".into(),
    }
}

/// How far from the flange the center of a mass may be \[m\]: a unit error is farther.
const FARTHEST: f64 = 0.5;

/// Checks that a payload is physically possible: the robot compensates its weight, and one that does not exist makes the arm rise.
fn load_of(model: Model, payload: &Payload) -> Result<Load, ConnectError> {
    let Payload { mass, center, inertia } = *payload;
    if !(mass > 0.0 && mass <= PAYLOAD) {
        return Err(unfit(
            model,
            "payload.mass",
            format!("{mass} kg"),
            format!("more than 0 and at most {PAYLOAD} kg"),
        ));
    }
    if let Some(i) = (0..3).find(|&i| !(center[i].abs() <= FARTHEST)) {
        let expected = format!("within {FARTHEST} m of the flange");
        return Err(unfit(model, &format!("payload.center[{i}]"), format!("{} m", center[i]), expected));
    }
    let [xx, yy, zz, xy, xz, yz] = inertia;
    let tensor = nalgebra::Matrix3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz);
    // Moments about the tensor's principal axes: a body's are above zero, and none exceeds the sum of the others.
    let fits = inertia.iter().all(|value| value.is_finite()) && {
        let moments = tensor.symmetric_eigenvalues();
        let (sum, largest) = (moments.sum(), moments.max());
        moments.min() > 0.0 && largest <= (sum - largest) * 1.001
    };
    if !fits {
        let found = format!("{inertia:?} kg m2");
        let expected = "moments above 0, none of which exceeds the sum of the others".to_string();
        return Err(unfit(model, "payload.inertia", found, expected));
    }
    Ok(Load { mass, center, inertia: [xx, xy, xz, xy, yy, yz, xz, yz, zz] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(mass: f64) -> Payload {
        Payload { mass, center: [0.0, 0.01, 0.06], inertia: [2e-3, 1.5e-3, 1e-3, 1e-4, 0.0, 0.0] }
    }

    #[test]
    fn a_launch_files_settings_are_taken_and_the_rest_stays() {
        let setting = FciSetting {
            payload: Some(payload(0.6)),
            collision_torque: Some([80.0; 7]),
            joint_impedance: Some([1500.0; 7]),
            ..Default::default()
        };
        let ours = FciSettings::of(Model::Fer).with(Model::Fer, &setting).unwrap();
        assert_eq!((ours.collision_torque, ours.joint_impedance), ([80.0; 7], [1500.0; 7]));
        let load = ours.load.unwrap();
        assert_eq!((load.mass, load.center), (0.6, [0.0, 0.01, 0.06]));
        assert_eq!(load.inertia, [2e-3, 1e-4, 0.0, 1e-4, 1.5e-3, 0.0, 0.0, 0.0, 1e-3]);
        let usual = FciSettings::of(Model::Fer);
        assert_eq!((ours.contact_torque, ours.collision_force), (usual.contact_torque, usual.collision_force));
        assert_eq!(usual.clone().with(Model::Fer, &FciSetting::default()).unwrap(), usual);
    }

    #[test]
    fn settings_beyond_the_maker_or_of_no_body_are_refused_by_key() {
        let none = FciSetting::default;
        let heavy = |mass| FciSetting { payload: Some(payload(mass)), ..none() };
        let bodied = |inertia| FciSetting { payload: Some(Payload { inertia, ..payload(0.5) }), ..none() };
        let mut torques = [40.0; 7];
        torques[3] = f64::NAN;
        for (setting, key, limit) in [
            (heavy(3.1), "fci.payload.mass", "at most 3 kg"),
            (heavy(0.0), "fci.payload.mass", "more than 0"),
            (heavy(f64::NAN), "fci.payload.mass", "at most 3 kg"),
            (bodied([1.0, 1.0, 3.0, 0.0, 0.0, 0.0]), "fci.payload.inertia", "sum of the others"),
            (bodied([1e-3, 1e-3, 1e-3, 2e-3, 0.0, 0.0]), "fci.payload.inertia", "above 0"),
            (bodied([f64::NAN; 6]), "fci.payload.inertia", "above 0"),
            (
                FciSetting { payload: Some(Payload { center: [0.0, 0.0, 60.0], ..payload(0.5) }), ..none() },
                "fci.payload.center[2]",
                "0.5 m",
            ),
            (FciSetting { collision_torque: Some(torques), ..none() }, "fci.collision_torque[3]", "100 Nm"),
            (FciSetting { collision_force: Some([500.0; 6]), ..none() }, "fci.collision_force[0]", "100 N"),
            (
                FciSetting { contact_torque: Some([50.0; 7]), ..none() },
                "fci.contact_torque[0]",
                "collision threshold, 40",
            ),
            (
                FciSetting { collision_force: Some([10.0; 6]), ..none() },
                "fci.contact_force[0]",
                "collision threshold, 10",
            ),
            (FciSetting { joint_impedance: Some([2e4; 7]), ..none() }, "fci.joint_impedance[0]", "14250"),
            (FciSetting { joint_impedance: Some([-1.0; 7]), ..none() }, "fci.joint_impedance[0]", "more than 0"),
        ] {
            let text = FciSettings::of(Model::Fr3).with(Model::Fr3, &setting).unwrap_err().to_string();
            for word in [key, limit, "launch file", "fr3", "leave the key out"] {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
    }

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
