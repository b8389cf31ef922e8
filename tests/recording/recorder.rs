//! The recorder's thread: dropped data are counted and reported; a disk at its floor stops only the recording.

use std::process::Command;

use visuomotor::episode::StepSink;
use visuomotor::recording::*;

use super::episodes::*;

const ALL: ReadOptions = ReadOptions { images: true, control_ticks: true };

#[test]
fn what_the_recorder_writes_is_what_the_writer_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EpisodeWriter::create(folder.path(), "plain", WriterOptions::default()).unwrap();
    let mut recorder = Recorder::create(folder.path(), "thread", WriterOptions::default()).unwrap();
    for sink in [&mut writer as &mut dyn StepSink, &mut recorder] {
        sink.episode_started(&start("same")).unwrap();
        for index in 0..12 {
            tell(sink, index, &told(index, vec![image("front", 64, 48, index)])).unwrap();
        }
        sink.episode_ended(&end(12)).unwrap();
    }
    assert_eq!(recorder.state(), RecorderState { steps: 12, dropped: 0, trouble: None });
    let [plain, thread] = ["plain", "thread"].map(|name| {
        let episode = read_episode_with(&folder.path().join(format!("{name}.mcap")), ALL).unwrap();
        assert!(episode.complete);
        (episode.start, episode.steps, episode.ticks, episode.end)
    });
    assert_eq!(plain, thread);
}

#[test]
fn steps_that_cannot_be_kept_up_with_are_dropped_whole_and_the_recording_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::create(folder.path(), "busy", WriterOptions::default()).unwrap();
    recorder.episode_started(&start("busy")).unwrap();
    // Far faster than large images can be compressed.
    let seen = told(0, vec![image("front", 640, 480, 0), image("wrist", 640, 480, 0)]);
    for index in 0..200 {
        tell(&mut recorder, index, &seen).unwrap();
    }
    recorder.episode_ended(&end(200)).unwrap();
    let state = recorder.state();
    assert!(state.dropped > 0 && state.steps + state.dropped == 200, "{state:?}");
    let episode = read_episode_with(recorder.path(), ALL).unwrap();
    assert!(!episode.complete);
    let missing: u64 = episode.gaps.iter().map(|gap| gap.steps).sum();
    assert_eq!((episode.steps.len() as u64, missing), (state.steps, state.dropped));
    let ticks: u64 = episode.gaps.iter().map(|gap| gap.ticks).sum();
    assert_eq!(episode.ticks.len() as u64 + ticks, 200 * TICKS_PER_STEP);
    for gap in &episode.gaps {
        assert!(gap.why.contains("keep up"));
        assert!(episode.steps.iter().all(|step| !(gap.first_step..gap.first_step + gap.steps).contains(&step.index)));
    }
}

#[test]
fn a_disk_at_its_floor_stops_the_recording_and_marks_the_episode_short() {
    let folder = tempfile::tempdir().unwrap();
    let options = WriterOptions { floor_bytes: u64::MAX, ..WriterOptions::default() };
    let mut recorder = Recorder::create(folder.path(), "full", options).unwrap();
    recorder.episode_started(&start("full")).unwrap();
    for index in 0..5 {
        tell(&mut recorder, index, &told(index, vec![])).unwrap();
    }
    recorder.episode_ended(&end(5)).unwrap();
    assert!(recorder.state().trouble.unwrap().contains("left on the disk"));
    let episode = read_episode(recorder.path()).unwrap();
    assert_eq!((episode.steps.len(), episode.gaps.len(), episode.gaps[0].steps), (0, 1, 5));
    assert!(episode.lost.unwrap().contains("left on the disk"));
}

#[test]
fn room_is_taken_before_the_episode_and_given_back_after_it() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let options = WriterOptions { reserve_bytes: 8 << 20, ..WriterOptions::default() };
    let mut recorder = Recorder::create(folder.path(), "room", options).unwrap();
    let partial = folder.path().join("room.mcap.partial");
    let taken = std::fs::metadata(&partial).unwrap().blocks() * 512;
    recorder.episode_started(&start("room")).unwrap();
    tell(&mut recorder, 0, &told(0, vec![])).unwrap();
    recorder.episode_ended(&end(1)).unwrap();
    let left = std::fs::metadata(recorder.path()).unwrap().blocks() * 512;
    // A file system without fallocate reserves nothing, and has nothing to give back.
    assert!(taken == 0 || taken >= 8 << 20, "{taken}");
    assert!(left < 1 << 20, "{left}");
    let endless = WriterOptions { reserve_bytes: 1 << 60, ..WriterOptions::default() };
    if taken > 0 {
        let error = Recorder::create(folder.path(), "endless", endless).err().unwrap();
        assert!(matches!(error, RecordingError::Full { .. } | RecordingError::Folder { .. }), "{error}");
        assert!(!folder.path().join("endless.mcap.partial").exists());
    }
}

