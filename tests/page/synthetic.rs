//! An arm over a table, drawn and moved by formulas: data for the page that look like a lab's.

use std::f64::consts::PI;
use std::path::Path;
use std::sync::Arc;

use visuomotor::action::{Action, Decision, JointCommand};
use visuomotor::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, LimitReason, Outcome, Step, StepSink};
use visuomotor::geometry::pose_from_bridge;
use visuomotor::observation::{Image, JointVector, Observation, Proprioception};
use visuomotor::recording::{EpisodeWriter, WriterOptions};
use visuomotor::time::Timestamp;

/// The policy of these episodes; a blinded page must not show it.
pub const ACTION_SOURCE: &str = "vptr_finetuned_secretly";
/// Names and ranges of the joints \[rad\].
pub const JOINTS: [(&str, f64, f64); 6] = [
    ("waist", -PI, PI),
    ("shoulder", -1.88, 1.99),
    ("elbow", -2.15, 1.61),
    ("forearm_roll", -PI, PI),
    ("wrist_angle", -1.75, 2.15),
    ("wrist_rotate", -PI, PI),
];
const STEP_SECONDS: f64 = 0.2;
const TICKS: u64 = 10;

pub fn start(name: &str) -> EpisodeStart {
    EpisodeStart {
        name: name.into(),
        task: "croissant_out_of_bowl".into(),
        instruction: "take the croissant out of the bowl".into(),
        robot: "widowx".into(),
        action_source: ACTION_SOURCE.into(),
        policy_rate_hz: 5.0,
        control_rate_hz: 50.0,
        joint_names: JOINTS.map(|(name, ..)| name.to_string()).into(),
        seed: 7,
        settings: String::new(),
    }
}

pub fn end(steps: u64) -> EpisodeEnd {
    let seconds = steps as f64 * STEP_SECONDS;
    EpisodeEnd { outcome: Outcome::Success { judge: "operator (page)".into() }, steps, seconds }
}

/// Records an episode into a folder.
pub fn record(folder: &Path, name: &str, steps: u64) -> anyhow::Result<()> {
    let mut feed = Feed::default();
    let mut writer = EpisodeWriter::create(folder, name, WriterOptions::default())?;
    writer.episode_started(&start(name))?;
    for _ in 0..steps {
        feed.step(&mut writer)?;
    }
    Ok(writer.episode_ended(&end(steps))?)
}

/// A number between -1 and 1 that looks random and repeats.
fn jitter(seed: f64) -> f64 {
    let value = (seed * 12.9898).sin() * 43758.5453;
    2.0 * (value - value.floor()) - 1.0
}

fn joints(t: f64) -> JointVector {
    let reach = (t * 0.45).sin();
    JointVector::from_slice(&[
        0.35 * (t * 0.3).sin(),
        0.25 + 0.35 * reach,
        -0.35 + 0.4 * reach,
        0.08 * (t * 0.7).sin(),
        0.9 - 0.3 * reach,
        0.15 * (t * 0.5).cos(),
    ])
}

fn action(t: f64) -> Action {
    let wave = |rate: f64, size: f64| size * (t * rate).sin() + size * 0.15 * jitter(t + rate);
    Action {
        translation: [wave(0.9, 0.021), wave(0.6, 0.012), wave(0.45, -0.018)],
        rotation: [wave(0.8, 0.03), wave(0.5, 0.06), wave(1.1, 0.045)],
        gripper: if (t * 0.3).sin() > 0.0 { 0.0 } else { 1.0 },
    }
}

/// Distance between the image's embedding and the goal's, `t` seconds into an episode.
#[allow(dead_code, reason = "the example draws a curve, the tests draw points")]
pub fn distance(t: f64) -> f64 {
    1.3 + 7.4 * (-t / 9.0).exp() + 0.22 * jitter(t) * (-t / 20.0).exp()
}

/// An episode in progress.
#[derive(Default)]
pub struct Feed {
    index: u64,
}

impl Feed {
    /// The robot's observation now.
    pub fn observation(&self) -> Observation {
        let t = self.index as f64 * STEP_SECONDS;
        let captured_at = Timestamp::from_secs_f64(1.0 + t);
        let image = |camera: &str, pixels: Vec<u8>, (width, height): (u32, u32)| Image {
            camera: camera.into(),
            width,
            height,
            pixels: Arc::from(pixels),
            captured_at,
            sequence: self.index,
        };
        Observation {
            images: vec![
                image("front", draw((640, 480), t, 1.0), (640, 480)),
                image("wrist", draw((320, 240), t, 2.6), (320, 240)),
            ],
            proprioception: Proprioception {
                joint_positions: joints(t),
                joint_velocities: JointVector::zeros(6),
                joint_efforts: JointVector::zeros(6),
                finger_position: 0.02,
                gripper: 0.5 - 0.45 * (t * 0.3).sin().signum(),
                measured_at: captured_at,
            },
            base_from_tool: pose_from_bridge([0.2, 0.0, 0.1, 0.0, 0.0, 0.0]),
            bridge_state: [0.2, 0.0, 0.1, 0.0, 0.0, 0.0, 0.5 - 0.45 * (t * 0.3).sin().signum()],
            observed_at: captured_at,
        }
    }

