//! Do the actions predict the motion of the states? Start at [`MotionCheck`].
//!
//! A change of the pose that was asked for is compared with the change that followed in the states, at once or a step later, up to a
//! common factor: controllers lag, and reach less than they are asked for. Numbers of another convention (poses taken for changes,
//! another frame, unit or sense) do not pass.

use nalgebra::{UnitQuaternion, Vector3};
use visuomotor_core::geometry::rotation_from_euler;

use super::layout::Converted;

/// Most samples kept; of longer data sets every second, fourth, ...
const MOST_SAMPLES: usize = 20_000;
/// Fewest moving steps that allow a judgment.
const FEWEST: usize = 30;
/// Fastest motion of a tool \[m/s\]: states that jump farther are no motion.
const FASTEST: f64 = 2.0;
/// Motion below these is noise \[m\], \[rad\].
const STILL: [f64; 2] = [0.001, 0.01];
/// A change is predicted if it differs by at most this share of itself and this much more \[m\], \[rad\].
const TOLERANCE: f64 = 0.35;
const MARGIN: [f64; 2] = [0.003, 0.02];
/// Share of moving steps that must be predicted.
const MOST: f64 = 0.6;
/// Factors between asked and done that a controller may have.
const FACTORS: [f64; 2] = [0.5, 1.6];
/// Correlation of gripper and its target below which their senses are opposite.
const OPPOSITE: f64 = -0.3;
/// A gripper that never opens farther is counted in another unit.
const BARELY_OPEN: f64 = 0.2;

/// One asked change, and what followed.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Asked change of position \[m\] and orientation (rotation vector, \[rad\]), along the base's axes.
    asked: [Vector3<f64>; 2],
    /// The changes from this step to the next, and from the next to the one after.
    done: [[Vector3<f64>; 2]; 2],
    /// The tool's orientation.
    orientation: UnitQuaternion<f64>,
    /// Gripper target, and the gripper two steps later.
    gripper: [f64; 2],
}

/// Compares actions with the motion of the states, over all episodes of a data set.
#[derive(Clone, Debug)]
pub struct MotionCheck {
    samples: Vec<Sample>,
    /// Number of steps from one kept sample to the next.
    stride: usize,
    seen: usize,
    jumps: usize,
    /// Time between two steps \[s\].
    period: f64,
    largest_gripper: [f64; 2],
}

/// The fit of done to asked changes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    lag: usize,
    factor: f64,
    /// Share of moving steps that are predicted.
    share: f64,
}

impl MotionCheck {
    /// For a data set with this rate \[Hz\].
    pub fn new(rate: f64) -> Self {
        Self { samples: Vec::new(), stride: 1, seen: 0, jumps: 0, period: 1.0 / rate, largest_gripper: [0.0; 2] }
    }

    /// Takes in an episode.
    pub fn add(&mut self, steps: &[Converted]) {
        let pose = |step: &Converted| {
            let [x, y, z, roll, pitch, yaw, _] = step.state;
            (Vector3::new(x, y, z), rotation_from_euler(roll, pitch, yaw))
        };
        for step in steps {
            for (most, gripper) in self.largest_gripper.iter_mut().zip([step.state[6], step.action[6]]) {
                *most = most.max(gripper);
            }
        }
        for three in steps.windows(3) {
            let [a, b, c] = three else { continue };
            self.seen += 1;
            let poses = [pose(a), pose(b), pose(c)];
            let change = |i: usize| {
                let turn = poses[i + 1].1 * poses[i].1.inverse();
                [poses[i + 1].0 - poses[i].0, turn.scaled_axis()]
            };
            let done = [change(0), change(1)];
            if done.iter().any(|[way, _]| way.norm() > FASTEST * self.period) {
                self.jumps += 1;
                continue;
            }
            if !self.seen.is_multiple_of(self.stride) {
                continue;
            }
            if self.samples.len() == MOST_SAMPLES {
                self.stride *= 2;
                let mut index = 0;
                self.samples.retain(|_| {
                    index += 1;
                    index % 2 == 0
                });
            }
            let [x, y, z, roll, pitch, yaw, gripper] = a.action;
            let turn = rotation_from_euler(roll, pitch, yaw).scaled_axis();
            let asked = [Vector3::new(x, y, z), turn];
            self.samples.push(Sample { asked, done, orientation: poses[0].1, gripper: [gripper, c.state[6]] });
        }
    }

