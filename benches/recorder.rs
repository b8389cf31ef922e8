//! The recorder against a kill at any moment, and against ten minutes of two cameras.
//!
//! ```sh
//! cargo bench --no-default-features --bench recorder -- --kills 200 --peers 50 --minutes 10 --out results/recorder
//! ```
//!
//! Kills: a process records 30 steps a second with two 320x240 images and is killed (SIGKILL) at a random moment; the steps that it
//! reported as handed over are compared with those that our reader finds after recovery. The same for PyPI `mcap`, `h5py`
//! and `pyarrow`, each read by its own ordinary reader. Minutes: two 640x480 images 30 times a second and the arm at 50 Hz;
//! how long the producer was blocked, how much was dropped, and a plain fsynced write of the same bytes in the same run.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use visuomotor::action::{Action, Decision, JointCommand};
use visuomotor::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, Outcome, Step, StepSink};
use visuomotor::geometry::Pose;
use visuomotor::observation::{Image, JointVector, Observation, Proprioception};
use visuomotor::recording::{
    ReadOptions, Recorder, WriterOptions, finish_partial, list_episodes, read_episode, read_episode_with,
};
use visuomotor::time::Timestamp;

const RATE: f64 = 30.0;

fn start(name: &str) -> EpisodeStart {
    EpisodeStart {
        name: name.into(),
        task: "bench".into(),
        instruction: "record".into(),
        robot: "widowx".into(),
        action_source: "bench".into(),
        policy_rate_hz: RATE,
        control_rate_hz: 50.0,
        joint_names: (0..6).map(|i| format!("joint_{i}")).collect(),
        seed: 0,
        settings: String::new(),
    }
}

/// An image with a camera's noise, which is what fills a JPEG.
fn noisy(width: u32, height: u32, seed: u64) -> Vec<u8> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..width * height * 3)
        .map(|i| {
            let (x, y) = ((i / 3) % width, (i / 3) / width);
            let smooth = (x * 160 / width + y * 80 / height) as i32;
            (smooth + rng.random_range(-4..=4)).clamp(0, 255) as u8
        })
        .collect()
}

struct Cameras {
    pictures: Vec<std::sync::Arc<[u8]>>,
    size: (u32, u32),
}

impl Cameras {
    fn new(width: u32, height: u32) -> Self {
        let pictures = (0..8).map(|seed| noisy(width, height, seed).into()).collect();
        Self { pictures, size: (width, height) }
    }

    fn observation(&self, index: u64) -> Observation {
        let at = Timestamp::from_secs_f64(index as f64 / RATE);
        let image = |camera: &str, offset: u64| Image {
            camera: camera.into(),
            width: self.size.0,
            height: self.size.1,
            pixels: self.pictures[((index + offset) % self.pictures.len() as u64) as usize].clone(),
            captured_at: at,
            sequence: index,
        };
        let joints = JointVector::from_slice(&[0.1 * (index as f64 * 0.01).sin(); 6]);
        Observation {
            images: vec![image("front", 0), image("wrist", 3)],
            proprioception: Proprioception {
                joint_positions: joints,
                joint_velocities: joints,
                joint_efforts: joints,
                finger_position: 0.02,
                gripper: 1.0,
                measured_at: at,
            },
            base_from_tool: Pose::identity(),
            bridge_state: [0.0; 7],
            observed_at: at,
        }
    }
}

fn tick(index: u64) -> ControlTick {
    let joints = JointVector::from_slice(&[0.001 * index as f64; 6]);
    ControlTick {
        at: Timestamp::from_secs_f64(index as f64 / 50.0),
        measured: joints,
        measured_gripper: 1.0,
        wished: JointCommand::position(joints, 1.0),
        sent: JointCommand::position(joints, 1.0),
        action: Action::stay(1.0),
        step_index: Some(index),
        filtered: Filtered::Passed,
        image_age_seconds: 0.03,
        tick_seconds: 1e-5,
    }
}

/// Feeds `steps` steps in real time and control ticks between them; calls `told` with the time each step blocked the producer.
fn feed(
    recorder: &mut Recorder,
    cameras: &Cameras,
    steps: u64,
    mut told: impl FnMut(u64, Duration),
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut ticks = 0;
    for index in 0..steps {
        let due = began + Duration::from_secs_f64(index as f64 / RATE);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let observation = cameras.observation(index);
        let decision = Decision::plain(Action::stay(1.0));
        let handed = Instant::now();
        while (ticks as f64) / 50.0 <= index as f64 / RATE {
            recorder.control_tick(&tick(ticks))?;
            ticks += 1;
        }
        let decided_at = observation.observed_at;
        recorder.step(&Step { index, observation: &observation, decision: &decision, decided_at })?;
        told(index, handed.elapsed());
    }
    Ok(())
}

