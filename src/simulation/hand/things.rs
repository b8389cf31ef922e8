//! Objects that hands handle, of many shapes, sizes and colors. The origin of each is the center of its underside.

use std::f64::consts::{FRAC_PI_2, TAU};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::mjcf::{Geoms, pale, rgba, shade, vivid, wooden};

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    /// Its kind.
    pub kind: &'static str,
    /// Its geoms.
    pub geoms: Geoms,
    /// Height \[m\].
    pub height: f64,
    /// Radius of a circle around its underside \[m\].
    pub radius: f64,
    /// Height of the grasp \[m\].
    pub grip_height: f64,
    /// Width of the grasped part \[m\].
    pub grip_width: f64,
    /// Grasped from the side with the thumb up, instead of from above.
    pub upright: bool,
}

/// Kinds of objects that are moved.
pub(super) const HANDLED: [&str; 12] =
    ["carton", "book", "jar", "bottle", "tube", "pebble", "hoop", "goblet", "dumbbell", "pyramid", "remote", "duck"];
/// Kinds of containers.
pub(super) const HOLDING: [&str; 2] = ["basin", "bin"];
/// Kinds used in one chore only.
pub(super) const PROPS: [&str; 9] = ["jug", "cloth", "stain", "bead", "chest", "drawer", "crock", "lid", "trinket"];

impl Thing {
    fn new(kind: &'static str, height: f64, radius: f64, grip: (f64, f64)) -> Self {
        let (grip_height, grip_width) = grip;
        Self { kind, geoms: Geoms::default(), height, radius, grip_height, grip_width, upright: false }
    }

    /// A random object to handle.
    pub fn any(rng: &mut ChaCha8Rng) -> Self {
        Self::handled(HANDLED[rng.random_range(0..HANDLED.len())], rng)
    }

