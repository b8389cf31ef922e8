//! Untrusted sources: damaged, inconsistent, or malicious. Each is refused with a message, and nothing is left behind.

use std::path::{Path, PathBuf};

use visuomotor::action::Motion;
use visuomotor::episode::Outcome;
use visuomotor::exchange::*;
use visuomotor::pickle::{Pickle, write};

use super::fixture::*;
use crate::recording::episodes::{motions, record_motion};

type Import = fn(&Path, &Path, &ImportOptions, &mut dyn FnMut(usize, usize)) -> Result<Imported, ExchangeError>;

/// Imports into `folder/out`; the message, or `None` if it worked. Either way nothing else is left.
fn attempt(import: Import, source: &Path, folder: &Path) -> Option<String> {
    let out = folder.join("out");
    let options = ImportOptions { strict: true, ..options() };
    let outcome = import(source, &out, &options, &mut |_, _| {});
    assert!(!folder.join("out.partial").exists());
    assert_eq!(out.exists(), outcome.is_ok());
    if outcome.is_ok() {
        std::fs::remove_dir_all(&out).unwrap();
    }
    outcome.err().map(|error| error.to_string())
}

fn refused(import: Import, source: &Path, folder: &Path, words: &[&str]) {
    let said = attempt(import, source, folder).expect("was accepted");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains('\n') && said.len() < 900, "{said}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn lerobot(folder: &Path, kind: &str) -> PathBuf {
    let source = folder.join(kind);
    python_script("golden/make_lerobot.py", &[source.as_os_str(), kind.as_ref()]);
    source
}

#[test]
fn a_lerobot_data_set_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sound = lerobot(at, "image");
    python_script("exchange/damage_lerobot.py", &[sound.as_os_str(), at.join("damaged").as_os_str()]);
    for (what, words) in [
        ("no_action", &["`action`", "no such column", "file-000.parquet"][..]),
        ("no_length", &["`length`", "no such column"]),
        ("too_long", &["`episode_index`: found 1 after 4 rows of episode 0", "5 rows in one stretch"]),
        ("too_short", &["`episode_index`: found 0 after 0 rows of episode 1"]),
        ("endless", &["`length`: found 11529215046068470"]),
        ("negative", &["`length`: found -4", "at least 0"]),
        ("no_episodes", &["at least one episode"]),
        ("file_elsewhere", &["`episode_index`: found 0 after 0 rows of episode 1"]),
        ("short_state", &["`observation.state`: found 6 numbers, expected 7 numbers per row"]),
        ("text_state", &["`observation.state`: found Utf8"]),
        ("nan_action", &["`action`: found NaN at step 0", "finite"]),
        ("missing_state", &["`observation.state`: found 1 missing values"]),
        ("mixed_episodes", &["`episode_index`", "in one stretch"]),
        ("no_bytes", &["rows without `bytes`"]),
        ("no_picture", &["image 0 of `top`", "JPEG or PNG"]),
        ("back_in_time", &["`time`", "growing times"]),
    ] {
        refused(import_lerobot, &at.join("damaged").join(what), at, words);
    }
}

/// What is wrong with the first episode, by whole tables, rows or images, keeps nothing of the second back.
#[test]
fn one_bad_episode_is_left_out_and_the_next_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sound = lerobot(at, "image");
    python_script("exchange/damage_lerobot.py", &[sound.as_os_str(), at.join("damaged").as_os_str()]);
    for what in ["missing_state", "no_bytes", "no_picture", "back_in_time"] {
        let out = at.join(what);
        let imported = import_lerobot(&at.join("damaged").join(what), &out, &options(), &mut |_, _| {}).unwrap();
        assert_eq!((imported.episodes, imported.steps, imported.left_out.len()), (1, 6, 1), "{what}");
        assert_eq!(imported.left_out[0].item, "episode 0");
        let listed = std::fs::read_to_string(out.join(visuomotor::recording::LEFT_OUT)).unwrap();
        assert!(listed.contains("episode 0"), "{listed}");
        let episodes = read(&out);
        assert!((episodes[0].steps[0].bridge_state[0] - (7.0_f64 * 4.0).sin() * 0.3).abs() < 1e-6);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2, "nothing of episode 0 is there");
    }
}

#[test]
fn a_lerobot_info_that_lies_or_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let source = lerobot(at, "image");
    let path = source.join("meta/info.json");
    let sound = std::fs::read_to_string(&path).unwrap();
    let long = "x".repeat(100_000);
    for (from, to, words) in [
        ("\"v3.0\"", "\"v1.6\"", &["`codebase_version`: found v1.6, expected v3.0"][..]),
        ("data/chunk", "../data/chunk", &["`data_path, video_path`: found ../data", "within the data set"]),
        ("data/chunk", "/etc/chunk", &["found /etc/chunk"]),
        ("{file_index:03d}.parquet", "\\u0000.parquet", &["\\u{0}"]),
        ("data/chunk", &long, &["xxx..."]),
        ("images.top", "images.../top", &["camera `../top`"]),
        ("images.top", "images.\\u001b[31m", &["\\u{1b}[31m"]),
        ("\"fps\": 10", "\"fps\": 0", &["`fps`: found 0"]),
        ("\"fps\": 10", "\"fps\": \"ten\"", &["`fps`", "invalid type"]),
        ("\"x\",", "\"waist\",", &["`observation.state`", "waist", "one x, y, z each", "--columns"]),
        ("\"action\"", "\"actions\"", &["no `action`"]),
    ] {
        let changed = sound.replace(from, to);
        assert_ne!(changed, sound, "{from}");
        std::fs::write(&path, changed).unwrap();
        refused(import_lerobot, &source, at, words);
    }
    std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    refused(import_lerobot, &source, at, &["info.json", "EOF"]);
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(attempt(import_lerobot, &source, at), None);
}

