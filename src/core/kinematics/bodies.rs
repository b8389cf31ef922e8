//! The arm as capsules: distances of its parts to each other and to the planes around it.
//!
//! Every capsule encloses a part of a link, so that distances are conservative. Links near each other in the chain are not
//! compared (`collision.neighbors`): their capsules overlap at the joint between them.

use nalgebra::Vector3;

use super::error::KinematicsError;
use crate::config::{MAX_CAPSULES, MAX_PLANES, Robot};
use crate::geometry::Pose;
use crate::observation::MAX_JOINTS;

/// Maximum number of pairs: every capsule with every other.
const MAX_PAIRS: usize = MAX_CAPSULES * (MAX_CAPSULES - 1) / 2;

/// Links next to the arm's support, which are not checked against planes: the base and the first moving link.
const STANDING: usize = 2;

/// A capsule in its link's frame.
#[derive(Clone, Copy, Debug, Default)]
struct Body {
    /// Link index, from the base.
    link: usize,
    from: Vector3<f64>,
    to: Vector3<f64>,
    radius: f64,
    half_length: f64,
}

/// A half-space: points with `normal . point >= offset`.
#[derive(Clone, Copy, Debug, Default)]
struct HalfSpace {
    normal: Vector3<f64>,
    offset: f64,
}

/// Two capsules that are kept apart.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    one: usize,
    other: usize,
}

/// Kind of contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Two parts of the arm.
    Parts,
    /// A part of the arm and a plane.
    Plane,
}

/// The capsules of an arm, the pairs that are kept apart and the planes around it.
#[derive(Clone, Copy, Debug)]
pub struct Bodies {
    capsules: [Body; MAX_CAPSULES],
    count: usize,
    pairs: [Pair; MAX_PAIRS],
    pair_count: usize,
    planes: [HalfSpace; MAX_PLANES],
    plane_count: usize,
    margin: f64,
}

/// A capsule's axis in the base frame.
#[derive(Clone, Copy, Debug, Default)]
struct Axis {
    from: Vector3<f64>,
    to: Vector3<f64>,
}

/// Tool and capsules for one joint vector, in the base frame.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// The tool point \[m\].
    pub tool: Vector3<f64>,
    axes: [Axis; MAX_CAPSULES],
    count: usize,
}

impl Placement {
    /// Largest displacement of the tool point or of the end of a capsule's axis from another placement to this one \[m\]; NaN
    /// for NaN inputs.
    pub fn longest_way(&self, from: &Placement) -> f64 {
        let mut longest = (self.tool - from.tool).norm();
        for (now, then) in self.axes[..self.count].iter().zip(&from.axes) {
            for way in [(now.from - then.from).norm(), (now.to - then.to).norm()] {
                // Written so that NaN propagates.
                if !(way <= longest) {
                    longest = way;
                }
            }
        }
        longest
    }
}

impl Bodies {
    pub(super) fn of(robot: &Robot) -> Result<Self, KinematicsError> {
        let mut bodies = Self {
            capsules: [Body::default(); MAX_CAPSULES],
            count: 0,
            pairs: [Pair::default(); MAX_PAIRS],
            pair_count: 0,
            planes: [HalfSpace::default(); MAX_PLANES],
            plane_count: 0,
            margin: robot.collision.margin,
        };
        for capsule in &robot.capsule {
            let moved = robot.joint.iter().position(|joint| joint.child == capsule.link).map(|joint| joint + 1);
            let link = if capsule.link == robot.identity.base_link { Some(0) } else { moved };
            let (Some(link), true) = (link, bodies.count < MAX_CAPSULES) else {
                return Err(KinematicsError::Capsule { link: capsule.link.clone() });
            };
            let (from, to) = (Vector3::from(capsule.from), Vector3::from(capsule.to));
            let half_length = 0.5 * (to - from).norm();
            bodies.capsules[bodies.count] = Body { link, from, to, radius: capsule.radius, half_length };
            bodies.count += 1;
        }
        for one in 0..bodies.count {
            for other in one + 1..bodies.count {
                let apart = bodies.capsules[one].link.abs_diff(bodies.capsules[other].link);
                if apart > robot.collision.neighbors {
                    bodies.pairs[bodies.pair_count] = Pair { one, other };
                    bodies.pair_count += 1;
                }
            }
        }
        for plane in robot.limits.plane.iter().take(MAX_PLANES) {
            let normal = Vector3::from(plane.normal);
            bodies.planes[bodies.plane_count] = HalfSpace { normal, offset: plane.offset };
            bodies.plane_count += 1;
        }
        Ok(bodies)
    }

    /// Places the capsules; `links` in the base frame, base first.
    pub(super) fn place(&self, links: &[Pose; MAX_JOINTS + 1], tool: Vector3<f64>) -> Placement {
        let mut axes = [Axis::default(); MAX_CAPSULES];
        for (axis, body) in axes[..self.count].iter_mut().zip(&self.capsules) {
            let link = &links[body.link];
            axis.from = link.rotation * body.from + link.translation.vector;
            axis.to = link.rotation * body.to + link.translation.vector;
        }
        Placement { tool, axes, count: self.count }
    }

