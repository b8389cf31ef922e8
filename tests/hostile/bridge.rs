//! Bridge's raw trajectories.

use super::*;

const BRIDGE: &str = "recordings import --format bridge set out";

pub fn inputs() -> Vec<Input> {
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
            "pickle: 1 TiB, sparse on disk",
            BRIDGE,
            |at| {
                trajectory(at, 2);
                hole(at, "set/obs_dict.pkl", b"", 1 << 40);
            },
            &["obs_dict.pkl", "it has 1099511627776 bytes, at most 67108864 are read"],
        ),
        input(
            "pickle: a pipe without a writer",
            BRIDGE,
            |at| {
                trajectory(at, 2);
                pipe(at, "set/policy_out.pkl");
            },
            &["policy_out.pkl", "it is a pipe, not a file"],
        ),
        input(
            "image: a link to /dev/zero",
            BRIDGE,
            |at| {
                with_picture(at, &jpeg(16, 16));
                link(at, "set/images0/im_1.jpg", "/dev/zero");
            },
            &["im_1.jpg", "it is a device, not a file"],
        ),
        input(
            "image: a link to a file outside",
            BRIDGE,
            |at| {
                put(at, "secret", SECRET);
                with_picture(at, &jpeg(16, 16));
                link(at, "set/images0/im_1.jpg", "../../secret");
            },
            &["im_1.jpg", "it is a link that leads out of its folder"],
        ),
        input(
            "image: no image",
            BRIDGE,
            |at| with_picture(at, SECRET),
            &["image 0 of `images0`", "neither a JPEG nor a PNG file"],
        ),
        input(
            "image: a folder",
            BRIDGE,
            |at| {
                with_picture(at, &jpeg(16, 16));
                std::fs::remove_file(at.join("set/images0/im_1.jpg")).unwrap();
                std::fs::create_dir(at.join("set/images0/im_1.jpg")).unwrap();
            },
            &["im_1.jpg", "it is a folder, not a file"],
        ),
        input(
            "image: a JPEG of 1 kB that claims 65,500 x 65,500 pixels",
            BRIDGE,
            |at| with_picture(at, &jpeg(65_500, 65_500)),
            &["an image of 65500x65500 pixels, at most 33554432 are read"],
        ),
        input(
            "image: a PNG of 57 bytes that claims 2,000,000 x 2,000,000 pixels",
            BRIDGE,
            |at| with_picture(at, &png_head(2_000_000, 2_000_000)),
            &["image 0 of `images0`", "at most 33554432 are read"],
        ),
        input(
            "image: a black PNG of 8192 x 4096 pixels (the largest that is read)",
            BRIDGE,
            |at| with_picture(at, &png(8192, 4096)),
            &["1 episodes, 2 steps"],
        ),
        input(
            "images: 1000 links to one of 4 MB",
            BRIDGE,
            |at| {
                trajectory(at, 1000);
                put(at, "set/one.jpg", [&b"\xff\xd8"[..], &vec![0; 4 << 20]].concat());
                (0..1000).for_each(|step| link(at, &format!("set/images0/im_{step}.jpg"), "../one.jpg"));
            },
            &["more than 768 MiB for the images of an episode"],
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