#[test]
fn a_video_that_is_none_or_too_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let source = lerobot(at, "video");
    let path = source.join("videos/observation.images.top/chunk-000/file-000.mp4");
    let sound = std::fs::read(&path).unwrap();
    // A playlist of other files, under a video's name: it is not played.
    for bytes in
        [b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n".to_vec(), Vec::new(), sound[..sound.len() / 2].to_vec()]
    {
        std::fs::write(&path, bytes).unwrap();
        refused(import_lerobot, &source, at, &["file-000.mp4", "cannot read"]);
    }
    std::fs::write(&path, &sound).unwrap();
    let info = source.join("meta/info.json");
    let text = std::fs::read_to_string(&info).unwrap();
    std::fs::write(&info, text.replace("96", "98")).unwrap();
    refused(import_lerobot, &source, at, &["found 96x64, expected 98x64"]);
}

#[test]
fn damaged_bytes_of_a_lerobot_data_set_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let source = lerobot(at, "image");
    for name in ["data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet", "meta/info.json"] {
        let path = source.join(name);
        let sound = std::fs::read(&path).unwrap();
        for place in 0..60 {
            let mut bytes = sound.clone();
            // Densely at the end, where parquet stores its metadata.
            let from_end = if place < 30 { place * 13 } else { place * sound.len() / 60 };
            let place = sound.len() - 1 - from_end % sound.len();
            bytes[place] ^= 0x55;
            std::fs::write(&path, &bytes).unwrap();
            attempt(import_lerobot, &source, at);
            std::fs::write(&path, &sound[..place]).unwrap();
            assert!(attempt(import_lerobot, &source, at).is_some(), "{name} cut at {place}");
        }
        std::fs::write(&path, &sound).unwrap();
    }
    assert_eq!(attempt(import_lerobot, &source, at), None);
}

/// One trajectory by Python.
fn bridge(folder: &Path) -> PathBuf {
    let source = folder.join("bridge");
    python_script("golden/make_bridge.py", &[source.as_os_str()]);
    let one = folder.join("one");
    copy(&source.join("toykitchen1/00/2022-03-04_10-11-12/raw/traj_group0/traj2"), &one);
    one
}