#[test]
fn notes_and_attachments_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file =
        Attachment { name: "robot.toml".into(), media_type: "application/toml".into(), data: b"a = 1\n".to_vec() };
    let options = WriterOptions { attachments: vec![file], ..WriterOptions::default() };
    let mut recorder = Recorder::create(folder.path(), "noted", options).unwrap();
    recorder.episode_started(&start("noted")).unwrap();
    let note = Note { at_ns: 5, by: "page".into(), text: "the cloth slipped \u{2014} twice".into() };
    recorder.note(note.clone());
    tell(&mut recorder, 0, &told(0, vec![])).unwrap();
    recorder.episode_ended(&end(1)).unwrap();
    let episode = read_episode(recorder.path()).unwrap();
    assert!(episode.complete);
    assert_eq!(episode.notes, [note]);
    let bytes = std::fs::read(recorder.path()).unwrap();
    assert!(bytes.windows(6).any(|window| window == b"a = 1\n"));
}

#[test]
fn a_folder_with_a_cut_off_recording_is_mended_by_whoever_meets_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["cut", "busy"] {
        let mut writer = EpisodeWriter::create(folder.path(), name, WriterOptions::default()).unwrap();
        writer.episode_started(&start(name)).unwrap();
        tell(&mut writer, 0, &told(0, vec![])).unwrap();
        if name == "busy" {
            let said = finish_partial(folder.path()).unwrap();
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains("cut.mcap: was cut off and is finished now, 1 steps; "), "{said:?}");
        }
    }
    assert_eq!(list_episodes(folder.path()).unwrap(), [folder.path().join("cut.mcap")]);
}

/// Set in the process that runs out of room.
const FOLDER: &str = "VISUOMOTOR_TEST_FULL_FOLDER";

/// Writing fails at every length of the file, in a process with a limit: all steps that were reported as safe
/// are in the file afterwards.
#[test]
fn a_write_that_fails_anywhere_loses_no_step_that_was_safe() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        fail_everywhere(std::path::Path::new(&folder));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "recording::recorder::a_write_that_fails_anywhere_loses_no_step_that_was_safe";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

fn limit(bytes: u64) {
    // SAFETY: plain calls with values; an ignored signal becomes an error of the write.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut now = std::mem::zeroed::<libc::rlimit>();
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut now), 0);
        now.rlim_cur = bytes;
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &now), 0);
    }
}

fn fail_everywhere(folder: &std::path::Path) {
    let steps = 3;
    let write = |name: &str| -> (u64, bool) {
        let Ok(mut writer) = EpisodeWriter::create(folder, name, WriterOptions::default()) else { return (0, false) };
        let _ = writer.episode_started(&start(name));
        for index in 0..steps {
            let _ = tell(&mut writer, index, &told(index, vec![image("front", 16, 16, index)]));
        }
        let safe = writer.steps();
        (safe, writer.episode_ended(&end(steps)).is_ok())
    };
    assert_eq!(write("whole"), (steps, true));
    let length = std::fs::metadata(folder.join("whole.mcap")).unwrap().len();
    let mut failures = 0;
    for room in (0..length).step_by(61) {
        let name = format!("room{room}");
        limit(room);
        let (safe, whole) = write(&name);
        limit(u64::MAX);
        assert!(!whole, "{room} of {length} bytes were enough");
        failures += 1;
        let partial = folder.join(format!("{name}.mcap.partial"));
        match recover(&partial) {
            Ok(recovered) => assert!(recovered.steps >= safe, "{room}: {} of {safe}", recovered.steps),
            Err(error) => assert!(safe == 0, "{room}: {safe} steps are lost: {error}"),
        }
    }
    assert!(failures > 100, "{failures}");
}
