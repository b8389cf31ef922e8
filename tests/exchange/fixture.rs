//! Episodes to export, and the Python programs that read the exports.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use visuomotor::episode::{EpisodeEnd, Outcome, StepSink};
use visuomotor::exchange::*;
use visuomotor::recording::*;

use crate::recording::episodes::{image, start, tell, told};

/// A camera's name and image size.
pub type Camera = (&'static str, (u32, u32));

pub const CAMERAS: [Camera; 2] = [("front", (96, 64)), ("arm", (64, 48))];

/// Records an episode; every step has one image per camera.
pub fn record(folder: &Path, name: &str, steps: u64, cameras: &[Camera], outcome: Outcome) {
    let options = WriterOptions {
        wall_clock: Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_262_400)),
        ..WriterOptions::default()
    };
    let mut writer = EpisodeWriter::create(folder, name, options).unwrap();
    let mut begin = start(name);
    if name.ends_with('b') {
        begin.task = "knife_in_pot".into();
        begin.instruction = "put the knife in the pot".into();
    }
    writer.episode_started(&begin).unwrap();
    for index in 0..steps {
        let images =
            cameras.iter().map(|(camera, (width, height))| image(camera, *width, *height, index * 7)).collect();
        let mut told = told(index, images);
        if name.ends_with('b') {
            // Different motions, so that no two are equal.
            told.decision.action.translation = told.decision.action.translation.map(|v| 0.5 - v * v);
        }
        for (number, image) in told.observation.images.iter_mut().enumerate() {
            let nanos = index * 200_000_000 + 120_000_000 + number as u64 * 1_234_567;
            image.captured_at = visuomotor::time::Timestamp::from_nanos(nanos);
            image.sequence = index;
        }
        tell(&mut writer, index, &told).unwrap();
    }
    writer.episode_ended(&EpisodeEnd { outcome, steps, seconds: steps as f64 * 0.2 }).unwrap();
}

pub fn success() -> Outcome {
    Outcome::Success { judge: "success_rule".into() }
}

/// Two successful episodes of two tasks, a failure between them, and one that was cut off.
pub fn demonstrations(folder: &Path) {
    record(folder, "a", 9, &CAMERAS, success());
    record(folder, "aa", 3, &CAMERAS, Outcome::Failure { judge: "success_rule".into(), why: "time ran out".into() });
    record(folder, "b", 6, &CAMERAS, success());
    let bytes = std::fs::read(folder.join("a.mcap")).unwrap();
    std::fs::write(folder.join("c.mcap.partial"), &bytes[..bytes.len() / 2]).unwrap();
}

/// A folder with the demonstrations, and one for the exports.
pub struct Bench {
    folder: tempfile::TempDir,
    pub selection: Selection,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let episodes = folder.path().join("episodes");
        std::fs::create_dir(&episodes).unwrap();
        demonstrations(&episodes);
        let selection = Selection::of(&episodes, false, true).unwrap();
        Self { folder, selection }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn lerobot(&self, name: &str, pictures: LerobotPictures) -> PathBuf {
        let out = self.path(name);
        export_lerobot(&self.selection, &out, &LerobotExport { pictures }, &mut || {}).unwrap()
    }

    pub fn bridge(&self) -> PathBuf {
        let now = std::time::SystemTime::now();
        export_bridge(&self.selection, &self.path("bridge"), now, &mut || {}).unwrap()
    }
}

pub fn video() -> LerobotPictures {
    LerobotPictures::Video { ffmpeg: find_ffmpeg(None).unwrap(), codec: VideoCodec::H264 }
}

pub fn options() -> ImportOptions {
    ImportOptions {
        outcome: Outcome::Success { judge: "import".into() },
        ffmpeg: None,
        cameras: None,
        statements: Statements::default(),
        strict: false,
    }
}

/// The complete episodes of a folder, with images.
pub fn read(folder: &Path) -> Vec<RecordedEpisode> {
    let episodes = list_episodes(folder).unwrap();
    episodes.iter().map(|path| read_episode(path).unwrap()).inspect(|episode| assert!(episode.complete)).collect()
}

/// A program of the tests' Python environment.
pub fn python_program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps/python/bin").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask test` once, which sets it up", path.display());
    path
}

/// Runs a script below `tests/`; returns its output.
pub fn python_script(script: &str, arguments: &[&OsStr]) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let output = Command::new(python_program("python"))
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", std::env::temp_dir().join("visuomotor-tests-hf"))
        .arg(script)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The same for a script that prints JSON.
pub fn python(script: &str, paths: &[&Path]) -> Value {
    let paths: Vec<&OsStr> = paths.iter().map(|path| path.as_os_str()).collect();
    serde_json::from_slice(&python_script(script, &paths)).unwrap()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Are all numbers equal up to the rounding to 32 bits and of angles there and back?
pub fn assert_close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6), "{a:?}\n{b:?}");
}
