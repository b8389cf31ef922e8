//! The fault matrix: faults x arms, links and modes, each with the emulated arm's reaction, and a control without its
//! protection.
//!
//! `cargo test --test faults` runs the rows in simulated time; `-- page OUT PIECE.json ...` joins a matrix made in pieces.
//! `cargo xtask faults` runs all rows and writes `docs/faults.md` and `docs/faults.json`. The program is its own peer: `arm`,
//! `drive` and `rival` are processes of a row.

mod arm;
mod drive;
mod fault;
mod finding;
mod inject;
mod judge;
mod link;
mod malformed;
mod peer;
mod processes;
mod report;
mod rival;
mod simulated;
mod trace;
mod wall;
mod witness;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use visuomotor::action::ControlMode;

use fault::Fault;
use link::{Link, mode_named};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        // The watchdog process is this program too.
        ["guard", ..] => return ExitCode::from(visuomotor::cli::run()),
        ["arm", link, port, trace] => arm::run(Link::named(link), Path::new(port), Path::new(trace)),
        ["drive", link, mode, port, seconds] => {
            let seconds = seconds.parse().expect("seconds are a number");
            drive::run(Link::named(link), mode_named(mode), Path::new(port), seconds)
        }
        ["rival", link, mode] => rival::run(Link::named(link), mode_named(mode)),
        ["row", fault, mode] => report::row(fault, mode_named(mode)),
        ["matrix", filter @ ..] => rows(filter),
        // A matrix made in pieces, on one page.
        ["page", out, pieces @ ..] => report::join(Path::new(out), pieces),
        ["lerobot", python, out] => peer::run(Path::new(python), Path::new(out)),
        // Part of every test run: no process, and a manual clock.
        filter => rows(&[&["--simulated"], filter].concat()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the rows whose words contain every filter. `--controls` runs their controls too, `--simulated` and `--wall` one kind
/// of rows only, `--out FOLDER` writes `faults.json` and `faults.md` there.
fn rows(arguments: &[&str]) -> anyhow::Result<()> {
    let mut selection = Selection::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--controls" => selection.controls = true,
            "--simulated" => selection.wall = false,
            "--wall" => selection.simulated = false,
            "--out" => selection.out = words.next().map(Into::into),
            // Arguments of cargo's harness: ignored here.
            option if option.starts_with('-') => {}
            word => selection.words.push(word.into()),
        }
    }
    let mut findings = Vec::new();
    for fault in simulated::Fault::ALL.into_iter().filter(|_| selection.simulated) {
        for mode in [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque] {
            if selection.wants(&format!("simulated {mode} {}", fault.words())) {
                findings.push(report::show(simulated::run(fault, mode, false)));
                if selection.controls && fault.left_out(mode).is_none() {
                    findings.push(report::show(report::in_a_process_of_its_own(fault, mode)?));
                }
            }
        }
    }
    let mut domain = 1 + (std::process::id() % 90) as u16;
    for link in Link::ALL.into_iter().filter(|_| selection.wall) {
        for &mode in link.modes() {
            for fault in Fault::ALL {
                if !selection.wants(&format!("{} {mode} {}", link.name(), fault.words())) {
                    continue;
                }
                for control in [false, true] {
                    let wanted = !control || selection.controls && fault::left_out(fault, link, mode).is_none();
                    if wanted {
                        domain = domain % 99 + 1;
                        findings.push(report::show(wall::run(fault, link, mode, domain, control)));
                    }
                }
            }
        }
    }
    report::end(&findings, selection.out.as_deref())
}

/// Which rows to run.
struct Selection {
    words: Vec<String>,
    controls: bool,
    simulated: bool,
    wall: bool,
    out: Option<PathBuf>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { words: Vec::new(), controls: false, simulated: true, wall: true, out: None }
    }
}

impl Selection {
    fn wants(&self, name: &str) -> bool {
        self.words.iter().all(|word| name.contains(word.as_str()))
    }
}
