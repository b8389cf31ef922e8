//! The button on each arm: every arm's scripted expert in both action spaces, and the controls that must not press it.

#[cfg(all(feature = "torch", feature = "fci", feature = "ros2", feature = "dynamixel"))]
mod measured;

use std::path::Path;

use visuomotor::action::{ActionSource, ControlMode};
use visuomotor::cli::kitchen::KitchenSetting;
use visuomotor::cli::set_up::SetUp;
use visuomotor::config::ConfigError;
use visuomotor::episode::{ControlTick, EpisodeEnd, EpisodeStart, Judge, Outcome, SinkError, Step, StepSink};
use visuomotor::runtime::{EpisodeRequest, StopFlag, Timing, run_episode};
use visuomotor::scripted::{RandomActions, Still};
use visuomotor::time::ManualClock;

const POSES: [&str; 6] = ["panda", "fr3", "sawyer", "jaco_j2n7s300", "jaco_j2s6s300", "jaco_j2s7s300"];
const TORQUES: [&str; 3] = ["panda_torque", "sawyer_torque", "jaco_j2n7s300_torque"];

fn setting(arm: &str) -> KitchenSetting {
    let file = format!("launch/button/{arm}.toml");
    KitchenSetting::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The button under one corner of the starts, the gripper above another.
fn set_up(setting: &KitchenSetting, corner: usize) -> SetUp {
    let task = setting.scene.task[0].clone();
    let (starts, height) = (&setting.scene.start, setting.scene.start_height);
    let [x, y] = starts[(corner + 2) % starts.len()].at;
    SetUp {
        object: task.object.clone(),
        object_at: starts[corner].at,
        object_yaw: 0.2,
        container_at: None,
        others: vec![],
        start: [x, y, height, 0.0, 0.0, 0.0],
        seed: 1,
        task,
    }
}

/// Largest torque sent, as a share of the arm's own limit.
#[derive(Default)]
struct Peak {
    limits: Vec<f64>,
    share: f64,
}

impl StepSink for Peak {
    fn episode_started(&mut self, _start: &EpisodeStart) -> Result<(), SinkError> {
        Ok(())
    }

    fn step(&mut self, _step: &Step<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        // Where the arm was commanded to hold, the numbers are positions.
        if tick.sent.mode() != ControlMode::Torque {
            return Ok(());
        }
        for (torque, limit) in tick.sent.joints().iter().zip(&self.limits) {
            self.share = self.share.max(torque.abs() / limit);
        }
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> Result<(), SinkError> {
        Ok(())
    }
}

fn run(setting: &KitchenSetting, set_up: &SetUp, source: &mut dyn ActionSource, peak: &mut Peak) -> Outcome {
    let prepared = setting.prepare(set_up).unwrap();
    let (mut station, mut judge) = setting.running(set_up, &prepared).unwrap();
    let request = EpisodeRequest {
        start: setting.episode_start("test", set_up, source.name()),
        seconds: 20.0,
        source,
        sinks: vec![peak],
        judge: &mut judge as &mut dyn Judge,
        stop: &StopFlag::new(),
    };
    let timing = Timing::Lockstep { clock: &ManualClock::new(), stopwatch: &ManualClock::new() };
    run_episode(&mut station, request, timing).outcome
}

#[test]
fn every_arms_expert_presses_the_button() {
    for arm in POSES.into_iter().chain(TORQUES) {
        let setting = setting(arm);
        for corner in [0, 2] {
            let set_up = set_up(&setting, corner);
            let assignment = setting.prepare(&set_up).unwrap().assignment;
            let mut expert = setting.station.expert(assignment, 0.0, 1).unwrap();
            let outcome = run(&setting, &set_up, &mut *expert, &mut Peak::default());
            assert!(outcome.is_success(), "{arm} from corner {corner}: {outcome:?}");
        }
    }
}

#[test]
fn beside_the_button_nothing_is_pressed() {
    for arm in ["panda", "jaco_j2n7s300_torque"] {
        let setting = setting(arm);
        let set_up = set_up(&setting, 1);
        let mut assignment = setting.prepare(&set_up).unwrap().assignment;
        assignment.grasp[1] += 0.15;
        let mut expert = setting.station.expert(assignment, 0.0, 1).unwrap();
        let outcome = run(&setting, &set_up, &mut *expert, &mut Peak::default());
        assert!(matches!(&outcome, Outcome::Failure { why, .. } if why.contains("not pressed")), "{arm}: {outcome:?}");
    }
}

#[test]
fn without_torque_nothing_is_pressed_and_random_torques_stay_within_the_limits() {
    for arm in TORQUES {
        let setting = setting(arm);
        let (set_up, space) = (set_up(&setting, 3), setting.station.action_space());
        let limits = setting.station.robot.limits.joint_torque.clone();
        let mut peak = Peak { limits: limits.clone(), ..Peak::default() };
        let outcome = run(&setting, &set_up, &mut Still::new(space), &mut peak);
        assert!(!outcome.is_success() && peak.share == 0.0, "{arm}: {outcome:?}, {}", peak.share);
        let mut peak = Peak { limits, ..Peak::default() };
        run(&setting, &set_up, &mut RandomActions::new(space, 5), &mut peak);
        assert!(peak.share > 0.05 && peak.share <= 1.0, "{arm}: {}", peak.share);
    }
}

#[test]
fn a_task_has_a_container_where_its_rule_asks_for_one_and_only_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir_in(root.join("scenes")).unwrap();
    let text = std::fs::read_to_string(root.join("scenes/button/panda.toml")).unwrap();
    let text = text.replace("\"table.xml\"", "\"../button/table.xml\"");
    let refused = |text: String| {
        let file = folder.path().join("scene.toml");
        std::fs::write(&file, text).unwrap();
        match visuomotor::config::Scene::load(&file) {
            Err(ConfigError::Unfit { key, expected, .. }) => format!("{key}: {expected}"),
            other => panic!("{other:?}"),
        }
    };
    let with = refused(text.replace("rule = \"press\"", "rule = \"press\"\nset_down = [0.5, 0.0]"));
    assert!(with.contains("task.press_button") && with.contains("no container"), "{with}");
    let without = refused(text.replace("rule = \"press\"", "rule = \"put_in\""));
    assert!(without.contains("container, container_at and set_down"), "{without}");
    let unpressable = refused(text.replace("object = \"button\"", "object = \"block\""));
    assert!(unpressable.contains("task.press_button.object") && unpressable.contains("stroke"), "{unpressable}");
}

/// In Bridge's convention a gripper that points down reads zero, whichever axis of its tool points out of the fingers.
#[test]
fn a_gripper_that_points_down_reads_zero_on_every_arm() {
    for arm in POSES {
        let setting = setting(arm);
        let at = [setting.scene.start[0].at, [0.0; 2]].concat();
        let start = [at[0], at[1], 0.3, 0.0, 0.0, 0.0];
        let joints = setting.start_joints(start).unwrap();
        let base_from_tool = setting.station.chain.forward(&joints);
        let out = base_from_tool.rotation * nalgebra::Vector3::z();
        assert!(out.z < -0.999, "{arm}: fingers do not point down");
        let read = setting.station.chain.bridge_pose(&base_from_tool);
        assert!(read.iter().zip(start).all(|(read, was)| (read - was).abs() < 1e-3), "{arm}: {read:?}");
    }
}
