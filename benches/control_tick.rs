//! Time of one control tick without the arm: slot, control, safety, ledger, ring; and of each law.
//!
//! `cargo bench --no-default-features --bench control_tick`

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use visuomotor::action::{Action, ActionBounds, TimedAction};
use visuomotor::config::{ControlLaw, ControlSetting, GripperPolicy, Robot};
use visuomotor::control::Controller;
use visuomotor::kinematics::Chain;
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::runtime::fake::FakeArm;
use visuomotor::runtime::{ControlLoop, ControlParts, Due, Strain, latest};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::{SystemClock, Timestamp};

/// Control ticks per new action (50 Hz and 5 Hz).
const TICKS_PER_ACTION: u64 = 10;

fn control_tick(c: &mut Criterion) {
    let robot =
        Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").expect("robots/widowx is in the repository");
    let chain = Chain::from_robot(&robot).expect("the widowx is a chain");
    let (policy_period, period) = (Duration::from_millis(200), Duration::from_millis(20));
    let clock = SystemClock::new();

    for (name, with_actions) in [("control_tick/following", true), ("control_tick/waiting", false)] {
        let mut controller =
            Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, GripperPolicy::Direct, policy_period);
        let mut safety = SafetyFilter::new(&robot, chain.clone());
        let (mut arm, _) = FakeArm::at(*chain.home(), 1.0);
        let (mut action_writer, actions) = latest();
        let (states, _reader) = latest();
        let (producer, mut ticks) = rtrb::RingBuffer::new(64);
        let parts: ControlParts<'_> = (&mut arm, &mut controller, &mut safety);
        let mut control = ControlLoop::new(parts, actions, states, producer, Timestamp::ZERO);
        let (mut now, mut count) = (Timestamp::ZERO, 0u64);
        c.bench_function(name, |b| {
            b.iter(|| {
                if with_actions && count % TICKS_PER_ACTION == 0 {
                    // Back and forth, so that the arm stays inside its workspace however long this runs.
                    let step = count / TICKS_PER_ACTION;
                    let dy = if step.is_multiple_of(2) { 0.02 } else { -0.02 };
                    let action = Action { translation: [0.0, dy, 0.0], rotation: [0.0; 3], gripper: 1.0 };
                    let action = TimedAction {
                        action,
                        motion: None,
                        step_index: step,
                        image_captured_at: now,
                        decided_at: now,
                        expires_at: Timestamp::NEVER,
                        paused: false,
                    };
                    action_writer.publish(now, action);
                }
                let tick = control.tick(Due::on_time(now), Strain::None, &clock);
                let _ = ticks.pop();
                now = now + period;
                count += 1;
                tick
            })
        });
    }
}

/// One tick of each law: command and filter, without loop and arm. A new action every hundred ticks.
fn laws(c: &mut Criterion) {
    for name in ["widowx", "panda"] {
        let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).expect("the arm is in the repository");
        let chain = Chain::from_robot(&robot).expect("the arm is a chain");
        let still = JointVector::zeros(chain.joints());
        let measured = Proprioception {
            joint_positions: *chain.home(),
            joint_velocities: still,
            joint_efforts: still,
            finger_position: 0.02,
            gripper: 1.0,
            measured_at: Timestamp::ZERO,
        };
        let (policy_period, tick) =
            (Duration::from_millis(200), Duration::from_secs_f64(1.0 / robot.identity.control_rate_hz));
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
                Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, GripperPolicy::Direct, policy_period)
                    .with_law(&robot, &setting)
                    .expect("the defaults fit every arm");
            let mut safety = SafetyFilter::new(&robot, chain.clone());
            controller.seed(Timestamp::ZERO, &measured);
            safety.seed(Timestamp::ZERO, &measured);
            let torques = JointVector::zeros(chain.joints());
            let (mut now, mut count) = (Timestamp::ZERO, 0u64);
            c.bench_function(&format!("tick/{name}/{law:?}"), |b| {
                b.iter(|| {
                    if count.is_multiple_of(100) {
                        let dy = if (count / 100).is_multiple_of(2) { 0.01 } else { -0.01 };
                        let action = Action { translation: [0.0, dy, 0.0], rotation: [0.0; 3], gripper: 1.0 };
                        if law == ControlLaw::Torque {
                            controller.accept_torques(&torques, 1.0);
                        } else {
                            controller.accept(now, &action, &measured);
                        }
                    }
                    now = now + tick;
                    count += 1;
                    let wished = controller.command(now, &measured);
                    safety.filter(now, &wished, &measured, Some(tick))
                })
            });
        }
    }
}

criterion_group!(benches, control_tick, laws);
criterion_main!(benches);
