//! The control thread's path allocates nothing: kinematics, control and safety under a counting allocator.
//!
//! One path allocates once: if no jerk-limited motion is found, its solver formats a message that is not used.
//! `tests/motion/ruckig_oracle.rs` counts how often that happens.

#[path = "runtime/counting.rs"]
mod counting;

use std::path::Path;
use std::time::Duration;

use visuomotor::action::{Action, ActionBounds, ControlMode, JointCommand, Motion};
use visuomotor::config::{ControlLaw, ControlSetting, GripperPolicy, Robot};
use visuomotor::control::{Controller, Differential, DifferentialSettings, TwistFrame};
use visuomotor::geometry::{Pose, Twist};
use visuomotor::kinematics::{Chain, Dynamics, InverseSettings, Payload};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

use counting::allocations;

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = allocations();
    work();
    allocations() - before
}

fn arm() -> (Robot, Chain, Proprioception) {
    arm_named("widowx")
}

fn arm_named(name: &str) -> (Robot, Chain, Proprioception) {
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).unwrap();
    let chain = Chain::from_robot(&robot).unwrap();
    let measured = Proprioception {
        joint_positions: *chain.home(),
        joint_velocities: JointVector::zeros(chain.joints()),
        joint_efforts: JointVector::zeros(chain.joints()),
        finger_position: 0.02,
        gripper: 0.5,
        measured_at: Timestamp::ZERO,
    };
    (robot, chain, measured)
}

#[test]
fn the_counter_counts() {
    assert!(allocations_of(|| drop(std::hint::black_box(vec![1u8; 100]))) >= 2);
}

#[test]
fn kinematics_allocates_nothing() {
    let (_, chain, _) = arm();
    let home = *chain.home();
    let near = chain.forward(&[0.1, -0.7, 0.5, 0.1, 1.6, 0.0]);
    let far = Pose::translation(2.0, 0.0, 0.2);
    let n = allocations_of(|| {
        std::hint::black_box(chain.forward(&home));
        std::hint::black_box(chain.jacobian(&home));
        assert!(chain.inverse(&home, &near, &InverseSettings::tracking()).is_ok());
        assert!(chain.inverse(&home, &near, &InverseSettings::reach()).is_ok());
        assert!(chain.inverse(&home, &far, &InverseSettings::reach()).is_err());
    });
    assert_eq!(n, 0);
}

#[test]
fn dynamics_allocates_nothing() {
    for name in ["widowx", "panda", "sawyer", "jaco_j2s7s300"] {
        let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).unwrap();
        let mut dynamics = Dynamics::from_robot(&robot).unwrap();
        let (q, v) = (&robot.identity.home, &robot.limits.joint_velocity);
        let n = allocations_of(|| {
            std::hint::black_box(dynamics.terms(q, v));
            std::hint::black_box(dynamics.gravity(q));
            std::hint::black_box(dynamics.mass_matrix(q));
            std::hint::black_box(dynamics.coriolis(q, v));
            std::hint::black_box(dynamics.inverse_dynamics(q, v, v));
            dynamics.set_finger(robot.gripper.finger_closed);
            assert!(dynamics.set_payload(Payload { mass: 0.3, ..Payload::NONE }).is_ok());
            std::hint::black_box(dynamics.terms(q, v));
        });
        assert_eq!(n, 0, "{name}");
    }
}