#[test]
fn a_bridge_trajectory_that_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let one = bridge(at);
    assert_eq!(attempt(import_bridge, &one, at), None);
    let row = |value: f64| Pickle::Floats(vec![7], vec![value; 7]);
    let states = |rows: usize| Pickle::Floats(vec![rows, 7], vec![0.5; rows * 7]);
    let own = |name: &str| {
        let start = serde_json::to_string(&crate::recording::episodes::start(name)).unwrap();
        write(&Pickle::dict([("episode_start", Pickle::Text(start))]))
    };
    for (file, bytes, words) in [
        (
            "policy_out.pkl",
            b"cposix\nsystem\nX\x02\x00\x00\x00id\x85R.".to_vec(),
            &["`posix.system`", "nothing was executed"][..],
        ),
        ("policy_out.pkl", write(&Pickle::List(vec![])), &["0 actions"]),
        ("policy_out.pkl", write(&Pickle::Text("left".into())), &["`policy_out`: found something else"]),
        ("policy_out.pkl", write(&Pickle::List(vec![row(0.1); 9])), &["6 observations", "10 or 9"]),
        ("policy_out.pkl", write(&Pickle::List(vec![row(f64::NAN); 5])), &["NaN at step 0"]),
        ("policy_out.pkl", write(&Pickle::List(vec![Pickle::dict([("action", row(0.1))]); 5])), &["without `actions`"]),
        ("obs_dict.pkl", write(&Pickle::dict([("full_state", states(7))])), &["7 observations, expected 6 or 5"]),
        ("obs_dict.pkl", write(&Pickle::dict([("qpos", states(6))])), &["`full_state`: found nothing"]),
        (
            "obs_dict.pkl",
            write(&Pickle::dict([("full_state", Pickle::Text("x".into()))])),
            &["a string instead of numbers"],
        ),
        (
            "obs_dict.pkl",
            write(&Pickle::dict([("full_state", states(6)), ("time_stamp", Pickle::Floats(vec![2], vec![0.0, 1.0]))])),
            &["`time_stamp`: found 2 rows, expected 6"],
        ),
        (
            "obs_dict.pkl",
            write(&Pickle::dict([("full_state", states(6)), ("qpos", Pickle::Floats(vec![6, 9], vec![0.0; 54]))])),
            &["9 joints, expected at most 8"],
        ),
        ("agent_data.pkl", own("../../escaped"), &["`episode_start`", "../../escaped"]),
        ("agent_data.pkl", own("a\0b"), &["`episode_start`"]),
        ("agent_data.pkl", own(&"n".repeat(300)), &["`episode_start`", "1 to 200"]),
        ("images1/im_2.jpg", b"\xff\xd8\xff".to_vec(), &["image 2 of `images1`", "JPEG"]),
    ] {
        let path = one.join(file);
        let sound = std::fs::read(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        refused(import_bridge, &one, at, words);
        std::fs::write(&path, sound).unwrap();
    }
    std::fs::remove_file(one.join("images0/im_3.jpg")).unwrap();
    refused(import_bridge, &one, at, &["im_3.jpg", "cannot be read"]);
    std::fs::remove_dir_all(one.join("images0")).unwrap();
    // The other camera is kept.
    let kept = at.join("kept");
    import_bridge(&one, &kept, &options(), &mut |_, _| {}).unwrap();
    let images = &read(&kept)[0].steps[0].images;
    assert!(images.len() == 1 && &*images[0].camera == "images1", "{images:?}");
    std::fs::remove_dir_all(one.join("images1")).unwrap();
    let out = at.join("out");
    let imported = import_bridge(&one, &out, &options(), &mut |_, _| {}).unwrap();
    assert!(imported.notes.contains("images: none, the source has no images0"));
    assert!(read(&out)[0].steps[0].images.is_empty());
    // Existing output is not overwritten.
    let said = import_bridge(&one, &out, &options(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(said.contains("is there already"), "{said}");
    refused(import_bridge, &at.join("kept"), &at.join("elsewhere"), &["holds no trajectory"]);
}

#[test]
fn damaged_bytes_of_a_bridge_trajectory_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let one = bridge(at);
    for file in ["obs_dict.pkl", "policy_out.pkl", "agent_data.pkl", "images0/im_1.jpg"] {
        let path = one.join(file);
        let sound = std::fs::read(&path).unwrap();
        for place in (0..sound.len()).step_by(sound.len() / 40 + 1) {
            let mut bytes = sound.clone();
            bytes[place] ^= 0x41;
            std::fs::write(&path, &bytes).unwrap();
            attempt(import_bridge, &one, at);
            std::fs::write(&path, &sound[..place]).unwrap();
            attempt(import_bridge, &one, at);
        }
        std::fs::write(&path, &sound).unwrap();
    }
}

#[test]
fn episodes_that_do_not_belong_together_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "a", 2, &[("front", (64, 48))], success());
    record(folder.path(), "b", 2, &[("arm", (64, 48))], success());
    let said = Selection::of(folder.path(), false, true).unwrap_err().to_string();
    assert!(said.contains("b.mcap") && said.contains("`cameras`") && said.contains("arm"), "{said}");
    std::fs::remove_file(folder.path().join("b.mcap")).unwrap();
    record(folder.path(), "b", 2, &[("front", (64, 50))], success());
    let selection = Selection::of(folder.path(), false, true).unwrap();
    for pictures in [video(), LerobotPictures::Jpeg] {
        let out = folder.path().join("set");
        let said = export_lerobot(&selection, &out, &LerobotExport { pictures }, &mut || {}).unwrap_err().to_string();
        assert!(said.contains("found 64x50 of camera `front`, expected 64x48"), "{said}");
        assert!(!out.exists() && !folder.path().join("set.partial").exists());
    }
}

#[test]
fn episodes_of_anything_but_pose_changes_are_left_out_by_name() {
    for motion in motions() {
        left_out_by_name(motion);
    }
}

fn left_out_by_name(motion: Motion) {
    let kind = motion.kind().to_string();
    let folder = tempfile::tempdir().unwrap();
    record_motion(folder.path(), "other", motion, 3, (64, 48));
    for name in ["failed", "late"] {
        record(folder.path(), name, 2, &[("front", (64, 48))], Outcome::Failure { judge: "a".into(), why: "b".into() });
    }
    let said = Selection::of(folder.path(), true, true).unwrap();
    assert_eq!((said.episodes.len(), said.left_out.len()), (2, 1));
    assert!(said.left_out[0].1.contains(&kind), "{}", said.left_out[0].1);
    let said = Selection::of(folder.path(), false, true).unwrap_err().to_string();
    assert!(said.contains("none of its 3 recordings is taken") && said.contains(&format!("1: {kind}")), "{said}");
    assert!(said.contains("2: "), "{said}");
}

#[test]
fn an_odd_picture_size_needs_images() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "a", 2, &[("front", (65, 48))], success());
    let selection = Selection::of(folder.path(), false, true).unwrap();
    let export =
        |pictures| export_lerobot(&selection, &folder.path().join("set"), &LerobotExport { pictures }, &mut || {});
    let said = export(video()).unwrap_err().to_string();
    assert!(said.contains("65x48") && said.contains("--images"), "{said}");
    export(LerobotPictures::Jpeg).unwrap();
}
