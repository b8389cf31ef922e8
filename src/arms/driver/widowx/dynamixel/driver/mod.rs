//! The WidowX on its own servo bus: [`DynamixelArm`].
//!
//! Start at `cycle.rs` (what happens at every control tick), then `startup.rs` (what must be true before torque goes on).
//!
//! **Modes.** `Position`: goals to the servos' own position control, in one packet with a profile by time that spans
//! one control period and a quarter: the servo interpolates between goals. With [`PositionServo::Limited`] the six
//! XM430 run in current-based position mode, so that the arm yields. `Velocity`: integrated here into positions; the
//! servos stay in position mode, because two velocity integrators on one shaft (shoulder, elbow) wind up against each
//! other, and because a lost link then leaves an arm that stands. `Torque` is not offered: wrist_rotate (XL430) has no
//! current mode, the mode change needs torque off, and in current mode an expired watchdog or a pulled cable means no
//! current: the arm falls instead of holding.
//!
//! **Time.** Bus I/O happens in the caller's thread: at 50 Hz a cycle takes about 4 ms of 20, a second thread would add
//! a period of latency and no safety. `read` takes at most [`READ_BUDGET`], repetitions included, `write` the time to
//! hand 110 bytes to the kernel.
//!
//! **Silence.** A servo that did not reply is unknown: `read` then repeats the last whole measurement with its old time stamp. When
//! the same servo did not reply in two undisturbed reads, or three reads in a row were incomplete, it returns
//! [`DriverError::Silent`]. The servos' bus watchdogs (200 ms) stop the arm where it is if this process stalls or dies. Between
//! runs the bus is silent and the watchdogs expire on a holding arm; the next `read` re-arms them.
//!
//! **Torque** is never switched off here. A program that ends leaves the arm holding.

mod bus;
mod check;
mod cycle;
mod fault;
mod grip;
mod health;
mod misses;
mod recovery;
mod startup;
mod survey;

use std::time::Duration;

pub use bus::{BusCounters, BusError, ServoBus};
pub use check::check_bus;
pub use fault::{FaultKind, ServoFault, explain};
pub use grip::Grip;
pub use health::ServoHealth;

use crate::driver::{ArmDriver, Capabilities, ConnectError, DriverError, FaultCode};
use crate::transport::ByteLink;
use misses::Misses;
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::config::{Gripper, Robot};
use visuomotor_core::observation::Proprioception;
use visuomotor_core::time::Timestamp;

/// Longest time `read` may take.
pub const READ_BUDGET: Duration = Duration::from_millis(6);

/// The bus watchdog of every servo \[20 ms\]: 200 ms, ten control periods.
pub(super) const WATCHDOG: i32 = 10;

/// The same as a time.
pub(super) const WATCHDOG_TIME: Duration = Duration::from_millis(200);

/// Joints of the arm.
pub(super) const N: usize = 6;

/// Goals remembered to tell ours from another program's.
const REMEMBERED: usize = 16;

/// How the joints' servos keep a position.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum PositionServo {
    /// Position mode (3): as stiff as the servos are. What the maker and Bridge use.
    #[default]
    Stiff,
    /// Current-based position mode (5) on the XM430, each with at most this share (0..1) of its stall torque. Too
    /// little and the arm sinks.
    Limited(f64),
}

/// Settings of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DynamixelOptions {
    /// How the joints' servos keep a position.
    pub servo: PositionServo,
}

/// The arm.
pub struct DynamixelArm<L: ByteLink> {
    bus: ServoBus<L>,
    robot: Robot,
    options: DynamixelOptions,
    capabilities: Capabilities,
    gripper: Gripper,
    /// Position limits \[ticks\].
    lowest: [i32; N],
    highest: [i32; N],
    /// Does the bus answer fast sync reads?
    fast: bool,
    /// Mode it was activated with.
    mode: Option<ControlMode>,
    /// Holding: no command since the hold.
    holding: bool,
    fault: Option<FaultCode>,
    /// The link failed and has to be opened again.
    lost: bool,
    measured: Option<Proprioception>,
    /// Motor angle \[rad\] and speed \[rad/s\] of the gripper.
    crank: (f64, f64),
    misses: Misses,
    /// Goals in force \[ticks\] and as angles \[rad\].
    goals: [i32; N],
    goal_angles: [f64; N],
    remembered: [[i32; N]; REMEMBERED],
    remembered_at: usize,
    written_at: Option<Timestamp>,
    /// Were goals sent since the last read?
    fed: bool,
    /// The link's time of the last packet to the servos.
    spoken_at: Timestamp,
    grip: Grip,
    health: [ServoHealth; 9],
    next_poll: usize,
    foreign_goals: u32,
}