    /// What was found, for the notes of the import; or why the actions cannot be what they were taken for. `gripper_stated`: the
    /// gripper's unit was stated, so that one that hardly opens is believed.
    pub fn judge(&self, gripper_stated: bool) -> Result<String, String> {
        self.gripper(gripper_stated)?;
        let base = |sample: &Sample, part: usize| sample.asked[part];
        let mut words = Vec::new();
        for (part, name, unit) in [(0, "positions", "m"), (1, "orientations", "rad")] {
            let Some(fit) = self.fit(part, &base) else { continue };
            let Fit { lag, factor, share } = fit;
            let percent = (100.0 * share).round();
            if share >= MOST && (FACTORS[0]..=FACTORS[1]).contains(&factor) {
                words.push(format!("{name} {percent} % of steps, factor {factor:.2}, {lag} steps later"));
                continue;
            }
            let hint = self.hint(part, factor, share);
            return Err(format!(
                "the actions predict {percent} % of the changes of {name} (60 % expected) with the factor {factor:.3} (0.5 to 1.6 \
                 expected), lag {lag}, over {} moving steps, largest asked change {:.3} {unit}{hint}",
                self.moving(part).count(),
                self.samples.iter().map(|sample| sample.asked[part].norm()).fold(0.0, f64::max)
            ));
        }
        if words.is_empty() {
            let jumps = match self.jumps {
                0 => String::new(),
                jumps => format!(", {jumps} of {} steps faster than {FASTEST} m/s", self.seen),
            };
            return Ok(format!(
                "actions could not be compared with the motion of the states: fewer than {FEWEST} moving steps{jumps}"
            ));
        }
        Ok(format!("actions compared with the motion of the states: they predict {}", words.join("; ")))
    }

    /// What would fit better.
    fn hint(&self, part: usize, factor: f64, share: f64) -> String {
        let in_tool = |sample: &Sample, part: usize| sample.orientation * sample.asked[part];
        if let Some(fit) = self.fit(part, &in_tool)
            && fit.share >= MOST
            && (FACTORS[0]..=FACTORS[1]).contains(&fit.factor)
        {
            return "; along the tool's axes they fit (--frame tool)".into();
        }
        if share >= MOST && factor > 0.0 {
            return format!("; scaled they fit (--scale {factor:.3})");
        }
        "; they may be poses to reach (--action-kind absolute), in another unit (--scale) or of another rotation (--rotation); \
         --without-motion-check imports them as they are"
            .into()
    }

    fn moving(&self, part: usize) -> impl Iterator<Item = &Sample> {
        let moves = move |v: &Vector3<f64>| v.norm() > STILL[part];
        self.samples.iter().filter(move |sample| moves(&sample.asked[part]) || moves(&sample.done[0][part]))
    }

    /// The best fit over both lags; `None` where too little moves.
    fn fit(&self, part: usize, asked: &dyn Fn(&Sample, usize) -> Vector3<f64>) -> Option<Fit> {
        let moving: Vec<&Sample> = self.moving(part).collect();
        if moving.len() < FEWEST {
            return None;
        }
        let of_lag = |lag: usize| {
            let (mut both, mut own) = (0.0, 0.0);
            for sample in &moving {
                let a = asked(sample, part);
                both += a.dot(&sample.done[lag][part]);
                own += a.dot(&a);
            }
            let factor = if own > 0.0 { both / own } else { 0.0 };
            let predicted = moving.iter().filter(|sample| {
                let expected = factor * asked(sample, part);
                let done = sample.done[lag][part];
                (done - expected).norm() <= MARGIN[part] + TOLERANCE * done.norm().max(expected.norm())
            });
            Fit { lag, factor, share: predicted.count() as f64 / moving.len() as f64 }
        };
        let [now, later] = [of_lag(0), of_lag(1)];
        Some(if later.share > now.share { later } else { now })
    }

