//! The process that emulates an arm's controller. Lines on its standard input stop it from receiving or sending.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use visuomotor::time::SystemClock;

use super::link::Link;

/// Runs until its standard input ends.
pub fn run(link: Link, port: &Path, trace: &Path) -> anyhow::Result<()> {
    visuomotor::simulation::prepare_process();
    let clock = Arc::new(SystemClock::new());
    let controller = link.emulate(port, trace, &clock)?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        obey(&line?)?;
    }
    drop(controller);
    Ok(())
}

#[cfg(feature = "fault-controls")]
fn obey(line: &str) -> anyhow::Result<()> {
    let (commands, states) = match line {
        "bytes changed" => {
            visuomotor::transport::loss::change_bytes();
            return Ok(());
        }
        "commands lost" => (true, false),
        "states lost" => (false, true),
        "both lost" => (true, true),
        "nothing lost" => (false, false),
        other => anyhow::bail!("the emulated arm does not know `{other}`"),
    };
    visuomotor::transport::loss::lose(commands, states);
    Ok(())
}

#[cfg(not(feature = "fault-controls"))]
fn obey(line: &str) -> anyhow::Result<()> {
    anyhow::bail!("`{line}` needs a build with the feature fault-controls")
}
