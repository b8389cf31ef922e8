//! A hand of skin-colored capsules and, on some, the end of a sleeve. There is no arm: the model ends at the wrist.
//!
//! Frame of a right hand: origin in the palm, x to the fingers, y to the thumb, z out of the back; a left hand is its
//! mirror image in y.

use nalgebra::{Unit, Vector3};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::mjcf::{Color, Geoms, pale, shade, vivid};

/// Length of a finger's three parts \[m\].
const PARTS: [f64; 3] = [0.042, 0.027, 0.021];
/// Flexion of a finger's three joints in an open hand and in a fist \[rad\].
const OPEN: [f64; 3] = [0.12, 0.18, 0.10];
const FIST: [f64; 3] = [1.10, 1.32, 0.70];
/// Base of the fingers \[m\]: index to little finger.
const KNUCKLES: [[f64; 2]; 4] = [[0.042, 0.030], [0.045, 0.010], [0.042, -0.011], [0.036, -0.030]];
/// Length of each finger as a share of the middle one's.
const LENGTHS: [f64; 4] = [0.93, 1.0, 0.94, 0.78];
/// Base of the thumb \[m\], its direction in an open hand and in a fist, length of its two parts \[m\].
const THUMB: [f64; 3] = [-0.004, 0.032, -0.010];
const THUMB_OPEN: [f64; 3] = [0.72, 0.66, -0.22];
const THUMB_FIST: [f64; 3] = [0.48, -0.26, -0.84];
const THUMB_PARTS: [f64; 2] = [0.038, 0.028];
/// Skin from pale to dark.
const SKIN: [Color; 6] = [
    [0.96, 0.80, 0.69],
    [0.90, 0.69, 0.54],
    [0.79, 0.57, 0.42],
    [0.64, 0.43, 0.30],
    [0.46, 0.30, 0.21],
    [0.32, 0.21, 0.15],
];

/// One person's hand.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    /// 1 for a right hand, -1 for a left one.
    pub side: f64,
    /// Its body as MJCF text.
    pub mjcf: String,
}

impl Hand {
    /// A hand of random side, size, skin and sleeve; some wear gloves.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        let side = if rng.random_bool(0.7) { 1.0 } else { -1.0 };
        let glove = rng.random_bool(0.08);
        let tone = SKIN[rng.random_range(0..SKIN.len())];
        let skin = if glove { vivid(rng) } else { shade(tone, rng.random_range(0.92..1.06)) };
        let thick = rng.random_range(0.9..1.12);
        let mut palm = Geoms::default();
        let inner = shade(skin, 1.06);
        palm.ellipsoid([0.047, 0.041 * thick, 0.0145], [0.004, 0.0, 0.0], skin)
            .ellipsoid([0.030, 0.020, 0.0150], [-0.010, 0.020 * side, -0.006], inner)
            .ellipsoid([0.032, 0.018, 0.0140], [-0.012, -0.020 * side, -0.005], inner)
            .capsule(0.0215 * thick, [-0.055, 0.0, 0.002], [-0.030, 0.0, 0.001], skin);
        if rng.random_bool(0.75) && !glove {
            let cloth = if rng.random_bool(0.6) { vivid(rng) } else { pale(rng) };
            let length = rng.random_range(0.05..0.15);
            palm.capsule(0.031, [-0.085 - length, 0.0, 0.010], [-0.088, 0.0, 0.004], cloth);
            palm.capsule(0.0335, [-0.092, 0.0, 0.004], [-0.084, 0.0, 0.004], shade(cloth, 0.75));
        } else {
            palm.capsule(0.025, [-0.13, 0.0, 0.006], [-0.062, 0.0, 0.003], skin);
            if rng.random_bool(0.3) {
                palm.capsule(0.029, [-0.080, 0.0, 0.003], [-0.076, 0.0, 0.003], vivid(rng));
            }
        }
        let mut mjcf = format!("<body name=\"hand\" mocap=\"true\">\n{}", palm.0);
        let nail = if rng.random_bool(0.2) { vivid(rng) } else { shade(skin, 1.12) };
        for (finger, ([x, y], share)) in KNUCKLES.iter().zip(LENGTHS).enumerate() {
            mjcf.push_str(&finger_mjcf(finger, [*x, y * side], share, 0.0088 * thick, skin, nail));
        }
        mjcf.push_str(&thumb_mjcf(side, 0.0102 * thick, skin, nail));
        mjcf.push_str("</body>\n");
        Self { side, mjcf }
    }

    /// The center of a held object between thumb and fingers, in the hand's frame \[m\].
    pub fn grip_point(&self, grip: f64) -> Vector3<f64> {
        let mut tip = Vector3::new(KNUCKLES[1][0], 0.0, 0.0);
        let mut angle = 0.0;
        for (part, flexion) in PARTS.iter().zip(flexions(grip)) {
            angle += flexion;
            tip += Vector3::new(f64::cos(angle), 0.0, -f64::sin(angle)) * *part;
        }
        let (axis, full) = thumb_hinge(1.0);
        let turn = nalgebra::UnitQuaternion::from_axis_angle(&axis, full * opposition(grip));
        let thumb =
            Vector3::from(THUMB) + turn * Vector3::from(THUMB_OPEN).normalize() * (THUMB_PARTS[0] + THUMB_PARTS[1]);
        let middle = (tip + thumb) / 2.0;
        Vector3::new(middle.x, middle.y * 0.5 * self.side, middle.z)
    }
}

