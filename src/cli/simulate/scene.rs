//! The simulated kitchen as a stage: sets up scenes around the arm in its current posture, and judges by the success rule.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use triple_buffer::Output;

use super::mechanics::{SharedPlant, joints_of};
use crate::cli::kitchen::KitchenSetting;
use crate::cli::link::LinkAddress;
use crate::cli::set_up::SetUp;
use crate::cli::simulated::Prepared;
use crate::cli::stage::{Answer, Handler, Question};
use crate::episode::Judge;
use crate::simulation::{Kitchen, MujocoPlant, Pedestal, Snapshot, SuccessRule};
use crate::time::{Clock, SystemClock};

/// The scene and all its coordinates, for the camera.
pub struct CameraFeed {
    /// The place.
    pub place: Place,
    /// Its poses.
    pub snapshots: Output<Snapshot>,
}

/// A place for the emulated arm.
pub enum Place {
    /// The launch file's kitchen, with its arm.
    Kitchen(Box<Kitchen>),
    /// An arm without a scene.
    Pedestal(Box<Pedestal>),
}

/// The scene of the running trial.
pub struct Scene {
    setting: KitchenSetting,
    plant: SharedPlant,
    rule: Option<SuccessRule>,
    /// Which controller is emulated, once it is.
    pub plays: Option<LinkAddress>,
    to_camera: Sender<CameraFeed>,
    clock: Arc<SystemClock>,
}

impl Scene {
    /// The kitchen without objects, with the arm at its home pose. Returns its mechanics and a receiver of all kitchens, this
    /// one first.
    pub fn empty(
        setting: KitchenSetting,
        clock: &Arc<SystemClock>,
    ) -> anyhow::Result<(Self, SharedPlant, Receiver<CameraFeed>)> {
        let kitchen = setting.empty_kitchen()?;
        let (plant, for_camera, _) = MujocoPlant::in_kitchen(&setting.station.robot, &kitchen)?;
        let plant = SharedPlant::new(plant.stamped_by(clock.clone()));
        let (to_camera, feed) = channel();
        // Its receiver is alive: it gets its reply below.
        let _ = to_camera.send(CameraFeed { place: Place::Kitchen(Box::new(kitchen)), snapshots: for_camera });
        let scene = Self { setting, plant: plant.clone(), rule: None, plays: None, to_camera, clock: clock.clone() };
        Ok((scene, plant, feed))
    }

    fn lay(&mut self, set_up: &SetUp) -> anyhow::Result<Answer> {
        let Prepared { kitchen, assignment, .. } = self.setting.prepare_around(set_up, joints_of(&self.plant))?;
        let (plant, for_camera, for_judge) = MujocoPlant::in_kitchen(&self.setting.station.robot, &kitchen)?;
        self.rule = Some(SuccessRule::new(&kitchen, for_judge, &set_up.task, &set_up.object, &self.setting.objects));
        self.plant.exchange(plant.stamped_by(self.clock.clone()));
        // Without a camera there is no subscriber.
        let _ = self.to_camera.send(CameraFeed { place: Place::Kitchen(Box::new(kitchen)), snapshots: for_camera });
        Ok(Answer::Ready { assignment })
    }
}

impl Handler for Scene {
    fn answer(&mut self, question: Question) -> Answer {
        let now = self.clock.now();
        match (question, self.rule.as_mut()) {
            (Question::Plays, _) => match &self.plays {
                Some(whereabouts) => Answer::Plays { whereabouts: whereabouts.clone() },
                None => Answer::Refused { why: "no controller is emulated yet".into() },
            },
            (Question::SetUp { set_up }, _) => {
                self.lay(&set_up).unwrap_or_else(|error| Answer::Refused { why: format!("{error:#}") })
            }
            (Question::Judge, Some(rule)) => {
                rule.judge(now).map_or(Answer::Undecided, |outcome| Answer::Ended { outcome })
            }
            (Question::TimeOut, Some(rule)) => Answer::Ended { outcome: rule.time_out(now) },
            (_, None) => Answer::Refused { why: "no scene is laid yet".into() },
        }
    }
}