    /// An object of a named kind ([`HANDLED`]; another name gives a carton).
    pub fn handled(kind: &str, rng: &mut ChaCha8Rng) -> Self {
        let (color, other) = (vivid(rng), if rng.random_bool(0.5) { vivid(rng) } else { pale(rng) });
        match kind {
            "book" => {
                let [x, y, z] =
                    [rng.random_range(0.045..0.065), rng.random_range(0.030..0.040), rng.random_range(0.008..0.016)];
                let mut thing = Self::new("book", 2.0 * z, x, (z, 1.6 * y));
                thing.geoms.cuboid([x, y, z], [0.0, 0.0, z], color);
                thing.geoms.cuboid([x * 0.97, y * 1.01, z * 0.75], [0.003, 0.0, z], [0.95, 0.93, 0.86]);
                thing.geoms.cuboid([x * 0.5, y * 0.3, 0.0004], [0.0, 0.0, 2.0 * z], other);
                thing
            }
            "jar" => {
                let (r, h) = (rng.random_range(0.022..0.034), rng.random_range(0.020..0.040));
                let mut thing = Self::new("jar", 2.0 * h + 0.014, r, (h + 0.01, 2.0 * r));
                thing.geoms.cylinder(r, h, [0.0, 0.0, h], color);
                thing.geoms.cylinder(r * 1.02, h * 0.5, [0.0, 0.0, h], other);
                thing.geoms.cylinder(r * 0.92, 0.007, [0.0, 0.0, 2.0 * h + 0.007], shade(other, 0.5));
                thing
            }
            "bottle" => {
                let (r, h) = (rng.random_range(0.020..0.030), rng.random_range(0.045..0.065));
                let mut thing = Self::new("bottle", 2.0 * h + 0.05, r, (h, 2.0 * r));
                thing.upright = true;
                thing.geoms.cylinder(r, h, [0.0, 0.0, h], color);
                thing.geoms.ellipsoid([r, r, 0.022], [0.0, 0.0, 2.0 * h], color);
                thing.geoms.cylinder(r * 0.38, 0.022, [0.0, 0.0, 2.0 * h + 0.028], color);
                thing.geoms.cylinder(r * 0.44, 0.006, [0.0, 0.0, 2.0 * h + 0.048], other);
                thing.geoms.cylinder(r * 1.02, h * 0.4, [0.0, 0.0, h * 0.9], other);
                thing
            }
            "tube" => {
                let (r, l) = (rng.random_range(0.010..0.017), rng.random_range(0.030..0.055));
                let mut thing = Self::new("tube", 2.0 * r, l + r, (r, 2.0 * r));
                thing.geoms.capsule(r, [-l, 0.0, r], [l * 0.6, 0.0, r], color);
                thing.geoms.capsule(r * 0.7, [l * 0.6, 0.0, r], [l, 0.0, r], other);
                thing
            }
            "pebble" => {
                let [x, y, z] =
                    [rng.random_range(0.024..0.040), rng.random_range(0.018..0.028), rng.random_range(0.012..0.022)];
                let mut thing = Self::new("pebble", 2.0 * z, x, (z, 2.0 * y));
                let gray = rng.random_bool(0.4);
                let color = if gray { [rng.random_range(0.35..0.7); 3] } else { color };
                thing.geoms.ellipsoid([x, y, z], [0.0, 0.0, z], color);
                thing.geoms.ellipsoid([x * 0.4, y * 0.4, z * 0.4], [x * 0.3, y * 0.2, z * 1.55], shade(color, 1.2));
                thing
            }
            "hoop" => {
                let (r, thick) = (rng.random_range(0.028..0.042), rng.random_range(0.006..0.010));
                let mut thing = Self::new("hoop", 2.0 * thick, r + thick, (thick, 2.0 * thick));
                let corner = |k: usize| [r * (TAU * k as f64 / 10.0).cos(), r * (TAU * k as f64 / 10.0).sin(), thick];
                for k in 0..10 {
                    thing.geoms.capsule(thick, corner(k), corner(k + 1), if k % 2 == 0 { color } else { other });
                }
                thing
            }
            "goblet" => {
                let r = rng.random_range(0.024..0.032);
                let mut thing = Self::new("goblet", 0.11, r, (0.045, 0.024));
                thing.upright = true;
                thing.geoms.cylinder(r, 0.004, [0.0, 0.0, 0.004], color);
                thing.geoms.cylinder(0.006, 0.025, [0.0, 0.0, 0.030], color);
                thing.geoms.ellipsoid([r, r, 0.030], [0.0, 0.0, 0.078], color);
                thing.geoms.cylinder(r * 0.98, 0.012, [0.0, 0.0, 0.090], color);
                thing.geoms.cylinder(r * 0.85, 0.0005, [0.0, 0.0, 0.1025], other);
                thing
            }
            "dumbbell" => {
                let (r, l) = (rng.random_range(0.018..0.026), rng.random_range(0.034..0.050));
                let mut thing = Self::new("dumbbell", 2.0 * r, l + r, (r, 0.022));
                thing.geoms.ellipsoid([r; 3], [-l, 0.0, r], color).ellipsoid([r; 3], [l, 0.0, r], color);
                thing.geoms.capsule(0.009, [-l, 0.0, r], [l, 0.0, r], other);
                thing
            }
            "pyramid" => {
                let mut thing = Self::new("pyramid", 0.06, 0.05, (0.045, 0.030));
                for (k, color) in [color, other, shade(color, 0.7)].into_iter().enumerate() {
                    let half = 0.036 - 0.011 * k as f64;
                    thing.geoms.cuboid([half, half, 0.010], [0.0, 0.0, 0.010 + 0.020 * k as f64], color);
                }
                thing
            }
            "remote" => {
                let mut thing = Self::new("remote", 0.018, 0.07, (0.009, 0.038));
                let dark = rng.random_bool(0.6);
                let case = if dark { [0.12, 0.12, 0.13] } else { color };
                thing.geoms.cuboid([0.062, 0.019, 0.009], [0.0, 0.0, 0.009], case);
                for k in 0..8 {
                    let at = [-0.035 + 0.02 * f64::from(k / 2), 0.008 - 0.016 * f64::from(k % 2), 0.0185];
                    thing.geoms.cuboid([0.005, 0.004, 0.001], at, if k == 0 { [0.85, 0.1, 0.1] } else { other });
                }
                thing
            }
            "duck" => {
                let mut thing = Self::new("duck", 0.065, 0.04, (0.020, 0.046));
                thing.geoms.ellipsoid([0.036, 0.025, 0.020], [0.0, 0.0, 0.020], color);
                thing.geoms.ellipsoid([0.018; 3], [0.020, 0.0, 0.050], color);
                thing.geoms.ellipsoid([0.011, 0.009, 0.004], [0.038, 0.0, 0.047], [0.95, 0.5, 0.05]);
                thing.geoms.ellipsoid([0.014, 0.005, 0.012], [-0.032, 0.0, 0.032], shade(color, 0.85));
                for y in [-0.009, 0.009] {
                    thing.geoms.ellipsoid([0.003; 3], [0.034, y, 0.055], [0.05; 3]);
                }
                thing
            }
            _ => {
                let [x, y, z] =
                    [rng.random_range(0.020..0.045), rng.random_range(0.016..0.034), rng.random_range(0.016..0.040)];
                let mut thing = Self::new("carton", 2.0 * z, x.hypot(y), (z * 1.2, 2.0 * y));
                thing.geoms.cuboid([x, y, z], [0.0, 0.0, z], color);
                if rng.random_bool(0.6) {
                    thing.geoms.cuboid([x * 0.3, y * 1.01, z * 1.01], [x * 0.2, 0.0, z], other);
                } else {
                    thing.geoms.cuboid([x * 1.01, y * 1.01, z * 0.25], [0.0, 0.0, z * 0.8], other);
                }
                thing
            }
        }
    }

