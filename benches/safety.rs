//! Time of the safety filter and of the controller's command, on the WidowX, and of the filter on the seven joints of a
//! Panda with its capsules.
//!
//! `cargo bench --bench safety`; `cargo bench --bench safety -- single_calls` prints percentiles of single calls.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use visuomotor::action::{Action, ActionBounds, ControlMode, JointCommand};
use visuomotor::config::{GripperPolicy, Robot};
use visuomotor::control::Controller;
use visuomotor::episode::{Filtered, LimitReason};
use visuomotor::kinematics::Chain;
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

fn safety(c: &mut Criterion) {
    let robot =
        Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").expect("robots/widowx is in the repository");
    let chain = Chain::from_robot(&robot).expect("the widowx is a chain");
    let measured = Proprioception {
        joint_positions: *chain.home(),
        joint_velocities: JointVector::zeros(6),
        joint_efforts: JointVector::zeros(6),
        finger_position: 0.02,
        gripper: 1.0,
        measured_at: Timestamp::ZERO,
    };
    let tick = Duration::from_millis(20);

    let mut filter = SafetyFilter::new(&robot, chain.clone());
    filter.seed(Timestamp::ZERO, &measured);
    let passing = JointCommand::position(measured.joint_positions, 1.0);
    let mut now = Timestamp::ZERO;
    c.bench_function("safety/passed", |b| {
        b.iter(|| {
            now = now + tick;
            let measured = Proprioception { measured_at: now, ..measured };
            filter.filter(now, black_box(&passing), &measured, Some(tick))
        })
    });

    // There and back over a second each way, so that the velocity limit works at every tick.
    let mut there = passing;
    there.joints_mut()[0] += 2.0;
    let mut count = 0u32;
    c.bench_function("safety/velocity_limited", |b| {
        b.iter(|| {
            now = now + tick;
            count = (count + 1) % 80;
            let wished = if count < 40 { &there } else { &passing };
            let measured = Proprioception { measured_at: now, ..measured };
            filter.filter(now, black_box(wished), &measured, Some(tick))
        })
    });

    // Half of the joints beyond their limits, so that every check is active.
    for (name, wished) in [
        (
            "safety/velocity_mode",
            JointCommand::velocity(JointVector::from_slice(&[0.5, 0.1, -3.0, 0.2, 0.1, 0.0]), 1.0),
        ),
        ("safety/torque_mode", JointCommand::torque(JointVector::from_slice(&[0.5, 9.0, -3.0, 0.2, 0.1, 0.0]), 1.0)),
    ] {
        filter.seed(now, &measured);
        c.bench_function(name, |b| {
            b.iter(|| {
                now = now + tick;
                let measured = Proprioception { measured_at: now, ..measured };
                filter.filter(now, black_box(&wished), &measured, Some(tick))
            })
        });
    }

    let period = Duration::from_millis(200);
    let mut controller = Controller::new(&robot, chain, ActionBounds::BRIDGE, GripperPolicy::Direct, period);
    controller.seed(Timestamp::ZERO, &measured);
    let action = Action { translation: [0.02, 0.0, 0.0], rotation: [0.0, 0.0, 0.05], gripper: 1.0 };
    controller.accept(Timestamp::ZERO, &action, &measured);
    c.bench_function("control/command", |b| {
        b.iter(|| controller.command(black_box(Timestamp::from_nanos(70_000_000)), &measured))
    });
}

/// An arm of seven joints that follows its commands exactly, and the desired commands.
struct Case {
    name: &'static str,
    robot: Robot,
    start: JointVector,
    /// The command, from the arm's joints.
    wish: Box<dyn Fn(&JointVector) -> JointCommand>,
    /// The arm is put back to its start after this number of calls; otherwise it stays where it ended.
    calls: usize,
    /// Result of most calls.
    ends: Filtered,
}

