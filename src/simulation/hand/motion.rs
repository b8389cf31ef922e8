//! Motion of a hand: minimum-jerk strokes from rest to rest, as people reach (Flash and Hogan 1985).

use nalgebra::{Translation3, UnitQuaternion, Vector3};

use visuomotor_core::geometry::Pose;

/// Acceleration of a released object \[m/s^2\].
const GRAVITY: f64 = 9.81;
/// A cloth removes stains whose center is this close to its own \[m\].
const WIPED: f64 = 0.055;
/// How long a poured bead falls \[s\].
const FALL: f64 = 0.25;

/// Position of hidden objects: far below everything.
pub(super) const HIDDEN: [f64; 3] = [0.0, 0.0, -3.0];

/// Share of the path after share `t` of the time: zero velocity and acceleration at both ends.
pub(super) fn minimum_jerk(t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    t * t * t * (10.0 + t * (6.0 * t - 15.0))
}

/// Effect of a stroke on an object, from its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Deed {
    /// No effect.
    None,
    /// The object with this index follows the hand.
    Take(usize),
    /// The held object is released, stays upright, and falls to this height \[m\].
    LetGo(f64),
    /// The held cloth removes stains.
    Wipe,
    /// The held jug releases beads, one after another.
    Pour,
}

/// One movement from rest to rest.
#[derive(Clone, Debug)]
pub(super) struct Stroke {
    /// Hand pose at the end.
    pub to: Pose,
    /// How far the hand is closed at the end (0 open, 1 a fist).
    pub grip: f64,
    /// Duration \[s\].
    pub seconds: f64,
    /// Height of the path's upward bend in its middle \[m\].
    pub arc: f64,
    /// The effect that starts with it.
    pub deed: Deed,
}

/// All movable objects at one moment.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// The hand.
    pub hand: Pose,
    /// How far it is closed.
    pub grip: f64,
    /// The objects.
    pub things: Vec<Pose>,
}

/// Objects with effects of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Props {
    /// Objects that a cloth removes.
    pub stains: Vec<usize>,
    /// Objects that a jug releases, each with the place it falls to \[m\].
    pub beads: Vec<(usize, Vector3<f64>)>,
    /// Where they leave the jug, in its frame \[m\].
    pub spout: Vector3<f64>,
}

/// All moments of a motion, `rate` per second.
pub(super) fn perform(start: Moment, strokes: &[Stroke], props: &Props, rate: f64) -> Vec<Moment> {
    let mut moments = vec![start.clone()];
    let mut now = start;
    let mut held: Option<(usize, Pose)> = None;
    let mut falling: Option<(usize, f64, f64)> = None;
    let mut clock = 0.0;
    let mut next = 1.0 / rate;
    for stroke in strokes {
        let begin = now.clone();
        match stroke.deed {
            Deed::Take(thing) => held = Some((thing, begin.hand.inverse() * begin.things[thing])),
            Deed::LetGo(height) => {
                if let Some((thing, _)) = held.take() {
                    let (_, _, yaw) = begin.things[thing].rotation.euler_angles();
                    now.things[thing].rotation = UnitQuaternion::from_euler_angles(0.0, 0.0, yaw);
                    falling = Some((thing, height, clock));
                }
            }
            Deed::None | Deed::Wipe | Deed::Pour => {}
        }
        let end = clock + stroke.seconds;
        let dropped_from = falling.map(|(thing, ..)| now.things[thing].translation.z);
        // A stroke is always evaluated at its very end, at any rate: the carried object has to arrive.
        loop {
            let at = next.min(end);
            let share = (at - clock) / stroke.seconds.max(1e-9);
            let gone = minimum_jerk(share);
            now.hand = between(&begin.hand, &stroke.to, gone);
            now.hand.translation.z += stroke.arc * 16.0 * (share * (1.0 - share)).powi(2);
            now.grip = begin.grip + (stroke.grip - begin.grip) * minimum_jerk(share * 1.2);
            if let Some((thing, hand_from_thing)) = &held {
                now.things[*thing] = now.hand * hand_from_thing;
                if stroke.deed == Deed::Wipe {
                    wipe(&mut now.things, *thing, &props.stains);
                }
                if stroke.deed == Deed::Pour {
                    pour(&mut now.things, *thing, props, at - clock, stroke.seconds);
                }
            }
            if let (Some((thing, height, since)), Some(from)) = (falling, dropped_from) {
                let fallen = 0.5 * GRAVITY * (at - since) * (at - since);
                now.things[thing].translation.z = (from - fallen).max(height);
            }
            if next > end {
                break;
            }
            moments.push(now.clone());
            next += 1.0 / rate;
        }
        if let Some((thing, height, _)) = falling.take() {
            now.things[thing].translation.z = height;
        }
        clock = end;
    }
    moments
}