    /// A container: round or square, its walls leaning out a little.
    pub fn holding(rng: &mut ChaCha8Rng) -> Self {
        let square = rng.random_bool(0.4);
        let (radius, height) = (rng.random_range(0.060..0.085), rng.random_range(0.035..0.065));
        let color = if rng.random_bool(0.6) { vivid(rng) } else { pale(rng) };
        let mut thing = Self::new(HOLDING[usize::from(square)], height, radius * 1.15, (height, 0.02));
        let sides = if square { 4 } else { 12 };
        let lean: f64 = rng.random_range(0.0..0.3);
        let half_wall = (radius + 0.004) * (TAU / 2.0 / f64::from(sides)).tan();
        for k in 0..sides {
            let angle = TAU * f64::from(k) / f64::from(sides);
            let at = [radius * angle.cos(), radius * angle.sin(), height / 2.0];
            let wall = [0.0025, half_wall * 1.03, height / 2.0 / lean.cos()];
            let paint = rgba(shade(color, 0.92 + 0.08 * f64::from(k % 2)));
            thing.geoms.add_leaning(&wall, at, angle, lean, &paint);
        }
        let floor = shade(color, 0.8);
        if square {
            thing.geoms.cuboid([radius, radius, 0.002], [0.0, 0.0, 0.002], floor);
        } else {
            thing.geoms.cylinder(radius, 0.002, [0.0, 0.0, 0.002], floor);
        }
        thing
    }

    /// A jug with a spout along y to the given side (1 left, -1 right), and the end of its spout \[m\].
    pub fn jug(side: f64, rng: &mut ChaCha8Rng) -> (Self, [f64; 3]) {
        let (r, h, color) = (rng.random_range(0.024..0.032), rng.random_range(0.040..0.052), vivid(rng));
        let mut thing = Self::new("jug", 2.0 * h, r, (h, 2.0 * r));
        thing.upright = true;
        thing.geoms.cylinder(r, h, [0.0, 0.0, h], color);
        thing.geoms.cylinder(r * 0.85, 0.0006, [0.0, 0.0, 2.0 * h], shade(color, 0.35));
        thing.geoms.cylinder(r * 1.03, 0.005, [0.0, 0.0, 0.3 * h], shade(color, 0.7));
        let spout = [0.0, side * (r + 0.016), 2.0 * h + 0.004];
        thing.geoms.capsule(0.007, [0.0, side * r * 0.9, 1.7 * h], spout, color);
        (thing, spout)
    }

    /// A folded cloth.
    pub fn cloth(rng: &mut ChaCha8Rng) -> Self {
        let (color, stripe) = (vivid(rng), pale(rng));
        let mut thing = Self::new("cloth", 0.016, 0.06, (0.012, 0.09));
        thing.geoms.cuboid([0.055, 0.045, 0.005], [0.0, 0.0, 0.005], color);
        thing.geoms.cuboid([0.050, 0.042, 0.004], [-0.003, 0.002, 0.012], shade(color, 0.9));
        thing.geoms.cuboid([0.006, 0.0455, 0.0055], [0.035, 0.0, 0.005], stripe);
        thing
    }

    /// A spot of dirt.
    pub fn stain(rng: &mut ChaCha8Rng) -> Self {
        let mut thing = Self::new("stain", 0.001, 0.02, (0.0, 0.02));
        let color = shade(vivid(rng), 0.6);
        let [x, y] = std::array::from_fn(|_| rng.random_range(0.008..0.022));
        thing.geoms.ellipsoid([x, y, 0.0008], [0.0; 3], color);
        thing.geoms.ellipsoid([y * 0.5, x * 0.5, 0.0009], [x * 0.8, y * 0.5, 0.0], color);
        thing
    }

