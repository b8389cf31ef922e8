//! A set-up episode as a running station: simulated arm, camera and success rule behind the runtime's traits.

use std::time::Duration;

use anyhow::Context;

use super::setting::{Prepared, SetUp, Setting};
use super::standing::activate;
use crate::camera::Camera;
use crate::control::Controller;
use crate::driver::ArmDriver;
use crate::episode::EpisodeStart;
use crate::runtime::Station;
use crate::safety::SafetyFilter;
use crate::simulation::{SimulatedArm, SimulatedCamera, SuccessRule};
use crate::time::Timestamp;

impl Setting {
    /// The station of one prepared episode, arm active, and the judge of its task.
    pub fn station(&self, set_up: &SetUp, prepared: &Prepared) -> anyhow::Result<(Station, SuccessRule)> {
        self.station_at(set_up, prepared, Timestamp::ZERO)
    }

    /// The same on a clock that shows `now` already. The arm's physics begins there: it would have to catch up with all
    /// the time before in the control loop's first tick otherwise.
    pub fn station_at(
        &self,
        set_up: &SetUp,
        prepared: &Prepared,
        now: Timestamp,
    ) -> anyhow::Result<(Station, SuccessRule)> {
        let (mut arm, for_camera, for_judge) = SimulatedArm::new(&self.robot, &prepared.kitchen)?;
        let setting = &self.launch.camera[0];
        let camera = SimulatedCamera::new(&setting.name, &prepared.kitchen, self.renderer.clone(), for_camera)?;
        let judge = SuccessRule::new(
            &prepared.kitchen,
            for_judge,
            set_up.task.rule,
            &set_up.object,
            &set_up.task.container,
            self.object(&set_up.task.container)?,
        );
        activate(&mut arm, now, self.launch.control.law.mode())?;
        Ok((self.station_of(Box::new(arm), Box::new(camera))?, judge))
    }

    /// The station of an active arm and its policy camera.
    pub fn station_of(&self, arm: Box<dyn ArmDriver>, camera: Box<dyn Camera>) -> anyhow::Result<Station> {
        let policy_period = Duration::from_secs_f64(1.0 / self.launch.policy.rate_hz);
        let control_period = Duration::from_secs_f64(1.0 / self.robot.robot.control_rate_hz);
        let controller = Controller::new(
            &self.robot,
            self.chain.clone(),
            self.launch.policy.bounds,
            self.launch.policy.gripper,
            policy_period,
        )
        .with_law(&self.robot, &self.launch.control)
        .context("the control law cannot be set up")?;
        Ok(Station {
            arm,
            cameras: vec![(camera, self.launch.camera[0].max_age)],
            chain: self.chain.clone(),
            controller,
            safety: SafetyFilter::new(&self.robot, self.chain.clone()),
            control_period,
            policy_period,
        })
    }

    /// What is known before the first step.
    pub fn episode_start(&self, name: &str, set_up: &SetUp, action_source: &str) -> EpisodeStart {
        EpisodeStart {
            name: name.into(),
            task: set_up.task.name.clone(),
            instruction: set_up.task.instruction.clone(),
            robot: self.robot.robot.name.clone(),
            action_source: action_source.into(),
            policy_rate_hz: self.launch.policy.rate_hz,
            control_rate_hz: self.robot.robot.control_rate_hz,
            joint_names: self.robot.joint_names(),
            seed: set_up.seed,
            settings: self.launch.to_toml(),
        }
    }
}