#[test]
fn control_and_safety_allocate_nothing() {
    let (robot, chain, measured) = arm();
    let period = Duration::from_millis(200);
    let policies = [
        GripperPolicy::Direct,
        GripperPolicy::Sticky { steps: 1 },
        GripperPolicy::RateLimit { closing: 0.3, opening: 1.0 },
    ];
    for policy in policies {
        let mut controller = Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, policy, period);
        let mut filter = SafetyFilter::new(&robot, chain.clone());
        let n = allocations_of(|| {
            controller.seed(Timestamp::ZERO, &measured);
            filter.seed(Timestamp::ZERO, &measured);
            let mut now = Timestamp::ZERO;
            for step in 0..50 {
                // Keeps turning, so that some targets are out of reach.
                let action = Action { translation: [0.03, 0.0, -0.03], rotation: [0.25, 0.0, 0.1], gripper: 0.0 };
                std::hint::black_box(controller.accept(now, &action, &measured));
                for _ in 0..10 {
                    now = now + Duration::from_millis(20);
                    let wished = controller.command(now, &measured);
                    std::hint::black_box(filter.filter(now, &wished, &measured, Some(Duration::ZERO)));
                }
                if step == 25 {
                    std::hint::black_box(controller.move_to(now, &measured.joint_positions, period, 1.0));
                    controller.resume(now, &measured);
                }
            }
            let lost = JointCommand::position(JointVector::from_slice(&[f64::NAN; 6]), 0.0);
            std::hint::black_box(filter.filter(now, &lost, &measured, None));
            std::hint::black_box(filter.filter(now, &controller.command(now, &measured), &measured, Some(period * 10)));
        });
        assert_eq!(n, 0, "{policy:?}");
    }
}

#[test]
fn every_law_and_every_mode_of_the_filter_allocate_nothing() {
    let period = Duration::from_millis(200);
    for name in ["widowx", "panda"] {
        let (robot, chain, measured) = arm_named(name);
        let tick = Duration::from_secs_f64(1.0 / robot.identity.control_rate_hz);
        for law in [
            ControlLaw::Interpolate,
            ControlLaw::JerkLimited,
            ControlLaw::Velocity,
            ControlLaw::Torque,
            ControlLaw::JointImpedance,
            ControlLaw::CartesianImpedance,
        ] {
            let setting = ControlSetting { law, ..ControlSetting::default() };
            let mut controller =
                Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, GripperPolicy::Direct, period)
                    .with_law(&robot, &setting)
                    .unwrap();
            let mut filter = SafetyFilter::new(&robot, chain.clone());
            let n = allocations_of(|| {
                let mut now = Timestamp::ZERO;
                let mut arm = measured;
                controller.seed(now, &arm);
                filter.seed(now, &arm);
                std::hint::black_box(controller.move_to(now, &arm.joint_positions, period, 1.0));
                for step in 0..40 {
                    let to_and_fro = if step % 3 == 0 { -0.04 } else { 0.03 };
                    let action =
                        Action { translation: [0.0, to_and_fro, 0.0], rotation: [0.1, 0.0, 0.1], gripper: 0.0 };
                    let still = JointVector::zeros(chain.joints());
                    for motion in [
                        Motion::ToolPose(chain.forward(&arm.joint_positions)),
                        Motion::JointPositions(arm.joint_positions),
                        Motion::JointVelocities(still),
                    ] {
                        std::hint::black_box(controller.accept_motion(now, &motion, 1.0, &arm));
                    }
                    std::hint::black_box(controller.accept(now, &action, &arm));
                    std::hint::black_box(controller.accept_torques(&JointVector::zeros(chain.joints()), 1.0));
                    for _ in 0..10 {
                        now = now + tick;
                        let wished = controller.command(now, &arm);
                        let verdict = filter.filter(now, &wished, &arm, Some(Duration::ZERO));
                        if law.mode() == ControlMode::Position {
                            arm.joint_positions = verdict.sent.joints();
                        }
                        // Fast, at an end of the range, and both.
                        let mut pushed = arm;
                        pushed.joint_velocities[1] = robot.limits.joint_velocity[1] * 0.1 * f64::from(step % 16);
                        pushed.joint_positions[2] = chain.limits()[2].upper;
                        let mut greedy = wished;
                        greedy.joints_mut().iter_mut().for_each(|value| *value = 100.0);
                        std::hint::black_box(filter.filter(now, &greedy, &pushed, Some(Duration::ZERO)));
                    }
                }
                let mut lost = controller.command(now, &arm);
                lost.joints_mut()[0] = f64::NAN;
                std::hint::black_box(filter.filter(now, &lost, &arm, None));
                std::hint::black_box(filter.filter(now, &controller.command(now, &arm), &arm, Some(period * 10)));
                controller.resume(now, &arm);
            });
            assert_eq!(n, 0, "{name} {law:?}");
        }
    }
}