    /// Are all clearances kept? False for NaN inputs.
    pub fn are_clear(&self, at: &Placement) -> bool {
        self.pairs().iter().all(|pair| self.is_far(pair, at) || self.gap(pair, at) >= self.margin)
            && self.plane_gaps(at).all(|gap| gap >= self.margin)
    }

    /// Quick test: are two parts far apart by the centers of their axes alone? Usually avoids the exact distance.
    fn is_far(&self, pair: &Pair, at: &Placement) -> bool {
        let (one, other) = (&self.capsules[pair.one], &self.capsules[pair.other]);
        let (a, b) = (&at.axes[pair.one], &at.axes[pair.other]);
        let reach = one.radius + other.radius + self.margin + one.half_length + other.half_length;
        let middles = 0.5 * (a.from + a.to - b.from - b.to);
        middles.norm_squared() >= reach * reach
    }

    /// The contact that violates its clearance and is closer than at `before`.
    ///
    /// The parts of an `unfolding` arm whose capsules overlap (they are larger than its links) are not compared until it has
    /// unfolded. Planes are always checked.
    pub fn contact(&self, at: &Placement, before: &Placement, unfolding: bool) -> Option<Contact> {
        let apart = |pair: &Pair| {
            self.is_far(pair, at) || {
                let gap = self.gap(pair, at);
                gap >= self.margin || gap >= self.gap(pair, before)
            }
        };
        let in_itself = unfolding && self.least_gap(before) < self.margin;
        if !in_itself && !self.pairs().iter().all(apart) {
            return Some(Contact::Parts);
        }
        let planes =
            self.plane_gaps(at).zip(self.plane_gaps(before)).all(|(gap, was)| gap >= self.margin || gap >= was);
        (!planes).then_some(Contact::Plane)
    }

    /// Smallest distance between two compared parts \[m\], negative if they overlap; infinite if none are compared, NaN for
    /// NaN inputs.
    pub fn least_gap(&self, at: &Placement) -> f64 {
        least(self.pairs().iter().map(|pair| self.gap(pair, at)))
    }

    /// Smallest distance of a part from a plane \[m\], negative behind it; infinite without planes.
    pub fn least_plane_gap(&self, at: &Placement) -> f64 {
        least(self.plane_gaps(at))
    }

    /// Clearance \[m\].
    pub fn margin(&self) -> f64 {
        self.margin
    }

    fn pairs(&self) -> &[Pair] {
        &self.pairs[..self.pair_count]
    }

    fn gap(&self, pair: &Pair, at: &Placement) -> f64 {
        let distance = axis_distance_squared(&at.axes[pair.one], &at.axes[pair.other]).sqrt();
        distance - self.capsules[pair.one].radius - self.capsules[pair.other].radius
    }

    fn plane_gaps<'a>(&'a self, at: &'a Placement) -> impl Iterator<Item = f64> + 'a {
        let moving = self.capsules[..self.count].iter().zip(&at.axes).filter(|(body, _)| body.link >= STANDING);
        moving.flat_map(move |(body, axis)| {
            self.planes[..self.plane_count].iter().map(move |plane| {
                let (from, to) = (plane.normal.dot(&axis.from), plane.normal.dot(&axis.to));
                // Not `min`, which skips NaN.
                (if from <= to { from } else { to }) - plane.offset - body.radius
            })
        })
    }
}

fn least(gaps: impl Iterator<Item = f64>) -> f64 {
    gaps.fold(f64::INFINITY, |least, gap| if gap >= least { least } else { gap })
}

/// Squared distance between two segments \[m2\]; a segment may be a point. NaN for NaN inputs.
///
/// The nearest points of the two lines, each clamped to its segment (Ericson, Real-Time Collision Detection, 5.1.9).
fn axis_distance_squared(a: &Axis, b: &Axis) -> f64 {
    /// Squared length below which a segment is a point \[m2\].
    const POINT: f64 = 1e-12;
    let (along_a, along_b, between) = (a.to - a.from, b.to - b.from, a.from - b.from);
    let (length_a, length_b) = (along_a.norm_squared(), along_b.norm_squared());
    let (toward_a, toward_b) = (along_a.dot(&between), along_b.dot(&between));
    let both = along_a.dot(&along_b);
    let apart = length_a * length_b - both * both;
    let (s, t) = if length_a <= POINT && length_b <= POINT {
        (0.0, 0.0)
    } else if length_a <= POINT {
        (0.0, (toward_b / length_b).clamp(0.0, 1.0))
    } else if length_b <= POINT {
        ((-toward_a / length_a).clamp(0.0, 1.0), 0.0)
    } else {
        // On parallel lines any point is nearest: take the first.
        let parallel = apart <= 1e-12 * length_a * length_b;
        let s = if parallel { 0.0 } else { ((both * toward_b - toward_a * length_b) / apart).clamp(0.0, 1.0) };
        let t = (both * s + toward_b) / length_b;
        if t < 0.0 {
            ((-toward_a / length_a).clamp(0.0, 1.0), 0.0)
        } else if t > 1.0 {
            (((both - toward_a) / length_a).clamp(0.0, 1.0), 1.0)
        } else {
            (s, t)
        }
    };
    (between + s * along_a - t * along_b).norm_squared()
}

#[cfg(test)]
#[path = "bodies_tests.rs"]
mod tests;
