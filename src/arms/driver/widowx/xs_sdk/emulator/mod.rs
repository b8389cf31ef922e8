//! Interbotix's node `xs_sdk`, emulated over a [`Plant`]: topics, services, joint order, and its flaws.
//!
//! 100 Hz `joint_states` with the fingers as pseudo-joints and efforts in mA; no limit checks; no command time-out, so the
//! last goal is held and the last velocity turned forever; a mode change drops the torque for a moment; a failed read is
//! published as -pi on all joints. One thread reads, writes and answers, as in the node: a slow service call stalls the states.
//! Start at [`XsSdk::start`]; everything ends when it is dropped, the arm then limp as after a loss of power.

mod servos;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::servos::Servos;
pub use self::servos::{Fault, LOG_CAPACITY, ReceivedCommand};
use crate::driver::widowx::xs_sdk::wire::GRIPPER;
use crate::driver::{Order, Orders, Plant};
use crate::transport::ros2::messages::builtin::Time;
use crate::transport::ros2::messages::interbotix::*;
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::messages::std::{Empty, Header};
use crate::transport::ros2::{Qos, RosError, RosNode, RosPublisher, RosServer, RosSubscriber};
use visuomotor_core::config::Robot;
use visuomotor_core::time::Clock;

/// Period of `joint_states`.
const PERIOD: Duration = Duration::from_millis(10);

type Shared = Arc<Mutex<Servos>>;

/// Register services that wait for the bus: the node serves one between two states.
type Waiting = Arc<AtomicU32>;

/// How often a waiting service checks whether its turn has come.
const YIELD: Duration = Duration::from_micros(200);

/// A running node.
pub struct XsSdk {
    shared: Shared,
    orders: Orders,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _services: Vec<RosServer>,
}

fn lock(shared: &Shared) -> MutexGuard<'_, Servos> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl XsSdk {
    /// Starts the node's topics and services in the namespace of `node`. The torque is off, as after the node's start.
    pub fn start(
        node: &RosNode,
        robot: &Robot,
        plant: Box<dyn Plant>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RosError> {
        let states = node.publisher::<JointState>("joint_states", Qos::State)?;
        let group = node.subscriber::<JointGroupCommand>("commands/joint_group", Qos::Command)?;
        let single = node.subscriber::<JointSingleCommand>("commands/joint_single", Qos::Command)?;
        let shared: Shared = Arc::new(Mutex::new(Servos::new(robot, plant)));
        let waiting = Waiting::default();
        let orders = Orders::default();
        let services = services(node, &shared, &waiting, &clock, &orders)?;
        let stop = Arc::new(AtomicBool::new(false));
        let turns = Turns {
            shared: Arc::clone(&shared),
            waiting,
            stop: Arc::clone(&stop),
            clock,
            states,
            group,
            single,
            orders: orders.clone(),
        };
        let thread = std::thread::Builder::new().name("xs-sdk".into()).spawn(move || turns.run()).map_err(|error| {
            RosError::Create { what: "xs_sdk".into(), cause: error.to_string(), fix: "end other programs".into() }
        })?;
        Ok(Self { shared, orders, stop, thread: Some(thread), _services: services })
    }

    /// Injects a fault, or removes it.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared).inject(fault);
    }

    /// The orders it received.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The newest commands for the arm, oldest first, at most [`LOG_CAPACITY`].
    pub fn commands(&self) -> VecDeque<ReceivedCommand> {
        lock(&self.shared).received().clone()
    }

    /// True joint positions \[rad\], chain order.
    pub fn positions(&self) -> Vec<f64> {
        lock(&self.shared).positions()
    }

    /// Sets how long each register of each servo, and each state, takes to read from now on; everything else waits, as on the one
    /// real bus. 17 ms where the USB adapter's latency timer is 16 ms.
    pub fn slow_bus(&self, each: Duration) {
        lock(&self.shared).register_time = each;
    }

    /// States published so far.
    pub fn published(&self) -> u64 {
        lock(&self.shared).published
    }

    /// Register reads so far, by service.
    pub fn register_reads(&self) -> u64 {
        lock(&self.shared).register_reads
    }

    /// Is the torque on?
    pub fn torque(&self) -> bool {
        lock(&self.shared).torque()
    }
}

impl Drop for XsSdk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that panicked has reported it.
            let _ = thread.join();
        }
        lock(&self.shared).power_off();
    }
}

/// Occupies the bus for a register of this many servos.
fn on_the_bus<T>(
    shared: &Shared,
    waiting: &Waiting,
    ask: &RegisterValuesRequest,
    work: impl FnOnce(&mut Servos) -> T,
) -> T {
    waiting.fetch_add(1, Ordering::AcqRel);
    let mut servos = lock(shared);
    waiting.fetch_sub(1, Ordering::AcqRel);
    // Held meanwhile: the node has one bus.
    std::thread::sleep(servos.register_time * Servos::those(&ask.cmd_type, &ask.name).len() as u32);
    work(&mut servos)
}