/// Every arm, with its capsules and planes: at the table, in itself, blocked, and commanded beyond its limits.
#[test]
fn walls_and_blocked_joints_allocate_nothing() {
    for name in ["widowx", "panda", "fr3", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"] {
        let (robot, chain, measured) = arm_named(name);
        let tick = Duration::from_secs_f64(1.0 / robot.identity.control_rate_hz);
        let mut filter = SafetyFilter::new(&robot, chain.clone());
        let mut reasons = std::collections::BTreeMap::new();
        let mut now = Timestamp::ZERO;
        for make in [JointCommand::position as fn(JointVector, f64) -> JointCommand, JointCommand::velocity] {
            for value in [2.5, -2.5, 0.3] {
                let mut wished = make(JointVector::zeros(chain.joints()), 1.0);
                wished.joints_mut().iter_mut().for_each(|joint| *joint = value);
                for _ in 0..200 {
                    let mut verdict = None;
                    now = now + tick;
                    let arm = Proprioception { measured_at: now, ..measured };
                    let n = allocations_of(|| verdict = Some(filter.filter(now, &wished, &arm, Some(Duration::ZERO))));
                    assert_eq!(n, 0, "{name}");
                    *reasons.entry(format!("{:?}", verdict.unwrap().filtered)).or_insert(0) += 1;
                }
            }
        }
        assert!(reasons.len() >= 3, "{name}: {reasons:?}");
    }
}

#[test]
fn differential_kinematics_allocates_nothing() {
    for name in ["widowx", "panda"] {
        let (robot, chain, measured) = arm_named(name);
        let differential = Differential::new(&robot, chain.clone(), DifferentialSettings::default());
        let near = chain.forward(chain.home());
        let twist = Twist { linear: [0.3, -2.0, 0.1].into(), angular: [0.5, 0.0, -0.5].into() };
        let n = allocations_of(|| {
            let q = measured.joint_positions;
            std::hint::black_box(differential.velocity(&q, &twist, TwistFrame::Tool, 0.001));
            std::hint::black_box(differential.toward(&q, &near, &twist, 0.001));
            let straight = JointVector::zeros(chain.joints());
            std::hint::black_box(differential.velocity(&straight, &twist, TwistFrame::Base, 0.001));
        });
        assert_eq!(n, 0, "{name}");
    }
}

/// The servo bus of a WidowX, the emulated one in a separate thread behind a terminal.
#[cfg(feature = "dynamixel")]
#[test]
fn a_cycle_on_the_servo_bus_allocates_nothing() {
    use visuomotor::action::ControlMode;
    use visuomotor::driver::widowx::dynamixel::driver::DynamixelArm;
    use visuomotor::driver::widowx::dynamixel::emulator::{BusEmulator, BusServer};
    use visuomotor::driver::{ArmDriver, PointPlant};
    use visuomotor::time::{Clock, SystemClock};
    use visuomotor::transport::{BAUD, SerialLink};

    let (robot, ..) = arm();
    let start = JointVector::from_slice(&robot.identity.sleep);
    let bus = BusEmulator::new(&robot, Box::new(PointPlant::at(start))).unwrap();
    let server = BusServer::start(bus, None).unwrap();
    let link = SerialLink::open(server.path(), BAUD).unwrap();
    let mut arm = DynamixelArm::connect(link, &robot, Default::default()).unwrap();
    let clock = SystemClock::new();
    let (mut answered, mut sent) = (0, 0);
    // A loaded machine may let the watchdogs expire in between; then it is restarted.
    for _ in 0..50 {
        if arm.activate(clock.now(), ControlMode::Position).is_err() {
            arm.recover(clock.now()).unwrap();
            continue;
        }
        let n = allocations_of(|| {
            for _ in 0..20 {
                let now = clock.now();
                answered += u32::from(arm.read(now).is_ok());
                sent += u32::from(arm.write(now, &JointCommand::position(start, 0.5)).is_ok());
            }
            let _ = arm.hold(clock.now());
            let _ = arm.write(clock.now(), &JointCommand::position(JointVector::from_slice(&[f64::NAN; 6]), 0.5));
        });
        assert_eq!(n, 0);
        if answered >= 20 && sent >= 20 {
            break;
        }
    }
    assert!(answered >= 20 && sent >= 20, "{answered} replies to reads, {sent} commands sent");
}