    fn gripper(&self, stated: bool) -> Result<(), String> {
        if self.samples.len() < FEWEST {
            return Ok(());
        }
        for (most, name, option) in
            [(self.largest_gripper[0], "states", "--gripper"), (self.largest_gripper[1], "actions", "--action-gripper")]
        {
            if !stated && most < BARELY_OPEN {
                return Err(format!(
                    "the gripper of the {name} never exceeds {most:.3}: if it is a width, state it ({option} meters=OPENING), if it \
                     is hardly opened, state that too ({option} open-1)"
                ));
            }
        }
        let count = self.samples.len() as f64;
        let mean = |i: usize| self.samples.iter().map(|sample| sample.gripper[i]).sum::<f64>() / count;
        let means = [mean(0), mean(1)];
        let moment = |i: usize, j: usize| {
            let product = |sample: &Sample| (sample.gripper[i] - means[i]) * (sample.gripper[j] - means[j]);
            self.samples.iter().map(product).sum::<f64>() / count
        };
        let spreads = [moment(0, 0).sqrt(), moment(1, 1).sqrt()];
        if spreads.iter().all(|spread| *spread > 0.1) && moment(0, 1) / (spreads[0] * spreads[1]) < OPPOSITE {
            return Err("the gripper closes where the actions open it: states and actions count in opposite senses (--gripper, \
                        --action-gripper)"
                .into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::meaning::layout::Meaning;

    /// A smooth motion at 5 Hz that follows its actions with this factor.
    fn motion(steps: usize, factor: f64, change: impl Fn(usize, [f64; 7]) -> [f64; 7]) -> Vec<Converted> {
        let mut state = [0.25, 0.0, 0.15, 0.4, 0.9, -0.6, 1.0];
        let mut out = Vec::new();
        for step in 0..steps {
            let t = step as f64;
            let ask = [0.02 * (0.3 * t).sin(), 0.02 * (0.21 * t).cos(), 0.015 * (0.4 * t).sin()];
            let turn = [0.08 * (0.25 * t).sin(), 0.06 * (0.33 * t).cos(), 0.1 * (0.2 * t).sin()];
            let gripper = f64::from(u8::from(step % 20 < 10));
            let action = [ask[0], ask[1], ask[2], turn[0], turn[1], turn[2], gripper];
            out.push(Converted { state, action: change(step, action) });
            let [.., roll, pitch, yaw, _] = state;
            let turned = rotation_from_euler(factor * turn[0], factor * turn[1], factor * turn[2])
                * rotation_from_euler(roll, pitch, yaw);
            let angles = visuomotor_core::geometry::euler_from_rotation(&turned);
            for (position, change) in state.iter_mut().zip(ask) {
                *position += factor * change;
            }
            state[3..6].copy_from_slice(&angles);
            state[6] += 0.7 * (gripper - state[6]);
        }
        out
    }

    fn judge(steps: &[Converted]) -> Result<String, String> {
        let mut check = MotionCheck::new(5.0);
        check.add(steps);
        check.judge(false)
    }

    #[test]
    fn actions_that_were_followed_pass() {
        for factor in [0.7, 1.0, 1.3] {
            let words = judge(&motion(120, factor, |_, action| action)).unwrap();
            assert!(words.contains("100 % of steps"), "{words}");
        }
        // A step later.
        let mut late = motion(120, 1.0, |_, action| action);
        let actions: Vec<_> = late.iter().map(|step| step.action).collect();
        for (step, action) in late.iter_mut().zip(actions.iter().skip(1)) {
            step.action = *action;
        }
        assert!(judge(&late).unwrap().contains("positions"));
    }

    #[test]
    fn actions_of_another_kind_are_refused() {
        let scaled = motion(120, 1.0, |_, a| [20.0 * a[0], 20.0 * a[1], 20.0 * a[2], a[3], a[4], a[5], a[6]]);
        assert!(judge(&scaled).unwrap_err().contains("--scale 0.050"), "{:?}", judge(&scaled));
        let poses = motion(120, 1.0, |_, a| [0.3 + a[0], a[1], 0.1, a[3], a[4], a[5], a[6]]);
        assert!(judge(&poses).unwrap_err().contains("--action-kind absolute"));
        let mirrored = motion(120, 1.0, |_, a| [a[0], -a[1], a[2], a[3], a[4], a[5], a[6]]);
        judge(&mirrored).unwrap_err();
        let opposite = motion(120, 1.0, |_, a| [a[0], a[1], a[2], a[3], a[4], a[5], 1.0 - a[6]]);
        assert!(judge(&opposite).unwrap_err().contains("opposite senses"));
        let wide = motion(120, 1.0, |_, a| [a[0], a[1], a[2], a[3], a[4], a[5], 0.08 * a[6]]);
        assert!(judge(&wide).unwrap_err().contains("meters=OPENING"));
        let other_turns = motion(120, 1.0, |_, a| [a[0], a[1], a[2], a[5], -a[4], a[3], a[6]]);
        assert!(judge(&other_turns).unwrap_err().contains("orientations"));
    }

    #[test]
    fn the_tool_frame_is_recognized() {
        let mut steps = motion(120, 1.0, |_, action| action);
        for step in &mut steps {
            let [.., roll, pitch, yaw, _] = step.state;
            let [x, y, z, ..] = step.action;
            let seen = rotation_from_euler(roll, pitch, yaw).inverse() * Vector3::new(x, y, z);
            step.action[..3].copy_from_slice(&[seen.x, seen.y, seen.z]);
        }
        assert!(judge(&steps).unwrap_err().contains("--frame tool"));
    }

    #[test]
    fn too_little_motion_is_not_judged() {
        assert!(judge(&motion(20, 1.0, |_, a| a)).unwrap().contains("could not be compared"));
        let mut jumping = motion(120, 1.0, |_, a| a);
        for (index, step) in jumping.iter_mut().enumerate() {
            step.state[0] = if index % 2 == 0 { 0.5 } else { -0.5 };
        }
        assert!(judge(&jumping).unwrap().contains("faster than"));
    }

    #[test]
    fn long_data_sets_take_little_memory() {
        let mut check = MotionCheck::new(5.0);
        let episode = motion(300, 1.0, |_, a| a);
        for _ in 0..500 {
            check.add(&episode);
        }
        assert!(check.samples.len() <= MOST_SAMPLES && check.stride > 1);
        check.judge(false).unwrap();
    }

    #[test]
    fn bridge_is_converted_unchanged() {
        let step = motion(1, 1.0, |_, a| a)[0];
        assert_eq!(Meaning::bridge().convert(&step.state, &step.action), Some(step));
    }
}
