//! Refusals, before motion where possible, and files under their right names.

use std::path::Path;

use visuomotor::episode::StepSink;
use visuomotor::recording::*;

use super::episodes::*;

fn create(folder: &Path, name: &str) -> Result<EpisodeWriter, RecordingError> {
    EpisodeWriter::create(folder, name, WriterOptions::default())
}

#[test]
fn the_final_name_appears_only_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = create(folder.path(), "a").unwrap();
    assert!(folder.path().join("a.mcap.partial").exists());
    writer.episode_started(&start("a")).unwrap();
    tell(&mut writer, 0, &told(0, vec![])).unwrap();
    assert!(!folder.path().join("a.mcap").exists());
    writer.episode_ended(&end(1)).unwrap();
    assert!(folder.path().join("a.mcap").exists() && !folder.path().join("a.mcap.partial").exists());
    assert!(matches!(create(folder.path(), "a"), Err(RecordingError::AlreadyThere { .. })));
    assert!(read_episode(writer.path()).unwrap().complete);
}

#[test]
fn a_dropped_writer_leaves_a_partial_file_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = create(folder.path(), "a").unwrap();
    writer.episode_started(&start("a")).unwrap();
    tell(&mut writer, 0, &told(0, vec![])).unwrap();
    drop(writer);
    let episode = read_episode(&folder.path().join("a.mcap.partial")).unwrap();
    assert!(!episode.complete && episode.end.is_none());
    assert!(episode.lost.unwrap().contains("1 steps are kept"));
    assert!(matches!(create(folder.path(), "a"), Err(RecordingError::AlreadyThere { .. })));
}

#[test]
fn a_folder_that_cannot_be_recorded_into_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = create(&folder.path().join("none"), "a").unwrap_err();
    assert!(matches!(missing, RecordingError::Folder { .. }) && missing.to_string().contains("none"), "{missing}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(create(&file, "a"), Err(RecordingError::Folder { .. })));
    // No user, not even root, creates files in /proc.
    let options = WriterOptions { min_free_bytes: 0, ..WriterOptions::default() };
    let unwritable = EpisodeWriter::create(Path::new("/proc"), "a", options).unwrap_err();
    assert!(unwritable.to_string().contains("--out"), "{unwritable}");
    let options = WriterOptions { min_free_bytes: u64::MAX, ..WriterOptions::default() };
    assert!(matches!(EpisodeWriter::create(folder.path(), "a", options), Err(RecordingError::Full { .. })));
    for name in ["", ".", "..", "a/b", ".a"] {
        assert!(matches!(create(folder.path(), name), Err(RecordingError::Unfit { .. })), "{name}");
    }
    let options = WriterOptions { jpeg_quality: 0, ..WriterOptions::default() };
    assert!(EpisodeWriter::create(folder.path(), "a", options).is_err());
    let options = WriterOptions { record_size: Some((0, 8)), ..WriterOptions::default() };
    assert!(EpisodeWriter::create(folder.path(), "a", options).is_err());
    assert!(list_partial(folder.path()).unwrap().is_empty());
}

#[test]
fn calls_out_of_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = create(folder.path(), "a").unwrap();
    assert!(writer.episode_ended(&end(0)).is_err());
    assert!(tell(&mut writer, 0, &told(0, vec![])).is_err());
    writer.episode_started(&start("a")).unwrap();
    assert!(writer.episode_started(&start("a")).is_err());
    tell(&mut writer, 0, &told(0, vec![])).unwrap();
    writer.episode_ended(&end(1)).unwrap();
    assert!(tell(&mut writer, 1, &told(1, vec![])).is_err());
    assert!(writer.episode_ended(&end(1)).is_err());
    assert!(read_episode(writer.path()).unwrap().complete);
}

