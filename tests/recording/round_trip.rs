//! What is written is read back: every number, and the image within JPEG's error.

use visuomotor::action::AskedTorques;
use visuomotor::episode::StepSink;
use visuomotor::observation::JointVector;
use visuomotor::recording::*;

use super::episodes::*;

#[test]
fn every_number_comes_back_and_the_picture_within_jpegs_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EpisodeWriter::create(folder.path(), "a", WriterOptions::default()).unwrap();
    let all = record(&mut writer, "a", 7, (64, 48));
    let path = folder.path().join("a.mcap");
    let episode = read_episode_with(&path, ReadOptions { images: true, control_ticks: true }).unwrap();
    assert!(episode.complete, "{:?}", episode.lost);
    assert_eq!(episode.lost, None);
    assert_eq!(episode.start, start("a"));
    assert_eq!(episode.end, Some(end(7)));
    assert_eq!(episode.steps.len(), 7);
    for (index, (told, step)) in all.iter().zip(&episode.steps).enumerate() {
        assert_eq!(step.index, index as u64);
        assert_eq!(step.observed_at, told.observation.observed_at);
        assert_eq!(step.decided_at, told.decided_at);
        assert_eq!(step.proprioception, told.observation.proprioception);
        assert_eq!(step.base_from_tool, told.observation.base_from_tool);
        assert_eq!(step.bridge_state, told.observation.bridge_state);
        assert_eq!(step.action, told.decision.action);
        assert_eq!(step.label, told.decision.label);
        assert_eq!(step.motion, told.decision.motion);
        assert_eq!(step.decided_by, told.decision.decided_by);
        assert_eq!(step.embedding, told.decision.embedding);
        assert_eq!(step.encoder_seconds, told.decision.encoder_seconds);
        assert_eq!(step.policy_seconds, told.decision.policy_seconds);
        let (was, is) = (&told.observation.images[0], step.image().unwrap().decode().unwrap());
        assert_eq!((&is.camera, is.captured_at, is.sequence), (&was.camera, was.captured_at, was.sequence));
        let (largest, mean) = difference(was, &is);
        assert!(largest <= 40 && mean < 2.0, "largest {largest}, mean {mean}");
        assert_eq!(step.observation().unwrap().bridge_state, told.observation.bridge_state);
    }
    let ticks: Vec<_> = (0..70).map(tick).collect();
    assert_eq!(episode.ticks, ticks);
}

#[test]
fn every_kind_of_motion_comes_back_beside_the_steps_that_have_none() {
    for motion in motions() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EpisodeWriter::create(folder.path(), "asked", WriterOptions::default()).unwrap();
        writer.episode_started(&start("asked")).unwrap();
        for index in 0..3 {
            let mut step = told(index, vec![]);
            step.decision.motion = (index == 1).then_some(motion);
            tell(&mut writer, index, &step).unwrap();
        }
        writer.episode_ended(&end(3)).unwrap();
        let asked = |episode: &RecordedEpisode| episode.steps.iter().map(|step| step.motion).collect::<Vec<_>>();
        let all = ReadOptions { images: true, control_ticks: true };
        let episode = read_episode_with(writer.path(), all).unwrap();
        assert_eq!(asked(&episode), [None, Some(motion), None]);
        let part = trim(&episode, 1, 2, folder.path(), "part").unwrap();
        assert_eq!(asked(&read_episode(&part).unwrap()), [Some(motion)]);
    }
}