fn between(from: &Pose, to: &Pose, share: f64) -> Pose {
    let place = from.translation.vector.lerp(&to.translation.vector, share);
    let turn = from.rotation.try_slerp(&to.rotation, share, 1e-9).unwrap_or(to.rotation);
    Pose::from_parts(Translation3::from(place), turn)
}

fn wipe(things: &mut [Pose], cloth: usize, stains: &[usize]) {
    let middle = things[cloth].translation.vector.xy();
    for stain in stains {
        if (things[*stain].translation.vector.xy() - middle).norm() < WIPED {
            things[*stain].translation = Translation3::from(HIDDEN);
        }
    }
}

fn pour(things: &mut [Pose], jug: usize, props: &Props, since: f64, seconds: f64) {
    let spout = things[jug] * nalgebra::Point3::from(props.spout);
    let count = props.beads.len().max(1) as f64;
    for (number, (bead, bottom)) in props.beads.iter().enumerate() {
        let begin = (seconds - FALL) * number as f64 / count;
        let share = ((since - begin) / FALL).clamp(0.0, 1.0);
        if since >= begin {
            things[*bead].translation = Translation3::from(spout.coords.lerp(bottom, share * share));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f64, z: f64) -> Pose {
        Pose::from_parts(Translation3::new(x, 0.0, z), UnitQuaternion::identity())
    }

    #[test]
    fn a_stroke_begins_and_ends_at_rest_and_is_fastest_in_its_middle() {
        assert_eq!((minimum_jerk(0.0), minimum_jerk(0.5), minimum_jerk(1.0)), (0.0, 0.5, 1.0));
        let speed = |t: f64| (minimum_jerk(t + 1e-4) - minimum_jerk(t - 1e-4)) / 2e-4;
        assert!(speed(0.001) < 1e-3 && speed(0.999) < 1e-3);
        assert!((speed(0.5) - 1.875).abs() < 1e-3, "{}", speed(0.5));
    }

    #[test]
    fn held_objects_follow_and_released_objects_fall_to_their_support() {
        let start = Moment { hand: at(0.0, 0.2), grip: 0.0, things: vec![at(0.3, 0.0), at(9.0, 0.0)] };
        let stroke = |to, deed| Stroke { to, grip: 0.5, seconds: 0.73, arc: 0.0, deed };
        let strokes = [
            stroke(at(0.3, 0.1), Deed::None),
            stroke(at(0.5, 0.3), Deed::Take(0)),
            stroke(at(0.5, 0.4), Deed::LetGo(0.05)),
        ];
        let moments = perform(start, &strokes, &Props::default(), 10.0);
        assert_eq!(moments.len(), 1 + (3.0f64 * 0.73 * 10.0).floor() as usize);
        let last = moments.last().unwrap();
        assert!((last.things[0].translation.x - 0.5).abs() < 1e-9, "{last:?}");
        assert!((last.things[0].translation.z - 0.05).abs() < 1e-9, "{last:?}");
        assert_eq!(last.things[1], at(9.0, 0.0));
        let held = &moments[12];
        assert!((held.hand.translation.x - held.things[0].translation.x).abs() < 1e-9);
        assert!((held.hand.translation.z - held.things[0].translation.z - 0.1).abs() < 1e-9);
    }
}
