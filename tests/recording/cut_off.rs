//! Files that were cut off or damaged anywhere.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use visuomotor::episode::StepSink;
use visuomotor::recording::*;

use super::episodes::*;

const ALL: ReadOptions = ReadOptions { images: true, control_ticks: true };

/// A small recording, the length of the file after the start and after each step, and the whole file's bytes.
fn recording(folder: &Path, steps: u64) -> (Vec<u64>, Vec<u8>) {
    let mut writer = EpisodeWriter::create(folder, "small", WriterOptions::default()).unwrap();
    writer.episode_started(&start("small")).unwrap();
    let length = |writer: &EpisodeWriter| std::fs::metadata(writer.partial_path()).unwrap().len();
    let mut lengths = vec![length(&writer)];
    for index in 0..steps {
        tell(&mut writer, index, &told(index, vec![image("front", 16, 16, index)])).unwrap();
        lengths.push(length(&writer));
    }
    writer.episode_ended(&end(steps)).unwrap();
    (lengths, std::fs::read(writer.path()).unwrap())
}

#[test]
fn cut_at_any_byte_everything_flushed_before_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (lengths, bytes) = recording(folder.path(), 3);
    for cut in 0..bytes.len() {
        let flushed = lengths.iter().filter(|length| **length <= cut as u64).count();
        match parse_episode(Path::new("small.mcap"), &bytes[..cut], ALL) {
            Ok(episode) => {
                assert!(episode.steps.len() + 1 >= flushed, "cut at {cut}");
                assert!(!episode.complete && episode.lost.is_some(), "cut at {cut}");
                assert_eq!(episode.start, start("small"));
            }
            Err(error) => {
                assert!(matches!(error, RecordingError::CutOff { .. }), "cut at {cut}: {error}");
                assert_eq!(flushed, 0, "cut at {cut}: {error}");
            }
        }
    }
}

#[test]
fn a_cut_file_recovers_into_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let (lengths, bytes) = recording(folder.path(), 3);
    for cut in (lengths[0] as usize..bytes.len()).step_by(211).chain([bytes.len() - 1, bytes.len()]) {
        let partial = folder.path().join(format!("cut{cut}.mcap.partial"));
        std::fs::write(&partial, &bytes[..cut]).unwrap();
        let before = read_episode_with(&partial, ALL).unwrap();
        let recovered = recover(&partial).unwrap();
        assert!(!partial.exists());
        assert_eq!(recovered.path, folder.path().join(format!("cut{cut}.mcap")));
        let after = read_episode_with(&recovered.path, ALL).unwrap();
        assert_eq!((after.steps, after.ticks, &after.end), (before.steps, before.ticks, &before.end), "cut at {cut}");
        assert_eq!(after.complete, after.end.is_some(), "cut at {cut}");
        // Complete now: recovering again changes nothing.
        let again = std::fs::read(&recovered.path).unwrap();
        if after.complete {
            recover(&recovered.path).unwrap();
            assert_eq!(std::fs::read(&recovered.path).unwrap(), again);
        }
    }
}

#[test]
fn a_damaged_byte_anywhere_never_panics_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes) = recording(folder.path(), 2);
    for at in (0..bytes.len()).step_by(2) {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if let Ok(episode) = parse_episode(Path::new("small.mcap"), &damaged, ALL) {
                assert!(episode.steps.len() <= 2);
                assert!(episode.steps.iter().flat_map(|step| &step.images).all(|image| image.decode().is_ok()));
            }
        }
    }
}

#[test]
fn a_damaged_whole_file_is_kept_beside_the_recovered_one() {
    let folder = tempfile::tempdir().unwrap();
    let (lengths, bytes) = recording(folder.path(), 3);
    let path = folder.path().join("small.mcap");
    std::fs::write(&path, &bytes[..lengths[2] as usize]).unwrap();
    assert_eq!(recover(&path).unwrap().steps, 2);
    assert_eq!(std::fs::read(folder.path().join("small.mcap.damaged")).unwrap(), bytes[..lengths[2] as usize]);
    assert_eq!(list_episodes(folder.path()).unwrap(), [path]);
}

#[test]
fn a_recording_still_being_written_is_read_but_not_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EpisodeWriter::create(folder.path(), "live", WriterOptions::default()).unwrap();
    writer.episode_started(&start("live")).unwrap();
    tell(&mut writer, 0, &told(0, vec![])).unwrap();
    assert_eq!(read_episode(writer.partial_path()).unwrap().steps.len(), 1);
    assert!(matches!(recover(writer.partial_path()), Err(RecordingError::Busy { .. })));
}

/// The folder to record into, for the process that is to be killed.
const FOLDER: &str = "VISUOMOTOR_TEST_FOLDER";

fn record_without_end(folder: &Path) -> ! {
    let mut writer = EpisodeWriter::create(folder, "killed", WriterOptions::default()).unwrap();
    writer.episode_started(&start("killed")).unwrap();
    let mut index = 0;
    loop {
        tell(&mut writer, index, &told(index, vec![image("front", 64, 48, index)])).unwrap();
        println!("\nstep {index}");
        index += 1;
    }
}

#[test]
fn a_killed_process_loses_at_most_one_step() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        record_without_end(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "recording::cut_off::a_killed_process_loses_at_most_one_step", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let last = said.lines().map_while(Result::ok).find(|line| line == "step 40");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(last.is_some());
    let [partial] = list_partial(folder.path()).unwrap().try_into().unwrap();
    let episode = read_episode_with(&partial, ALL).unwrap();
    assert!(episode.steps.len() >= 41, "{} steps", episode.steps.len());
    assert!(episode.steps.iter().enumerate().all(|(index, step)| step.index == index as u64));
    assert_eq!(recover(&partial).unwrap().steps, episode.steps.len() as u64);
}
