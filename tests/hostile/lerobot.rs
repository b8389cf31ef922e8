//! LeRobot data sets.

use super::*;

const LEROBOT: &str = "recordings import --format lerobot set out";

pub fn inputs() -> Vec<Input> {
    vec![
        input(
            "rows that repeat one image of 4 MB 1000 times",
            LEROBOT,
            |at| pictures(at, &[&b"\xff\xd8"[..], &vec![0; 4 << 20]].concat(), 1000),
            &["more than 768 MiB for the images of an episode"],
        ),
        input(
            "a page of 1 kB that claims to unfold to 2 GiB",
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
            "an episode that repeats the same 1 kB task 4 million times",
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
            "info.json: 1 TiB, sparse on disk",
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
            "a valid data set whose table is a link within it",
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
