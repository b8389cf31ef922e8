//! Joint torques within the arm's limits, and the hold that follows when commands stop.
//!
//! Torques are on top of gravity and friction, which the robot compensates. A hold first damps the motion, then keeps the position
//! where the arm came to rest with a joint spring. Every change goes through the torque-rate limit, so that a stale command ramps
//! into the hold. Gains are those of Franka's joint impedance example.

use super::settings::MotionLimits;
use crate::driver::panda::limits::{CYCLE, JOINTS};

/// Stiffness of a hold \[Nm/rad\].
const STIFFNESS: [f64; JOINTS] = [600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0];
/// Damping of a hold \[Nm s/rad\].
const DAMPING: [f64; JOINTS] = [50.0, 50.0, 50.0, 50.0, 30.0, 25.0, 15.0];
/// Joint speed below which a hold fixes its position \[rad/s\].
const SLOW: f64 = 0.05;
/// Longest time for which a hold only damps, to limit how long a sagging arm sags \[ms\].
const DAMPED: u32 = 300;

/// The torques sent, and the hold position.
#[derive(Clone, Debug)]
pub struct TorqueLaw {
    limit: [f64; JOINTS],
    rate: [f64; JOINTS],
    last: [f64; JOINTS],
    place: Option<[f64; JOINTS]>,
    damped: u32,
}

impl TorqueLaw {
    /// Starts from zero torque.
    pub fn new(limits: &MotionLimits) -> Self {
        let still = [0.0; JOINTS];
        Self { limit: limits.torque, rate: limits.torque_rate, last: still, place: None, damped: 0 }
    }

    /// Continues from the torque the robot reports \[Nm\].
    pub fn seed(&mut self, torque: &[f64; JOINTS]) {
        self.last = *torque;
    }

    /// One millisecond towards torques \[Nm\].
    pub fn follow(&mut self, torque: &[f64; JOINTS]) -> [f64; JOINTS] {
        (self.place, self.damped) = (None, 0);
        self.towards(torque)
    }

    /// One millisecond of holding.
    pub fn hold(&mut self, q: &[f64; JOINTS], dq: &[f64; JOINTS]) -> [f64; JOINTS] {
        if self.place.is_none() && (self.damped >= DAMPED || dq.iter().all(|v| v.abs() < SLOW)) {
            self.place = Some(*q);
        }
        self.damped = self.damped.saturating_add(1);
        let torque = std::array::from_fn(|i| {
            self.place.map_or(0.0, |place| STIFFNESS[i] * (place[i] - q[i])) - DAMPING[i] * dq[i]
        });
        self.towards(&torque)
    }

    /// One millisecond towards zero torque; returns true once it is zero.
    pub fn fade(&mut self) -> (bool, [f64; JOINTS]) {
        let torque = self.towards(&[0.0; JOINTS]);
        (torque.iter().all(|t| *t == 0.0), torque)
    }

    /// Is the arm at rest in a hold?
    pub fn rests(&self, dq: &[f64; JOINTS]) -> bool {
        self.place.is_some() && dq.iter().all(|v| v.abs() < SLOW)
    }

    fn towards(&mut self, torque: &[f64; JOINTS]) -> [f64; JOINTS] {
        for i in 0..JOINTS {
            let most = self.rate[i] * CYCLE;
            let wanted = torque[i].clamp(-self.limit[i], self.limit[i]);
            let change = (wanted - self.last[i]).clamp(-most, most);
            // NaN survives both clamps; nothing changes then.
            if change.is_finite() {
                self.last[i] += change;
            }
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Model;
    use super::*;

    #[test]
    fn a_step_becomes_a_ramp_with_the_rate_limit_s_slope() {
        let limits = MotionLimits::of(Model::Fer);
        let mut law = TorqueLaw::new(&limits);
        let mut before = [0.0; JOINTS];
        for ms in 1..=300 {
            let torque = law.follow(&[200.0; JOINTS]);
            for i in 0..JOINTS {
                assert!(((torque[i] - before[i]) / CYCLE).abs() <= limits.torque_rate[i] + 1e-6);
                assert!((torque[i] - (0.9 * f64::from(ms)).min(limits.torque[i])).abs() < 1e-9);
            }
            before = torque;
        }
        assert_eq!(before[0], 87.0);
        assert_eq!(before[6], 12.0);
    }

    #[test]
    fn nan_changes_nothing() {
        let mut law = TorqueLaw::new(&MotionLimits::of(Model::Fer));
        let first = law.follow(&[0.5; JOINTS]);
        assert_eq!(law.follow(&[f64::NAN; JOINTS]), first);
        assert!(law.hold(&[f64::NAN; JOINTS], &[f64::NAN; JOINTS]).iter().all(|t| t.is_finite()));
    }

    #[test]
    fn a_moving_arm_is_damped_then_kept_where_it_came_to_rest() {
        let mut law = TorqueLaw::new(&MotionLimits::of(Model::Fer));
        let (mut q, mut dq) = ([0.0; JOINTS], [0.5; JOINTS]);
        for _ in 0..2000 {
            let torque = law.hold(&q, &dq);
            for i in 0..JOINTS {
                // One kilogram square meter per joint.
                dq[i] += torque[i] * CYCLE;
                q[i] += dq[i] * CYCLE;
            }
        }
        assert!(law.rests(&dq));
        assert!(q.iter().all(|q| *q > 0.0 && *q < 0.2), "{q:?}");
    }
}
