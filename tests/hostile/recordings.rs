//! Recordings.

use super::*;

const VERIFY: &str = "recordings verify set";

pub fn inputs() -> Vec<Input> {
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
            "the same, cut off, to be recovered",
            "recordings recover set/a.mcap.partial",
            |at| put(at, "set/a.mcap.partial", [recording(), zeros(60 << 20).repeat(64)].concat()),
            &["too large to be read: more than 68 MiB for what the chunks unfold to"],
        ),
        input(
            "a chunk compressed by xz",
            VERIFY,
            |at| put(at, "set/a.mcap", [recording(), chunk("xz", 100, b"what xz makes")].concat()),
            &["a chunk compressed by `xz` is not read by this program"],
        ),
        damaged(
            "a chunk that says lz4 and is not",
            VERIFY,
            |at| put(at, "set/a.mcap", [recording(), chunk("lz4", 100, b"what lz4 makes")].concat()),
            &["bad       a.mcap", "a record is damaged"],
        ),
        damaged(
            "a record that claims to have 2^63 bytes",
            VERIFY,
            |at| {
                let endless = [&[5][..], &(u64::MAX >> 1).to_le_bytes()].concat();
                put(at, "set/a.mcap", [recording(), endless].concat());
            },
            &["bad       a.mcap"],
        ),
        input(
            "a message that claims to have 4,294,967,295 names",
            VERIFY,
            |at| put(at, "set/a.mcap", endless_names()),
            &["/observed_joint_states", "bytes were expected"],
        ),
        input("an index of 1000 entries that all lead to the first chunk", VERIFY, looping_index, &["a.mcap", "0 bad"]),
        input(
            "1 TiB, sparse on disk",
            VERIFY,
            |at| hole(at, "set/a.mcap", &recording(), 1 << 40),
            &["it has 1099511627776 bytes, at most 17179869184 are read"],
        ),
        input(
            "8 GiB, sparse on disk after the beginning",
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
            "a link to a file outside that is not a recording",
            VERIFY,
            |at| {
                put(at, "secret", SECRET);
                link(at, "set/a.mcap", "../secret");
            },
            &["not an MCAP file"],
        ),
    ]
}