/// The process to be killed.
fn child(folder: &Path) -> anyhow::Result<()> {
    let mut recorder = Recorder::create(folder, "killed", WriterOptions::default())?;
    recorder.episode_started(&start("killed"))?;
    let mut out = std::io::stdout();
    feed(&mut recorder, &Cameras::new(320, 240), 100_000, |index, _| {
        let _ = writeln!(out, "step {index}").and_then(|()| out.flush());
    })
}

/// Kills it at a random moment; returns the last step that it reported as handed over.
fn kill(mut process: Child, rng: &mut impl Rng) -> anyhow::Result<u64> {
    let said = BufReader::new(process.stdout.take().ok_or_else(|| anyhow::anyhow!("no output"))?);
    let mut lines = said.lines();
    let mut last = None;
    let mut deadline = None;
    let wait = Duration::from_secs_f64(rng.random_range(0.05..0.8));
    let (to_us, heard) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if to_us.send(line).is_err() {
                break;
            }
        }
    });
    loop {
        let left = deadline.map_or(Duration::from_secs(20), |at: Instant| at.saturating_duration_since(Instant::now()));
        match heard.recv_timeout(left) {
            Ok(line) => {
                last = line.strip_prefix("step ").and_then(|n| n.parse().ok()).or(last);
                deadline.get_or_insert_with(|| Instant::now() + wait);
            }
            Err(_) => break,
        }
    }
    process.kill()?;
    process.wait()?;
    drop(reader.join());
    // Output from before it died that we had not read yet.
    while let Ok(line) = heard.try_recv() {
        last = line.strip_prefix("step ").and_then(|n| n.parse().ok()).or(last);
    }
    last.ok_or_else(|| anyhow::anyhow!("it said nothing"))
}

fn kills(count: u64) -> anyhow::Result<Value> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let (mut opened, mut lost) = (0, Vec::new());
    for round in 0..count {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let process = Command::new(std::env::current_exe()?)
            .args(["--child".as_ref(), folder.path().as_os_str()])
            .stdout(Stdio::piped())
            .spawn()?;
        let last = kill(process, &mut rng)?;
        finish_partial(folder.path())?;
        let file = list_episodes(folder.path())?.into_iter().next();
        if let Some(episode) = file.and_then(|file| read_episode(&file).ok()) {
            opened += 1;
            lost.push((last + 1).saturating_sub(episode.steps.len() as u64));
        }
        if (round + 1) % 20 == 0 {
            println!("  ours: {} killed, {opened} open, at most {:?} steps lost", round + 1, lost.iter().max());
        }
    }
    Ok(json!({ "killed": count, "opened": opened, "lost_steps": lost }))
}

fn peer_kills(kind: &str, count: u64, jpeg: &Path) -> anyhow::Result<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (python, script) = (root.join(".deps/python/bin/python"), root.join("benches/recorder_peer.py"));
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    let (mut opened, mut lost, mut said) = (0, Vec::new(), Vec::new());
    for _ in 0..count {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let file = folder.path().join("killed");
        let process = Command::new(&python)
            .arg(&script)
            .args(["write".as_ref(), kind.as_ref(), file.as_os_str(), jpeg.as_os_str()])
            .stdout(Stdio::piped())
            .spawn()?;
        let last = kill(process, &mut rng)?;
        let read =
            Command::new(&python).arg(&script).args(["read".as_ref(), kind.as_ref(), file.as_os_str()]).output()?;
        let answer = String::from_utf8_lossy(&read.stdout).trim().to_string();
        match answer.parse::<u64>() {
            Ok(steps) => {
                opened += 1;
                lost.push((last + 1).saturating_sub(steps));
            }
            Err(_) => said.push(answer),
        }
    }
    said.sort();
    said.dedup();
    println!("  {kind}: {count} killed, {opened} open, steps lost in those {:?}; else {said:?}", lost.iter().max());
    Ok(json!({ "killed": count, "opened": opened, "lost_steps": lost, "said": said }))
}

