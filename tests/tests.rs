//! The integration tests in one program, because linking libtorch is slow. Two are separate programs:
//! `runtime` and `no_allocation` replace the global allocator or the process's signal handlers.

/// Clips for pre-training in every supported layout.
#[cfg(feature = "torch")]
mod clips;
/// Policies and encoders as ONNX.
#[cfg(all(feature = "mujoco", feature = "torch"))]
mod converted;
/// CQL in both phases and reward-weighted regression: transitions, mixtures, resumption, refusals.
#[cfg(all(feature = "mujoco", feature = "torch"))]
mod cql;
/// The WidowX on its servo bus: driver against emulator, the manufacturer's SDK against the emulator.
#[cfg(feature = "dynamixel")]
mod dynamixel;
/// Protocol, intervals, journal, report.
mod evaluation;
/// Exchange of episodes with LeRobot, robomimic and Bridge.
#[cfg(feature = "exchange")]
mod exchange;
/// Panda and FR3 over the Franka control interface.
#[cfg(feature = "fci")]
mod fci;
/// Driving programs that are ended, suspended or killed; the guard.
#[cfg(feature = "ros2")]
mod guard;
/// Hostile inputs, given to the program as a child with little memory.
#[cfg(all(feature = "exchange", feature = "mujoco", feature = "torch"))]
mod hostile;
/// Every `train` killed and resumed, at smoke scale.
#[cfg(all(feature = "mujoco", feature = "torch"))]
mod killed;
/// Which module uses which, against the table in ARCHITECTURE.md.
mod layering;
/// Every arm's kinematics and dynamics against MuJoCo, and MuJoCo under each drive.
#[cfg(feature = "mujoco")]
mod models;
/// Kinematics, control and safety together.
mod motion;
/// Demonstrations as a user collects them.
#[cfg(feature = "mujoco")]
mod demonstrations;
/// The pipeline: stopped, resumed, its table.
#[cfg(all(feature = "mujoco", feature = "torch"))]
mod pipeline;
/// The web page: over the wire, and in Chromium.
#[cfg(feature = "page")]
mod page;
/// Data for pre-training: reproducible, failing as requested, without the target.
#[cfg(feature = "mujoco")]
mod pretraining;
/// Every bad invocation: its exit code, its one message, and no folder left behind.
#[cfg(all(
    feature = "mujoco",
    feature = "torch",
    feature = "dynamixel",
    feature = "ros2",
    feature = "fci",
    feature = "page"
))]
mod failures;
/// The program as a user runs it: exit codes, messages, kill and resume.
#[cfg(feature = "mujoco")]
mod program;
/// Episodes on disk: round trip, cuts, an independent reader.
mod recording;
/// `visuomotor run`: refusals, the simulator, an emulated arm, a dry run.
#[cfg(feature = "mujoco")]
mod run;
/// ROS 2 on loopback: our nodes, an emulated controller, an independent peer.
#[cfg(feature = "ros2")]
mod ros2;
/// The button on the table: every arm's expert, and the controls that must not press it.
#[cfg(feature = "mujoco")]
mod button;
/// The simulated kitchen against kinematics; the expert; the success rule.
#[cfg(feature = "mujoco")]
mod simulation;
/// Sawyer, Jaco and Panda over ROS 2: messages, drivers against emulated controllers, and an independent peer.
#[cfg(feature = "ros2")]
mod ros2_arms;
/// Start-up time by part, compared with Python.
#[cfg(all(feature = "mujoco", feature = "torch", feature = "dynamixel", feature = "ros2"))]
mod start_up;
/// The shipped policy: matches its files, is reproducible, and is refused where it does not fit.
#[cfg(all(feature = "mujoco", feature = "torch"))]
mod shipped_policy;
/// Behavior cloning: resumption, the loss, refusals.
#[cfg(feature = "torch")]
mod training;

/// Checks everything that any driver must do, in real time.
#[cfg(any(feature = "fci", feature = "ros2"))]
fn conforms(arm: &mut dyn visuomotor::driver::ArmDriver, clock: &dyn visuomotor::time::Clock) {
    let mut pass = |duration| {
        std::thread::sleep(duration);
        clock.now()
    };
    visuomotor::conformance::check_arm(arm, &mut pass).unwrap_or_else(|violation| panic!("{violation}"));
}

/// libtorch's generator belongs to the process: tests that draw weights from it and compare them take turns.
#[cfg(feature = "torch")]
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
