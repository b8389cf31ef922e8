//! The faults of rows in real time: their names, the links that have them, the time within which each must be noticed, and the
//! protections against it.

use visuomotor::action::ControlMode;
use visuomotor::driver::ros2::found_within;
use visuomotor::protection::Protection;

use super::link::Link;

/// A fault of processes, messages or machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The driving program is stopped for this long \[ms\], then continued.
    Paused(u64),
    /// It gets this signal.
    Signal(i32, &'static str),
    /// It is killed: no part of it runs any more.
    Killed,
    /// The watchdog process is killed.
    GuardKilled,
    /// The controller is killed: only the arm's mechanics remain.
    ControllerKilled,
    /// The arm's states no longer arrive; commands do.
    StatesLost,
    /// The arm's states are lost for 0.6 s; then it is recovered and driven on.
    Recovered,
    /// Commands no longer arrive; states do.
    CommandsLost,
    /// Neither arrives.
    BothLost,
    /// The driving program's machine loses its network: nothing of it arrives, neither services nor heartbeats. If the
    /// controller has no time-out, a guard runs on its host (`visuomotor guard --listen`).
    NetworkLost,
    /// A decision takes 1.2 s: the control loop continues with the last action.
    PolicySlow,
    /// A thread of the highest real-time priority takes every processor for this long \[ms\].
    Hogged(u64),
    /// Each write of the recording takes 1 s from now on.
    DiskSlow,
    /// Bytes that are not a message, and truncated messages, arrive by the thousand.
    Malformed,
    /// Another program begins to publish commands.
    SecondCommander,
    /// The program's computer, or the network to it, is lost: a watchdog on the controller's side remains.
    HostLost,
}

impl Fault {
    pub const ALL: [Fault; 22] = [
        Fault::Paused(15),
        Fault::Paused(50),
        Fault::Paused(500),
        Fault::Paused(2000),
        Fault::Signal(libc::SIGINT, "SIGINT"),
        Fault::Signal(libc::SIGTERM, "SIGTERM"),
        Fault::Signal(libc::SIGHUP, "SIGHUP"),
        Fault::Signal(libc::SIGQUIT, "SIGQUIT"),
        Fault::Killed,
        Fault::GuardKilled,
        Fault::ControllerKilled,
        Fault::StatesLost,
        Fault::Recovered,
        Fault::CommandsLost,
        Fault::BothLost,
        Fault::NetworkLost,
        Fault::PolicySlow,
        Fault::Hogged(300),
        Fault::DiskSlow,
        Fault::Malformed,
        Fault::SecondCommander,
        Fault::HostLost,
    ];

    pub fn words(self) -> String {
        match self {
            Fault::Paused(ms) => format!("driving program stopped for {ms} ms"),
            Fault::Signal(_, name) => format!("driving program gets {name}"),
            Fault::Killed => "driving program killed (SIGKILL)".into(),
            Fault::GuardKilled => "watchdog process killed (SIGKILL)".into(),
            Fault::ControllerKilled => "arm's controller killed (SIGKILL)".into(),
            Fault::StatesLost => "states lost, commands arrive".into(),
            Fault::Recovered => "states lost for 0.6 s, then recovered and driven on".into(),
            Fault::CommandsLost => "commands lost, states arrive".into(),
            Fault::BothLost => "states and commands lost".into(),
            Fault::NetworkLost => "network lost, guard on the controller's host where one is needed".into(),
            Fault::PolicySlow => "a decision takes 1.2 s".into(),
            Fault::Hogged(ms) => format!("all processors hogged for {ms} ms at real-time priority"),
            Fault::DiskSlow => "each write to the disk takes 1 s".into(),
            Fault::Malformed => "malformed packets come in".into(),
            Fault::SecondCommander => "another program publishes commands".into(),
            Fault::HostLost => {
                "the program's computer or its network is lost, watchdog on the controller's side".into()
            }
        }
    }

