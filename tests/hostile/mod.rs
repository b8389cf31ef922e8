//! Inputs of strangers that would take all memory, never end, or say what they must not: each is given to the program as a
//! child with little memory, and is refused in words, or read within its bounds.
//!
//! `docs/hostile-inputs.md` is written by
//! `cargo test --release --test tests -- --ignored --exact hostile::the_table`.

mod child;
mod make;

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use child::{Ended, call};
use make::*;

/// One input.
struct Input {
    /// What it is, for the table.
    what: &'static str,
    /// The command that is given it; `WEIGHTS` stands for the shipped encoder.
    command: &'static str,
    make: fn(&Path),
    /// What the program must say.
    words: &'static [&'static str],
    /// May the program call it damaged?
    damaged: bool,
}

const BRIDGE: &str = "recordings import --format bridge set out";
const LEROBOT: &str = "recordings import --format lerobot set out";
const VERIFY: &str = "recordings verify set";
const CONVERT: &str = "convert model.pt out.safetensors";
const EMBED: &str = "embed --encoder small --weights WEIGHTS picture";
const WEIGHTS: &str = "embed --encoder small --weights model.safetensors picture";
const EVALUATE: &str = "evaluate launch.toml --out results --policy expert";

/// Nothing of it may be said.
const SECRET: &[u8] = b"XYZZY the secret of a file outside\n";

fn input(what: &'static str, command: &'static str, make: fn(&Path), words: &'static [&'static str]) -> Input {
    Input { what, command, make, words, damaged: false }
}

fn damaged(what: &'static str, command: &'static str, make: fn(&Path), words: &'static [&'static str]) -> Input {
    Input { what, command, make, words, damaged: true }
}