impl<L: ByteLink> DynamixelArm<L> {
    /// Checks every servo, refuses another arm or an unfit one, and sets the operating modes of servos without torque. Torque stays
    /// as it was. Blocks for about a quarter of a second.
    pub fn connect(link: L, robot: &Robot, options: DynamixelOptions) -> Result<Self, ConnectError> {
        let mut arm = Self::new(link, robot, options)?;
        arm.prepare()?;
        Ok(arm)
    }

    /// An arm to be read but not driven: checks every servo as [`DynamixelArm::connect`] does, and writes nothing. It must not be
    /// activated.
    pub fn connect_to_watch(link: L, robot: &Robot, options: DynamixelOptions) -> Result<Self, ConnectError> {
        let mut arm = Self::new(link, robot, options)?;
        arm.look()?;
        Ok(arm)
    }

    /// An arm that [`DynamixelArm::connect`] refuses for the errors of its servos: nothing is checked and it cannot be activated
    /// until [`ArmDriver::recover`] has cleared them and checked everything.
    pub fn connect_faulted(link: L, robot: &Robot, options: DynamixelOptions) -> Result<Self, ConnectError> {
        let mut arm = Self::new(link, robot, options)?;
        arm.fault = Some(FaultKind::NotSurveyed.code(0, 0));
        Ok(arm)
    }

    fn new(link: L, robot: &Robot, options: DynamixelOptions) -> Result<Self, ConnectError> {
        let bus = ServoBus::new(link);
        crate::driver::widowx::limits::fits(robot, bus.name())?;
        if let PositionServo::Limited(share) = options.servo
            && !(share > 0.0 && share <= 1.0)
        {
            return Err(ConnectError::Unfit {
                arm: robot.identity.name.clone(),
                link: bus.name().into(),
                what: "the torque limit of the servos".into(),
                found: share.to_string(),
                expected: "more than 0 and at most 1".into(),
                fix: "give a share of the stall torque (`dynamixel.yielding` of the launch file); 0.5 carries the arm"
                    .into(),
            });
        }
        let ticks = |angle: fn(&visuomotor_core::config::Joint) -> f64| {
            std::array::from_fn(|i| {
                let servo = crate::driver::widowx::limits::servo_of_joint(i);
                let ticks = crate::driver::widowx::dynamixel::wire::units::ticks_from_angle(angle(&robot.joint[i]));
                ticks.clamp(servo.min_position, servo.max_position)
            })
        };
        Ok(Self {
            bus,
            robot: robot.clone(),
            options,
            capabilities: Capabilities {
                robot: robot.identity.name.clone(),
                driver: "dynamixel".into(),
                joints: N,
                control_rate_hz: robot.identity.control_rate_hz,
                modes: vec![ControlMode::Position, ControlMode::Velocity],
            },
            gripper: robot.gripper.clone(),
            lowest: ticks(|joint| joint.lower),
            highest: ticks(|joint| joint.upper),
            fast: false,
            mode: None,
            holding: true,
            fault: None,
            lost: false,
            measured: None,
            crank: (0.0, 0.0),
            misses: Misses::default(),
            goals: [0; N],
            goal_angles: [0.0; N],
            remembered: [[i32::MIN; N]; REMEMBERED],
            remembered_at: 0,
            written_at: None,
            fed: true,
            spoken_at: Timestamp::ZERO,
            grip: Grip::at(1.0),
            health: [ServoHealth::default(); 9],
            next_poll: 0,
            foreign_goals: 0,
        })
    }

    /// Every servo's newest health, by id from 1.
    pub fn health(&self) -> &[ServoHealth; 9] {
        &self.health
    }

    /// The bus's counters.
    pub fn counters(&self) -> BusCounters {
        self.bus.counters
    }

    /// Does the bus answer fast sync reads?
    pub fn reads_fast(&self) -> bool {
        self.fast
    }

    /// One control period.
    fn period(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.capabilities.control_rate_hz)
    }
}

impl<L: ByteLink> ArmDriver for DynamixelArm<L> {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        if !self.capabilities.modes.contains(&mode) {
            return Err(DriverError::Mode(mode));
        }
        if let Some(fault) = self.fault {
            return Err(DriverError::Fault(fault));
        }
        self.start(now)?;
        self.mode = Some(mode);
        Ok(())
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.read_cycle(now)
    }

    fn observed(&mut self, now: Timestamp) -> Option<Proprioception> {
        self.observe(now)
    }

    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        self.write_cycle(now, command)
    }

    fn hold(&mut self, _now: Timestamp) -> Result<(), DriverError> {
        self.stay()
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        self.come_back(now)
    }

    fn fault_text(&self, fault: FaultCode) -> String {
        explain(fault)
    }
}
