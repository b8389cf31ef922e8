//! `visuomotor recover`: clears an arm's faults and leaves it holding where it is, with the operator's consent.

use std::io::BufRead;
use std::sync::Arc;

use clap::Args;

use super::link::{self, ArmArguments};
use super::standing::{self, what_recovery_does};
use crate::time::SystemClock;

/// Arguments of `visuomotor recover`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor recover --robot widowx --driver dynamixel\n  visuomotor recover --robot panda --driver fci --address 172.16.0.2\n  visuomotor recover --robot sawyer --driver ros2 --yes\n\nIt says what it is about to do and asks. The arm goes nowhere; a hold is reported only if its state shows it. Exit code 0: it holds; 1: not allowed, nothing was done; 2: a wrong arm, driver or setting; 3: it did not recover, or that it holds could not be confirmed."
)]
pub struct RecoverArguments {
    /// The arm and its address
    #[command(flatten)]
    pub arm: ArmArguments,
    /// Do not ask: the operator is at the arm and has consented
    #[arg(long)]
    pub yes: bool,
}

/// Runs the command.
pub fn recover(arguments: &RecoverArguments) -> anyhow::Result<u8> {
    let (launch, robot) = arguments.arm.load()?;
    let whereabouts = link::link_address(&launch, &robot)?;
    say!("{} over {whereabouts} is about to recover", robot.identity.name);
    say!("{}", what_recovery_does(launch.driver.name(), &robot.identity.name));
    if !(arguments.yes || agreed(&mut std::io::stdin().lock())) {
        say!("nothing was done");
        return Ok(1);
    }
    let clock = Arc::new(SystemClock::new());
    let mut arm = link::connect_faulted(&launch, &robot, &clock)?;
    let mode = launch.control.law.mode();
    say!("{}", standing::recover(&mut *arm, &*clock, mode, &mut std::thread::sleep)?);
    Ok(0)
}

/// Asks for consent; anything but a yes is a no.
fn agreed(input: &mut dyn BufRead) -> bool {
    say!("recover it? [y/N]");
    let mut line = String::new();
    // Unreadable input counts as no.
    let read = input.read_line(&mut line).unwrap_or(0);
    read > 0 && matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_yes_is_one() {
        for (typed, agrees) in
            [("y\n", true), ("Yes\n", true), ("y", true), ("\n", false), ("", false), ("n\n", false), ("yep\n", false)]
        {
            assert_eq!(agreed(&mut std::io::Cursor::new(typed)), agrees, "{typed:?}");
        }
    }
}