/// Bridge's raw trajectories.
fn bridge() -> Vec<Input> {
    const UNFOLDS: &[&str] = &["obs_dict.pkl", "more than 256 MiB for what the pickle unfolds to"];
    vec![
        input("pickle: 64 MiB of one instruction (`None`)", BRIDGE, |at| observations(at, b"", b"N"), UNFOLDS),
        input("pickle: 64 MiB of marks", BRIDGE, |at| observations(at, b"", b"("), UNFOLDS),
        input("pickle: lists in lists, 64 MiB deep", BRIDGE, |at| observations(at, b"", b"]"), UNFOLDS),
        input("pickle: one value remembered 64 Mi times", BRIDGE, |at| observations(at, b"N", b"\x94"), UNFOLDS),
        damaged(
            "pickle: lists in lists, 500,000 deep",
            BRIDGE,
            |at| {
                trajectory(at, 2);
                let deep = [b"]".repeat(500_000), b"a".repeat(499_999), b".".to_vec()].concat();
                put(at, "set/obs_dict.pkl", deep);
            },
            &["`full_state`: found nothing"],
        ),
        damaged(
            "pickle: a text of 2^63 bytes",
            BRIDGE,
            |at| {
                trajectory(at, 2);
                put(at, "set/obs_dict.pkl", b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f");
            },
            &["9223372036854775807 bytes are announced, 0 are left"],
        ),
        input(
            "pickle: 1 TiB, of which nothing is on the disk",
            BRIDGE,
            |at| {
                trajectory(at, 2);
                hole(at, "set/obs_dict.pkl", b"", 1 << 40);
            },
            &["obs_dict.pkl", "it has 1099511627776 bytes, at most 67108864 are read"],
        ),
        input(
            "pickle: a pipe that nobody writes to",
            BRIDGE,
            |at| {
                trajectory(at, 2);
                pipe(at, "set/policy_out.pkl");
            },
            &["policy_out.pkl", "it is a pipe, not a file"],
        ),
        input(
            "picture: a link to /dev/zero",
            BRIDGE,
            |at| {
                with_picture(at, &jpeg(16, 16));
                link(at, "set/images0/im_1.jpg", "/dev/zero");
            },
            &["im_1.jpg", "it is a device, not a file"],
        ),
        input(
            "picture: a link to a file outside",
            BRIDGE,
            |at| {
                put(at, "secret", SECRET);
                with_picture(at, &jpeg(16, 16));
                link(at, "set/images0/im_1.jpg", "../../secret");
            },
            &["im_1.jpg", "it is a link that leads out of its folder"],
        ),
        input(
            "picture: no picture",
            BRIDGE,
            |at| with_picture(at, SECRET),
            &["picture 0 of `images0`", "neither a JPEG nor a PNG file"],
        ),
        input(
            "picture: a folder",
            BRIDGE,
            |at| {
                with_picture(at, &jpeg(16, 16));
                std::fs::remove_file(at.join("set/images0/im_1.jpg")).unwrap();
                std::fs::create_dir(at.join("set/images0/im_1.jpg")).unwrap();
            },
            &["im_1.jpg", "it is a folder, not a file"],
        ),
        input(
            "picture: a JPEG of 1 kB that says 65,500 x 65,500 pixels",
            BRIDGE,
            |at| with_picture(at, &jpeg(65_500, 65_500)),
            &["a picture of 65500x65500 pixels, at most 33554432 are read"],
        ),
        input(
            "picture: a PNG of 57 bytes that says 2,000,000 x 2,000,000 pixels",
            BRIDGE,
            |at| with_picture(at, &png_head(2_000_000, 2_000_000)),
            &["picture 0 of `images0`", "at most 33554432 are read"],
        ),
        input(
            "picture: a black PNG of 8192 x 4096 pixels (the largest that is read)",
            BRIDGE,
            |at| with_picture(at, &png(8192, 4096)),
            &["1 episodes, 2 steps"],
        ),
        input(
            "pictures: 1000 links to one of 4 MB",
            BRIDGE,
            |at| {
                trajectory(at, 1000);
                put(at, "set/one.jpg", [&b"\xff\xd8"[..], &vec![0; 4 << 20]].concat());
                (0..1000).for_each(|step| link(at, &format!("set/images0/im_{step}.jpg"), "../one.jpg"));
            },
            &["more than 768 MiB for the pictures of an episode"],
        ),
        input(
            "a folder whose name has two lines",
            "recordings import --format bridge . out",
            |at| {
                trajectory(at, 2);
                std::fs::rename(at.join("set"), at.join("a\nerror: none\x1b[2J")).unwrap();
                pipe(at, "a\nerror: none\x1b[2J/policy_out.pkl");
            },
            &["a\\nerror: none\\u{1b}[2J/policy_out.pkl", "it is a pipe"],
        ),
    ]
}

/// LeRobot data sets.
fn lerobots() -> Vec<Input> {
    vec![
        input(
            "rows that repeat one picture of 4 MB 1000 times",
            LEROBOT,
            |at| pictures(at, &[&b"\xff\xd8"[..], &vec![0; 4 << 20]].concat(), 1000),
            &["more than 768 MiB for the pictures of an episode"],
        ),
        input(
            "a page of 1 kB that says it unfolds to 2 GiB",
            LEROBOT,
            lying_page,
            &["a page that unfolds to 2147483647 bytes"],
        ),
        input(
            "a row with 20 million numbers",
            LEROBOT,
            |at| {
                lerobot(at, 1);
                let mut columns = long_list(20_000_000);
                columns.push(("observation.images.top", files(&jpeg(16, 16), 1)));
                table(&at.join(DATA), 1, &columns);
            },
            &["a page that unfolds to", "pages of at most 64 MiB and 4194304 values"],
        ),
        input(
            "an episode with 4 million times the same task of 1 kB",
            LEROBOT,
            |at| long_tasks(at, 4_000_000, 1000),
            &["lists of 4000001 texts of up to 1000 bytes"],
        ),
        input(
            "info.json: a link to /dev/zero",
            LEROBOT,
            |at| {
                pictures(at, &jpeg(16, 16), 8);
                link(at, "set/meta/info.json", "/dev/zero");
            },
            &["info.json", "it is a device"],
        ),
        input(
            "info.json: 1 TiB, of which nothing is on the disk",
            LEROBOT,
            |at| {
                pictures(at, &jpeg(16, 16), 8);
                hole(at, "set/meta/info.json", b"{", 1 << 40);
            },
            &["info.json", "at most 16777216 are read"],
        ),
        input(
            "the table: a pipe",
            LEROBOT,
            |at| {
                pictures(at, &jpeg(16, 16), 8);
                pipe(at, DATA);
            },
            &["file-000.parquet", "it is a pipe"],
        ),
        input(
            "the table: a link to a file outside",
            LEROBOT,
            |at| {
                put(at, "secret", SECRET);
                pictures(at, &jpeg(16, 16), 8);
                link(at, DATA, "../../../secret");
            },
            &["file-000.parquet", "leads out of its folder"],
        ),
        input(
            "a sound data set, its table a link within it",
            LEROBOT,
            |at| {
                pictures(at, &jpeg(16, 16), 8);
                std::fs::rename(at.join(DATA), at.join("set/elsewhere")).unwrap();
                link(at, DATA, "../../elsewhere");
            },
            &["1 episodes, 8 steps"],
        ),
    ]
}

/// Recordings.
fn recordings() -> Vec<Input> {
    vec![
        input(
            "16 chunks of 8 kB that unfold to 256 MiB each",
            VERIFY,
            |at| put(at, "set/a.mcap", [recording(), zeros(256 << 20).repeat(16)].concat()),
            &["bad       a.mcap", "a chunk of 268435456 bytes, at most 67108864 are unfolded"],
        ),
        input(
            "64 chunks of 2 kB that unfold to 60 MiB each",
            VERIFY,
            |at| put(at, "set/a.mcap", [recording(), zeros(60 << 20).repeat(64)].concat()),
            &["too large to be read: more than 68 MiB for what the chunks unfold to"],
        ),
        input(
            "the same, cut off, to be finished",
            "recordings recover set/a.mcap.partial",
            |at| put(at, "set/a.mcap.partial", [recording(), zeros(60 << 20).repeat(64)].concat()),
            &["too large to be read: more than 68 MiB for what the chunks unfold to"],
        ),
        input(
            "a chunk compressed by lz4",
            VERIFY,
            |at| put(at, "set/a.mcap", [recording(), chunk("lz4", 100, b"what lz4 makes")].concat()),
            &["a chunk compressed by `lz4` is not read by this program"],
        ),
        damaged(
            "a record that says it has 2^63 bytes",
            VERIFY,
            |at| {
                let endless = [&[5][..], &(u64::MAX >> 1).to_le_bytes()].concat();
                put(at, "set/a.mcap", [recording(), endless].concat());
            },
            &["bad       a.mcap"],
        ),
        input(
            "a message that says it has 4,294,967,295 names",
            VERIFY,
            |at| put(at, "set/a.mcap", endless_names()),
            &["/observed_joint_states", "bytes were expected"],
        ),
        input("an index of 1000 entries that all lead to the first chunk", VERIFY, looping_index, &["a.mcap", "0 bad"]),
        input(
            "1 TiB, of which nothing is on the disk",
            VERIFY,
            |at| hole(at, "set/a.mcap", &recording(), 1 << 40),
            &["it has 1099511627776 bytes, at most 17179869184 are read"],
        ),
        input(
            "8 GiB, of which nothing but the beginning is on the disk",
            VERIFY,
            |at| hole(at, "set/a.mcap", &recording(), 8 << 30),
            &["cut off after 8589934592 bytes, before the episode started"],
        ),
        input("a link to /dev/zero", VERIFY, |at| link(at, "set/a.mcap", "/dev/zero"), &["it is a device, not a file"]),
        input("a pipe", VERIFY, |at| pipe(at, "set/a.mcap"), &["it is a pipe, not a file"]),
        input(
            "a folder named as a recording, with two lines in its name",
            VERIFY,
            |at| std::fs::create_dir_all(at.join("set/a\ngood b.mcap")).unwrap(),
            &["bad       a\\ngood b.mcap", "it is a folder, not a file"],
        ),
        input(
            "a link to a file outside that is none",
            VERIFY,
            |at| {
                put(at, "secret", SECRET);
                link(at, "set/a.mcap", "../secret");
            },
            &["not an MCAP file"],
        ),
    ]
}

/// Checkpoints of PyTorch, files of weights.
fn weights() -> Vec<Input> {
    vec![
        input(
            "a checkpoint of 4 MiB whose 1000 tensors are the same 4 MiB",
            CONVERT,
            |at| {
                let mut pickle = tensors(1000, 1 << 20);
                pickle.resize(4 << 20, 0);
                put(at, "model.pt", checkpoint(&pickle, 2));
            },
            &["model.pt", "at most the 1048576 values that are stored, each once"],
        ),
        input(
            "a checkpoint: 8 MiB of one instruction",
            CONVERT,
            |at| put(at, "model.pt", checkpoint(&b"N".repeat(8 << 20), 1)),
            &["more than 128 MiB for what the pickle unfolds to"],
        ),
        input(
            "a checkpoint: a description of 40 MiB",
            CONVERT,
            |at| put(at, "model.pt", checkpoint(&b"N".repeat(40 << 20), 1)),
            &["its entry `m/data.pkl` unfolds to more than 8388608 bytes"],
        ),
        input(
            "a checkpoint: 1 TiB, of which nothing is on the disk",
            CONVERT,
            |at| hole(at, "model.pt", b"PK\x03\x04", 1 << 40),
            &["it has 1099511627776 bytes, at most 8589934592 are read"],
        ),
        input("a checkpoint: a pipe", CONVERT, |at| pipe(at, "model.pt"), &["it is a pipe, not a file"]),
        input(
            "a checkpoint: a link to /dev/zero",
            CONVERT,
            |at| link(at, "model.pt", "/dev/zero"),
            &["it is a device"],
        ),
        input(
            "weights: a tensor of shape [2^62, 4]",
            WEIGHTS,
            |at| {
                put(at, "picture", jpeg(16, 16));
                let header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,16]}}";
                put(at, "model.safetensors", safetensors(header));
            },
            &["model.safetensors", "not a safetensors file"],
        ),
        input(
            "weights: a description of 84 MB: a million tensors without numbers",
            WEIGHTS,
            |at| {
                put(at, "picture", jpeg(16, 16));
                let mut header = String::from("{");
                for tensor in 0..1_000_000 {
                    let comma = if tensor == 0 { "" } else { "," };
                    write!(header, "{comma}\"tensor_{tensor:012}\":{{\"dtype\":\"F32\",\"shape\":[0],").unwrap();
                    header.push_str("\"data_offsets\":[0,0]             }");
                }
                header.push('}');
                put(at, "model.safetensors", [safetensors(&header), vec![0; 8]].concat());
            },
            &["found a description of 84000001 bytes, expected at most 16777216"],
        ),
        input(
            "weights: a description of 2^63 bytes",
            WEIGHTS,
            |at| {
                put(at, "picture", jpeg(16, 16));
                put(at, "model.safetensors", (u64::MAX >> 1).to_le_bytes());
            },
            &["model.safetensors", "not a safetensors file"],
        ),
    ]
}