/// How far a hand closes around an object of this width \[m\].
pub(super) fn grip_for(width: f64) -> f64 {
    (0.5 - 8.0 * (width - 0.045)).clamp(0.12, 0.80)
}

/// All joint positions \[rad\] of a hand closed this far, in the model's order.
pub(super) fn joints(grip: f64) -> Vec<f64> {
    let mut joints: Vec<f64> = (0..KNUCKLES.len())
        .flat_map(|finger| {
            // The little finger closes a little further.
            let more = 1.0 + 0.05 * finger as f64;
            flexions(grip).map(|flexion| flexion * more)
        })
        .collect();
    joints.extend([thumb_hinge(1.0).1 * opposition(grip), 0.25 + 0.35 * grip]);
    joints
}

fn flexions(grip: f64) -> [f64; 3] {
    std::array::from_fn(|joint| OPEN[joint] + (FIST[joint] - OPEN[joint]) * grip.clamp(0.0, 1.0))
}

/// The thumb is opposed early: at half a grip it is almost in its final position.
fn opposition(grip: f64) -> f64 {
    (0.15 + 1.5 * grip).clamp(0.0, 1.0)
}

/// Axis of the thumb's first joint and the angle from open to closed \[rad\].
fn thumb_hinge(side: f64) -> (Unit<Vector3<f64>>, f64) {
    let [open, fist] = [THUMB_OPEN, THUMB_FIST].map(|[x, y, z]| Vector3::new(x, y * side, z).normalize());
    (Unit::new_normalize(open.cross(&fist)), open.dot(&fist).acos())
}

fn finger_mjcf(finger: usize, [x, y]: [f64; 2], share: f64, radius: f64, skin: Color, nail: Color) -> String {
    let mut text = String::new();
    let mut at = [x, y, 0.0];
    for (part, length) in PARTS.iter().enumerate() {
        let length = length * share;
        let radius = radius * (1.0 - 0.09 * part as f64);
        let mut geoms = Geoms::default();
        geoms.capsule(radius, [0.0; 3], [length, 0.0, 0.0], skin);
        if part == 2 {
            geoms.ellipsoid([0.006, 0.0052, 0.003], [length, 0.0, radius * 0.75], nail);
        }
        text.push_str(&format!(
            "<body pos=\"{:.5} {:.5} {:.5}\"><joint name=\"finger_{finger}_{part}\" axis=\"0 1 0\"/>\n{}",
            at[0], at[1], at[2], geoms.0
        ));
        at = [length, 0.0, 0.0];
    }
    text.push_str("</body></body></body>\n");
    text
}

fn thumb_mjcf(side: f64, radius: f64, skin: Color, nail: Color) -> String {
    let (axis, _) = thumb_hinge(side);
    let axis = format!("{:.5} {:.5} {:.5}", axis.x, axis.y, axis.z);
    let way = Vector3::new(THUMB_OPEN[0], THUMB_OPEN[1] * side, THUMB_OPEN[2]).normalize();
    let [first, second] = THUMB_PARTS.map(|length| [way.x * length, way.y * length, way.z * length]);
    let (mut near, mut far) = (Geoms::default(), Geoms::default());
    near.capsule(radius * 1.1, [0.0; 3], first, skin);
    far.capsule(radius, [0.0; 3], second, skin);
    far.ellipsoid([0.006, 0.006, 0.004], [second[0], second[1], second[2] + radius * 0.7], nail);
    format!(
        "<body pos=\"{:.5} {:.5} {:.5}\"><joint name=\"thumb_0\" axis=\"{axis}\"/>\n{}\
         <body pos=\"{:.5} {:.5} {:.5}\"><joint name=\"thumb_1\" axis=\"{axis}\"/>\n{}</body></body>\n",
        THUMB[0],
        THUMB[1] * side,
        THUMB[2],
        near.0,
        first[0],
        first[1],
        first[2],
        far.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wider_a_thing_the_further_the_hand_opens_and_the_tips_meet_around_it() {
        assert!(grip_for(0.02) > grip_for(0.05) && grip_for(0.05) > grip_for(0.08));
        assert_eq!(joints(0.5).len(), 3 * KNUCKLES.len() + 2);
        let hand = Hand { side: 1.0, mjcf: String::new() };
        for width in [0.02, 0.045, 0.075] {
            let point = hand.grip_point(grip_for(width));
            assert!(point.x > 0.02 && point.x < 0.09 && point.z < -0.04, "{width}: {point:?}");
        }
    }
}