    /// The protections against it, for the control row.
    pub fn protections(self, link: Link, mode: ControlMode) -> &'static [Protection] {
        use Protection::*;
        match self {
            Fault::CommandsLost if link.is_endless(mode) => &[Runaway],
            Fault::Paused(15 | 50) => &[EpollRetry],
            Fault::Paused(_) | Fault::Killed | Fault::HostLost => &[Guard],
            Fault::NetworkLost if link.is_endless(mode) => &[Guard],
            Fault::Signal(..) => &[Signals],
            // The guard is asked to stop the arm, and an arm that keeps moving is stopped by service.
            Fault::BothLost if link.is_endless(mode) => &[BlindRamp, StateCheck, Guard, Runaway],
            // The gauge of jumps is tested on every trace; the protection against lost states has its own row.
            Fault::Recovered => &[],
            Fault::StatesLost | Fault::BothLost => &[BlindRamp, StateCheck],
            Fault::CommandsLost => &[Residual],
            Fault::Hogged(_) => &[DeadlineBudget, ActionAge, Guard, GuardWatch, StateCheck, CommandDeadline],
            Fault::PolicySlow => &[ActionAge],
            Fault::DiskSlow => &[Recording],
            Fault::SecondCommander => &[Protection::SecondCommander],
            Fault::Malformed => &[PacketCheck, StateCheck],
            Fault::GuardKilled => &[GuardWatch],
            Fault::ControllerKilled | Fault::NetworkLost => &[],
        }
    }

    /// Longest time within which the fault must have been noticed \[s\]; `speed` is the arm's then \[rad/s\].
    ///
    /// If commands are lost while states arrive, only an arm that moves against its commands shows it. Until its command changes it
    /// does what it was commanded, so the time counts from that change. A servo may lag and
    /// sag by `limits.following_error` and be that far off for `limits.following_time`: a joint that keeps moving at `v` is
    /// detected after the shorter of `following_error / v` and `following_time`, each with the blocks of 50 ms of states;
    /// then its controller is stopped by a service call, which may take as long as any of its states.
    pub fn detection(self, link: Link, mode: ControlMode, speed: f64) -> f64 {
        let states: f64 = match link {
            // 10 Hz states.
            Link::Jaco => 0.25,
            _ => 0.05,
        };
        match self {
            // Nothing needs to be noticed: the pause is shorter than any time-out.
            Fault::Paused(ms @ (15 | 50)) => ms as f64 * 1e-3,
            Fault::Signal(..) => 0.02,
            Fault::StatesLost | Fault::Recovered => states,
            Fault::CommandsLost if link.is_endless(mode) => found_within(&link.robot(), mode, speed) + states,
            // The camera's oldest image and one policy period.
            Fault::PolicySlow => 0.5,
            // Checked five times a second, after it was discovered.
            Fault::SecondCommander => 0.6,
            Fault::DiskSlow | Fault::Malformed => f64::INFINITY,
            // A controller that receives nothing is stopped by its own time-out, else by the guard, or switched off by a service.
            _ => match link {
                Link::PandaFci => 0.05,
                Link::PandaRos2Control | Link::WidowxXsSdk => 0.15,
                Link::WidowxDynamixel | Link::Sawyer => 0.25,
                // The guard's, as for others with a guard; the program itself waits for states at 10 Hz.
                Link::Jaco if link.is_endless(mode) && self != Fault::BothLost => 0.15,
                Link::Jaco => 0.35,
            },
        }
    }

    /// Do states stop arriving, so that the driver's own thread must detect it?
    pub fn loses_states(self) -> bool {
        matches!(
            self,
            Fault::StatesLost | Fault::Recovered | Fault::BothLost | Fault::NetworkLost | Fault::ControllerKilled
        )
    }

    /// May the arm keep moving after it?
    pub fn may_go_on(self) -> bool {
        matches!(
            self,
            Fault::Recovered
                | Fault::Paused(_)
                | Fault::Hogged(_)
                | Fault::PolicySlow
                | Fault::DiskSlow
                | Fault::Malformed
        )
    }
}

/// Why the link has no such row; `None` if it has one.
pub fn left_out(fault: Fault, link: Link, mode: ControlMode) -> Option<&'static str> {
    let own_timeout = link.times_out(mode);
    match fault {
        Fault::GuardKilled if own_timeout || mode == ControlMode::Position => {
            Some("this link and mode needs no watchdog process: its controller has a time-out or keeps its position")
        }
        Fault::PolicySlow if link != Link::Sawyer => Some("a row of the policy: run once a mode"),
        Fault::SecondCommander if link == Link::WidowxDynamixel => Some("a serial port is locked to one program"),
        Fault::SecondCommander if link == Link::PandaFci => Some("a control box takes one connection"),
        Fault::HostLost if own_timeout || mode == ControlMode::Position => Some(
            "this link and mode needs no watchdog: its controller has a time-out or keeps its position, as when the program is killed",
        ),
        Fault::NetworkLost if link == Link::WidowxDynamixel => {
            Some("a serial cable is no network: as states and commands lost")
        }
        Fault::NetworkLost if link == Link::PandaFci => Some("its wire is the network: as states and commands lost"),
        Fault::DiskSlow if link != Link::Sawyer => Some("a row of the disk: run once a mode"),
        Fault::CommandsLost
        | Fault::BothLost
        | Fault::NetworkLost
        | Fault::StatesLost
        | Fault::Recovered
        | Fault::DiskSlow
        | Fault::Malformed
            if cfg!(not(feature = "fault-controls")) =>
        {
            Some("needs a build with the feature fault-controls")
        }
        _ => None,
    }
}

/// Why a row has no control: the arm is safe without our protections, or the protection is not ours.
pub fn no_control(fault: Fault, link: Link, mode: ControlMode) -> Option<&'static str> {
    let own_timeout = link.times_out(mode);
    match fault {
        Fault::Paused(15 | 50) if matches!(link, Link::WidowxDynamixel | Link::PandaFci) => Some(
            "safe: the arm's controller itself bears so short a silence, and the link waits for nothing that a signal ends",
        ),
        Fault::Paused(_) | Fault::Killed | Fault::CommandsLost | Fault::BothLost | Fault::NetworkLost
            if own_timeout && !matches!(fault, Fault::Paused(15 | 50)) =>
        {
            Some("safe: the arm's controller itself stops when it hears nothing for its time-out")
        }
        Fault::Paused(500..) | Fault::Killed | Fault::CommandsLost | Fault::BothLost | Fault::NetworkLost
            if mode == ControlMode::Position =>
        {
            Some("safe: the arm's controller itself goes to the last position and stays")
        }
        Fault::StatesLost if link == Link::PandaFci => {
            Some("safe: the control box itself ends a motion when its states are not answered")
        }
        Fault::Hogged(_) if matches!(link, Link::WidowxDynamixel | Link::PandaFci) => {
            Some("safe: the arm's controller itself stops when it hears nothing for its time-out, and says so")
        }
        Fault::Malformed if link == Link::PandaFci => {
            Some("its packets are checked by the library that speaks to the control box")
        }
        Fault::Malformed if link != Link::WidowxDynamixel => {
            Some("its packets are checked by the middleware's library")
        }
        Fault::Recovered => {
            Some("states lost have a row of their own; the gauge of jumps is tried on every trace it judges")
        }
        Fault::ControllerKilled => Some("its silence is that of lost states, whose control is there"),
        _ => None,
    }
}
