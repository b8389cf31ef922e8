//! Bridge's raw folders: Python reads our exports, and we import what Python writes.

use visuomotor::exchange::*;

use super::fixture::*;
use super::lerobot::check_back;

#[test]
fn python_reads_what_is_written() {
    let bench = Bench::new();
    let root = bench.bridge();
    let seen = python("exchange/read_bridge.py", &[&root]);
    for (index, episode) in bench.selection.episodes.iter().enumerate() {
        let (seen, steps) = (&seen[index], &episode.steps);
        assert_eq!(seen["language"][0], episode.start.instruction);
        assert_eq!(seen["date"], "2026-11-21_12-00-00");
        assert_eq!(seen["sizes"], serde_json::json!([[96, 64], [64, 48]]));
        assert_eq!((&seen["policy"], &seen["repeated"]), (&"expert".into(), &true.into()));
        let flat =
            |of: &dyn Fn(usize) -> Vec<f64>, from: usize, to: usize| (from..to).flat_map(of).collect::<Vec<f64>>();
        let last = steps.len() - 1;
        let state = |index: usize| steps[index.min(last)].bridge_state.to_vec();
        assert_eq!(numbers(&seen["states"]), flat(&state, 0, last + 1));
        assert_eq!(numbers(&seen["next_states"]), flat(&state, 1, last + 2));
        assert_eq!(numbers(&seen["actions"]), flat(&|index| steps[index].action.to_array().to_vec(), 0, last + 1));
        let qpos = |index: usize| steps[index.min(last)].proprioception.joint_positions.to_vec();
        assert_eq!(numbers(&seen["qpos"]), flat(&qpos, 0, last + 2));
        let stamps = numbers(&seen["time_stamp"]);
        assert!((stamps[2] - 1_795_262_400.4).abs() < 1e-5, "{}", stamps[2]);
        let recorded = visuomotor::recording::read_episode(&episode.path).unwrap();
        let folder = std::path::Path::new(seen["path"].as_str().unwrap());
        assert_eq!(std::fs::read(folder.join("images1/im_3.jpg")).unwrap(), recorded.steps[3].images[1].jpeg);
    }
}

#[test]
fn an_export_comes_back_with_the_very_same_pictures() {
    let bench = Bench::new();
    let root = bench.bridge();
    let out = bench.path("back");
    let imported = import_bridge(&root, &out, &options(), &mut |_, _| {}).unwrap();
    assert_eq!((imported.episodes, imported.steps), (2, 15));
    let back = read(&out);
    check_back(&bench, &back, None);
    for (was, is) in bench.selection.episodes.iter().zip(&back) {
        assert!(is.started_at_unix_ns.unwrap().abs_diff(was.started_at_unix_ns.unwrap()) < 1000);
        for (was, is) in was.steps.iter().zip(&is.steps) {
            assert_eq!(was.proprioception.joint_efforts, is.proprioception.joint_efforts);
            assert_eq!(was.proprioception.joint_positions, is.proprioception.joint_positions);
            assert_eq!(was.action, is.action);
        }
    }
}

#[test]
fn trajectories_of_python_are_read_in_every_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("bridge");
    python_script("golden/make_bridge.py", &[source.as_os_str()]);
    let out = folder.path().join("episodes");
    let imported = import_bridge(&source, &out, &options(), &mut |_, _| {}).unwrap();
    assert_eq!((imported.episodes, imported.steps), (4, 20));
    for wanted in ["capture times: those", "outcome: success", "policy rate: 5 Hz", "joint names: numbered"] {
        assert!(imported.notes.iter().any(|note| note.starts_with(wanted)), "{wanted}: {:?}", imported.notes);
    }
    let two = folder.path().join("two");
    let named = ["images1", "images0"].map(String::from).to_vec();
    let ordered = ImportOptions { cameras: Some(named), ..options() };
    import_bridge(&source, &two, &ordered, &mut |_, _| {}).unwrap();
    let cameras: Vec<_> = read(&two)[0].steps[0].images.iter().map(|image| image.camera.to_string()).collect();
    assert_eq!(cameras, ["images1", "images0"], "the order is that of the options");
    for (number, episode) in read(&out).iter().enumerate() {
        assert_eq!(episode.start.instruction, "put the corn in the pot");
        assert_eq!(episode.start.task, "put_the_corn_in_the_pot");
        assert_eq!(episode.start.joint_names.len(), 6);
        assert!(episode.start.settings.contains(&format!("traj{number}")), "{}", episode.start.settings);
        assert!(episode.started_at_unix_ns.unwrap().abs_diff(1_646_388_672_250_000_000) < 1000);
        for (t, step) in episode.steps.iter().enumerate() {
            let expected: Vec<f64> = (0..7).map(|i| (7.0 * t as f64 + f64::from(i)).sin() * 0.3).collect();
            assert_close(&step.bridge_state, &expected);
            assert_close(&step.action.to_array(), &expected.iter().map(|v| v / 10.0).collect::<Vec<_>>());
            assert_close(&step.proprioception.joint_positions, &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]);
            assert_eq!(&*step.proprioception.joint_efforts, &[3.0; 6]);
            assert!((step.observed_at.as_secs_f64() - 0.2 * t as f64).abs() < 1e-6);
            let image = step.images[1].decode().unwrap();
            assert_eq!((image.width, image.height, &*image.camera), (64, 48, "images1"));
            assert!(image.pixels[(t * 8 + 4) * 3] > 180 && image.pixels[(t * 8 + 14) * 3] < 60);
        }
    }
}
