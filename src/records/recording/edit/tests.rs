//! Edits of small data sets, and an edit in place that ends between any two steps.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::{EpisodeWriter, Note, RecordedEpisode, RecordedImage, WriterOptions, read_episode_with};
use super::super::{ReadOptions, list_episodes};
use super::in_place::{InPlace, keep_others};
use super::*;
use visuomotor_core::action::{Action, Decision};
use visuomotor_core::episode::{EpisodeEnd, EpisodeStart, Outcome, OutcomeKind, Step};
use visuomotor_core::geometry::Pose;
use visuomotor_core::observation::{JointVector, Observation, Proprioception};
use visuomotor_core::time::Timestamp;

/// Records an episode; `kind` makes its numbers and its image's bytes, which are no JPEG: nothing here may decode them.
pub fn record(folder: &Path, name: &str, steps: u64, kind: u64) {
    let mut writer = EpisodeWriter::create(folder, name, WriterOptions::default()).unwrap();
    let start = EpisodeStart {
        name: name.into(),
        task: "knife_in_pot".into(),
        instruction: "put the knife in the pot".into(),
        robot: "widowx".into(),
        action_source: "expert".into(),
        policy_rate_hz: 5.000000000000001,
        control_rate_hz: 50.0,
        joint_names: vec!["waist".into(), "elbow".into()],
        seed: u64::MAX - kind,
        settings: "[protocol]\ntrial_seconds = 20.0\n".into(),
    };
    writer.start(&start).unwrap();
    for index in 0..steps {
        let at = |offset| Timestamp::from_nanos(index * 200_000_000 + 100_000_001 + offset);
        let joints = |shift: f64| JointVector::from_slice(&[(kind as f64 + shift).sin(), (index as f64 + shift).cos()]);
        let observation = Observation {
            images: Vec::new(),
            proprioception: Proprioception {
                joint_positions: joints(0.1),
                joint_velocities: joints(0.2),
                joint_efforts: joints(0.3),
                finger_position: 0.02,
                gripper: 0.7,
                measured_at: at(0),
            },
            base_from_tool: Pose::translation(0.3, -0.1, 0.2),
            bridge_state: [0.1 + kind as f64; 7],
            observed_at: at(1),
        };
        let decision = Decision::plain(Action::stay(1.0 / (1.0 + index as f64)));
        let step = Step { index, observation: &observation, decision: &decision, decided_at: at(2) };
        let image = RecordedImage {
            camera: "front".into(),
            captured_at: at(0),
            sequence: index,
            camera_size: (8, 8),
            jpeg: vec![kind as u8; 40 + index as usize],
        };
        writer.record_step_with(&step, &[image]).unwrap();
    }
    let outcome = Outcome::Failure { judge: "success_rule".into(), why: "time".into() };
    writer.end(&EpisodeEnd { outcome, steps, seconds: steps as f64 * 0.2 }).unwrap();
}

fn read(path: &Path) -> RecordedEpisode {
    read_episode_with(path, ReadOptions { images: true, control_ticks: true }).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let name = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<_> = list_episodes(folder).unwrap().into_iter().map(name).collect();
    names.sort();
    names
}

fn set(episodes: &[(&str, u64, u64)]) -> (TempDir, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("set");
    std::fs::create_dir(&folder).unwrap();
    for (name, steps, kind) in episodes {
        record(&folder, name, *steps, *kind);
    }
    (top, folder)
}

fn options() -> EditOptions {
    EditOptions { strict: false, command: "visuomotor recordings test".into() }
}

/// Steps, start, end and attachments are the same; [`RecordedEpisode::edits`] and the path are not.
fn assert_same(a: &RecordedEpisode, b: &RecordedEpisode) {
    assert_eq!((&a.start, &a.end, &a.steps, &a.ticks), (&b.start, &b.end, &b.steps, &b.ticks));
    assert_eq!((&a.notes, &a.gaps, &a.attachments, &a.lost), (&b.notes, &b.gaps, &b.attachments, &b.lost));
}

