//! Every `train` at smoke scale, repeatedly killed (SIGKILL) and resumed: its weights equal those of an unbroken run, byte by
//! byte.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cql::{data_set, write};
use super::program::Project;

/// Longer than any run here on any machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A project with videos, robot data of many tasks and a target's demonstrations, all few and small.
fn project() -> Project {
    let project = Project::new();
    std::fs::create_dir(project.path("launch/smoke")).unwrap();
    for name in ["vip", "icvf", "cql", "finetune", "behavior_cloning", "reward_weighted"] {
        project.edit(&format!("launch/smoke/{name}.toml"), |text| text);
    }
    ended(&project, &["videos", "--clips", "6", "--seed", "1", "--out", "videos"]);
    data_set(&project.path("robot"));
    for name in ["t", "u"] {
        write(&project.path("target"), name, "success", 6, 128);
    }
    project
}

/// Runs to the end.
fn ended(project: &Project, words: &[&str]) {
    let output = project.call(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
}

/// Starts, and kills once `until` returns true; returns whether it had ended before.
fn killed(project: &Project, words: &[&str], until: impl Fn(Instant) -> bool) -> bool {
    let log = std::fs::File::create(project.path("killed.log")).unwrap();
    let mut child = project.command(words).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let begun = Instant::now();
    let over = loop {
        if child.try_wait().unwrap().is_some() {
            break true;
        }
        if until(begun) || begun.elapsed() > PATIENCE {
            break false;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    // An error if it has ended, which does not matter.
    let _ = child.kill();
    child.wait().unwrap();
    assert!(begun.elapsed() < PATIENCE, "{words:?} does not end");
    over
}

/// Names and bytes of everything with weights in a folder, sorted.
fn weights(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let weights = files.iter().filter(|file| file.extension().is_some_and(|e| e == "safetensors"));
    weights.map(|file| (file.file_name().unwrap().into(), std::fs::read(file).unwrap())).collect()
}

/// The run `words` into `out`, and another, killed at its first checkpoint and twice at random moments from `seed`.
fn same_after_kills(project: &Project, words: &[&str], out: &str, seed: u64) {
    let begun = Instant::now();
    ended(project, &[words, &["--out", out]].concat());
    let whole = begun.elapsed();

    let broken = format!("{out}-killed");
    let checkpoint = project.path(&broken).join("checkpoint.safetensors");
    let again: Vec<&str> = [words, &["--out", broken.as_str()]].concat();
    let resume: Vec<&str> = [again.as_slice(), &["--resume"]].concat();
    let over = killed(project, &again, |_| checkpoint.exists());
    assert!(!over, "{out} ended before it could be killed");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..2 {
        let moment = whole.mul_f64(rng.random_range(0.0..1.0));
        killed(project, &resume, |begun| begun.elapsed() >= moment);
    }
    ended(project, &resume);
    let (expected, found) = (weights(&project.path(out)), weights(&project.path(&broken)));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&expected), names(&found), "{out}");
    for ((name, expected), (_, found)) in expected.iter().zip(&found) {
        assert!(expected == found, "{out}: {} differs", name.display());
    }
}

#[test]
fn every_algorithm_killed_at_any_moment_ends_in_the_weights_of_an_unbroken_run() {
    let project = project();
    let encoder = "vip/encoder.safetensors";
    let runs: [(&[&str], &str); 6] = [
        (&["vip", "launch/smoke/vip.toml", "--data", "videos"], "vip"),
        (&["icvf", "launch/smoke/icvf.toml", "--data", "videos"], "icvf"),
        (
            &["cql", "launch/smoke/cql.toml", "--data", "robot", "--encoder-weights", "icvf/encoder.safetensors"],
            "multitask",
        ),
        (
            &["finetune", "launch/smoke/finetune.toml", "--from", "multitask", "--prior", "robot", "--data", "target"],
            "vptr",
        ),
        (&["behavior-cloning", "launch/smoke/behavior_cloning.toml", "--data", "target"], "cloning"),
        (
            &["reward-weighted", "launch/smoke/reward_weighted.toml", "--data", "target", "--encoder-weights", encoder],
            "reward",
        ),
    ];
    for (seed, (words, out)) in runs.into_iter().enumerate() {
        same_after_kills(&project, &[&["train"], words].concat(), out, seed as u64);
    }
}
