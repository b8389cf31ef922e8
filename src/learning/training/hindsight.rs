//! Labels in hindsight for policies that locate: where an episode's fingers closed for the last time and opened next.

use tch::{Kind, TchError, Tensor};

use crate::policy::{PLACES, StateScale};

/// Tolerance of a grasp, in x and y \[m\] and in yaw \[rad\]: errors of places are measured in these units.
const GRASP: (f64, f64) = (0.02, 0.1);

/// The places ahead of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ahead {
    /// Where the tool will be when the fingers close: x, y \[m\], yaw \[rad\]; `None` from then on.
    grasp: Option<[f64; 3]>,
    /// Where the tool will be when the fingers open again: x, y \[m\]; `None` from then on.
    release: Option<[f64; 2]>,
}

/// The places ahead of each step of an episode, in hindsight from its states and gripper targets: needs only the recorded
/// actions and tool poses.
pub(super) fn look_ahead(states: &[[f64; 7]], meant: &[[f64; 7]]) -> Vec<Ahead> {
    let closed = |step: &usize| meant[*step][6] < 0.5;
    let all = 0..states.len();
    // The last time the fingers begin to close is the grasp that held.
    let grasp = all.clone().rev().find(|s| closed(s) && (*s == 0 || !closed(&(s - 1))));
    let release = grasp.and_then(|g| (g..all.end).find(|s| !closed(s)));
    all.map(|step| {
        let ahead = |at: Option<usize>| at.filter(|at| step <= *at).map(|at| states[at]);
        Ahead { grasp: ahead(grasp).map(|s| [s[0], s[1], s[5]]), release: ahead(release).map(|s| [s[0], s[1]]) }
    })
    .collect()
}

/// The places ahead of B steps.
#[derive(Debug)]
pub struct Places {
    /// Grasp x, y, yaw; release x, y (B, 5), scaled as the state.
    pub places: Tensor,
    /// Size of one scaled unit of each, in tolerances of a grasp (5).
    pub units: Tensor,
    /// 1 where a place lies ahead, 0 where it is past or never comes (B, 5).
    pub ahead: Tensor,
}

impl Places {
    /// From the places ahead of steps.
    pub(super) fn of(steps: &[Ahead], scale: &StateScale) -> Result<Self, TchError> {
        let scaled = |i: usize, value: f64| ((value - scale.mean[i]) / scale.std[i]) as f32;
        let (mut places, mut ahead) = (Vec::new(), Vec::new());
        for Ahead { grasp, release } in steps {
            let ([x, y, yaw], [to_x, to_y]) = (grasp.unwrap_or_default(), release.unwrap_or_default());
            places.extend([scaled(0, x), scaled(1, y), scaled(5, yaw), scaled(0, to_x), scaled(1, to_y)]);
            let (grasp, release) = (grasp.is_some(), release.is_some());
            ahead.extend([grasp, grasp, grasp, release, release].map(|there| f32::from(u8::from(there))));
        }
        let [x, y] = [scale.std[0] / GRASP.0, scale.std[1] / GRASP.0].map(|v| v as f32);
        let count = steps.len() as i64;
        Ok(Self {
            places: Tensor::f_from_slice(&places)?.f_reshape([count, PLACES])?,
            units: Tensor::f_from_slice(&[x, y, (scale.std[5] / GRASP.1) as f32, x, y])?,
            ahead: Tensor::f_from_slice(&ahead)?.f_reshape([count, PLACES])?,
        })
    }

    /// Those of the steps with these indices (B).
    pub(super) fn of_steps(&self, picks: &Tensor) -> Result<Self, TchError> {
        let of = |tensor: &Tensor| tensor.f_index_select(0, picks);
        Ok(Self { places: of(&self.places)?, units: self.units.shallow_clone(), ahead: of(&self.ahead)? })
    }

    /// The same on another device.
    pub fn to_device(&self, device: tch::Device) -> Result<Self, TchError> {
        let there = |tensor: &Tensor| tensor.f_to_device(device);
        Ok(Self { places: there(&self.places)?, units: there(&self.units)?, ahead: there(&self.ahead)? })
    }

    /// mean_b sum_i ahead_i 2 (sqrt(1 + (unit_i (found_i - place_i))^2) - 1): `found` (B, 5) -> ().
    ///
    /// Quadratic near zero, twice the distance far away: missing a grasp by 10 cm is no worse than missing it by 5, and with
    /// squares such steps would dominate the loss.
    pub fn error(&self, found: &Tensor) -> Result<Tensor, TchError> {
        let Self { places, units, ahead } = self.to_device(found.device())?;
        let squared = ((found - places) * units).square();
        let off = ((squared + 1.0).sqrt() - 1.0) * 2.0 * ahead;
        Ok(off.sum_dim_intlist(-1, false, Kind::Float).mean(Kind::Float))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x is the step's number, the gripper as given.
    fn episode(grippers: &[f64]) -> (Vec<[f64; 7]>, Vec<[f64; 7]>) {
        let state = |i: usize| [i as f64, 10.0, 0.0, 0.0, 0.0, 0.5, 0.0];
        let meant = grippers.iter().map(|g| [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, *g]).collect();
        ((0..grippers.len()).map(state).collect(), meant)
    }

    #[test]
    fn the_grasp_that_held_lies_ahead_until_it_is_reached_and_the_release_until_the_fingers_open() {
        // Closes in vain at 1, for good at 3, opens at 5.
        let (states, meant) = episode(&[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        let ahead = look_ahead(&states, &meant);
        let grasps: Vec<_> = ahead.iter().map(|a| a.grasp.map(|[x, _, yaw]| (x, yaw))).collect();
        assert_eq!(grasps, [vec![Some((3.0, 0.5)); 4], vec![None; 3]].concat());
        let releases: Vec<_> = ahead.iter().map(|a| a.release.map(|[x, _]| x)).collect();
        assert_eq!(releases, [vec![Some(5.0); 6], vec![None]].concat());
        let (states, meant) = episode(&[1.0, 1.0]);
        assert_eq!(look_ahead(&states, &meant), [Ahead::default(); 2]);
    }

    #[test]
    fn only_what_lies_ahead_is_an_error_and_in_units_of_a_grasp() {
        let scale = StateScale { mean: [0.0; 7], std: [0.1; 7] };
        let steps = [Ahead { grasp: Some([0.1, 0.0, 0.0]), release: None }, Ahead::default()];
        let places = Places::of(&steps, &scale).unwrap();
        // One scaled unit of x is 10 cm, five grasps.
        let error = places.error(&Tensor::zeros([2, PLACES], (Kind::Float, tch::Device::Cpu))).unwrap();
        assert!((f64::try_from(error).unwrap() - 2.0 * (26f64.sqrt() - 1.0) / 2.0).abs() < 1e-5);
    }
}
