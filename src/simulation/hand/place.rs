//! Places of the hand videos: kitchens, tables, benches, gardens, each with random furniture, colors, patterns and light.
//!
//! World frame: the working surface is z = 0, the person stands in front of it at negative x and looks along x; y is left.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::mjcf::{Color, Geoms, pale, shade, vivid, wooden};
use super::things::Thing;

/// Kinds of places.
pub(super) const PLACES: [&str; 6] = ["worktop", "dining_table", "desk", "workbench", "garden_table", "carpet"];

/// A place as MJCF text.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// One of [`PLACES`].
    pub kind: &'static str,
    /// Textures and materials.
    pub assets: String,
    /// Lights and all fixed geoms.
    pub world: String,
}

/// Builds a place.
struct Room<'a> {
    rng: &'a mut ChaCha8Rng,
    assets: String,
    geoms: Geoms,
}

impl Room<'_> {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.rng.random_range(low..high)
    }

    fn chance(&mut self, p: f64) -> bool {
        self.rng.random_bool(p)
    }

    /// A material of this name: plain, or checkered with another color.
    fn material(&mut self, name: &str, color: Color, other: Color, patterned: f64) {
        let words = |c: Color| format!("{:.3} {:.3} {:.3}", c[0], c[1], c[2]);
        if !self.rng.random_bool(patterned) {
            let shine = self.rng.random_range(0.0..0.3);
            self.assets.push_str(&format!(
                "<material name=\"{name}\" rgba=\"{} 1\" specular=\"{shine:.3}\" shininess=\"0.3\"/>\n",
                words(color)
            ));
            return;
        }
        let (x, y) = (self.rng.random_range(3.0..14.0), self.rng.random_range(3.0..14.0));
        let mark = match self.rng.random_range(0..3) {
            0 => String::new(),
            1 => format!(" mark=\"edge\" markrgb=\"{}\"", words(shade(color, 1.25))),
            _ => format!(" mark=\"cross\" markrgb=\"{}\"", words(shade(other, 0.7))),
        };
        self.assets.push_str(&format!(
            "<texture name=\"{name}\" type=\"2d\" builtin=\"checker\" rgb1=\"{}\" rgb2=\"{}\"{mark} width=\"64\" height=\"64\"/>\n\
             <material name=\"{name}\" texture=\"{name}\" texuniform=\"true\" texrepeat=\"{x:.2} {y:.2}\" specular=\"0.1\"/>\n",
            words(color),
            words(other)
        ));
    }

    /// The working surface, from the person's edge to `depth`.
    fn surface(&mut self, depth: f64, thick: f64) {
        self.geoms.slab([-0.16, -0.75, -thick], [depth, 0.75, 0.0], "surface");
    }

    /// Planks or tiles drawn on the surface.
    fn grooves(&mut self, depth: f64, color: Color) {
        let step = self.uniform(0.07, 0.16);
        let along = self.chance(0.5);
        let mut at = -0.7;
        while at < 0.7 {
            if along {
                self.geoms.cuboid([(depth + 0.16) / 2.0, 0.001, 0.0002], [(depth - 0.16) / 2.0, at, 0.0], color);
            } else if at > -0.15 && at < depth {
                self.geoms.cuboid([0.001, 0.75, 0.0002], [at, 0.0, 0.0], color);
            }
            at += step;
        }
    }

    /// Objects that no hand touches in this clip, behind the hands' working area.
    fn ornaments(&mut self, from: f64, to: f64) {
        let to = to.max(from + 0.05);
        for _ in 0..self.rng.random_range(1..5) {
            let thing = if self.chance(0.2) { Thing::holding(self.rng) } else { Thing::any(self.rng) };
            let (x, y, yaw) = (self.uniform(from, to), self.uniform(-0.5, 0.5), self.uniform(-3.0, 3.0));
            self.stand(&thing, [x, y], yaw);
        }
    }

    fn stand(&mut self, thing: &Thing, [x, y]: [f64; 2], yaw: f64) {
        self.geoms
            .0
            .push_str(&format!("<body pos=\"{x:.4} {y:.4} 0\" euler=\"0 0 {yaw:.4}\">\n{}</body>\n", thing.geoms.0));
    }

    fn wall(&mut self, x: f64) {
        self.geoms.slab([x, -1.6, -0.8], [x + 0.05, 1.6, 1.6], "wall");
    }

    fn floor(&mut self, z: f64) {
        self.geoms.add("plane", &[4.0, 4.0, 0.1], [0.0, 0.0, z], [0.0; 3], "material=\"floor\"");
    }

    fn worktop(&mut self) {
        let depth = self.uniform(0.48, 0.62);
        self.surface(depth, 0.04);
        if self.chance(0.4) {
            let color = [self.uniform(0.2, 0.6); 3];
            self.grooves(depth, color);
        }
        self.wall(depth);
        self.floor(-0.9);
        let front = if self.chance(0.5) { vivid(self.rng) } else { pale(self.rng) };
        let left = if self.chance(0.5) { 1.0 } else { -1.0 };
        // A stove or a sink on one side, a cupboard or shelf above, an appliance on the other side.
        if self.chance(0.5) {
            self.geoms.cuboid([0.14, 0.16, 0.002], [0.26, left * 0.46, 0.001], [0.09; 3]);
            for (x, y) in [(0.19, 0.39), (0.19, 0.53), (0.33, 0.39), (0.33, 0.53)] {
                self.geoms.cylinder(0.05, 0.001, [x, left * y, 0.003], [0.30, 0.29, 0.29]);
            }
        } else {
            self.geoms.cuboid([0.14, 0.17, 0.001], [0.26, left * 0.48, 0.001], [0.80, 0.82, 0.84]);
            self.geoms.cuboid([0.12, 0.15, 0.001], [0.26, left * 0.48, 0.002], [0.45, 0.48, 0.50]);
            self.geoms.capsule(0.010, [0.42, left * 0.48, 0.0], [0.42, left * 0.48, 0.22], [0.85, 0.86, 0.88]);
            self.geoms.capsule(0.009, [0.42, left * 0.48, 0.22], [0.28, left * 0.48, 0.20], [0.85, 0.86, 0.88]);
        }
        let high = self.uniform(0.36, 0.50);
        self.geoms.cuboid([0.10, 0.9, 0.2], [depth - 0.08, 0.0, high + 0.2], front);
        for k in -2..3 {
            let y = 0.36 * f64::from(k);
            self.geoms.cuboid([0.003, 0.003, 0.2], [depth - 0.181, y, high + 0.2], shade(front, 0.6));
            self.geoms.cuboid([0.006, 0.012, 0.03], [depth - 0.186, y + 0.05, high + 0.05], [0.8; 3]);
        }
        let [w, h] = [self.uniform(0.08, 0.16), self.uniform(0.06, 0.14)];
        let color = if self.chance(0.5) { vivid(self.rng) } else { [self.uniform(0.1, 0.95); 3] };
        let at = [depth - 0.11, -left * self.uniform(0.3, 0.5), h];
        self.geoms.cuboid([0.08, w, h], at, color);
        self.geoms.cuboid([0.002, w * 0.6, h * 0.6], [at[0] - 0.081, at[1], h], [0.08, 0.08, 0.10]);
        self.ornaments(depth - 0.16, depth - 0.06);
    }

    fn dining_table(&mut self) {
        let depth = self.uniform(0.6, 0.95);
        self.surface(depth, 0.03);
        if self.chance(0.4) {
            // A runner or a place mat.
            let (x, y) = (self.uniform(0.10, 0.22), self.uniform(0.14, 0.75));
            let color = if self.chance(0.6) { vivid(self.rng) } else { pale(self.rng) };
            self.geoms.cuboid([x, y, 0.0006], [0.14, 0.0, 0.0004], color);
            self.geoms.cuboid([x * 0.9, y * 0.95, 0.0007], [0.14, 0.0, 0.0006], shade(color, 0.88));
        }
        self.floor(-0.75);
        let wall = depth + self.uniform(0.5, 1.4);
        self.wall(wall);
        // Chairs opposite, a painting or a window on the wall.
        let color = wooden(self.rng);
        for y in [-0.35, 0.35] {
            self.geoms.cuboid([0.02, 0.19, 0.22], [depth + 0.12, y, 0.02], color);
            self.geoms.cuboid([0.18, 0.19, 0.02], [depth + 0.28, y, -0.3], color);
        }
        let (y, z) = (self.uniform(-0.6, 0.6), self.uniform(0.3, 0.6));
        let frame = shade(color, 0.7);
        self.geoms.cuboid([0.012, 0.32, 0.26], [wall - 0.01, y, z], frame);
        let inside = if self.chance(0.5) { [0.65, 0.82, 0.96] } else { vivid(self.rng) };
        self.geoms.cuboid([0.014, 0.28, 0.22], [wall - 0.012, y, z], inside);
        self.ornaments(0.42, depth - 0.08);
    }

    fn desk(&mut self) {
        let depth = self.uniform(0.55, 0.70);
        self.surface(depth, 0.03);
        let wall = depth + self.uniform(0.02, 0.4);
        self.wall(wall);
        self.floor(-0.75);
        let y = self.uniform(-0.25, 0.25);
        let dark = [0.07, 0.07, 0.08];
        self.geoms.cuboid([0.012, 0.24, 0.15], [depth - 0.10, y, 0.24], dark);
        let screen = if self.chance(0.6) { pale(self.rng) } else { [0.10, 0.16, 0.30] };
        self.geoms.cuboid([0.002, 0.225, 0.135], [depth - 0.113, y, 0.24], screen);
        for k in 0..4 {
            let long = self.uniform(0.04, 0.16);
            let line = vivid(self.rng);
            self.geoms.cuboid([0.001, long, 0.006], [depth - 0.116, y + 0.20 - long, 0.33 - 0.05 * f64::from(k)], line);
        }
        self.geoms.cuboid([0.05, 0.09, 0.006], [depth - 0.10, y, 0.006], dark);
        self.geoms.cuboid([0.015, 0.02, 0.05], [depth - 0.09, y, 0.06], dark);
        let side = if self.chance(0.5) { 1.0 } else { -1.0 };
        // Books in a row, a lamp.
        let mut at = 0.36;
        while at < 0.62 {
            let thick = self.uniform(0.010, 0.025);
            let (deep, tall, color) = (self.uniform(0.06, 0.08), self.uniform(0.07, 0.12), vivid(self.rng));
            self.geoms.cuboid([deep, thick, tall], [depth - 0.10, side * at, tall], color);
            at += 2.0 * thick + 0.002;
        }
        let lamp = vivid(self.rng);
        self.geoms.cylinder(0.055, 0.008, [depth - 0.12, -side * 0.5, 0.008], lamp);
        self.geoms.capsule(0.008, [depth - 0.12, -side * 0.5, 0.0], [depth - 0.16, -side * 0.48, 0.28], lamp);
        self.geoms.ellipsoid([0.06, 0.06, 0.045], [depth - 0.20, -side * 0.46, 0.29], lamp);
        if self.chance(0.5) {
            self.geoms.cuboid([0.065, 0.20, 0.008], [depth - 0.24, y, 0.008], [0.2, 0.2, 0.21]);
            for k in 0..12 {
                let at = [depth - 0.27 + 0.03 * f64::from(k % 3), y - 0.15 + 0.10 * f64::from(k / 3), 0.017];
                self.geoms.cuboid([0.012, 0.04, 0.002], at, [0.75; 3]);
            }
        }
        self.ornaments(0.38, depth - 0.18);
    }

    fn workbench(&mut self) {
        let depth = self.uniform(0.50, 0.65);
        self.surface(depth, 0.06);
        let groove = shade(wooden(self.rng), 0.5);
        self.grooves(depth, groove);
        self.wall(depth);
        self.floor(-0.9);
        // Tools hang on the wall; a vise stands on one side.
        let mut y = -0.62;
        while y < 0.62 {
            let (long, z) = (self.uniform(0.05, 0.13), self.uniform(0.24, 0.36));
            let (grip, steel) = (vivid(self.rng), [self.uniform(0.45, 0.75); 3]);
            self.geoms.capsule(0.014, [depth - 0.02, y, z], [depth - 0.02, y, z - long], grip);
            self.geoms.capsule(0.007, [depth - 0.02, y, z], [depth - 0.02, y, z + 0.09], steel);
            if self.chance(0.5) {
                self.geoms.cuboid([0.012, 0.045, 0.016], [depth - 0.025, y, z + 0.10], steel);
            }
            y += self.uniform(0.10, 0.20);
        }
        let side = if self.chance(0.5) { 1.0 } else { -1.0 };
        let iron = vivid(self.rng);
        self.geoms.cuboid([0.05, 0.06, 0.05], [0.30, side * 0.50, 0.05], iron);
        self.geoms.cuboid([0.012, 0.07, 0.04], [0.22, side * 0.50, 0.11], shade(iron, 0.8));
        self.geoms.cuboid([0.012, 0.07, 0.04], [0.28, side * 0.50, 0.11], shade(iron, 0.8));
        self.geoms.capsule(0.006, [0.20, side * 0.43, 0.07], [0.20, side * 0.57, 0.07], [0.7; 3]);
        self.ornaments(0.38, depth - 0.08);
    }

    fn garden_table(&mut self) {
        let depth = self.uniform(0.45, 0.8);
        self.surface(depth, 0.03);
        let groove = shade(wooden(self.rng), 0.6);
        self.grooves(depth, groove);
        self.floor(-0.7);
        let green = [self.uniform(0.10, 0.25), self.uniform(0.35, 0.55), self.uniform(0.08, 0.22)];
        for k in 0..14 {
            let at = [self.uniform(1.4, 2.6), -2.0 + 0.3 * f64::from(k), self.uniform(-0.5, 0.3)];
            let size = self.uniform(0.2, 0.5);
            let light = self.uniform(0.8, 1.3);
            self.geoms.ellipsoid([size, size, size * 1.2], at, shade(green, light));
        }
        if self.chance(0.5) {
            let color = wooden(self.rng);
            for k in 0..16 {
                let light = self.uniform(0.85, 1.1);
                self.geoms.cuboid([0.02, 0.11, 0.6], [1.3, -1.9 + 0.25 * f64::from(k), -0.2], shade(color, light));
            }
        }
        for _ in 0..self.rng.random_range(0..5) {
            let (at, petals) = ([self.uniform(0.45, 0.7), self.uniform(-0.5, 0.5)], vivid(self.rng));
            self.geoms.cylinder(0.04, 0.035, [at[0], at[1], 0.035], [0.68, 0.35, 0.22]);
            self.geoms.ellipsoid([0.05, 0.05, 0.04], [at[0], at[1], 0.10], green);
            for k in 0..4 {
                let turn = std::f64::consts::FRAC_PI_2 * f64::from(k);
                self.geoms.ellipsoid(
                    [0.014; 3],
                    [at[0] + 0.035 * turn.cos(), at[1] + 0.035 * turn.sin(), 0.125],
                    petals,
                );
            }
        }
        self.ornaments(0.40, depth - 0.05);
    }

    fn carpet(&mut self) {
        self.geoms.slab([-1.5, -2.0, -0.02], [3.0, 2.0, -0.003], "floor");
        let (deep, wide) = (self.uniform(0.5, 1.0), self.uniform(0.5, 0.9));
        self.geoms.slab([-0.5, -wide, -0.003], [deep, wide, 0.0], "surface");
        let hem = vivid(self.rng);
        for y in [-wide, wide] {
            self.geoms.cuboid([(deep + 0.5) / 2.0, 0.02, 0.0008], [(deep - 0.5) / 2.0, y, 0.0], hem);
        }
        self.geoms.cuboid([0.02, wide, 0.0008], [deep, 0.0, 0.0], hem);
        let wall = self.uniform(1.2, 2.5);
        self.wall(wall);
        // A sofa or a shelf at the wall, toys on the floor.
        let color = if self.chance(0.6) { vivid(self.rng) } else { pale(self.rng) };
        let y = self.uniform(-0.6, 0.6);
        self.geoms.cuboid([0.22, 0.7, 0.18], [wall - 0.25, y, 0.18], color);
        self.geoms.cuboid([0.06, 0.7, 0.30], [wall - 0.08, y, 0.45], shade(color, 0.85));
        for side in [-0.62, 0.62] {
            self.geoms.cuboid([0.22, 0.08, 0.26], [wall - 0.25, y + side, 0.26], shade(color, 0.9));
        }
        self.ornaments(0.42, 1.0);
    }

    fn lights(&mut self, outdoors: bool) -> String {
        let warmth = self.uniform(-0.06, 0.08);
        let strength = if outdoors { self.uniform(0.55, 0.75) } else { self.uniform(0.42, 0.68) };
        let ambient = self.uniform(0.34, 0.50);
        let tone = |level: f64| format!("{:.3} {:.3} {:.3}", level + warmth, level, level - warmth);
        let mut text = format!(
            "<light directional=\"true\" castshadow=\"false\" pos=\"0 0 2\" dir=\"{:.3} {:.3} -1\" ambient=\"{}\" diffuse=\"{}\" specular=\"0.1 0.1 0.1\"/>\n",
            self.uniform(-0.8, 0.8),
            self.uniform(-0.8, 0.8),
            tone(ambient),
            tone(strength)
        );
        if !outdoors && self.chance(0.5) {
            text.push_str(&format!(
                "<light castshadow=\"false\" pos=\"{:.3} {:.3} 1.1\" dir=\"0 0 -1\" cutoff=\"60\" exponent=\"3\" attenuation=\"1 0 0\" ambient=\"0 0 0\" diffuse=\"{}\" specular=\"0.1 0.1 0.1\"/>\n",
                self.uniform(0.0, 0.4),
                self.uniform(-0.4, 0.4),
                tone(self.rng.random_range(0.15..0.40))
            ));
        }
        text
    }
}

