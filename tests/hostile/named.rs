//! Settings and images named on the command line.

use super::*;

const EMBED: &str = "embed --encoder small --weights WEIGHTS picture";
const EVALUATE: &str = "evaluate launch.toml --out results --policy expert";

pub fn inputs() -> Vec<Input> {
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
            "an image: a PNG of 57 bytes that claims 100,000 x 100,000 pixels",
            EMBED,
            |at| put(at, "picture", png_head(100_000, 100_000)),
            &["picture", "at most 33554432 are read"],
        ),
        input(
            "an image: a JPEG of 1 kB that claims 65,500 x 65,500 pixels",
            EMBED,
            |at| put(at, "picture", jpeg(65_500, 65_500)),
            &["an image of 65500x65500 pixels"],
        ),
    ]
}
