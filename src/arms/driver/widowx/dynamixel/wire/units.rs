//! Registers to SI units and back (e-manual, XM430-W350 and XL430-W250).

use std::f64::consts::TAU;

use crate::driver::widowx::limits::ServoModel;

/// Ticks of one turn.
pub const TICKS_PER_TURN: f64 = 4096.0;

/// Tick at angle zero.
pub const CENTER: i32 = 2048;

/// One unit of velocity \[rad/s\]: 0.229 rpm.
pub const VELOCITY_UNIT: f64 = 0.229 * TAU / 60.0;

/// One unit of current \[A\].
pub const CURRENT_UNIT: f64 = 2.69e-3;

/// PWM value of 100 %.
pub const FULL_PWM: f64 = 885.0;

/// One unit of voltage \[V\].
pub const VOLTAGE_UNIT: f64 = 0.1;

/// One unit of the bus watchdog \[s\]. The XM430 page prints microseconds; its own range and every other page say 20 ms.
pub const WATCHDOG_UNIT: f64 = 0.020;

/// One unit of the return delay \[s\].
pub const RETURN_DELAY_UNIT: f64 = 2e-6;

/// Torque of an XM430-W350 per ampere \[Nm/A\]: 4.1 Nm at 2.3 A (data sheet, 12 V, stall). Only an estimate, because of gear
/// friction.
pub const XM430_TORQUE_PER_AMPERE: f64 = 4.1 / 2.3;

/// Stall torque of an XL430-W250 at 12 V \[Nm\]: its load register is a share of this.
pub const XL430_STALL_TORQUE: f64 = 1.5;

/// One unit of load \[-\].
pub const LOAD_UNIT: f64 = 1e-3;

/// Angle \[rad\] of a position register.
pub fn angle_from_ticks(ticks: i32) -> f64 {
    f64::from(ticks.saturating_sub(CENTER)) * TAU / TICKS_PER_TURN
}

/// Position register nearest to an angle \[rad\]; NaN becomes the center, so callers must reject it first.
pub fn ticks_from_angle(angle: f64) -> i32 {
    CENTER.saturating_add((angle * TICKS_PER_TURN / TAU).round() as i32)
}

/// Velocity \[rad/s\] of a velocity register.
pub fn velocity_from_raw(raw: i32) -> f64 {
    f64::from(raw) * VELOCITY_UNIT
}

/// Velocity register nearest to a velocity \[rad/s\].
pub fn raw_from_velocity(velocity: f64) -> i32 {
    (velocity / VELOCITY_UNIT).round() as i32
}

/// Torque estimated from the register at 126 \[Nm\]: current of an XM430, load of an XL430.
pub fn torque_from_raw(model: ServoModel, raw: i32) -> f64 {
    match model {
        ServoModel::Xm430 => f64::from(raw) * CURRENT_UNIT * XM430_TORQUE_PER_AMPERE,
        ServoModel::Xl430 => f64::from(raw) * LOAD_UNIT * XL430_STALL_TORQUE,
    }
}

/// The register value at 126 for a torque \[Nm\].
pub fn raw_from_torque(model: ServoModel, torque: f64) -> i32 {
    (torque / torque_from_raw(model, 1)).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makers_limits_come_out() {
        assert_eq!(angle_from_ticks(2048), 0.0);
        // Shoulder: -108 and 114 degrees.
        assert_eq!((ticks_from_angle(-1.88495559), ticks_from_angle(1.98967535)), (819, 3345));
        assert!((velocity_from_raw(131) - std::f64::consts::PI).abs() < 1e-3);
        for ticks in 0..4096 {
            assert_eq!(ticks_from_angle(angle_from_ticks(ticks)), ticks);
        }
        assert_eq!(raw_from_velocity(velocity_from_raw(-87)), -87);
    }
}
