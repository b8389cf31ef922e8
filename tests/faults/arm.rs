//! The process that plays an arm's controller. Lines on its standard input make it deaf or mute.

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
        match line?.as_str() {
            #[cfg(feature = "fault-controls")]
            "commands lost" => visuomotor::transport::loss::lose(true, false),
            #[cfg(feature = "fault-controls")]
            "states lost" => visuomotor::transport::loss::lose(false, true),
            #[cfg(feature = "fault-controls")]
            "both lost" => visuomotor::transport::loss::lose(true, true),
            other => anyhow::bail!("the emulated arm does not know `{other}`"),
        }
    }
    drop(controller);
    Ok(())
}
