//! LeRobot v3.0: our exports are read by other programs and by us.

use std::process::Command;

use visuomotor::exchange::*;
use visuomotor::observation::Image;
use visuomotor::recording::RecordedEpisode;

use super::fixture::*;
use crate::recording::episodes::difference;

/// Compares a data set with the recordings it was made from, using Python.
fn check_with_python(bench: &Bench, set: &std::path::Path, most: f64) {
    let frames = tempfile::tempdir().unwrap();
    let seen = python("exchange/read_lerobot.py", &[set, frames.path()]);
    let selected = &bench.selection.episodes;
    assert_eq!(seen["info"]["robot_type"], "widowx");
    assert_eq!(seen["info"]["fps"], 5);
    assert_eq!(seen["episodes"][0][0], 9);
    assert_eq!(seen["episodes"][1][1][0], "put the knife in the pot");
    assert_eq!(seen["tasks"]["put the knife in the pot"], 1);
    assert_eq!(seen["pictures"]["observation.images.arm"], 15);
    let steps: Vec<_> = selected.iter().flat_map(|episode| &episode.steps).collect();
    let column = |key: &str| numbers(&seen["columns"][key]);
    let f32s = |numbers: Vec<f64>| numbers.into_iter().map(|v| f64::from(v as f32)).collect::<Vec<_>>();
    assert_eq!(column("observation.state"), f32s(steps.iter().flat_map(|step| step.bridge_state).collect()));
    assert_eq!(column("action"), f32s(steps.iter().flat_map(|step| step.action.to_array()).collect()));
    assert_eq!(column("noise_free_action"), f32s(steps.iter().flat_map(|step| step.label.to_array()).collect()));
    let joints = steps.iter().flat_map(|step| step.proprioception.joint_positions.to_vec()).collect();
    assert_eq!(column("observation.joint_positions"), f32s(joints));
    let index_in_episode: Vec<f64> = (0..9).chain(0..6).map(f64::from).collect();
    assert_close(&column("observation.measured_time"), &index_in_episode.iter().map(|i| i * 0.2).collect::<Vec<_>>());
    // The first observation is at 0.150000012 s, its image of the second camera was taken at 0.121234567 s.
    let late: Vec<f64> = index_in_episode.iter().map(|i| i * 0.2 + 0.121234567 - 0.150000012).collect();
    assert!(column("observation.capture_time.arm").iter().zip(late).all(|(a, b)| (a - b).abs() < 1e-9));
    for (number, episode) in selected.iter().enumerate() {
        let recorded = visuomotor::recording::read_episode(&episode.path).unwrap();
        for (frame, step) in recorded.steps.iter().enumerate() {
            for image in &step.images {
                let was = image.decode().unwrap();
                let name = format!("{}-{number}-{frame}.rgb", was.camera);
                let pixels = std::fs::read(frames.path().join(name)).unwrap();
                let (_, mean) = difference(&was, &Image { pixels: pixels.into(), ..was.clone() });
                assert!(mean <= most, "{} of step {frame}: {mean}", was.camera);
            }
        }
    }
}

#[test]
fn videos_are_read_by_others() {
    let bench = Bench::new();
    let set = bench.lerobot("set", video());
    check_with_python(&bench, &set, 4.0);
}

#[test]
fn embedded_pictures_are_read_by_others() {
    let bench = Bench::new();
    check_with_python(&bench, &bench.lerobot("png", LerobotPictures::Png), 0.0);
    // Another JPEG decoder rounds differently.
    check_with_python(&bench, &bench.lerobot("jpeg", LerobotPictures::Jpeg), 1.0);
}

#[test]
fn lerobot_doctor_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    // lerobot-doctor warns of shorter ones: they do not fill the usual prediction horizons.
    for name in ["a", "b"] {
        record(folder.path(), name, 110, &CAMERAS, success());
    }
    let selection = Selection::of(folder.path(), false, true).unwrap();
    for (name, pictures) in [("video", video()), ("jpeg", LerobotPictures::Jpeg)] {
        let set = folder.path().join(name);
        export_lerobot(&selection, &set, &LerobotExport { pictures }, &mut || {}).unwrap();
        let doctor = Command::new(python_program("lerobot-doctor"))
            .args(["check", "--json"])
            .arg(&set)
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout);
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        let checks = report["checks"].as_array().unwrap();
        assert!(checks.len() >= 9, "{said}");
        assert!(checks.iter().all(|check| check["severity"] == "PASS"), "{said}");
        assert!(doctor.status.success(), "{said}");
    }
}

