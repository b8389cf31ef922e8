//! The command line: arguments, exit codes, errors with a hint.
//!
//! Exit codes: 0 done, 1 done with a negative result, 2 wrong usage or configuration, 3 hardware or runtime fault.

/// Prints a line to standard output. A closed pipe (`| head`) must not stop a program that drives an arm.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write;
        // The output is closed: there is nowhere to report it.
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

/// Prints a line to standard error. A closed terminal must not end the program: an arm may still have to hold.
macro_rules! complain {
    ($($line:tt)*) => {{
        use std::io::Write;
        // The output is closed: there is nowhere to report it.
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}

#[macro_use]
mod absent;
mod approach;
mod check;
mod compare;
mod consent;
#[cfg(feature = "torch")]
mod convert;
#[cfg(feature = "mujoco")]
mod demonstrate;
mod device;
mod distances;
mod edit;
#[cfg(feature = "torch")]
mod embed;
mod entrant;
mod evaluate;
#[cfg(feature = "exchange")]
mod exchange;
mod exit;
mod generate;
mod granted;
#[cfg(feature = "ros2")]
mod guard;
#[cfg(feature = "torch")]
mod image_file;
pub mod kitchen;
mod last_words;
mod layout;
pub mod link;
mod live;
mod new_folder;
#[cfg(all(feature = "mujoco", feature = "torch"))]
mod pipeline;
#[cfg(feature = "torch")]
mod policy;
mod realtime;
mod record;
mod recordings;
mod recover;
mod replay;
mod rig;
mod run;
mod scripted;
pub mod set_up;
#[cfg(all(feature = "mujoco", feature = "ros2"))]
mod simulate;
#[cfg_attr(not(feature = "mujoco"), path = "unsimulated.rs")]
pub mod simulated;
mod source;
mod stage;
mod standing;
pub mod station;
mod teleoperate;
mod terminal;
#[cfg(feature = "torch")]
mod train;
mod trial;
#[cfg(feature = "torch")]
mod values;
#[cfg(feature = "mujoco")]
mod videos;

// In place of the commands that are not in this build.
#[cfg(not(feature = "torch"))]
absent!(convert, ConvertArguments, "torch");
#[cfg(not(feature = "mujoco"))]
absent!(demonstrate, DemonstrateArguments, "mujoco");
#[cfg(not(feature = "torch"))]
absent!(embed, EmbedArguments, "torch");
#[cfg(not(feature = "ros2"))]
absent!(guard, GuardArguments, "ros2");
#[cfg(not(all(feature = "mujoco", feature = "torch")))]
absent!(pipeline, PipelineArguments, "mujoco,torch");
#[cfg(not(feature = "torch"))]
absent!(policy, PolicyArguments, "torch");
#[cfg(not(all(feature = "mujoco", feature = "ros2")))]
absent!(simulate, SimulateArguments, "mujoco,ros2");
#[cfg(not(feature = "torch"))]
absent!(train, TrainArguments, "torch");
#[cfg(not(feature = "torch"))]
absent!(values, ValuesArguments, "torch");
#[cfg(not(feature = "mujoco"))]
absent!(videos, VideosArguments, "mujoco");

use std::io::IsTerminal;

use clap::{Parser, Subcommand};

/// Runs real robot arms from camera images.
#[derive(Parser, Debug)]
#[command(name = "visuomotor", version, about, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Drive a station with a policy, from its cameras
    Run(run::RunArguments),
    /// Check the link to an arm before anything moves
    Check(check::CheckArguments),
    /// Clear an arm's faults and leave it holding where it is
    Recover(recover::RecoverArguments),
    /// Emulate an arm's controller in this process, with MuJoCo as the arm
    Simulate(simulate::SimulateArguments),
    /// Stop an arm whose program has ended; other commands start this themselves where it is needed
    Guard(guard::GuardArguments),
    /// Write shell completions and man pages
    #[command(hide = true)]
    Generate(generate::GenerateArguments),
    /// Let the scripted expert collect demonstrations in simulation
    Demonstrate(demonstrate::DemonstrateArguments),
    /// Film hands at work: action-free videos to pre-train on
    Videos(videos::VideosArguments),
    /// Drive the arm by hand and record demonstrations
    Teleoperate(teleoperate::TeleoperateArguments),
    /// Score a policy on the protocol's trials
    Evaluate(evaluate::EvaluateArguments),
    /// From data to scored policies and the table that compares them
    Pipeline(pipeline::PipelineArguments),
    /// Describe a policy's inputs and outputs, or make a policy from an external module
    Policy(policy::PolicyArguments),
    /// Score several policies, interleaved on the same trials
    Compare(compare::CompareArguments),
    /// Print embeddings of images and their distance to a goal image
    Embed(embed::EmbedArguments),
    /// Convert a PyTorch checkpoint to safetensors without executing anything in it
    Convert(convert::ConvertArguments),
    /// List recorded episodes, finish cut-off ones, exchange them with other programs
    Recordings(recordings::RecordingsArguments),
    /// Replay a recorded episode: in the simulator, on the arm, or through a policy
    Replay(replay::ReplayArguments),
    /// Train a policy from recorded episodes
    Train(train::TrainArguments),
    /// Measure how an encoder's values rise along clips that end in success
    Values(values::ValuesArguments),
}

/// Log filter without RUST_LOG. RustDDS warns about every reader without a known address, and about the multicast group
/// that a loopback interface lacks.
pub const USUAL_LOG: &str = "warn,rustdds=error,rustdds::network=off,ros2_client=error";

/// Where every network of this program runs. The one place that chooses it; the library takes it as an argument.
#[cfg(feature = "torch")]
fn compute_device() -> tch::Device {
    crate::network::choose_device()
}

/// Runs the program; returns the exit code.
pub fn run() -> u8 {
    #[cfg(feature = "mujoco")]
    crate::simulation::prepare_process();
    crate::recording::survive_file_size_limit();
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(USUAL_LOG));
    // No colors in a file or a pipe.
    let colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colors)
        .with_writer(|| Unheard(std::io::stderr()))
        .init();
    let answer = match arguments.command {
        Command::Run(a) => run::run(&a),
        Command::Check(a) => check::check(&a),
        Command::Recover(a) => recover::recover(&a),
        Command::Simulate(a) => simulate::simulate(&a),
        Command::Guard(a) => guard::guard(&a),
        Command::Generate(a) => generate::generate(&a),
        Command::Demonstrate(a) => demonstrate::demonstrate(&a),
        Command::Videos(a) => videos::videos(&a),
        Command::Teleoperate(a) => teleoperate::teleoperate(&a),
        Command::Evaluate(a) => evaluate::evaluate(&a),
        Command::Pipeline(a) => pipeline::pipeline(&a),
        Command::Policy(a) => policy::policy(&a),
        Command::Compare(a) => compare::compare(&a),
        Command::Embed(a) => embed::embed(&a).map(|_| 0),
        Command::Convert(a) => convert::convert(&a).map(|_| 0),
        Command::Recordings(a) => recordings::recordings(&a),
        Command::Replay(a) => replay::replay(&a),
        Command::Train(a) => train::train(&a),
        Command::Values(a) => values::values(&a),
    };
    match answer {
        Ok(code) => code,
        Err(error) => {
            let failure = exit::Failure::from(&error);
            complain!("error: {failure}");
            failure.code()
        }
    }
}

/// Standard error for the log. Failed writes are dropped: the log would panic, and a closed terminal must not end the
/// thread that is about to make an arm hold.
struct Unheard<W>(W);

impl<W: std::io::Write> std::io::Write for Unheard<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()).max(1).min(bytes.len()))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, Result, Write};

    use super::Unheard;

    #[test]
    fn a_log_to_a_closed_output_is_not_an_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> Result<usize> {
                Err(Error::from_raw_os_error(libc::EIO))
            }
            fn flush(&mut self) -> Result<()> {
                Err(Error::from_raw_os_error(libc::EIO))
            }
        }
        let mut log = Unheard(Closed);
        log.write_all(b"the arm holds").unwrap();
        log.flush().unwrap();
        let mut kept = Unheard(Vec::new());
        kept.write_all(b"the arm holds").unwrap();
        assert_eq!(kept.0, b"the arm holds");
    }
}
