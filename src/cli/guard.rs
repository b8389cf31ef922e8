//! `visuomotor guard`: a process that stops an arm when the program that drives it has ended.

use std::fs::File;
use std::io::{IsTerminal, stdin, stdout};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::driver::guard::{Token, Watched, listen, watch};
use crate::runtime::StopFlag;
use crate::transport::ros2::{DiscoveryRange, RosSettings};

/// Environment variable for the token, instead of a file.
pub const TOKEN_VARIABLE: &str = "VISUOMOTOR_GUARD_TOKEN";

/// Arguments of `visuomotor guard`.
#[derive(Args, Debug)]
#[command(
    after_help = "Not needed for an arm on this machine: evaluate, compare, teleoperate and replay start a guard by\nthemselves where the arm's controller would go on with its last command for ever (xs_sdk in velocity mode, ros2_control in\nvelocity and torque mode) or let the arm coast (Jaco in torque mode), and talk to it through a pipe. It stops the arm when they are killed or suspended.\n\nOn the controller's host it covers the loss of the robot computer and of the network too:\n  head -c 24 /dev/urandom | base64 > guard.token; chmod 600 guard.token\n  visuomotor guard --listen 192.168.1.10:7411 --token-file guard.token\nand in the launch file of the robot computer, with a copy of that file:\n  [guard]\n  address = \"192.168.1.10:7411\"\n  token_file = \"guard.token\"\n\nTry it on this machine:\n  VISUOMOTOR_GUARD_TOKEN=0123456789abcdef visuomotor guard --listen 127.0.0.1:7411\n\nThe connection is not encrypted: use a network that only the robot is on. Ctrl-C ends a listening guard when it guards no arm."
)]
pub struct GuardArguments {
    /// Listen here for a program on another machine, instead of guarding the one that started this
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// File with the token that programs must present, readable only by its owner; default: VISUOMOTOR_GUARD_TOKEN
    #[arg(long, requires = "listen")]
    pub token_file: Option<PathBuf>,
}

/// Runs the command; returns 3 when an arm was commanded to stop but its state does not confirm it.
pub fn guard(arguments: &GuardArguments) -> anyhow::Result<u8> {
    // May be refused. A guard that the OOM killer ends would protect nothing.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
    match &arguments.listen {
        Some(address) => on_the_network(address, arguments.token_file.as_deref()),
        None => at_a_pipe(),
    }
}

fn at_a_pipe() -> anyhow::Result<u8> {
    anyhow::ensure!(
        !stdin().is_terminal(),
        "a guard is started by the command that drives the arm; give it --listen to guard a program on another machine"
    );
    ignore_signals();
    let input = File::from(stdin().as_fd().try_clone_to_owned().context("standard input cannot be used")?);
    Ok(match watch(input, stdout(), |place| place)? {
        Watched::Left | Watched::Stopped => 0,
        Watched::Unconfirmed => 3,
    })
}

/// Only the program, or its end, ends its guard: Ctrl-C is for the program, which holds the arm first.
fn ignore_signals() {
    let crashes = [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];
    for signal in (1..32).filter(|signal| !crashes.contains(signal) && *signal != libc::SIGCHLD) {
        // SAFETY: SIG_IGN runs no code of ours; signals that cannot be ignored (SIGKILL, SIGSTOP) are refused.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// The token from the file or the environment.
pub fn token(file: Option<&std::path::Path>) -> anyhow::Result<Token> {
    let token = match file {
        Some(file) => Token::load(file),
        None => match std::env::var(TOKEN_VARIABLE) {
            Ok(text) => Token::new(&text).map_err(|why| format!("{TOKEN_VARIABLE}: {why}")),
            Err(_) => Err(format!("there is no token: name a file with one, or set {TOKEN_VARIABLE}")),
        },
    };
    token.map_err(anyhow::Error::msg)
}

fn on_the_network(address: &str, file: Option<&std::path::Path>) -> anyhow::Result<u8> {
    let token = token(file).context("--listen")?;
    let local = {
        let mut settings = RosSettings::from_environment("visuomotor_guard")?;
        if std::env::var_os("ROS_AUTOMATIC_DISCOVERY_RANGE").is_none() {
            settings.range = settings.range.min(DiscoveryRange::Localhost);
        }
        settings
    };
    let stop = StopFlag::on_signals()?;
    let listener = TcpListener::bind(address).with_context(|| {
        format!("--listen {address}: cannot listen there; give an address of this machine and a free port")
    })?;
    say!("guard at {}; Ctrl-C ends it when it guards no arm", listener.local_addr()?);
    // The program's graph settings hold on its machine; this machine sets its own discovery range.
    let place = move |asked: RosSettings| RosSettings { range: local.range, services: local.services, ..asked };
    listen(&listener, &token, place, || stop.is_raised())?;
    Ok(0)
}
