//! The control thread allocates nothing: counted per thread, from one reading of the arm to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use visuomotor::action::Action;
use visuomotor::runtime::fake::{Call, SeenArm};
use visuomotor::runtime::{StopFlag, Timing, run_episode};
use visuomotor::time::{SystemClock, Timestamp};

use crate::counting::allocations as counted;
use crate::station::{Clockwatcher, Listener, Script, request, station, wave, wrap};
use crate::wall::PATIENT;

#[test]
fn the_control_thread_allocates_nothing_moving_stopped_and_resumed() {
    let (mut station, _, _) = station();
    let (allocations, reads) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
    // Allocations of the control thread between its first and its newest reading.
    let (newest, count) = (allocations.clone(), reads.clone());
    let mut first = None;
    let watch = move |_: Timestamp, call: Call<'_>| {
        if call != Call::Read {
            return;
        }
        let (thread, until_now) = (std::thread::current().id(), counted());
        match first {
            Some((same, before)) if same == thread => {
                newest.store(until_now - before, Ordering::SeqCst);
                count.fetch_add(1, Ordering::SeqCst);
            }
            // The first tick runs on the calling thread.
            _ => first = Some((thread, counted())),
        }
    };
    wrap(&mut station, |arm| Box::new(SeenArm::new(arm, watch)));
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