#[test]
fn a_wrong_picture_is_said_once_and_keeps_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = create(folder.path(), "a").unwrap();
    writer.episode_started(&start("a")).unwrap();
    tell(&mut writer, 0, &told(0, vec![image("front", 8, 8, 0)])).unwrap();
    let said = tell(&mut writer, 1, &told(1, vec![wrong_image()])).unwrap_err();
    assert!(said.to_string().contains("front"), "{said}");
    tell(&mut writer, 2, &told(2, vec![])).unwrap();
    assert!(writer.episode_ended(&end(3)).unwrap_err().to_string().contains("recover"));
    drop(writer);
    let recovered = recover(&folder.path().join("a.mcap.partial")).unwrap();
    assert_eq!(recovered.steps, 1);
    assert_eq!(read_episode(&recovered.path).unwrap().steps.len(), 1);
}

#[test]
fn another_version_or_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, metadata: Option<(&str, &str)>| {
        let path = folder.path().join(name);
        let mut file = mcap::Writer::new(std::fs::File::create(&path).unwrap()).unwrap();
        if let Some((key, value)) = metadata {
            file.write_metadata(&mcap::records::Metadata {
                name: METADATA_NAME.into(),
                metadata: [(key.to_string(), value.to_string())].into(),
            })
            .unwrap();
        }
        file.finish().unwrap();
        path
    };
    let newer = read_episode(&write("newer.mcap", Some(("format_version", "2")))).unwrap_err();
    assert!(matches!(&newer, RecordingError::Version { found, .. } if found == "2"), "{newer}");
    assert!(matches!(read_episode(&write("x.mcap", Some(("a", "b")))), Err(RecordingError::Version { .. })));
    assert!(matches!(read_episode(&write("other.mcap", None)), Err(RecordingError::NotAnEpisode { .. })));
    let text = folder.path().join("text.mcap");
    std::fs::write(&text, "not a recording").unwrap();
    assert!(matches!(read_episode(&text), Err(RecordingError::NotAnEpisode { .. })));
    std::fs::write(&text, "").unwrap();
    assert!(matches!(read_episode(&text), Err(RecordingError::CutOff { .. })));
    assert!(matches!(read_episode(Path::new("/none.mcap")), Err(RecordingError::Unreadable { .. })));
}

#[test]
fn a_data_set_is_listed_in_order_and_its_digest_tells_changes() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b", "a"] {
        record(&mut create(folder.path(), name).unwrap(), name, 1, (8, 8));
    }
    let _open = create(folder.path(), "c").unwrap();
    let names = [folder.path().join("a.mcap"), folder.path().join("b.mcap")];
    assert_eq!(list_episodes(folder.path()).unwrap(), names);
    assert_eq!(list_partial(folder.path()).unwrap(), [folder.path().join("c.mcap.partial")]);
    let digest = dataset_digest(folder.path()).unwrap();
    assert_eq!(digest.len(), 64);
    assert_eq!(dataset_digest(folder.path()).unwrap(), digest);
    std::fs::rename(&names[1], folder.path().join("d.mcap")).unwrap();
    assert_ne!(dataset_digest(folder.path()).unwrap(), digest);
    std::fs::rename(folder.path().join("d.mcap"), &names[1]).unwrap();
    let mut bytes = std::fs::read(&names[1]).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&names[1], bytes).unwrap();
    assert_ne!(dataset_digest(folder.path()).unwrap(), digest);
}

#[test]
fn pictures_for_reports_are_the_first_every_kth_and_the_last() {
    let mut pictures = Pictures::every(3);
    pictures.episode_started(&start("a")).unwrap();
    for index in 0..8 {
        tell(&mut pictures, index, &told(index, vec![image("front", 320, 240, index)])).unwrap();
    }
    pictures.episode_ended(&end(8)).unwrap();
    let taken = pictures.taken();
    let seconds: Vec<f64> = taken.iter().map(|(at, _)| (at * 1e6).round() / 1e6).collect();
    assert_eq!(seconds, [0.0, 0.6, 1.2, 1.4]);
    assert!(taken.iter().all(|(_, jpeg)| jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() < 20_000));
    pictures.episode_started(&start("b")).unwrap();
    assert!(pictures.taken().is_empty());
}