    /// One policy step and its control ticks.
    pub fn step(&mut self, sink: &mut dyn StepSink) -> anyhow::Result<()> {
        let t = self.index as f64 * STEP_SECONDS;
        let observation = self.observation();
        let mut decision = Decision::plain(action(t));
        decision.encoder_seconds = 0.041 + 0.004 * jitter(t);
        decision.policy_seconds = 0.0016 + 0.0003 * jitter(t + 0.5);
        let decided_at = observation.observed_at;
        sink.step(&Step { index: self.index, observation: &observation, decision: &decision, decided_at })?;
        for tick in 0..TICKS {
            sink.control_tick(&self.tick(t, tick))?;
        }
        self.index += 1;
        Ok(())
    }

    fn tick(&self, t: f64, tick: u64) -> ControlTick {
        let at = t + tick as f64 * STEP_SECONDS / TICKS as f64;
        let limited = self.index % 23 == 7 && tick < 3;
        let wished = JointCommand::position(joints(at + if limited { 0.35 } else { 0.12 }), action(t).gripper);
        ControlTick {
            at: Timestamp::from_secs_f64(1.0 + at),
            measured: joints(at),
            measured_gripper: 0.5 - 0.45 * (t * 0.3).sin().signum(),
            wished,
            sent: JointCommand::position(joints(at + 0.12), action(t).gripper),
            action: action(t - 0.1),
            step_index: Some(self.index),
            filtered: if limited { Filtered::Limited(LimitReason::JointVelocity) } else { Filtered::Passed },
            image_age_seconds: 0.075 + 0.02 * tick as f64 + 0.006 * jitter(at),
            tick_seconds: 0.00042 + 0.00012 * jitter(at + 0.3).abs(),
        }
    }
}

type Point = (f64, f64);

/// Distance of `p` from the line between `a` and `b`.
fn off_line(p: Point, a: Point, b: Point) -> f64 {
    let (along, to) = ((b.0 - a.0, b.1 - a.1), (p.0 - a.0, p.1 - a.1));
    let share = ((to.0 * along.0 + to.1 * along.1) / (along.0 * along.0 + along.1 * along.1)).clamp(0.0, 1.0);
    (to.0 - share * along.0).hypot(to.1 - share * along.1)
}

/// RGB of the table seen at `zoom`, in an image of this size.
fn draw((width, height): (u32, u32), t: f64, zoom: f64) -> Vec<u8> {
    let reach = (t * 0.45).sin();
    let hand = (0.06 + 0.22 * (t * 0.3).sin(), 0.12 + 0.14 * reach);
    let elbow = (-0.22 + 0.1 * (t * 0.3).sin(), -0.3 + 0.06 * reach);
    let open = 0.035 - 0.018 * (t * 0.3).sin().signum();
    let center = if zoom > 1.0 { (hand.0, hand.1 + 0.1) } else { (0.0, 0.0) };
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for row in 0..height {
        for column in 0..width {
            let scale = 1.0 / (f64::from(height) * zoom);
            let x = (f64::from(column) - f64::from(width) / 2.0) * scale + center.0;
            let y = (f64::from(row) - f64::from(height) / 2.0) * scale + center.1;
            let p = (x, y);
            let grain = 5.0 * (y * 55.0 + 2.0 * (x * 5.0).sin()).sin() - 26.0 * (x * x + y * y);
            let mut color =
                if y < -0.28 { [203.0, 207.0, 208.0] } else { [191.0 + grain, 160.0 + grain, 122.0 + grain] };
            // Each part: distance to its edge, negative inside, and its color.
            let bowl = (x - 0.17).hypot((y - 0.22) * 1.35);
            let cloth = ((x + 0.33).abs() - 0.15).max((y - 0.25).abs() - 0.11);
            let croissant =
                off_line(p, (0.12, 0.215), (0.17, 0.19)).min(off_line(p, (0.17, 0.19), (0.22, 0.215))) - 0.024;
            let parts: [(f64, [f64; 3]); 11] = [
                (
                    cloth,
                    if ((x * 34.0).floor() + (y * 34.0).floor()) as i64 % 2 == 0 {
                        [96.0, 132.0, 164.0]
                    } else {
                        [219.0, 224.0, 226.0]
                    },
                ),
                (bowl - 0.165, [60.0, 92.0, 138.0]),
                (bowl - 0.148, [226.0, 230.0, 233.0]),
                (bowl - 0.105, [204.0, 210.0, 215.0]),
                (croissant, [196.0 + 22.0 * (x * 190.0).sin(), 128.0, 58.0]),
                (off_line(p, (-0.42, -0.5), elbow) - 0.045, [52.0, 54.0, 60.0]),
                (off_line(p, elbow, hand) - 0.034, [66.0, 69.0, 76.0]),
                ((x - elbow.0).hypot(y - elbow.1) - 0.05, [36.0, 38.0, 43.0]),
                ((x - hand.0).hypot(y - hand.1) - 0.038, [36.0, 38.0, 43.0]),
                (
                    off_line(p, (hand.0 - open, hand.1 + 0.03), (hand.0 - open, hand.1 + 0.1)) - 0.011,
                    [24.0, 25.0, 28.0],
                ),
                (
                    off_line(p, (hand.0 + open, hand.1 + 0.03), (hand.0 + open, hand.1 + 0.1)) - 0.011,
                    [24.0, 25.0, 28.0],
                ),
            ];
            for (edge, part) in parts {
                let cover = (0.5 - edge / scale).clamp(0.0, 1.0);
                for (under, over) in color.iter_mut().zip(part) {
                    *under += (over - *under) * cover;
                }
            }
            pixels.extend(color.map(|value| value.clamp(0.0, 255.0) as u8));
        }
    }
    pixels
}