/// The order that writing this register makes.
fn written(register: &str) -> Order {
    match register {
        "Torque_Enable" => Order::Torque,
        "Operating_Mode" => Order::Mode,
        goal if goal.starts_with("Goal_") => Order::Motion,
        _ => Order::Setting,
    }
}

fn services(
    node: &RosNode,
    shared: &Shared,
    waiting: &Waiting,
    clock: &Arc<dyn Clock>,
    orders: &Orders,
) -> Result<Vec<RosServer>, RosError> {
    let at = || (Arc::clone(shared), Arc::clone(clock));
    let of = || orders.clone();
    let (s, _) = at();
    let info = node.serve::<RobotInfo>("get_robot_info", move |ask| lock(&s).info(&ask.cmd_type, &ask.name))?;
    let (s, _) = at();
    let o = of();
    let torque = node.serve::<TorqueEnable>("torque_enable", move |ask| {
        o.note(Order::Torque);
        lock(&s).set_torque(&ask.cmd_type, &ask.name, ask.enable);
        Empty::default()
    })?;
    let (s, c) = at();
    let o = of();
    let modes = node.serve::<OperatingModes>("set_operating_modes", move |ask| {
        o.note(Order::Mode);
        lock(&s).set_mode(c.now(), &ask);
        Empty::default()
    })?;
    let (s, _) = at();
    let o = of();
    let reboot = node.serve::<Reboot>("reboot_motors", move |ask| {
        o.note(Order::Recovery);
        lock(&s).reboot(&ask);
        Empty::default()
    })?;
    let (s, w) = (Arc::clone(shared), Arc::clone(waiting));
    let o = of();
    let set = node.serve::<RegisterValues>("set_motor_registers", move |ask| {
        o.note(written(&ask.reg));
        on_the_bus(&s, &w, &ask, |servos| servos.write(&ask));
        RegisterValuesResponse::default()
    })?;
    let (s, w) = (Arc::clone(shared), Arc::clone(waiting));
    let get = node.serve::<RegisterValues>("get_motor_registers", move |ask| {
        let values = on_the_bus(&s, &w, &ask, |servos| {
            servos.register_reads += 1;
            servos.read(&ask)
        });
        RegisterValuesResponse { values }
    })?;
    let o = of();
    let gains = node.serve::<MotorGains>("set_motor_pid_gains", move |_| {
        o.note(Order::Setting);
        Empty::default()
    })?;
    Ok(vec![info, torque, modes, reboot, set, get, gains])
}

/// The node's thread.
struct Turns {
    shared: Shared,
    waiting: Waiting,
    stop: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
    states: RosPublisher<JointState>,
    group: RosSubscriber<JointGroupCommand>,
    single: RosSubscriber<JointSingleCommand>,
    orders: Orders,
}

impl Turns {
    fn run(mut self) {
        let mut due = Instant::now();
        while !self.stop.load(Ordering::Acquire) {
            let now = self.clock.now();
            // A command is written to the bus when it arrives, not at the next read.
            while let Ok(Some(command)) = self.group.take() {
                self.orders.note(Order::Motion);
                lock(&self.shared).group_command(now, &command);
            }
            while let Ok(Some(command)) = self.single.take() {
                self.orders.note(if command.name == GRIPPER { Order::Gripper } else { Order::Motion });
                lock(&self.shared).single_command(now, &command);
            }
            lock(&self.shared).advance(now);
            if Instant::now() >= due {
                let message = {
                    let mut servos = lock(&self.shared);
                    std::thread::sleep(servos.register_time);
                    servos.advance(self.clock.now());
                    let message = servos.state(header());
                    servos.published += u64::from(message.is_some());
                    message
                };
                if let Some(Err(error)) = message.map(|message| self.states.publish(message)) {
                    tracing::warn!("{error}");
                }
                due = (due + PERIOD).max(Instant::now());
                let waiting = self.waiting.load(Ordering::Acquire);
                while waiting > 0 && self.waiting.load(Ordering::Acquire) >= waiting {
                    std::thread::sleep(YIELD);
                }
            }
            // A command that arrives wakes the thread.
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
    }
}

/// Stamped with this machine's date, as ROS does.
fn header() -> Header {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // ROS 2 counts seconds in 32 bits, until 2038.
    let stamp = Time { sec: since.as_secs() as i32, nanosec: since.subsec_nanos() };
    Header { stamp, ..Header::default() }
}