/// Compares an imported folder with what was exported, up to the losses of `lossy` images.
pub fn check_back(bench: &Bench, back: &[RecordedEpisode], lossy: Option<f64>) {
    assert_eq!(back.len(), bench.selection.episodes.len());
    for (was, is) in bench.selection.episodes.iter().zip(back) {
        let original = visuomotor::recording::read_episode(&was.path).unwrap();
        assert_eq!(is.end, was.end);
        assert_eq!(is.start.name, was.start.name);
        assert_eq!(is.start.instruction, was.start.instruction);
        assert_eq!(is.start.joint_names, was.start.joint_names);
        assert!(is.start.settings.contains("trial_seconds = 20.0") && is.start.settings.contains("[import]"));
        assert_eq!(is.steps.len(), was.steps.len());
        for (was, is) in original.steps.iter().zip(&is.steps) {
            assert_close(&was.bridge_state, &is.bridge_state);
            assert_close(&was.action.to_array(), &is.action.to_array());
            assert_close(&was.label.to_array(), &is.label.to_array());
            assert_close(&was.proprioception.joint_positions, &is.proprioception.joint_positions);
            for (was_image, is_image) in was.images.iter().zip(&is.images) {
                assert_eq!((&was_image.camera, was_image.camera_size), (&is_image.camera, is_image.camera_size));
                let age = |at: visuomotor::time::Timestamp, of: visuomotor::time::Timestamp| of.since(at).as_secs_f64();
                let ages = (age(was_image.captured_at, was.observed_at), age(is_image.captured_at, is.observed_at));
                assert!((ages.0 - ages.1).abs() < 1e-6, "{ages:?}");
                match lossy {
                    None => assert_eq!(was_image.jpeg, is_image.jpeg),
                    Some(most) => {
                        let (_, mean) = difference(&was_image.decode().unwrap(), &is_image.decode().unwrap());
                        assert!(mean < most, "{mean}");
                    }
                }
            }
        }
        let period = |steps: &[visuomotor::recording::RecordedStep]| {
            steps[steps.len() - 1].observed_at.since(steps[0].observed_at).as_secs_f64()
        };
        assert!((period(&original.steps) - period(&is.steps)).abs() < 1e-6);
    }
}

#[test]
fn an_export_comes_back() {
    let bench = Bench::new();
    for (name, pictures, lossy) in
        [("jpeg", LerobotPictures::Jpeg, None), ("png", LerobotPictures::Png, Some(1.0)), ("video", video(), Some(4.5))]
    {
        let set = bench.lerobot(name, pictures);
        let out = bench.path(&format!("{name}-back"));
        let imported = import_lerobot(&set, &out, &options(), &mut |_, _| {}).unwrap();
        assert_eq!((imported.episodes, imported.steps), (2, 15));
        assert!(imported.notes.iter().any(|note| note.starts_with("joint velocities and efforts: 0")));
        assert!(
            !imported.notes.iter().any(|note| note.starts_with("observation times") || note.starts_with("outcome"))
        );
        check_back(&bench, &read(&out), lossy);
    }
}

#[test]
fn av1_comes_back_too() {
    let bench = Bench::new();
    let set =
        bench.lerobot("av1", LerobotPictures::Video { ffmpeg: find_ffmpeg(None).unwrap(), codec: VideoCodec::Av1 });
    let out = bench.path("back");
    import_lerobot(&set, &out, &options(), &mut |_, _| {}).unwrap();
    check_back(&bench, &read(&out), Some(6.0));
}

#[test]
fn data_sets_of_python_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["video", "image"] {
        let source = folder.path().join(kind);
        python_script("golden/make_lerobot.py", &[source.as_os_str(), kind.as_ref()]);
        check_made_by_others(&source);
    }
}

#[test]
fn data_sets_of_lerobots_own_writer_are_read() {
    // Written once by `tests/golden/make_lerobot_own.py`: LeRobot takes several gigabytes to install.
    let made = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lerobot");
    for kind in ["video", "image"] {
        check_made_by_others(&made.join(kind));
    }
}

/// Imports either script's output and compares it with what the scripts should write.
fn check_made_by_others(source: &std::path::Path) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("episodes");
    let imported = import_lerobot(source, &out, &options(), &mut |_, _| {}).unwrap();
    assert_eq!((imported.episodes, imported.steps), (2, 10));
    for wanted in
        ["capture times: those", "observation times: the source's", "outcome: success", "joint positions: none"]
    {
        assert!(imported.notes.iter().any(|note| note.starts_with(wanted)), "{wanted}: {:?}", imported.notes);
    }
    let mut n = 0;
    for episode in read(&out) {
        assert_eq!((&*episode.start.robot, episode.start.policy_rate_hz), ("widowx", 10.0));
        assert_eq!(episode.start.instruction, "close the microwave");
        assert!(episode.start.joint_names.is_empty());
        for (t, step) in episode.steps.iter().enumerate() {
            let expected: Vec<f64> = (0..7).map(|i| (7.0 * n as f64 + f64::from(i)).sin() * 0.3).collect();
            assert_close(&step.bridge_state, &expected);
            assert_close(&step.action.to_array(), &expected.iter().map(|v| v / 10.0).collect::<Vec<_>>());
            assert!((step.observed_at.as_secs_f64() - 0.1 * t as f64).abs() < 1e-6);
            let image = step.images[0].decode().unwrap();
            assert_eq!((image.width, image.height, &*image.camera), (96, 64, "top"));
            let white = |column: usize| image.pixels[(96 * 30 + column) * 3] > 128;
            assert!(white(n * 8 + 4) && !white(n * 8 + 12), "step {n}");
            n += 1;
        }
    }
}
