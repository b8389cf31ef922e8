//! The control thread allocates nothing: counted per thread, from one reading of the arm to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use visuomotor::action::{Action, ControlMode, JointCommand};
use visuomotor::driver::{ArmDriver, Capabilities, ConnectError, DriverError};
use visuomotor::observation::Proprioception;
use visuomotor::runtime::{StopFlag, Timing, run_episode};
use visuomotor::time::{SystemClock, Timestamp};

use crate::counting::allocations;
use crate::station::{Clockwatcher, Listener, Script, request, station, wave, wrap};
use crate::wall::PATIENT;

/// Notes the allocations of the control thread between its first and its newest reading.
struct WatchedArm {
    arm: Box<dyn ArmDriver>,
    thread: Option<(std::thread::ThreadId, u64)>,
    allocations: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
}

impl ArmDriver for WatchedArm {
    fn capabilities(&self) -> &Capabilities {
        self.arm.capabilities()
    }
    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        self.arm.activate(now, mode)
    }
    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        let (thread, count) = (std::thread::current().id(), allocations());
        match self.thread {
            Some((same, first)) if same == thread => {
                self.allocations.store(count - first, Ordering::SeqCst);
                self.reads.fetch_add(1, Ordering::SeqCst);
            }
            // The first tick runs on the calling thread.
            _ => self.thread = Some((thread, allocations())),
        }
        self.arm.read(now)
    }
    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        self.arm.write(now, command)
    }
    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        self.arm.hold(now)
    }
    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        self.arm.recover(now)
    }
}

#[test]
fn the_control_thread_allocates_nothing_moving_stopped_and_resumed() {
    let (mut station, _, _) = station();
    let (allocations, reads) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
    let watch = (allocations.clone(), reads.clone());
    wrap(&mut station, |arm| Box::new(WatchedArm { arm, thread: None, allocations: watch.0, reads: watch.1 }));
    station.cameras.iter_mut().for_each(|(_, max_age)| *max_age = 60.0);
    station.policy_period = std::time::Duration::from_millis(100);
    let mut source = Script::new(|step| match step {
        2 => Ok(Action { translation: [f64::NAN; 3], rotation: [0.0; 3], gripper: 1.0 }),
        _ => wave(step),
    });
    let (mut judge, mut listener, stop) = (Clockwatcher::default(), Listener::default(), StopFlag::new());
    let timing = Timing::Wall { clock: &SystemClock::new(), options: &PATIENT };
    let report = run_episode(&mut station, request(1.0, &mut source, &mut listener, &mut judge, &stop), timing);
    assert!(report.fault.is_none(), "{:?}", report.fault);
    assert!(report.stopped >= 1 && reads.load(Ordering::SeqCst) > 3);
    assert_eq!(allocations.load(Ordering::SeqCst), 0);
}