/// The bytes of each message, in order, with topic and times.
fn messages(path: &Path) -> Vec<(String, u64, u64, u32, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap();
    let all = mcap::MessageStream::new(&bytes).unwrap().map(Result::unwrap);
    all.map(|m| (m.channel.topic.clone(), m.log_time, m.publish_time, m.sequence, m.data.into_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn merging_the_parts_of_a_split_gives_the_same_episodes(
        lengths in prop::collection::vec(1u64..4, 2..7), share in 0.2f64..0.8, seed in any::<u64>()
    ) {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("set");
        std::fs::create_dir(&folder).unwrap();
        for (index, steps) in lengths.iter().enumerate() {
            record(&folder, &format!("e{index}"), *steps, index as u64);
        }
        let (a, b, out) = (top.path().join("a"), top.path().join("b"), top.path().join("out"));
        match split(&folder, [&a, &b], share, seed, &options()) {
            // All on one side: refused, and nothing is left behind.
            Err(RecordingError::Unfit { .. }) => prop_assert!(!a.exists() && !b.exists()),
            Err(error) => prop_assert!(false, "{error}"),
            Ok(_) => {
                prop_assert_eq!(names(&a).len() + names(&b).len(), lengths.len());
                merge(&[b, a], &out, &options()).unwrap();
                prop_assert_eq!(names(&out), names(&folder));
                for (was, is) in list_episodes(&folder).unwrap().iter().zip(list_episodes(&out).unwrap()) {
                    prop_assert_eq!(messages(was), messages(&is));
                    assert_same(&read(was), &read(&is));
                    prop_assert_eq!(read(&is).edits.len(), 2);
                }
            }
        }
    }

    #[test]
    fn a_relabel_changes_only_what_it_says(
        task in prop::option::of("[a-z_]{1,12}"), instruction in prop::option::of(".{0,30}"),
        outcome in prop::option::of(prop::sample::select(vec![OutcomeKind::Success, OutcomeKind::Aborted])),
        note in prop::option::of(".{1,30}"),
    ) {
        let (top, folder) = set(&[("a", 3, 1), ("b", 2, 2)]);
        let out = top.path().join("out");
        let change = EpisodeChange { name: None, task, instruction, outcome, note };
        let done = relabel(&folder, &["b".into()], &change, Placement::New(&out), &options());
        if change == EpisodeChange::default() {
            prop_assert!(done.is_err() && !out.exists());
            return Ok(());
        }
        done.unwrap();
        prop_assert_eq!(messages(&folder.join("a.mcap")), messages(&out.join("a.mcap")));
        let (mut was, is) = (read(&folder.join("b.mcap")), read(&out.join("b.mcap")));
        if let Some(task) = &change.task { was.start.task.clone_from(task); }
        if let Some(instruction) = &change.instruction { was.start.instruction.clone_from(instruction); }
        if let Some(kind) = change.outcome {
            let end = is.end.as_ref().unwrap();
            prop_assert_eq!(end.outcome.kind(), kind);
            was.end.as_mut().unwrap().outcome = end.outcome.clone();
        }
        if let Some(text) = &change.note {
            was.notes.push(Note { at_ns: 300_000_003, by: "relabel".into(), text: text.clone() });
        }
        assert_same(&was, &is);
        let about = |topic: &str| topic.starts_with("/episode/") && topic != "/episode/step";
        let rest = |path: PathBuf| messages(&path).into_iter().filter(|m| !about(&m.0)).collect::<Vec<_>>();
        prop_assert_eq!(rest(folder.join("b.mcap")), rest(out.join("b.mcap")));
    }
}

#[test]
fn each_episode_says_where_it_came_from() {
    let (top, folder) = set(&[("a", 1, 1)]);
    let out = top.path().join("out");
    let change = EpisodeChange { outcome: Some(OutcomeKind::Success), ..EpisodeChange::default() };
    relabel(&folder, &[], &change, Placement::New(&out), &options()).unwrap();
    let [edit] = read(&out.join("a.mcap")).edits.try_into().unwrap();
    assert_eq!((&*edit.command, &*edit.source), ("visuomotor recordings test", "a.mcap"));
    assert_eq!(edit.sha256.len(), 64);
    assert_eq!(edit.changed, "outcome: failure (judged by success_rule) to success (judged by operator)");
    // The settings are those of the run.
    assert_eq!(read(&folder.join("a.mcap")).attachments, read(&out.join("a.mcap")).attachments);
}

#[test]
fn names_that_collide_are_continued_and_listed() {
    let (_a, first) = set(&[("a", 1, 1), ("b", 1, 2)]);
    let (top, second) = set(&[("a", 2, 3)]);
    let out = top.path().join("out");
    let report = merge(&[first.clone(), second.clone()], &out, &options()).unwrap();
    assert_eq!(names(&out), ["a", "a-2", "b"]);
    assert_eq!(read(&out.join("a-2.mcap")).start.name, "a-2");
    let renamed: Vec<_> = report.written.iter().filter(|written| !written.changed.is_empty()).collect();
    assert_eq!(renamed.len(), 1);
    assert_eq!((&renamed[0].source, &renamed[0].changed[0][..]), (&second.join("a.mcap"), r#"name: "a" to "a-2""#));
    assert!(matches!(merge(&[first, second], &out, &options()), Err(RecordingError::FolderExists { .. })));
}

#[test]
fn what_cannot_be_read_is_left_out_or_ends_a_strict_edit() {
    let (top, folder) = set(&[("a", 2, 1), ("b", 2, 2), ("c", 2, 3)]);
    let bytes = std::fs::read(folder.join("b.mcap")).unwrap();
    std::fs::write(folder.join("b.mcap"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(folder.join("text.mcap"), "not a recording").unwrap();
    std::fs::write(folder.join("d.mcap.partial"), "").unwrap();
    let out = top.path().join("out");
    let report = delete(&folder, &["c.mcap".into()], Placement::New(&out), &options()).unwrap();
    assert_eq!(names(&out), ["a"]);
    assert_eq!(report.left_out.len(), 3, "{:?}", report.left_out);
    let strict = EditOptions { strict: true, ..options() };
    let other = top.path().join("other");
    delete(&folder, &["c".into()], Placement::New(&other), &strict).unwrap_err();
    assert!(!other.exists() && !top.path().join("other.partial").exists());
    // In place they stay as they are.
    let report = delete(&folder, &["c".into()], Placement::InPlace, &options()).unwrap();
    assert_eq!(names(&folder), ["a", "b", "text"]);
    assert_eq!(std::fs::read(folder.join("b.mcap")).unwrap(), bytes[..bytes.len() / 2]);
    assert_eq!(names(&report.backup.unwrap()), ["a", "b", "c", "text"]);
    assert!(!top.path().join("set.partial").exists());
    assert!(delete(&folder, &["nothing".into()], Placement::InPlace, &options()).is_err());
}

#[test]
fn contents_go_along_and_are_merged_only_if_every_folder_has_them() {
    let (_a, first) = set(&[("a", 1, 1)]);
    let (top, second) = set(&[("b", 1, 2)]);
    Contents::new(vec![], vec!["pear".into()], vec!["x".into()], 1).add_to(&first).unwrap();
    let report = merge(&[first.clone(), second.clone()], &top.path().join("1"), &options()).unwrap();
    assert_eq!((report.remarks.len(), Contents::read(&top.path().join("1")).unwrap()), (1, None));
    Contents::new(vec![], vec!["die".into()], vec!["y".into()], 2).add_to(&second).unwrap();
    merge(&[first.clone(), second], &top.path().join("2"), &options()).unwrap();
    assert_eq!(Contents::read(&top.path().join("2")).unwrap().unwrap().tasks, ["x", "y"]);
    let change = EpisodeChange { task: Some("z".into()), ..EpisodeChange::default() };
    relabel(&first, &[], &change, Placement::InPlace, &options()).unwrap();
    assert_eq!(Contents::read(&first).unwrap().unwrap().tasks, ["x", "z"]);
}

#[test]
fn an_edit_in_place_that_is_killed_leaves_the_old_folder_or_the_new_one() {
    for steps in 0..=5 {
        let (_top, folder) = set(&[("a", 1, 1), ("b", 1, 2)]);
        std::fs::write(folder.join("readme.txt"), "kept").unwrap();
        let before = std::fs::read(folder.join("a.mcap")).unwrap();
        let mut change = InPlace::new(&folder).unwrap();
        let tasks: Vec<Task> = tasks_of(&folder).unwrap().into_iter().filter(|task| task.name == "a").collect();
        let mut report = EditReport::default();
        change
            .run(steps, |draft| {
                write(&tasks, draft, &options(), &mut report)?;
                keep_others(&folder, draft, &["a".into(), "b".into()])
            })
            .unwrap();
        assert_eq!(std::fs::read(folder.join("readme.txt")).unwrap(), b"kept");
        if steps < 4 {
            assert_eq!(names(&folder), ["a", "b"], "{steps}");
            assert_eq!(std::fs::read(folder.join("a.mcap")).unwrap(), before);
        } else {
            assert_eq!(names(&folder), ["a"], "{steps}");
            assert_eq!(read(&folder.join("a.mcap")).edits.len(), 1);
        }
        // From its second step on the backup has its name, and is whole.
        if steps >= 2 {
            assert_eq!(names(change.backup()), ["a", "b"], "{steps}");
            assert_eq!(std::fs::read(change.backup().join("a.mcap")).unwrap(), before);
        }
    }
}
