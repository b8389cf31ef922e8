//! Real-time settings that the launch file requests from the operating system, and their result.

use std::time::Duration;

use crate::config::{DriverKind, Launch};
use crate::driver::{Finding, Grade};
use crate::runtime::{DeadlineBudget, Granted, Realtime, WallOptions};

/// Default priority of an arm's control thread: a customary value, below the FCI thread's and the kernel's own.
const PRIORITY: i32 = 60;

/// Real-time settings of the loops. By default an arm gets sensible ones and the simulator none.
pub fn wall_options(launch: &Launch) -> WallOptions {
    let asked = &launch.realtime;
    let arm = launch.driver != DriverKind::Mujoco;
    let seconds = Duration::from_secs_f64;
    WallOptions {
        budget: DeadlineBudget {
            warn: seconds(asked.budget.warn),
            hold: seconds(asked.budget.hold),
            stop: seconds(asked.budget.stop),
        },
        realtime: Realtime {
            priority: asked.priority.or(arm.then_some(PRIORITY)).filter(|priority| *priority > 0),
            lock_memory: asked.lock_memory.unwrap_or_else(|| arm && !on_gpu()),
            cpu: asked.cpu,
        },
    }
}

/// Do networks run on a GPU? If so, memory is not locked.
#[cfg(feature = "torch")]
fn on_gpu() -> bool {
    super::compute_device().is_cuda()
}

#[cfg(not(feature = "torch"))]
fn on_gpu() -> bool {
    false
}

/// Tries the requested settings on this machine.
pub fn granted(launch: &Launch) -> Vec<Granted> {
    wall_options(launch).realtime.try_out()
}

/// The same as findings of `visuomotor check`: a refused setting costs punctuality.
pub fn findings(launch: &Launch) -> Vec<Finding> {
    granted(launch)
        .into_iter()
        .map(|one| match one.granted {
            true => Finding::good(format!("control loop: {}", one.request), "granted", "granted"),
            false => {
                Finding::good(format!("control loop: {}", one.request), format!("refused ({})", one.why), "granted")
                    .graded(Grade::Doubtful, one.fix)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn launch(driver: DriverKind) -> Launch {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("launch/widowx_kitchen.toml");
        let (mut launch, _) = Launch::load(&file).unwrap();
        launch.driver = driver;
        launch
    }

    #[test]
    fn an_arm_gets_default_settings_and_the_simulator_none() {
        assert_eq!(wall_options(&launch(DriverKind::Mujoco)), WallOptions::default());
        for driver in [DriverKind::Dynamixel, DriverKind::Ros2, DriverKind::Fci] {
            let mut launch = launch(driver);
            launch.realtime.lock_memory = Some(true);
            let options = wall_options(&launch);
            assert_eq!(options.realtime, Realtime { priority: Some(60), lock_memory: true, cpu: None }, "{driver}");
            assert_eq!(options.budget, DeadlineBudget::default());
        }
    }

    #[test]
    fn the_launch_files_settings_are_requested() {
        let mut launch = launch(DriverKind::Fci);
        launch.realtime.priority = Some(0);
        (launch.realtime.lock_memory, launch.realtime.cpu) = (Some(false), Some(1));
        launch.realtime.budget.stop = 1.5;
        let options = wall_options(&launch);
        assert_eq!(options.realtime, Realtime { priority: None, lock_memory: false, cpu: Some(1) });
        assert_eq!(options.budget.stop, Duration::from_millis(1500));
        launch.realtime.cpu = Some(1_000_000);
        let findings = findings(&launch);
        assert_eq!((findings.len(), findings[0].grade), (1, Grade::Doubtful));
        assert!(findings[0].what.contains("CPU 1000000") && !findings[0].fix.is_empty(), "{findings:?}");
        assert!(!granted(&launch)[0].granted);
    }
}
