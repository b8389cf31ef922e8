//! Device with which the operator takes over a run.

use std::sync::Arc;

use anyhow::Context;

use super::RunArguments;
use super::job::Job;
use crate::cli::device;
use crate::cli::live::Live;
use crate::cli::scripted::ScriptedDevice;
use crate::operator::Operator;
use crate::scripted::{ActionSpace, Assignment};
use crate::teleop::{TeleopDevice, TeleopSource};
use crate::time::Clock;

/// Device with which the operator takes over the arm.
pub enum TakeOver {
    /// A device.
    Device(Box<dyn TeleopDevice>),
    /// The scripted operator of the simulator.
    Script,
}

impl TakeOver {
    /// Opens the requested device; `None` if there is none.
    pub fn open(
        job: &Job,
        arguments: &RunArguments,
        (operator, live): (&Operator, &Live),
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(kind) = arguments.take_over else { return Ok(None) };
        let station = job.place.station();
        anyhow::ensure!(
            matches!(station.action_space(), ActionSpace::Pose(_)),
            "--take-over {}: a device asks for changes of the tool's pose, and the control law `torque` of {} takes joint torques; \
             leave it out (a run can be paused without it)",
            kind.name(),
            station.launch_file.display()
        );
        let device = device::open(station, operator, live, clock)?;
        Ok(Some(device.map_or(TakeOver::Script, TakeOver::Device)))
    }

    /// The operator's decisions; the script is given the object positions.
    pub fn source(
        self,
        job: &Job,
        assignment: Option<Assignment>,
        operator: &Operator,
    ) -> anyhow::Result<TeleopSource<Box<dyn TeleopDevice>>> {
        let station = job.place.station();
        let (teleop, policy) = (&station.launch.teleop, &station.launch.policy);
        let period = std::time::Duration::from_secs_f64(1.0 / policy.rate_hz);
        let device = match self {
            TakeOver::Device(device) => device,
            TakeOver::Script => {
                let assignment = assignment.context(
                    "--take-over scripted: a script cannot see where things lie; it needs the simulator or its stage (--stage)",
                )?;
                Box::new(ScriptedDevice::new(assignment, teleop, period.as_secs_f64(), job.seed))
            }
        };
        Ok(TeleopSource::new(device, teleop, policy.bounds, station.chain.clone(), period, operator.clone()))
    }
}
