//! Hostile inputs that would take all memory, never end, or inject text into messages: each is given to the program as a
//! child with little memory, which must refuse it with a message or read it within its bounds.
//!
//! `docs/hostile-inputs.md` is written by
//! `cargo test --release --test tests -- --ignored --exact hostile::the_table`.

mod bridge;
mod child;
mod lerobot;
mod make;
mod named;
mod recordings;
mod weights;

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use child::{Ended, call};
use make::*;

/// One input.
struct Input {
    /// Description, for the table.
    what: &'static str,
    /// The command that reads it; `WEIGHTS` stands for the shipped encoder.
    command: &'static str,
    make: fn(&Path),
    /// Words that the message must contain.
    words: &'static [&'static str],
    /// May the message call it damaged?
    damaged: bool,
}

/// None of it may appear in a message.
const SECRET: &[u8] = b"XYZZY the secret of a file outside\n";

fn input(what: &'static str, command: &'static str, make: fn(&Path), words: &'static [&'static str]) -> Input {
    Input { what, command, make, words, damaged: false }
}

fn damaged(what: &'static str, command: &'static str, make: fn(&Path), words: &'static [&'static str]) -> Input {
    Input { what, command, make, words, damaged: true }
}

/// Makes an input, gives it to the program and checks the result; also returns its size on disk \[bytes\].
fn give(input: &Input) -> (Ended, u64) {
    let folder = tempfile::tempdir().unwrap();
    (input.make)(folder.path());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/kitchen/encoder.safetensors");
    let word = |word: &str| if word == "WEIGHTS" { shipped.display().to_string() } else { word.to_string() };
    let arguments: Vec<String> = input.command.split(' ').map(word).collect();
    let on_disk = room(folder.path());
    let ended = call(folder.path(), &arguments);
    let (what, said) = (input.what, &ended.said);
    assert_eq!(ended.signal, None, "{what}: {said}");
    for words in input.words {
        assert!(said.contains(words), "{what}: `{words}` is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(!said.contains("XYZZY"), "{what}: it quotes file contents: {said}");
    assert!(input.damaged || !said.contains("damaged"), "{what}: {said}");
    assert!(said.len() < 4000, "{what}: {} bytes: {}...", said.len(), said.chars().take(500).collect::<String>());
    assert!(!folder.path().join("out.partial").exists(), "{what}: partial output is left");
    (ended, on_disk)
}

/// Size on disk of a folder's contents \[bytes\].
fn room(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.symlink_metadata().unwrap() {
            about if about.is_dir() => room(&path),
            about => about.blocks() * 512,
        })
        .sum()
}

#[test]
fn bridge_trajectories_are_read_within_their_bounds() {
    bridge::inputs().iter().for_each(|input| drop(give(input)));
}

#[test]
fn lerobot_data_sets_are_read_within_their_bounds() {
    lerobot::inputs().iter().for_each(|input| drop(give(input)));
}

#[test]
fn recordings_are_read_within_their_bounds() {
    recordings::inputs().iter().for_each(|input| drop(give(input)));
}

#[test]
fn checkpoints_and_weights_are_read_within_their_bounds() {
    weights::inputs().iter().for_each(|input| drop(give(input)));
}

#[test]
fn settings_and_images_are_read_within_their_bounds() {
    named::inputs().iter().for_each(|input| drop(give(input)));
}

/// Writes `docs/hostile-inputs.md`.
#[test]
#[ignore = "writes a page of the documentation"]
fn the_table() {
    let mut page = String::from(
        "# Hostile inputs\n\n\
         Data sets, recordings, checkpoints and images are untrusted. A test makes each input below (`tests/hostile/`) and \
         gives it to the program as a child process limited to 2 GiB of address space and 120 s of processor time; the \
         program must refuse it with a message or read it within its bounds. Sizes are checked before memory is allocated: \
         `src/core/untrusted.rs` opens files and holds the budgets. A file that is too large or of an unsupported kind is not \
         called damaged, and no message quotes file contents.\n\n\
         Links: a file named by the user may be a link to one. Within a data set from others (LeRobot, Bridge) a link may \
         only lead to another file of the data set; a cache of links into a store beside it, as Hugging Face keeps one, must \
         be copied with `cp -rL` first. Devices, pipes, sockets and folders are refused before they are opened.\n\n\
         Not covered: this program does not read `.npz` and HDF5 files (HDF5 is only written). The separate program ffmpeg \
         decodes videos; its memory is not bounded here.\n\n\
         This page is written by `cargo test --release --test tests -- --ignored --exact hostile::the_table`. Peak memory is \
         the child's largest resident size; the smallest rows show what the program itself takes.\n",
    );
    for (title, inputs) in [
        ("Bridge's trajectories", bridge::inputs()),
        ("LeRobot data sets", lerobot::inputs()),
        ("Recordings", recordings::inputs()),
        ("Checkpoints and weights", weights::inputs()),
        ("Settings and images", named::inputs()),
    ] {
        write!(page, "\n## {title}\n\n| input | on disk | message | exit | peak memory |\n").unwrap();
        page.push_str("|---|---:|---|---:|---:|\n");
        for input in inputs {
            let (ended, on_disk) = give(&input);
            let line = ended.said.lines().find(|line| line.contains(input.words[input.words.len() - 1]));
            let line = line.unwrap_or_default().trim().trim_start_matches("error: ").replace('|', "\\|");
            let code = ended.code.unwrap_or_default();
            let size = if on_disk < 10_000 { "< 10 kB".into() } else { format!("{} kB", on_disk / 1000) };
            writeln!(page, "| {} | {size} | {line} | {code} | {} MiB |", input.what, ended.peak).unwrap();
        }
    }
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hostile-inputs.md"), page).unwrap();
}
