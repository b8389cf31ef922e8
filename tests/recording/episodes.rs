//! Made-up episodes with awkward numbers.

use std::sync::Arc;

use visuomotor::action::{Action, AskedTorques, Decider, Decision, JointCommand, Motion};
use visuomotor::embedding::Embedding;
use visuomotor::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, LimitReason, Outcome, Step, StepSink};
use visuomotor::geometry::{Pose, bridge_pose, pose_from_bridge, rotation_from_euler};
use visuomotor::observation::{Image, JointVector, Observation, Proprioception};
use visuomotor::recording::EpisodeWriter;
use visuomotor::time::Timestamp;

pub const TICKS_PER_STEP: u64 = 10;

pub fn start(name: &str) -> EpisodeStart {
    EpisodeStart {
        name: name.into(),
        task: "croissant_out_of_bowl".into(),
        instruction: "take the croissant out of the bowl — \"now\"".into(),
        robot: "widowx".into(),
        action_source: "expert".into(),
        policy_rate_hz: 5.000000000000001,
        control_rate_hz: 50.0,
        joint_names: ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"]
            .map(String::from)
            .into(),
        seed: u64::MAX - 3,
        settings: "[protocol]\ntrial_seconds = 20.0\n".into(),
    }
}

pub fn end(steps: u64) -> EpisodeEnd {
    EpisodeEnd { outcome: Outcome::Success { judge: "success_rule".into() }, steps, seconds: steps as f64 * 0.1 + 0.1 }
}

/// Numbers without a short decimal form.
fn awkward(seed: u64) -> f64 {
    ((seed as f64 + 1.0) * 0.7390851332151607).sin() * 1.1
}

fn joints(seed: u64) -> JointVector {
    JointVector::from_slice(&std::array::from_fn::<f64, 6, _>(|i| awkward(seed * 11 + i as u64)))
}

/// A smooth image with a moving object, like a camera's.
pub fn image(camera: &str, width: u32, height: u32, index: u64) -> Image {
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let near =
                x.abs_diff(width / 4 + index as u32 % (width / 2)) < width / 10 && y.abs_diff(height / 2) < height / 8;
            let (u, v) = (x * 255 / width, y * 255 / height);
            pixels.extend(if near { [220, 40, 30] } else { [u as u8, v as u8, 128] });
        }
    }
    Image {
        camera: camera.into(),
        width,
        height,
        pixels: pixels.into(),
        captured_at: Timestamp::from_nanos(index * 200_000_000 + 123_456_789),
        sequence: index * 6 + 2,
    }
}

pub fn observation(images: Vec<Image>, index: u64) -> Observation {
    let at = |offset: u64| Timestamp::from_nanos(index * 200_000_000 + 150_000_001 + offset);
    let base_from_tool = pose_from_bridge(std::array::from_fn(|i| awkward(index * 3 + i as u64) * 0.3));
    let [x, y, z, roll, pitch, yaw] = bridge_pose(&base_from_tool);
    Observation {
        images,
        proprioception: Proprioception {
            joint_positions: joints(index),
            joint_velocities: joints(index + 100),
            joint_efforts: joints(index + 200),
            finger_position: 0.021 + awkward(index) * 0.001,
            gripper: awkward(index + 5),
            measured_at: at(7),
        },
        base_from_tool,
        bridge_state: [x, y, z, roll, pitch, yaw, awkward(index + 5)],
        observed_at: at(11),
    }
}

pub fn decision(index: u64) -> Decision {
    let action = Action::from_array(std::array::from_fn(|i| awkward(index * 7 + i as u64)));
    let mut label = action;
    label.translation[0] += 0.1;
    Decision {
        action,
        label,
        motion: None,
        planned: None,
        decided_by: [None, Some(Decider::Policy), Some(Decider::Operator)][(index % 3) as usize],
        embedding: index.is_multiple_of(2).then(|| Embedding {
            values: (0..8).map(|i| awkward(index + i) as f32).collect(),
            encoder_digest: "ab".repeat(32),
        }),
        encoder_seconds: awkward(index).abs() * 0.01,
        policy_seconds: awkward(index + 1).abs() * 0.01,
    }
}

