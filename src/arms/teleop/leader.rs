//! A leader arm: a second WidowX without torque, moved by hand; the follower's tool goes where the leader's is.
//!
//! The leader's joints become its tool pose and that becomes Bridge actions, so a demonstration reads like any other. A distant
//! leader is approached in steps within the action bounds, never in one jump. A leader has no dead-man of its own and falls when
//! released, so its clutch is a key (space in the terminal) and starts disengaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::stream::Listener;
use super::{DeviceError, Motion, Reading, TeleopDevice};
use crate::driver::widowx::crank;
use crate::driver::widowx::dynamixel::driver::ServoBus;
use crate::driver::widowx::dynamixel::wire::{registers, units};
use crate::driver::widowx::limits::{GRIPPER_ID, JOINT_IDS, SERVOS};
use crate::transport::{ByteLink, LinkError};
use visuomotor_core::config::Gripper;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, Timestamp};

/// Joints and gripper.
const SERVOS_READ: usize = 7;

/// Time between two reads.
const PERIOD: Duration = Duration::from_millis(20);

/// Incomplete reads in a row after which the leader counts as gone.
const LOST: u32 = 50;

/// The leader, read on a thread of its own.
pub struct Leader(Listener);

impl Leader {
    /// Checks that every servo responds and has no torque, then keeps reading. The clutch is engaged while `clutch` is true;
    /// `gripper` is the arm's.
    pub fn open(
        link: impl ByteLink + 'static,
        gripper: Gripper,
        clutch: Arc<AtomicBool>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DeviceError> {
        let place = link.name().to_string();
        let unusable = |cause: String, fix: &str| DeviceError::Unusable {
            device: "leader",
            place: place.clone(),
            cause,
            fix: fix.into(),
        };
        let mut bus = ServoBus::new(link);
        movable(&mut bus).map_err(|cause| {
            unusable(cause, "switch the leader's power off and on, see that all nine servos are on its bus")
        })?;
        clutch.store(false, Ordering::Release);
        let mut misses = 0;
        let hear = move || {
            let began = bus.now();
            let said = read(&mut bus, &gripper).map_err(|error| error.to_string())?;
            misses = if said.is_some() { 0 } else { misses + 1 };
            if misses > LOST {
                return Err("it does not reply any more".to_string());
            }
            let (engaged, at) = (clutch.load(Ordering::Acquire), clock.now());
            let reading = said.map(|(joints, opening)| Reading {
                motion: Motion::Leader(joints),
                engaged,
                gripper: Some(opening),
                at,
            });
            std::thread::sleep(PERIOD.saturating_sub(bus.now().since(began)));
            Ok(reading)
        };
        let listener = Listener::start("leader", hear);
        listener.map(Self).map_err(|error| unusable(error.to_string(), "free the machine"))
    }
}

/// Refuses a leader that cannot be moved by hand.
fn movable<L: ByteLink>(bus: &mut ServoBus<L>) -> Result<(), String> {
    let ids: [u8; SERVOS.len()] = SERVOS.map(|servo| servo.id);
    let (mut left, mut torque) = (ids.to_vec(), Vec::new());
    for _ in 0..10 {
        let mut out = vec![[0u8; 1]; left.len()];
        let (got, _) =
            bus.sync_read(false, registers::TORQUE_ENABLE.address, &left, &mut out).map_err(|e| e.to_string())?;
        let answered = |k: usize| got & (1 << k) != 0;
        torque.extend((0..left.len()).filter(|k| answered(*k) && out[*k] != [0]).map(|k| left[k]));
        left = (0..left.len()).filter(|k| !answered(*k)).map(|k| left[k]).collect();
        if left.is_empty() {
            break;
        }
    }
    if !left.is_empty() {
        return Err(format!("no reply from the servos {left:?}"));
    }
    if !torque.is_empty() {
        return Err(format!(
            "the servos {torque:?} have torque on: a hand cannot move them, and a leader must not hold"
        ));
    }
    Ok(())
}

/// Joints \[rad\] and gripper fraction; `None` when a servo did not respond.
fn read<L: ByteLink>(bus: &mut ServoBus<L>, gripper: &Gripper) -> Result<Option<(JointVector, f64)>, LinkError> {
    let mut ids = [GRIPPER_ID; SERVOS_READ];
    ids[..JOINT_IDS.len()].copy_from_slice(&JOINT_IDS);
    let mut out = [[0u8; 4]; SERVOS_READ];
    let got = match bus.sync_read(false, registers::PRESENT_POSITION.address, &ids, &mut out) {
        Ok((got, _)) => got,
        Err(crate::driver::widowx::dynamixel::driver::BusError::Link(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    if got.count_ones() as usize != SERVOS_READ {
        return Ok(None);
    }
    let angle = |k: usize| units::angle_from_ticks(i32::from_le_bytes(out[k]));
    let joints: [f64; JOINT_IDS.len()] = std::array::from_fn(angle);
    let opening = gripper.fraction_from_finger(crank::finger_from_angle(angle(SERVOS_READ - 1)));
    Ok(Some((JointVector::from_slice(&joints), opening)))
}

impl TeleopDevice for Leader {
    fn name(&self) -> &'static str {
        "leader"
    }

    fn newest(&mut self, _now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        self.0.newest()
    }
}
