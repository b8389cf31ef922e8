//! The policy in `policies/kitchen`: matches its files, is reproducible, and is refused where it does not fit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use visuomotor::action::ActionBounds;
use visuomotor::cli::kitchen::KitchenSetting;
use visuomotor::config::ControlLaw;
use visuomotor::geometry::Approach;
use visuomotor::network::choose_device;
use visuomotor::policy::{Checkpoint, Offer, PolicyError, VisualPolicy};
use visuomotor::recording::read_episode;
use visuomotor::time::SystemClock;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> PathBuf {
    root().join("policies/kitchen")
}

/// A copy of the shipped policy that a test may modify.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["policy.toml", "encoder.safetensors", "head.safetensors"] {
        std::fs::copy(shipped().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn offer<'a>(robot: &'a str, rate_hz: f64, bounds: &'a ActionBounds, camera_size: [u32; 2]) -> Offer<'a> {
    Offer { robot, joints: 6, rate_hz, bounds, camera_size, law: ControlLaw::Interpolate, approach: Approach::X }
}

#[test]
fn the_shipped_policy_fits_the_shipped_launch_file() {
    let setting = KitchenSetting::load(&root().join("launch/widowx_kitchen.toml")).unwrap();
    let checkpoint = Checkpoint::load(&shipped()).unwrap();
    for task in &setting.protocol.tasks {
        let policy = &setting.station.launch.policy;
        let (rate, size) = (policy.rate_hz, setting.station.image_size());
        checkpoint.check(&shipped(), &offer("widowx", rate, &policy.bounds, size), task).unwrap();
        VisualPolicy::load(&shipped(), task, choose_device(), Arc::new(SystemClock::new())).unwrap();
    }
}

#[test]
fn another_arm_rate_camera_task_or_bounds_is_refused() {
    let checkpoint = Checkpoint::load(&shipped()).unwrap();
    let bridge = ActionBounds::BRIDGE;
    let wider = ActionBounds { high: [0.1; 7], ..bridge };
    let check = |robot: &str, rate: f64, bounds: &ActionBounds, size: [u32; 2], task: &str| match checkpoint
        .check(&shipped(), &offer(robot, rate, bounds, size), task)
        .unwrap_err()
    {
        PolicyError::Unfit { key, .. } => key,
        other => panic!("{other}"),
    };
    let task = "knife_in_pot";
    assert_eq!(check("panda", 5.0, &bridge, [640, 480], task), "robot");
    assert_eq!(check("widowx", 10.0, &bridge, [640, 480], task), "rate_hz");
    assert_eq!(check("widowx", f64::NAN, &bridge, [640, 480], task), "rate_hz");
    assert_eq!(check("widowx", 5.0, &wider, [640, 480], task), "bounds");
    assert_eq!(check("widowx", 5.0, &bridge, [320, 200], task), "camera_size");
    assert_eq!(check("widowx", 5.0, &bridge, [640, 480], "juggle"), "tasks");
    let under_torque = Offer { law: ControlLaw::Torque, ..offer("widowx", 5.0, &bridge, [640, 480]) };
    let error = checkpoint.check(&shipped(), &under_torque, task).unwrap_err().to_string();
    assert!(error.contains("changes of the tool's pose") && error.contains("control.law"), "{error}");
}

#[test]
fn weights_that_are_not_the_named_ones_are_refused() {
    let folder = copied();
    std::fs::copy(shipped().join("head.safetensors"), folder.path().join("encoder.safetensors")).unwrap();
    let error = Checkpoint::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("encoder.safetensors") && error.contains("digest"), "{error}");
}

#[test]
fn nan_weights_are_refused_by_name() {
    let folder = copied();
    let file = folder.path().join("encoder.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&file, &bytes).unwrap();
    // The digest is made to match: this tests the file's contents, not its identity.
    let toml = folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    let old = Checkpoint::load(&shipped()).unwrap().encoder_digest;
    std::fs::write(&toml, text.replace(&old, &visuomotor::config::digest(&bytes))).unwrap();
    let loaded = VisualPolicy::load(folder.path(), "knife_in_pot", choose_device(), Arc::new(SystemClock::new()));
    let error = loaded.err().unwrap().to_string();
    assert!(error.contains("encoder.safetensors") && error.to_lowercase().contains("finite"), "{error}");
}

#[test]
fn another_image_size_or_encoder_in_the_file_is_refused() {
    for (from, to, word) in [
        ("encoder = \"small\"", "encoder = \"vip\"", "bn1"),
        ("version = 1", "version = 2", "format 2"),
        ("image_size = 128", "image_size = 224", "224x224"),
    ] {
        let folder = copied();
        let toml = folder.path().join("policy.toml");
        let text = std::fs::read_to_string(&toml).unwrap();
        assert!(text.contains(from));
        std::fs::write(&toml, text.replace(from, to)).unwrap();
        let loaded = VisualPolicy::load(folder.path(), "knife_in_pot", choose_device(), Arc::new(SystemClock::new()));
        let error = loaded.err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn two_lockstep_runs_with_the_same_seed_give_the_same_outcomes_and_actions() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let out = folder.path().join(name);
        let launch = root().join("launch/widowx_kitchen.toml");
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_visuomotor"))
            .arg("evaluate")
            .arg(launch)
            .args(["--seed", "7", "--trials", "3", "--without-controls", "--clock", "lockstep", "--out"])
            .arg(&out)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
        let mut all = Vec::new();
        for trial in report["trials"].as_array().unwrap() {
            let episode = read_episode(&out.join(trial["episode"].as_str().unwrap())).unwrap();
            let actions: Vec<[u64; 7]> = episode.steps.iter().map(|s| s.action.to_array().map(f64::to_bits)).collect();
            all.push((trial["outcome"].clone(), trial["seconds"].clone(), actions));
        }
        all
    };
    let (first, second) = (run("a"), run("b"));
    assert_eq!(first.len(), 12);
    assert!(first.iter().all(|(_, _, actions)| actions.len() > 5));
    assert_eq!(first, second);
}
