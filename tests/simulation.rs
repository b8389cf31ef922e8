//! The simulated kitchen: MuJoCo against our own kinematics, the expert, the success rule.

use std::path::Path;
use std::sync::Arc;

use nalgebra::{Matrix3, Rotation3, Vector3};
use visuomotor::cli::kitchen::KitchenSetting;
use visuomotor::cli::set_up::SetUp;
use visuomotor::conformance::{check_arm, check_camera};
use visuomotor::episode::{EpisodeStart, Judge, Outcome};
use visuomotor::runtime::{EpisodeRequest, StopFlag, Timing, run_episode};
use visuomotor::scripted::{Demonstrator, Disturbance};
use visuomotor::simulation::mujoco_rs::prelude::*;
use visuomotor::simulation::{Kitchen, SimulatedArm};
use visuomotor::time::{Clock, ManualClock};

fn setting() -> KitchenSetting {
    KitchenSetting::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("launch/widowx_kitchen.toml")).unwrap()
}

fn set_up(setting: &KitchenSetting, task: &str, at: [f64; 2]) -> SetUp {
    let task = setting.scene.task(&setting.scene_file, task).unwrap().clone();
    SetUp {
        object: task.object.clone(),
        object_at: at,
        object_yaw: 0.1,
        container_at: setting.container_at(&task, at),
        others: vec![],
        start: [at[0], at[1], setting.scene.start_height, 0.0, 0.0, 0.0],
        seed: 1,
        task,
    }
}

/// Runs the expert, given `assignment_of`'s object at its place in `set_up` plus `lie`.
fn run(setting: &KitchenSetting, set_up: &SetUp, lie: [f64; 2]) -> (Outcome, f64) {
    let prepared = setting.prepare(set_up).unwrap();
    let (mut station, mut judge) = setting.running(set_up, &prepared).unwrap();
    let mut assignment = prepared.assignment;
    assignment.grasp[0] += lie[0];
    assignment.grasp[1] += lie[1];
    let mut expert = Demonstrator::new(assignment, setting.station.launch.policy.bounds, Disturbance::NONE, 1);
    let clock = ManualClock::new();
    let report = run_episode(
        &mut station,
        EpisodeRequest {
            start: start(setting, set_up),
            seconds: 20.0,
            source: &mut expert,
            sinks: vec![],
            judge: &mut judge as &mut dyn Judge,
            stop: &StopFlag::new(),
        },
        Timing::Lockstep { clock: &clock, stopwatch: &ManualClock::new() },
    );
    (report.outcome, report.seconds)
}

fn start(setting: &KitchenSetting, set_up: &SetUp) -> EpisodeStart {
    setting.episode_start("test", set_up, "expert")
}

fn bare_kitchen(setting: &KitchenSetting) -> Kitchen {
    setting.prepare(&set_up(setting, "knife_in_pot", [0.28, 0.07])).unwrap().kitchen
}

#[test]
fn forward_kinematics_and_jacobian_agree_with_mujoco() {
    let setting = setting();
    let kitchen = bare_kitchen(&setting);
    let mut data = MjData::new(Arc::clone(kitchen.model()));
    let site = kitchen.tool_site().unwrap();
    let addresses = kitchen.joint_addresses();
    for halton in 1..=200u64 {
        let q: Vec<f64> = setting
            .station
            .robot
            .joint
            .iter()
            .zip([2u64, 3, 5, 7, 11, 13])
            .map(|(joint, base)| joint.lower + radical_inverse(halton, base) * (joint.upper - joint.lower))
            .collect();
        for ((position, _), value) in addresses.iter().zip(&q) {
            data.qpos_mut()[*position] = *value;
        }
        data.forward();
        let pose = setting.station.chain.forward(&q);
        let expected = data.site_xpos()[site];
        let off = (pose.translation.vector - Vector3::from(expected)).norm();
        assert!(off < 1e-9, "position differs by {off:e} m at {q:?}");
        let expected = Rotation3::from_matrix_unchecked(Matrix3::from_row_slice(&data.site_xmat()[site]));
        let turn = (pose.rotation.to_rotation_matrix().inverse() * expected).angle();
        // Near zero the angle is the root of rounding errors; the chord is not.
        let chord = (pose.rotation.to_rotation_matrix().matrix() - expected.matrix()).norm();
        assert!(chord < 1e-9, "orientation differs by {turn:e} rad at {q:?}");
        let (linear, angular) = data.jac_site(true, true, site);
        let columns = linear.len() / 3;
        let jacobian = setting.station.chain.jacobian(&q);
        for (joint, (_, dof)) in addresses.iter().enumerate() {
            for row in 0..3 {
                let off = (jacobian[(row, joint)] - linear[row * columns + dof]).abs();
                assert!(off < 1e-9, "linear Jacobian differs by {off:e}");
                let off = (jacobian[(row + 3, joint)] - angular[row * columns + dof]).abs();
                assert!(off < 1e-9, "angular Jacobian differs by {off:e}");
            }
        }
    }
}

fn radical_inverse(mut n: u64, base: u64) -> f64 {
    let (mut result, mut fraction) = (0.0, 1.0);
    while n > 0 {
        fraction /= base as f64;
        result += fraction * (n % base) as f64;
        n /= base;
    }
    result
}

