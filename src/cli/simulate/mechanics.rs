//! The mechanics behind an emulated controller, replaced when a new scene is set up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::{Drive, Plant};
use crate::observation::{JointVector, Proprioception};
use crate::simulation::MujocoPlant;
use crate::time::Timestamp;

/// The controller's last motor command; it carries over to a new scene.
struct Mechanics {
    plant: MujocoPlant,
    drive: Drive,
    gripper: f64,
}

/// One arm's mechanics, shared by its controller and its stage.
#[derive(Clone)]
pub struct SharedPlant(Arc<Mutex<Mechanics>>);

impl SharedPlant {
    /// Limp until the controller drives it.
    pub fn new(plant: MujocoPlant) -> Self {
        Self(Arc::new(Mutex::new(Mechanics { plant, drive: Drive::Limp, gripper: 1.0 })))
    }

    /// Puts the arm into a new scene, motors as they were.
    pub fn exchange(&self, mut plant: MujocoPlant) {
        let mut mechanics = self.lock();
        plant.drive(mechanics.drive);
        plant.drive_gripper(mechanics.gripper);
        mechanics.plant = plant;
    }

    fn lock(&self) -> MutexGuard<'_, Mechanics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plant for SharedPlant {
    fn joints(&self) -> usize {
        self.lock().plant.joints()
    }

    fn drive(&mut self, drive: Drive) {
        let mut mechanics = self.lock();
        mechanics.drive = drive;
        mechanics.plant.drive(drive);
    }

    fn drive_gripper(&mut self, fraction: f64) {
        let mut mechanics = self.lock();
        mechanics.gripper = fraction;
        mechanics.plant.drive_gripper(fraction);
    }

    fn advance_to(&mut self, now: Timestamp) {
        self.lock().plant.advance_to(now);
    }

    fn sense(&self) -> Proprioception {
        self.lock().plant.sense()
    }

    fn weight(&mut self) -> JointVector {
        self.lock().plant.weight()
    }
}

/// Joint positions \[rad\].
pub fn joints_of(plant: &SharedPlant) -> JointVector {
    plant.sense().joint_positions
}