/// Settings and pictures that are named on the command line.
fn named() -> Vec<Input> {
    vec![
        input(
            "a launch file of 100 MB",
            EVALUATE,
            |at| put(at, "launch.toml", "key = 1\n".repeat(100_000_000 / 8)),
            &["launch.toml", "it has 100000000 bytes, at most 16777216 are read"],
        ),
        input(
            "a launch file of 16 MB of other keys",
            EVALUATE,
            |at| {
                let mut text = String::new();
                (0..900_000).for_each(|key| writeln!(text, "key_{key} = 1").unwrap());
                put(at, "launch.toml", text);
            },
            &["launch.toml:1"],
        ),
        input(
            "a launch file of lists in lists, 1,000,000 deep",
            EVALUATE,
            |at| put(at, "launch.toml", format!("a = {}", "[".repeat(1_000_000))),
            &["launch.toml:1"],
        ),
        input("a launch file: a pipe", EVALUATE, |at| pipe(at, "launch.toml"), &["it is a pipe, not a file"]),
        input("a launch file: /dev/zero", EVALUATE, |at| link(at, "launch.toml", "/dev/zero"), &["it is a device"]),
        input(
            "a launch file: a folder",
            EVALUATE,
            |at| std::fs::create_dir(at.join("launch.toml")).unwrap(),
            &["it is a folder, not a file"],
        ),
        input("an image: a pipe", EMBED, |at| pipe(at, "picture"), &["picture", "it is a pipe, not a file"]),
        input("an image: a link to /dev/zero", EMBED, |at| link(at, "picture", "/dev/zero"), &["it is a device"]),
        input(
            "an image: a PNG of 57 bytes that says 100,000 x 100,000 pixels",
            EMBED,
            |at| put(at, "picture", png_head(100_000, 100_000)),
            &["picture", "at most 33554432 are read"],
        ),
        input(
            "an image: a JPEG of 1 kB that says 65,500 x 65,500 pixels",
            EMBED,
            |at| put(at, "picture", jpeg(65_500, 65_500)),
            &["a picture of 65500x65500 pixels"],
        ),
    ]
}