/// A random place.
pub(super) fn place(rng: &mut ChaCha8Rng) -> Place {
    let kind = PLACES[rng.random_range(0..PLACES.len())];
    let outdoors = kind == "garden_table";
    let mut room = Room { rng, assets: String::new(), geoms: Geoms::default() };
    let surface = match room.rng.random_range(0..4) {
        0 | 1 => wooden(room.rng),
        2 => pale(room.rng),
        _ if kind == "carpet" => vivid(room.rng),
        _ => [room.uniform(0.15, 0.95); 3],
    };
    let light = room.uniform(0.75, 1.2);
    room.material("surface", surface, shade(surface, light), if kind == "carpet" { 0.6 } else { 0.3 });
    let (wall, other) = (pale(room.rng), pale(room.rng));
    room.material("wall", wall, other, 0.4);
    let floor = match outdoors {
        true => [room.uniform(0.2, 0.4), room.uniform(0.4, 0.6), room.uniform(0.1, 0.25)],
        false => wooden(room.rng),
    };
    let light = room.uniform(0.8, 1.1);
    room.material("floor", floor, shade(floor, light), 0.6);
    let sky = if outdoors { [0.55, 0.76, 0.97] } else { pale(room.rng) };
    room.assets.push_str(&format!(
        "<texture name=\"sky\" type=\"skybox\" builtin=\"gradient\" rgb1=\"{:.3} {:.3} {:.3}\" rgb2=\"0.93 0.94 0.94\" width=\"32\" height=\"192\"/>\n",
        sky[0], sky[1], sky[2]
    ));
    match kind {
        "worktop" => room.worktop(),
        "dining_table" => room.dining_table(),
        "desk" => room.desk(),
        "workbench" => room.workbench(),
        "garden_table" => room.garden_table(),
        _ => room.carpet(),
    }
    let lights = room.lights(outdoors);
    Place { kind, world: lights + &room.geoms.0, assets: room.assets }
}
