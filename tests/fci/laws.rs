//! How the tests drive an arm from pose to pose in each mode, and what recorded commands must never do.

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::panda::limits::{CYCLE, JOINTS, MakerLimits};
use visuomotor::observation::JointVector;

/// Where the emulated arms start \[rad\].
pub const HOME: [f64; JOINTS] =
    [0.0, -std::f64::consts::FRAC_PI_4, 0.0, -2.356, 0.0, std::f64::consts::FRAC_PI_2, std::f64::consts::FRAC_PI_4];

/// Three poses \[rad\].
pub fn poses() -> [[f64; JOINTS]; 3] {
    let steps = [[0.2, 0.1, -0.15, 0.2, 0.1, 0.15, -0.2], [-0.2, -0.1, 0.1, -0.2, 0.2, -0.1, 0.3], [0.0; JOINTS]];
    steps.map(|step| std::array::from_fn(|i| HOME[i] + step[i]))
}

/// A command of a mode that brings the arm to a pose: the pose itself, a velocity, or a joint spring's torque.
pub fn towards(mode: ControlMode, pose: &[f64; JOINTS], q: &[f64], dq: &[f64]) -> JointCommand {
    let values: [f64; JOINTS] = std::array::from_fn(|i| {
        let error = pose[i] - q[i];
        match mode {
            ControlMode::Position => pose[i],
            ControlMode::Velocity => (2.0 * error).clamp(-0.4, 0.4),
            // One kilogram square meter and more: slow and well damped at 50 Hz.
            ControlMode::Torque => (20.0 * error - 12.0 * dq[i]).clamp(-8.0, 8.0),
        }
    });
    JointCommand::of(mode, JointVector::from_slice(&values), 1.0)
}

/// Largest distance of a joint from a pose \[rad\].
pub fn distance(pose: &[f64; JOINTS], q: &[f64]) -> f64 {
    pose.iter().zip(q).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The largest shares of the manufacturer's limits of speed, acceleration and jerk in lines of positions over 1 ms.
pub fn shares_of_positions(lines: &[[f64; JOINTS]], maker: &MakerLimits) -> [f64; 3] {
    let mut shares = [0.0f64; 3];
    for i in 0..JOINTS {
        let mut line: Vec<f64> = lines.iter().map(|q| q[i]).collect();
        for (order, limit) in [maker.velocity[i], maker.acceleration[i], maker.jerk[i]].into_iter().enumerate() {
            line = line.windows(2).map(|w| (w[1] - w[0]) / CYCLE).collect();
            shares[order] = line.iter().fold(shares[order], |worst, value| worst.max(value.abs() / limit));
        }
    }
    shares
}