/// Makes an input, gives it to the program and looks at what comes of it; also how much of it was on the disk \[bytes\].
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
    assert!(!said.contains("XYZZY"), "{what}: it quotes what it read: {said}");
    assert!(input.damaged || !said.contains("damaged"), "{what}: {said}");
    assert!(said.len() < 4000, "{what}: {} bytes: {}...", said.len(), said.chars().take(500).collect::<String>());
    assert!(!folder.path().join("out.partial").exists(), "{what}: half of it is left");
    (ended, on_disk)
}

/// Room on the disk of all in a folder \[bytes\].
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
    bridge().iter().for_each(|input| drop(give(input)));
}

#[test]
fn lerobot_data_sets_are_read_within_their_bounds() {
    lerobots().iter().for_each(|input| drop(give(input)));
}

#[test]
fn recordings_are_read_within_their_bounds() {
    recordings().iter().for_each(|input| drop(give(input)));
}

#[test]
fn checkpoints_and_weights_are_read_within_their_bounds() {
    weights().iter().for_each(|input| drop(give(input)));
}

#[test]
fn settings_and_images_are_read_within_their_bounds() {
    named().iter().for_each(|input| drop(give(input)));
}

/// Writes `docs/hostile-inputs.md`.
#[test]
#[ignore = "writes a page of the documentation"]
fn the_table() {
    let mut page = String::from(
        "# Inputs of strangers\n\n\
         Data sets, recordings, checkpoints and pictures come from others. Each input below is made by a test \
         (`tests/hostile/`), given to the program as a child that may have 2 GiB of addresses and 120 s of processor time, \
         and must be refused in words, or read within its bounds. What a file takes is counted before it is taken: \
         `src/untrusted.rs` opens files and keeps the budgets. What is too large or of a kind that is not read is not \
         called damaged, and no message quotes what a file holds.\n\n\
         Links: a file that a person names may be a link to one. Within a data set of others (LeRobot, Bridge) a link may \
         lead to another file of the data set and nowhere else; a cache of links into a store beside it, as Hugging Face \
         keeps one, is copied with `cp -rL` first. Devices, pipes, sockets and folders are refused before they are opened.\n\n\
         Not among them: `.npz` files and HDF5 files are not read by this program (HDF5 is only written). Videos are \
         decoded by ffmpeg, a process of its own, whose memory is not bounded here.\n\n\
         This page is written by `cargo test --release --test tests -- --ignored --exact hostile::the_table`. Peak memory is \
         the child's largest resident size; the program itself takes what the smallest rows show.\n",
    );
    for (title, inputs) in [
        ("Bridge's trajectories", bridge()),
        ("LeRobot data sets", lerobots()),
        ("Recordings", recordings()),
        ("Checkpoints and weights", weights()),
        ("Settings and images", named()),
    ] {
        write!(page, "\n## {title}\n\n| input | on the disk | what the program says | exit | peak memory |\n").unwrap();
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
