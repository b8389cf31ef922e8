//! Grippers that are actions take seconds: a separate thread sends the newest target and waits, so that the bridge does not.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::transport::ros2::RosError;

/// Sends the newest gripper target; older targets that were not sent yet are dropped.
pub struct SlowGripper {
    targets: Option<SyncSender<f64>>,
    thread: Option<JoinHandle<()>>,
}

/// Targets waiting; more than this means that the gripper does not respond.
const WAITING: usize = 64;

impl SlowGripper {
    /// `go` takes a fraction (0 closed .. 1 open), moves the gripper there and returns the result, within `bound`.
    pub fn start(
        name: &str,
        mut go: impl FnMut(f64) -> Result<(), RosError> + Send + 'static,
    ) -> Result<Self, RosError> {
        let (targets, requested): (SyncSender<f64>, Receiver<f64>) = sync_channel(WAITING);
        let of = name.to_string();
        let thread = std::thread::Builder::new()
            .name(format!("{name}-gripper"))
            .spawn(move || {
                while let Ok(mut target) = requested.recv() {
                    loop {
                        match requested.try_recv() {
                            Ok(newer) => target = newer,
                            Err(TryRecvError::Empty) => break,
                            Err(TryRecvError::Disconnected) => return,
                        }
                    }
                    if let Err(error) = go(target) {
                        tracing::warn!("{of}: the gripper did not go to {target:.2}: {error}");
                    }
                }
            })
            .map_err(|error| RosError::Create {
                what: format!("gripper thread of {name}"),
                cause: error.to_string(),
                fix: "too many threads: end other programs".into(),
            })?;
        Ok(Self { targets: Some(targets), thread: Some(thread) })
    }

    /// Leaves a target; never waits.
    pub fn set_target(&self, fraction: f64) {
        if let Some(targets) = &self.targets {
            // Full: the gripper hangs, which its thread reports.
            let _ = targets.try_send(fraction);
        }
    }
}

impl Drop for SlowGripper {
    fn drop(&mut self) {
        self.targets = None;
        if let Some(thread) = self.thread.take() {
            // Ends after the goal under way, which is bounded.
            let _ = thread.join();
        }
    }
}

/// Time-out of the gripper for one target.
pub const GRIPPER_PATIENCE: Duration = Duration::from_secs(5);