/// One of each kind of request beside an action of zeros.
pub fn motions() -> [Motion; 4] {
    let turned = rotation_from_euler(0.1, -0.2, 0.3);
    [
        Motion::ToolPose(Pose::from_parts([0.1 + 0.2, -0.1, 1.0 / 3.0].into(), turned)),
        Motion::JointPositions(joints(400)),
        Motion::JointVelocities(joints(500)),
        torques(1).into(),
    ]
}

/// A torque policy's request beside an action of zeros.
pub fn torques(index: u64) -> AskedTorques {
    AskedTorques { asked: joints(index + 300), label: joints(index + 301) }
}

pub fn tick(index: u64) -> ControlTick {
    let step = index / TICKS_PER_STEP;
    ControlTick {
        at: Timestamp::from_nanos(200_000_000 + index * 20_000_000),
        measured: joints(index + 31),
        measured_gripper: awkward(index),
        wished: JointCommand::position(joints(index + 32), 1.0),
        sent: JointCommand::torque(joints(index + 33), 0.1 + 0.2),
        action: Action::from_array(std::array::from_fn(|i| awkward(index + i as u64))),
        step_index: (index >= 4).then_some(step),
        filtered: match index % 5 {
            0 => Filtered::Limited(LimitReason::JointVelocity),
            1 => Filtered::Stopped(LimitReason::CommandAge),
            _ => Filtered::Passed,
        },
        image_age_seconds: awkward(index).abs(),
        tick_seconds: 1e-5,
    }
}

/// What one step passes to the sinks; kept to compare.
pub struct Told {
    pub observation: Observation,
    pub decision: Decision,
    pub decided_at: Timestamp,
}

pub fn told(index: u64, images: Vec<Image>) -> Told {
    Told {
        observation: observation(images, index),
        decision: decision(index),
        decided_at: Timestamp::from_nanos(index * 200_000_000 + 170_000_003),
    }
}

pub fn tell(sink: &mut dyn StepSink, index: u64, told: &Told) -> anyhow::Result<()> {
    let Told { observation, decision, decided_at } = told;
    sink.step(&Step { index, observation, decision, decided_at: *decided_at })?;
    for i in 0..TICKS_PER_STEP {
        sink.control_tick(&tick(index * TICKS_PER_STEP + i))?;
    }
    Ok(())
}

/// Records an episode of small images and returns the recorder's input.
pub fn record(writer: &mut EpisodeWriter, name: &str, steps: u64, size: (u32, u32)) -> Vec<Told> {
    writer.episode_started(&start(name)).unwrap();
    let all: Vec<Told> = (0..steps).map(|index| told(index, vec![image("front", size.0, size.1, index)])).collect();
    for (index, told) in all.iter().enumerate() {
        tell(writer, index as u64, told).unwrap();
    }
    writer.episode_ended(&end(steps)).unwrap();
    all
}

/// Largest and mean difference of two images.
pub fn difference(a: &Image, b: &Image) -> (u8, f64) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let differences: Vec<u8> = a.pixels.iter().zip(b.pixels.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = differences.iter().map(|d| f64::from(*d)).sum::<f64>() / differences.len() as f64;
    (differences.into_iter().max().unwrap_or(0), mean)
}

/// A plain-colored image of any number of pixels, for refusals.
pub fn wrong_image() -> Image {
    Image { pixels: Arc::from(vec![0; 5]), ..image("front", 8, 8, 0) }
}

/// Records an episode without pose changes to learn from.
#[cfg(any(feature = "exchange", all(feature = "mujoco", feature = "torch")))]
pub fn record_motion(folder: &std::path::Path, name: &str, motion: Motion, steps: u64, size: (u32, u32)) {
    let mut writer = EpisodeWriter::create(folder, name, visuomotor::recording::WriterOptions::default()).unwrap();
    writer.episode_started(&start(name)).unwrap();
    for index in 0..steps {
        let mut told = told(index, vec![image("front", size.0, size.1, index)]);
        told.decision.motion = Some(motion);
        tell(&mut writer, index, &told).unwrap();
    }
    let outcome = Outcome::Success { judge: "success_rule".into() };
    writer.episode_ended(&EpisodeEnd { outcome, ..end(steps) }).unwrap();
}