fn sustained(minutes: f64, out: &Path) -> anyhow::Result<Value> {
    let steps = (minutes * 60.0 * RATE) as u64;
    let cameras = Cameras::new(640, 480);
    let folder = tempfile::tempdir_in(out)?;
    let options = WriterOptions { reserve_bytes: 8 << 30, ..WriterOptions::default() };
    let mut recorder = Recorder::create(folder.path(), "long", options)?;
    recorder.episode_started(&start("long"))?;
    let mut kept = Vec::with_capacity(steps as usize);
    let began = Instant::now();
    feed(&mut recorder, &cameras, steps, |_, time| kept.push(time.as_nanos() as u64))?;
    let outcome = Outcome::Success { judge: "bench".into() };
    recorder.episode_ended(&EpisodeEnd { outcome, steps, seconds: minutes * 60.0 })?;
    let took = began.elapsed().as_secs_f64();
    let state = recorder.state();
    let bytes = std::fs::metadata(recorder.path())?.len();
    // Plain writes of the same bytes: a step's worth at a time, synced as often as the recorder's.
    let per_step = (bytes / steps.max(1)) as usize;
    let block = noisy(1024, 1024, 9).into_iter().cycle().take(per_step).collect::<Vec<u8>>();
    // At most a minute at the recorder's pace: the rate does not depend on the duration.
    let paced = steps.min(1800);
    let (plain_paced, plain_busy) = plain(&folder.path().join("plain"), &block, paced, true)?;
    let (_, plain_unpaced) = plain(&folder.path().join("plain2"), &block, steps.min(3000), false)?;
    let read = read_episode_with(recorder.path(), ReadOptions { images: false, control_ticks: true })?.complete;
    kept.sort_unstable();
    let at = |share: f64| kept[((kept.len() - 1) as f64 * share) as usize] as f64 * 1e-3;
    let (ours, theirs) = (bytes as f64 / took, per_step as f64 * paced as f64 / plain_paced);
    println!(
        "  {steps} steps, {} dropped, {:.0} MB; producer kept p50 {:.1} us, p99 {:.1} us, max {:.1} us",
        state.dropped,
        bytes as f64 * 1e-6,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!(
        "  {:.2} MB/s, plain fsynced writes of the same bytes at the same pace {:.2} MB/s: ratio {:.3}; the plain writes alone \
         take {plain_busy:.1} s, unpaced {:.0} MB/s",
        ours * 1e-6,
        theirs * 1e-6,
        ours / theirs,
        per_step as f64 * steps.min(3000) as f64 / plain_unpaced * 1e-6
    );
    Ok(json!({
        "steps": steps, "dropped": state.dropped, "written": state.steps, "whole": read, "bytes": bytes, "seconds": took,
        "kept_us": { "p50": at(0.5), "p99": at(0.99), "max": at(1.0) }, "kept_ns": kept,
        "bytes_per_second": ours, "plain_bytes_per_second": theirs, "ratio": ours / theirs,
        "plain_busy_seconds": plain_busy, "plain_unpaced_seconds_3000_steps": plain_unpaced,
    }))
}

/// Plain writes: the time from first to last, and the time spent writing.
fn plain(path: &Path, block: &[u8], steps: u64, paced: bool) -> anyhow::Result<(f64, f64)> {
    let mut file = std::fs::File::create(path)?;
    let began = Instant::now();
    let mut busy = Duration::ZERO;
    for index in 0..steps {
        if paced {
            let due = began + Duration::from_secs_f64(index as f64 / RATE);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let writing = Instant::now();
        file.write_all(block)?;
        if (index + 1).is_multiple_of(25) {
            file.sync_data()?;
        }
        busy += writing.elapsed();
    }
    file.sync_all()?;
    Ok((began.elapsed().as_secs_f64(), busy.as_secs_f64()))
}

fn main() -> anyhow::Result<()> {
    let (mut kill_count, mut peers, mut minutes, mut out) = (200, 50, 10.0, PathBuf::from("results/recorder"));
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| anyhow::anyhow!("{word} wants a value"));
        match word.as_str() {
            "--child" => return child(Path::new(&value()?)),
            "--kills" => kill_count = value()?.parse()?,
            "--peers" => peers = value()?.parse()?,
            "--minutes" => minutes = value()?.parse()?,
            "--out" => out = value()?.into(),
            other => anyhow::bail!("{other} is not known: --kills N --peers N --minutes M --out DIR"),
        }
    }
    std::fs::create_dir_all(&out)?;
    let mut report = serde_json::Map::new();
    if kill_count > 0 {
        report.insert("ours".into(), kills(kill_count)?);
    }
    if peers > 0 {
        // A noise image as JPEG, as large as ours.
        let jpeg = out.join("picture.jpg");
        let encoder = jpeg_encoder::Encoder::new_file(&jpeg, 92)?;
        encoder.encode(&noisy(320, 240, 0), 320, 240, jpeg_encoder::ColorType::Rgb)?;
        for kind in ["mcap", "h5py", "parquet"] {
            report.insert(kind.into(), peer_kills(kind, peers, &jpeg)?);
        }
    }
    if minutes > 0.0 {
        report.insert("sustained".into(), sustained(minutes, &out)?);
    }
    let file = out.join("recorder.json");
    std::fs::write(&file, serde_json::to_vec(&report)?)?;
    println!("{}", file.display());
    Ok(())
}