/// Free, at the speed limit, and pressing against the table and against the arm's own base, which needs every halving.
fn cases() -> Vec<Case> {
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "panda").expect("robots/panda is in the repository");
    let mut open = robot.clone();
    (open.limits.workspace_low, open.limits.workspace_high) = ([-2.0; 3], [2.0; 3]);
    open.limits.plane.clear();
    let home = JointVector::from_slice(&robot.identity.home);
    let to = |values: [f64; 7]| move |_: &JointVector| JointCommand::velocity(JointVector::from_slice(&values), 1.0);
    // Here the hand is in the base.
    let inside = [0.0, 1.39, 0.25, -2.48, 0.0, 1.22, 0.78];
    let into = move |here: &JointVector| {
        let mut wish = JointVector::zeros(7);
        (0..7).for_each(|joint| wish[joint] = 2.0 * (inside[joint] - here[joint]));
        JointCommand::velocity(wish, 1.0)
    };
    let limited = Filtered::Limited;
    let case =
        |name, robot: &Robot, start, wish, calls, ends| Case { name, robot: robot.clone(), start, wish, calls, ends };
    let low = JointVector::from_slice(&[0.0, 0.55, 0.0, -2.2, 0.0, 2.7, 0.78]);
    let slow = [0.05, 0.02, -0.03, 0.02, 0.01, 0.0, 0.1];
    let torque = move |_: &JointVector| JointCommand::torque(JointVector::from_slice(&slow), 1.0);
    let stay = move |_: &JointVector| JointCommand::position(home, 1.0);
    let (fast, table) = (LimitReason::JointVelocity, LimitReason::Workspace);
    vec![
        case("positions", &robot, home, Box::new(stay), 500, Filtered::Passed),
        case("velocities", &robot, home, Box::new(to(slow)), 500, Filtered::Passed),
        case(
            "velocities_limited",
            &robot,
            home,
            Box::new(to([2.0, 1.0, -3.0, 0.2, 0.1, 0.0, 9.0])),
            200,
            limited(fast),
        ),
        case(
            "velocities_at_the_table",
            &robot,
            low,
            Box::new(to([0.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0])),
            usize::MAX,
            limited(table),
        ),
        case("velocities_at_itself", &open, home, Box::new(into), usize::MAX, limited(LimitReason::SelfCollision)),
        case("torques", &robot, home, Box::new(torque), 500, Filtered::Passed),
    ]
}

fn seven_joints(c: &mut Criterion) {
    let tick = Duration::from_millis(1);
    for Case { name, robot, start, wish, calls, ends } in cases() {
        let chain = Chain::from_robot(&robot).expect("the panda is a chain");
        let mut filter = SafetyFilter::new(&robot, chain);
        let mut measured = Proprioception {
            joint_positions: start,
            joint_velocities: JointVector::zeros(7),
            joint_efforts: JointVector::zeros(7),
            finger_position: 0.02,
            gripper: 1.0,
            measured_at: Timestamp::ZERO,
        };
        let (mut now, mut count) = (Timestamp::ZERO, 0);
        let mut call = || {
            now = now + tick;
            measured.measured_at = now;
            if count % calls == 0 {
                measured.joint_positions = start;
                filter.seed(now, &measured);
            }
            count += 1;
            let wished = wish(&measured.joint_positions);
            let started = Instant::now();
            let verdict = black_box(filter.filter(now, black_box(&wished), black_box(&measured), Some(tick)));
            let took = started.elapsed();
            if verdict.sent.mode() == ControlMode::Velocity {
                for (angle, velocity) in measured.joint_positions.iter_mut().zip(verdict.sent.joints().iter()) {
                    *angle += velocity * tick.as_secs_f64();
                }
            }
            (took, verdict.filtered)
        };
        // To the wall, where there is one.
        for _ in 0..8000 {
            call();
        }
        c.bench_function(&format!("safety/seven_joints/{name}"), |b| b.iter(&mut call));
        // Not reported by criterion: the spread of single calls, the clock's two readings included.
        let (mut times, mut as_named) = (Vec::with_capacity(200_000), 0);
        for _ in 0..200_000 {
            let (took, filtered) = call();
            times.push(took);
            as_named += u32::from(filtered == ends);
        }
        times.sort_unstable();
        let share = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "safety/seven_joints/{name}/single_calls: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}; {} % were {ends:?}",
            share(0.5),
            share(0.99),
            share(0.999),
            share(1.0),
            as_named / 2000
        );
    }
    let mut noise: Vec<Duration> = (0..200_000).map(|_| Instant::now()).map(|started| started.elapsed()).collect();
    noise.sort_unstable();
    println!("the clock alone: p50 {:?}, p99 {:?}, max {:?}", noise[100_000], noise[198_000], noise[199_999]);
}

criterion_group!(benches, safety, seven_joints);
criterion_main!(benches);
