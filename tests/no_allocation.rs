//! The control thread's path allocates nothing: kinematics, control and safety under an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use visuomotor::action::{Action, ActionBounds, JointCommand};
use visuomotor::config::{GripperPolicy, Robot};
use visuomotor::control::Controller;
use visuomotor::geometry::Pose;
use visuomotor::kinematics::{Chain, InverseSettings};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

thread_local! {
    /// Allocations of this thread; the test harness's own threads do not count.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // While a thread ends its counter may be gone; nothing is measured then.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call is handed unchanged to the system allocator, which keeps the contract; counting touches a
// thread-local cell that needs no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn arm() -> (Robot, Chain, Proprioception) {
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
    let chain = Chain::from_robot(&robot).unwrap();
    let measured = Proprioception {
        joint_positions: *chain.home(),
        joint_velocities: JointVector::zeros(6),
        joint_efforts: JointVector::zeros(6),
        finger_position: 0.02,
        gripper: 0.5,
        measured_at: Timestamp::ZERO,
    };
    (robot, chain, measured)
}

#[test]
fn the_counter_counts() {
    assert!(allocations_of(|| drop(std::hint::black_box(vec![1u8; 100]))) >= 2);
}

#[test]
fn kinematics_allocates_nothing() {
    let (_, chain, _) = arm();
    let home = *chain.home();
    let near = chain.forward(&[0.1, -0.7, 0.5, 0.1, 1.6, 0.0]);
    let far = Pose::translation(2.0, 0.0, 0.2);
    let n = allocations_of(|| {
        std::hint::black_box(chain.forward(&home));
        std::hint::black_box(chain.jacobian(&home));
        assert!(chain.inverse(&home, &near, &InverseSettings::tracking()).is_ok());
        assert!(chain.inverse(&home, &near, &InverseSettings::reach()).is_ok());
        assert!(chain.inverse(&home, &far, &InverseSettings::reach()).is_err());
    });
    assert_eq!(n, 0);
}

#[test]
fn control_and_safety_allocate_nothing() {
    let (robot, chain, measured) = arm();
    let period = Duration::from_millis(200);
    let policies = [
        GripperPolicy::Direct,
        GripperPolicy::Sticky { steps: 1 },
        GripperPolicy::RateLimit { closing: 0.3, opening: 1.0 },
    ];
    for policy in policies {
        let mut controller = Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, policy, period);
        let mut filter = SafetyFilter::new(&robot, chain.clone());
        let n = allocations_of(|| {
            controller.seed(Timestamp::ZERO, &measured);
            filter.seed(Timestamp::ZERO, &measured);
            let mut now = Timestamp::ZERO;
            for step in 0..50 {
                // Turns on and on, so that some targets are out of reach.
                let action = Action { translation: [0.03, 0.0, -0.03], rotation: [0.25, 0.0, 0.1], gripper: 0.0 };
                std::hint::black_box(controller.accept(now, &action, &measured));
                for _ in 0..10 {
                    now = now + Duration::from_millis(20);
                    let wished = controller.command(now);
                    std::hint::black_box(filter.filter(now, &wished, &measured, Some(Duration::ZERO)));
                }
                if step == 25 {
                    std::hint::black_box(controller.move_to(now, &measured.joint_positions, period, 1.0));
                    controller.resume(now, &measured);
                }
            }
            let lost = JointCommand::position(JointVector::from_slice(&[f64::NAN; 6]), 0.0);
            std::hint::black_box(filter.filter(now, &lost, &measured, None));
            std::hint::black_box(filter.filter(now, &controller.command(now), &measured, Some(period * 10)));
        });
        assert_eq!(n, 0, "{policy:?}");
    }
}

/// The servo bus of a WidowX, the emulated one in a thread of its own behind a terminal.
#[cfg(feature = "dynamixel")]
#[test]
fn a_cycle_on_the_servo_bus_allocates_nothing() {
    use visuomotor::action::ControlMode;
    use visuomotor::driver::widowx::driver::DynamixelArm;
    use visuomotor::driver::widowx::emulator::dynamixel::{BusEmulator, BusServer};
    use visuomotor::driver::{ArmDriver, PointPlant};
    use visuomotor::time::{Clock, SystemClock};
    use visuomotor::transport::{BAUD, SerialLink};

    let (robot, ..) = arm();
    let start = JointVector::from_slice(&robot.robot.sleep);
    let bus = BusEmulator::new(&robot, Box::new(PointPlant::at(start))).unwrap();
    let server = BusServer::start(bus, None).unwrap();
    let link = SerialLink::open(server.path(), BAUD).unwrap();
    let mut arm = DynamixelArm::connect(link, &robot, Default::default()).unwrap();
    let clock = SystemClock::new();
    let (mut answered, mut sent) = (0, 0);
    // A loaded machine may let the watchdogs expire in between; then it starts anew.
    for _ in 0..50 {
        if arm.activate(clock.now(), ControlMode::Position).is_err() {
            arm.recover(clock.now()).unwrap();
            continue;
        }
        let n = allocations_of(|| {
            for _ in 0..20 {
                let now = clock.now();
                answered += u32::from(arm.read(now).is_ok());
                sent += u32::from(arm.write(now, &JointCommand::position(start, 0.5)).is_ok());
            }
            let _ = arm.hold(clock.now());
            let _ = arm.write(clock.now(), &JointCommand::position(JointVector::from_slice(&[f64::NAN; 6]), 0.5));
        });
        assert_eq!(n, 0);
        if answered >= 20 && sent >= 20 {
            break;
        }
    }
    assert!(answered >= 20 && sent >= 20, "{answered} reads answered, {sent} commands sent");
}