#[test]
fn the_expert_does_every_task_from_every_corner() {
    let setting = setting();
    for task in &setting.protocol.tasks {
        for corner in &setting.scene.start {
            let (outcome, seconds) = run(&setting, &set_up(&setting, task, corner.at), [0.0, 0.0]);
            assert!(outcome.is_success(), "{task} from {}: {outcome:?} after {seconds} s", corner.name);
        }
    }
}

#[test]
fn a_demonstrator_that_is_told_the_wrong_place_fails() {
    // It does not see the scene: success would mean that something reads object poses.
    let setting = setting();
    for task in ["knife_in_pot", "croissant_out_of_bowl"] {
        let (outcome, _) = run(&setting, &set_up(&setting, task, [0.28, 0.07]), [0.0, 0.06]);
        assert!(!outcome.is_success(), "{task}: {outcome:?}");
    }
}

#[test]
fn an_untouched_scene_is_no_success() {
    let setting = setting();
    for task in &setting.protocol.tasks {
        let set_up = set_up(&setting, task, [0.28, 0.07]);
        let prepared = setting.prepare(&set_up).unwrap();
        let (_station, mut judge) = setting.running(&set_up, &prepared).unwrap();
        for _ in 0..5 {
            assert_eq!(judge.judge(Default::default()), None, "{task}");
        }
        assert!(!judge.time_out(Default::default()).is_success());
    }
}

#[test]
fn an_object_that_starts_at_its_goal_was_not_lifted_and_does_not_count() {
    let setting = setting();
    for task in &setting.protocol.tasks {
        let set_up = set_up(&setting, task, [0.28, 0.07]);
        let goal = setting.prepare_goal(&set_up).unwrap();
        let (_station, mut judge) = setting.running(&set_up, &goal).unwrap();
        for _ in 0..5 {
            assert_eq!(judge.judge(Default::default()), None, "{task}");
        }
    }
}

#[test]
fn the_same_set_up_gives_the_same_picture_and_varied_ones_differ() {
    let mut setting = setting();
    let picture = |setting: &KitchenSetting, seed: u64| {
        let set_up = SetUp { seed, ..set_up(setting, "cucumber_in_pot", [0.28, 0.07]) };
        let prepared = setting.prepare(&set_up).unwrap();
        let (mut station, _) = setting.running(&set_up, &prepared).unwrap();
        station.cameras[0].0.newest(Default::default()).unwrap()
    };
    let (a, b) = (picture(&setting, 1), picture(&setting, 2));
    assert_eq!((a.width, a.height), (640, 480));
    assert_eq!(a.pixels, b.pixels);
    setting.place.vary_appearance = true;
    assert_ne!(picture(&setting, 1).pixels, picture(&setting, 2).pixels);
    assert_eq!(picture(&setting, 1).pixels, picture(&setting, 1).pixels);
}

/// Regression: painting geoms that have a material overrode it, and every varied image came out gray.
#[test]
fn a_varied_picture_keeps_the_colors_of_the_materials() {
    let mut setting = setting();
    let mut colorfulness = |vary: bool, seed: u64| {
        setting.place.vary_appearance = vary;
        let set_up = SetUp { seed, ..set_up(&setting, "sweet_potato_on_plate", [0.28, 0.07]) };
        let prepared = setting.prepare(&set_up).unwrap();
        let (mut station, _) = setting.running(&set_up, &prepared).unwrap();
        let image = station.cameras[0].0.newest(Default::default()).unwrap();
        // Pixels whose channels differ a lot: the reds and yellows of the kitchen. Gray tinted by 12 % stays below 40.
        let strong = |p: &&[u8]| {
            let (low, high) = (p.iter().min().copied().unwrap_or(0), p.iter().max().copied().unwrap_or(0));
            high - low > 50
        };
        image.pixels.chunks_exact(3).filter(strong).count()
    };
    let plain = colorfulness(false, 0);
    for seed in 1..6 {
        let varied = colorfulness(true, seed);
        assert!(varied * 3 > plain, "seed {seed}: {varied} colorful pixels, {plain} unvaried");
    }
}

#[test]
fn the_simulated_arm_and_its_camera_conform() {
    let setting = setting();
    let set_up = set_up(&setting, "knife_in_pot", [0.28, 0.07]);
    let prepared = setting.prepare(&set_up).unwrap();
    let (mut arm, _for_camera, _for_judge) = SimulatedArm::new(&setting.station.robot, &prepared.kitchen).unwrap();
    let clock = ManualClock::new();
    let mut pass = |duration| {
        clock.advance(duration);
        clock.now()
    };
    check_arm(&mut arm, &mut pass).unwrap_or_else(|violation| panic!("{violation}"));

    let (mut station, _judge) = setting.running(&set_up, &prepared).unwrap();
    let (clock, arm, camera) = (ManualClock::new(), &mut station.arm, &mut station.cameras[0].0);
    // The camera's view moves on with the arm.
    let mut pass = |duration| {
        clock.advance(duration);
        arm.read(clock.now()).unwrap();
        clock.now()
    };
    check_camera(camera.as_mut(), &mut pass).unwrap_or_else(|violation| panic!("{violation}"));
}
