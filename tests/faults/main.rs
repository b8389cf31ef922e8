//! The fault matrix: faults x arms, links and modes, each with what the emulated arm did, and a control without its
//! protection.
//!
//! `cargo test --test faults` runs the rows in simulated time. `cargo xtask faults` runs all rows and writes `docs/faults.md`
//! and `docs/faults.json`. The program is its own peer: `arm` and `drive` are processes of a row.

mod arm;
mod drive;
mod link;
mod processes;
mod trace;
mod wall;

use std::path::Path;
use std::process::ExitCode;

use link::{Link, mode_named};
use wall::Fault;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        // The watchdog process is the program itself.
        ["guard", ..] => return ExitCode::from(visuomotor::cli::run()),
        ["arm", link, port, trace] => arm::run(Link::named(link), Path::new(port), Path::new(trace)),
        ["drive", link, mode, port, seconds] => {
            let seconds = seconds.parse().expect("seconds are a number");
            drive::run(Link::named(link), mode_named(mode), Path::new(port), seconds)
        }
        ["wall", filter @ ..] => rows(filter),
        _ => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs rows whose words contain every filter; `--controls` runs their controls too.
fn rows(filter: &[&str]) -> anyhow::Result<()> {
    let controls = filter.contains(&"--controls");
    let filter: Vec<&&str> = filter.iter().filter(|word| !word.starts_with("--")).collect();
    let mut domain = 1 + (std::process::id() % 90) as u16;
    let mut findings = Vec::new();
    for link in Link::ALL {
        for &mode in link.modes() {
            for fault in Fault::ALL {
                let name = format!("{} {mode} {}", link.name(), fault.words());
                if !filter.iter().all(|word| name.contains(**word)) {
                    continue;
                }
                for control in [false, true] {
                    if control && !controls {
                        continue;
                    }
                    domain = domain % 99 + 1;
                    let found = wall::run(fault, link, mode, domain, control);
                    println!(
                        "{} {name}{}: {:.3} rad/s, {:.3} of {:.3} rad, noticed {:?}, rest {:?}, stall {:.3} {}{}",
                        if found.skipped.is_some() { "skip" } else if found.green { "ok  " } else { "RED " },
                        found.without.as_ref().map_or(String::new(), |off| format!(" without {off}")),
                        found.speed_before,
                        found.travelled,
                        found.allowed,
                        found.noticed_after,
                        found.rest_after,
                        found.stall,
                        found.why,
                        found.skipped.clone().unwrap_or_default(),
                    );
                    if !found.green && found.skipped.is_none() {
                        println!("     {}", found.seen.join("\n     "));
                    }
                    findings.push(found);
                }
            }
        }
    }
    let failed = findings.iter().filter(|f| f.without.is_none() && f.skipped.is_none() && !f.green).count();
    println!("{} rows, {failed} red", findings.len());
    anyhow::ensure!(failed == 0, "{failed} rows are red");
    Ok(())
}
