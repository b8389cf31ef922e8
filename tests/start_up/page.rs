//! The page of a measurement.

use std::fmt::Write;

use super::{Measured, Pair, Parts};

/// A part of a start, its name in each program, and its description.
struct Row {
    name: &'static str,
    run: &'static [&'static str],
    python: &'static [&'static str],
    what: &'static str,
}

const ROWS: [Row; 7] = [
    Row {
        name: "program",
        run: &["program", "settings"],
        python: &["program", "imports"],
        what: "the process with its libraries, and reading the launch file; in Python the interpreter and its imports",
    },
    Row {
        name: "weights",
        run: &["weights"],
        python: &["weights"],
        what: "the module; `run` also checks its digest and its code, and runs it once with made-up inputs",
    },
    Row {
        name: "link",
        run: &["link"],
        python: &["link"],
        what: "until the first joint state; `run` also checks arm and limits, looks for other programs and enables the arm",
    },
    Row {
        name: "cameras",
        run: &["cameras"],
        python: &["cameras"],
        what: "until an image that was taken after the link was there",
    },
    Row {
        name: "announcement, recorder",
        run: &["looking", "recorder"],
        python: &[],
        what: "what `run` shows before it starts; nothing in Python",
    },
    Row {
        name: "first inference",
        run: &["first decision"],
        python: &["first decision"],
        what: "from the image to the action",
    },
    Row {
        name: "first command",
        run: &["first command"],
        python: &["first command"],
        what: "`run`: inverse kinematics and the safety filter in the next control tick; in Python the message alone",
    },
];

fn sum(parts: &Parts, names: &[&str]) -> f64 {
    names.iter().map(|name| parts.get(*name).copied().unwrap_or(0.0)).sum()
}

/// p50, p90 and largest of these values.
struct Spread {
    p50: f64,
    p90: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        // The nearest rank: a measured value.
        let at = |share: f64| values[((share * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
        Self { p50: at(0.5), p90: at(0.9), max: at(1.0) }
    }

    fn cells(&self) -> String {
        format!("{:.3} / {:.3} / {:.3}", self.p50, self.p90, self.max)
    }
}

pub fn of(measured: &Measured) -> String {
    let pairs = &measured.pairs;
    let each = |of: &dyn Fn(&Pair) -> f64| Spread::of(pairs.iter().map(of).collect());
    let run = each(&|pair| pair.run.values().sum());
    let python = each(&|pair| pair.python.values().sum());
    let mut page = format!(
        "# How long a start takes\n\nWritten by `cargo xtask start-up`, not by hand; `start_up.json` has every start. `visuomotor run` on the \
         station of a Sawyer (`launch/stations/sawyer.toml`, arm and camera emulated by another process over ROS 2) with a TorchScript policy \
         of {:.0} MB (a ResNet-18 and a head), in turns with a minimal Python loop (`tests/start_up/peer.py`: PyTorch {}, Cyclone DDS) that loads \
         the same module and reads the same camera and the same joint states. {} pairs after one that brought all files into memory, on {} \
         processors of which the emulated arm takes its share, libtorch with {} threads in both, {} starts made again.\n\nSeconds, p50 / p90 / \
         largest. To the first command `run` takes **{:.2} of Python's time** (p50: {:.3} s and {:.3} s).\n\n",
        measured.module_bytes as f64 * 1e-6,
        measured.torch_of_python,
        pairs.len(),
        measured.processors,
        measured.threads,
        measured.repeated,
        run.p50 / python.p50,
        run.p50,
        python.p50,
    );
    page.push_str("| part | `visuomotor run` | Python | n | what |\n|---|---|---|---|---|\n");
    for row in &ROWS {
        let run = each(&|pair| sum(&pair.run, row.run));
        let other = each(&|pair| sum(&pair.python, row.python));
        let other = if row.python.is_empty() { "-".into() } else { other.cells() };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {} | {} | {other} | {} | {} |", row.name, run.cells(), pairs.len(), row.what);
    }
    let _ = writeln!(page, "| **total** | {} | {} | {} | |", run.cells(), python.cells(), pairs.len());
    page.push_str(
        "\nWhat differs: Python's loop has no limits, no kinematics and no safety filter and publishes where the arm stands, so its parts are \
         a lower bound of a program that drives. PyPI's PyTorch brings CUDA's libraries, which its import loads; `run` opens them only where \
         there is a GPU. Cyclone DDS hands an image to Python as a list of numbers, whose conversion is in its first inference. The parts are measured one after the other in both; neither waits for a person, and no motion to a start is in them. \
         Ages of processes are known to 10 ms.\n",
    );
    page
}

#[test]
fn every_part_that_is_measured_stands_on_the_page() {
    let of = |names: &[&[&str]]| -> Parts { names.concat().iter().map(|name| (name.to_string(), 1.0)).collect() };
    let run = of(&ROWS.each_ref().map(|row| row.run));
    let python = of(&ROWS.each_ref().map(|row| row.python));
    let pairs = vec![Pair { run, python }];
    let measured =
        Measured { processors: 2, threads: 2, torch_of_python: "2".into(), module_bytes: 1, repeated: 0, pairs };
    let page = super::page::of(&measured);
    // Nine parts of one second each beside seven.
    assert!(
        page.contains("**1.29 of Python's time**") && page.contains("| **total** | 9.000 / 9.000 / 9.000 | 7.000"),
        "{page}"
    );
    let spread = Spread::of(vec![3.0, 1.0, 2.0, 4.0]);
    assert_eq!((spread.p50, spread.p90, spread.max), (2.0, 4.0, 4.0));
}
