//! Pieces of a MuJoCo model as text.

use std::fmt::Write;

use nalgebra::UnitQuaternion;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Red, green, blue \[0..1\].
pub(super) type Color = [f64; 3];

/// Geoms of one body, or of the world, without contacts.
#[derive(Clone, Debug, Default)]
pub(super) struct Geoms(pub String);

impl Geoms {
    /// Half sizes and center \[m\], color.
    pub fn cuboid(&mut self, half: [f64; 3], at: [f64; 3], color: Color) -> &mut Self {
        self.add("box", &half, at, [0.0; 3], &rgba(color))
    }

    /// The box between two corners \[m\], painted with a material.
    pub fn slab(&mut self, low: [f64; 3], high: [f64; 3], material: &str) -> &mut Self {
        let half = std::array::from_fn::<f64, 3, _>(|i| (high[i] - low[i]) / 2.0);
        let at = std::array::from_fn(|i| (high[i] + low[i]) / 2.0);
        self.add("box", &half, at, [0.0; 3], &format!("material=\"{material}\""))
    }

    /// An upright cylinder: radius, half height and center \[m\], color.
    pub fn cylinder(&mut self, radius: f64, half: f64, at: [f64; 3], color: Color) -> &mut Self {
        self.add("cylinder", &[radius, half], at, [0.0; 3], &rgba(color))
    }

    /// Half axes and center \[m\], color.
    pub fn ellipsoid(&mut self, half: [f64; 3], at: [f64; 3], color: Color) -> &mut Self {
        self.add("ellipsoid", &half, at, [0.0; 3], &rgba(color))
    }

    /// A capsule between two points \[m\].
    pub fn capsule(&mut self, radius: f64, from: [f64; 3], to: [f64; 3], color: Color) -> &mut Self {
        let ends: Vec<String> = from.iter().chain(&to).map(|x| format!("{x:.5}")).collect();
        self.line(&format!("type=\"capsule\" size=\"{radius:.5}\" fromto=\"{}\" {}", ends.join(" "), rgba(color)))
    }

    /// Any geom: size and center \[m\], turned by `euler` \[rad\], with the attributes of `paint`.
    pub fn add(&mut self, kind: &str, size: &[f64], at: [f64; 3], euler: [f64; 3], paint: &str) -> &mut Self {
        let words = |values: &[f64]| values.iter().map(|x| format!("{x:.5}")).collect::<Vec<_>>().join(" ");
        self.line(&format!(
            "type=\"{kind}\" size=\"{}\" pos=\"{}\" euler=\"{}\" {paint}",
            words(size),
            words(&at),
            words(&euler)
        ))
    }

    /// A box that faces along `angle` and leans outward by `lean` \[rad\].
    pub fn add_leaning(&mut self, half: &[f64], at: [f64; 3], angle: f64, lean: f64, paint: &str) -> &mut Self {
        let turn =
            UnitQuaternion::from_euler_angles(0.0, 0.0, angle) * UnitQuaternion::from_euler_angles(0.0, lean, 0.0);
        self.line(&format!(
            "type=\"box\" size=\"{:.5} {:.5} {:.5}\" pos=\"{:.5} {:.5} {:.5}\" quat=\"{:.5} {:.5} {:.5} {:.5}\" {paint}",
            half[0], half[1], half[2], at[0], at[1], at[2], turn.w, turn.i, turn.j, turn.k
        ))
    }

    fn line(&mut self, attributes: &str) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "<geom contype=\"0\" conaffinity=\"0\" {attributes}/>");
        self
    }
}

/// A color as an attribute.
pub(super) fn rgba(color: Color) -> String {
    format!("rgba=\"{:.3} {:.3} {:.3} 1\"", color[0], color[1], color[2])
}

/// A strong color of any hue.
pub(super) fn vivid(rng: &mut ChaCha8Rng) -> Color {
    from_hsv(rng.random_range(0.0..6.0), rng.random_range(0.55..0.95), rng.random_range(0.45..0.95))
}

/// A pale color of any hue, for walls and tables.
pub(super) fn pale(rng: &mut ChaCha8Rng) -> Color {
    from_hsv(rng.random_range(0.0..6.0), rng.random_range(0.03..0.30), rng.random_range(0.60..0.97))
}

/// A color of wood, from pale to dark.
pub(super) fn wooden(rng: &mut ChaCha8Rng) -> Color {
    from_hsv(rng.random_range(0.40..0.68), rng.random_range(0.30..0.60), rng.random_range(0.30..0.85))
}

/// The same color, darker or lighter by a factor.
pub(super) fn shade(color: Color, factor: f64) -> Color {
    color.map(|channel| (channel * factor).clamp(0.0, 1.0))
}

fn from_hsv(hue: f64, saturation: f64, value: f64) -> Color {
    let channel = |offset: f64| {
        let k = (offset + hue) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}