#[test]
fn nan_comes_back_as_nan() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EpisodeWriter::create(folder.path(), "nan", WriterOptions::default()).unwrap();
    let mut odd = told(0, vec![]);
    odd.decision.action.translation[1] = f64::NAN;
    odd.decision.policy_seconds = f64::NAN;
    odd.decision.motion = Some(AskedTorques::plain(JointVector::from_slice(&[1.5, f64::NAN])).into());
    let mut early = tick(0);
    early.image_age_seconds = f64::NAN;
    writer.start(&start("nan")).unwrap();
    writer.record_tick(&early).unwrap();
    tell(&mut writer, 0, &odd).unwrap();
    writer.end(&end(1)).unwrap();
    let episode = read_episode_with(writer.path(), ReadOptions { images: true, control_ticks: true }).unwrap();
    assert!(episode.steps[0].action.translation[1].is_nan());
    assert_eq!(episode.steps[0].action.translation[0], odd.decision.action.translation[0]);
    assert!(episode.steps[0].policy_seconds.is_nan());
    let asked = episode.steps[0].motion.and_then(|motion| motion.torques()).unwrap().asked;
    assert!(asked[0] == 1.5 && asked[1].is_nan(), "{asked:?}");
    assert!(episode.ticks[0].image_age_seconds.is_nan());
    assert_eq!(episode.ticks[0].step_index, None);
}

#[test]
fn pictures_are_scaled_when_asked_and_all_cameras_are_kept_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let options = WriterOptions { record_size: Some((32, 24)), ..WriterOptions::default() };
    let mut writer = EpisodeWriter::create(folder.path(), "s", options).unwrap();
    let seen = told(0, vec![image("wrist", 64, 48, 0), image("front", 32, 24, 0)]);
    writer.start(&start("s")).unwrap();
    tell(&mut writer, 0, &seen).unwrap();
    writer.end(&end(1)).unwrap();
    let episode = read_episode(writer.path()).unwrap();
    let images = &episode.steps[0].images;
    assert_eq!(images.iter().map(|image| &*image.camera).collect::<Vec<_>>(), ["wrist", "front"]);
    assert_eq!(images[0].camera_size, (64, 48));
    let small = images[0].decode().unwrap();
    assert_eq!((small.width, small.height), (32, 24));
    // Scaled down, the scene is the same.
    let (_, mean) = difference(&images[1].decode().unwrap(), &small);
    assert!(mean < 6.0, "mean {mean}");
}

#[test]
fn reading_without_pictures_or_ticks_leaves_them_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EpisodeWriter::create(folder.path(), "a", WriterOptions::default()).unwrap();
    record(&mut writer, "a", 2, (16, 16));
    let episode = read_episode_with(writer.path(), ReadOptions { images: false, control_ticks: false }).unwrap();
    assert!(episode.complete && episode.ticks.is_empty());
    assert!(episode.steps[0].image().unwrap().jpeg.is_empty());
}

#[test]
fn a_trimmed_episode_has_its_steps_byte_for_byte_and_says_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EpisodeWriter::create(folder.path(), "long", WriterOptions::default()).unwrap();
    writer.episode_started(&start("long")).unwrap();
    for index in 0..10 {
        tell(&mut writer, index, &told(index, vec![image("front", 32, 24, index)])).unwrap();
    }
    writer.episode_ended(&end(10)).unwrap();
    let all = ReadOptions { images: true, control_ticks: true };
    let long = read_episode_with(writer.path(), all).unwrap();
    let path = trim(&long, 3, 7, folder.path(), "short").unwrap();
    let short = read_episode_with(&path, all).unwrap();
    assert!(short.complete, "{:?}", short.lost);
    assert_eq!(short.steps.iter().map(|step| step.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    for (kept, step) in short.steps.iter().zip(&long.steps[3..7]) {
        assert_eq!((&kept.images, kept.observed_at, kept.action), (&step.images, step.observed_at, step.action));
        assert_eq!((kept.bridge_state, &kept.embedding), (step.bridge_state, &step.embedding));
    }
    assert_eq!(short.ticks.len(), 4 * TICKS_PER_STEP as usize);
    assert!(short.notes[0].text.contains("steps 3 to 6 of long.mcap"), "{:?}", short.notes);
    assert!(trim(&long, 3, 7, folder.path(), "short").is_err(), "the file was overwritten");
    assert!(trim(&long, 8, 8, folder.path(), "none").is_err());
}