    /// One of many beads that are poured.
    pub fn bead(color: [f64; 3]) -> Self {
        let mut thing = Self::new("bead", 0.014, 0.007, (0.007, 0.014));
        thing.geoms.ellipsoid([0.0075; 3], [0.0, 0.0, 0.0075], color);
        thing
    }

    /// A chest with an opening to -x, its drawer (origin below the center of the drawer's front), and how far the drawer
    /// opens \[m\]. Both have the same position.
    pub fn chest(rng: &mut ChaCha8Rng) -> (Self, Self, f64) {
        let (width, height, depth) = (rng.random_range(0.09..0.13), rng.random_range(0.07..0.11), 0.17);
        let wood = if rng.random_bool(0.6) { wooden(rng) } else { vivid(rng) };
        let front = if rng.random_bool(0.5) { shade(wood, 1.2) } else { pale(rng) };
        let mut chest = Self::new("chest", height, depth, (0.0, 0.0));
        let (middle, t) = (depth / 2.0, 0.006);
        for y in [-width, width] {
            chest.geoms.cuboid([middle, t, height / 2.0], [middle, y, height / 2.0], wood);
        }
        for z in [t, height - t] {
            chest.geoms.cuboid([middle, width, t], [middle, 0.0, z], wood);
        }
        chest.geoms.cuboid([t, width, height / 2.0], [depth, 0.0, height / 2.0], shade(wood, 0.6));
        let (half, level) = (width - 2.0 * t, height / 2.0);
        let mut drawer = Self::new("drawer", height - 4.0 * t, width, (level, 0.024));
        drawer.geoms.cuboid([0.005, half, level - 2.0 * t], [0.0, 0.0, level], front);
        drawer.geoms.cuboid([0.07, half * 0.95, 0.003], [0.075, 0.0, 2.5 * t], shade(wood, 0.85));
        for y in [-half, half] {
            drawer.geoms.cuboid([0.07, 0.003, level * 0.5], [0.075, y * 0.95, level * 0.7], shade(wood, 0.85));
        }
        let metal = [0.75, 0.72, 0.62];
        drawer.geoms.capsule(0.006, [-0.026, -0.022, level], [-0.026, 0.022, level], metal);
        for y in [-0.022, 0.022] {
            drawer.geoms.capsule(0.004, [-0.026, y, level], [-0.004, y, level], metal);
        }
        (chest, drawer, rng.random_range(0.09..0.12))
    }

    /// A pot-bellied vessel, and its lid (origin where it rests on the rim).
    pub fn crock(rng: &mut ChaCha8Rng) -> (Self, Self) {
        let (r, h, color) = (rng.random_range(0.040..0.060), rng.random_range(0.030..0.048), vivid(rng));
        let mut crock = Self::new("crock", 2.0 * h, r, (h, 2.0 * r));
        crock.geoms.cylinder(r, h, [0.0, 0.0, h], color);
        crock.geoms.cylinder(r * 0.9, 0.0006, [0.0, 0.0, 2.0 * h], shade(color, 0.3));
        for y in [-1.0, 1.0] {
            crock.geoms.capsule(
                0.006,
                [-0.012, y * (r + 0.008), 1.5 * h],
                [0.012, y * (r + 0.008), 1.5 * h],
                shade(color, 0.7),
            );
        }
        let top = if rng.random_bool(0.5) { shade(color, 0.8) } else { pale(rng) };
        let mut lid = Self::new("lid", 0.030, r, (0.024, 0.022));
        lid.geoms.cylinder(r * 1.03, 0.004, [0.0, 0.0, 0.004], top);
        lid.geoms.ellipsoid([r * 0.8, r * 0.8, 0.008], [0.0, 0.0, 0.008], top);
        lid.geoms.ellipsoid([0.011, 0.011, 0.010], [0.0, 0.0, 0.024], shade(top, 0.55));
        (crock, lid)
    }

    /// A small object in a drawer.
    pub fn trinket(rng: &mut ChaCha8Rng) -> Self {
        let mut thing = Self::new("trinket", 0.02, 0.02, (0.01, 0.02));
        thing.geoms.add("capsule", &[0.009, 0.018], [0.0, 0.0, 0.010], [FRAC_PI_2, 0.0, 0.0], &rgba(vivid(rng)));
        thing
    }
}
