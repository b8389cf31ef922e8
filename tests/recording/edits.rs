//! Edited data sets, with control ticks, embeddings and images as a run records them.

use std::path::Path;

use visuomotor::episode::OutcomeKind;
use visuomotor::recording::*;

use super::episodes::*;

fn read(path: &Path) -> RecordedEpisode {
    read_episode_with(path, ReadOptions { images: true, control_ticks: true }).unwrap()
}

#[test]
fn a_data_set_is_relabeled_split_and_merged_without_losing_a_number() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    std::fs::create_dir(at("set")).unwrap();
    for index in 0..8 {
        let name = format!("e{index}");
        let mut writer = EpisodeWriter::create(&at("set"), &name, WriterOptions::default()).unwrap();
        record(&mut writer, &name, 1 + index % 3, (16, 16));
    }
    let options = EditOptions { strict: true, command: "test".into() };
    let change = EpisodeChange {
        task: Some("knife_in_pot".into()),
        outcome: Some(OutcomeKind::Failure),
        note: Some("the knife slipped".into()),
        ..EpisodeChange::default()
    };
    let all = at("all");
    relabel(&at("set"), &["e3".into()], &change, Placement::New(&all), &options).unwrap();
    let parts = split(&all, [&at("a"), &at("b")], 0.5, 1, &options).unwrap();
    assert_eq!(parts.iter().map(|part| part.written.len()).sum::<usize>(), 8);
    merge(&[at("a"), at("b")], &at("out"), &options).unwrap();
    for index in 0..8 {
        let name = format!("e{index}.mcap");
        let (mut was, is) = (read(&at("set").join(&name)), read(&at("out").join(&name)));
        if index == 3 {
            assert_eq!(is.notes.last().unwrap().text, "the knife slipped");
            assert_eq!(is.end.as_ref().unwrap().outcome.kind(), OutcomeKind::Failure);
            was.start.task = "knife_in_pot".into();
            (was.notes, was.end) = (is.notes.clone(), is.end.clone());
        }
        assert_eq!((was.start, was.steps, was.ticks, was.end), (is.start, is.steps, is.ticks, is.end));
        assert_eq!((was.attachments, was.notes, was.complete), (is.attachments, is.notes, is.complete));
        let sources: Vec<_> = is.edits.iter().map(|edit| edit.source.as_str()).collect();
        assert_eq!(sources, [name.as_str(); 3]);
    }
    // Each file has its edits.
    assert_ne!(dataset_digest(&at("set")).unwrap(), dataset_digest(&at("out")).unwrap());
}
