//! Behavior cloning on a tiny made-up data set: the loss falls, and a resumed run is the unbroken one to the last bit.

use std::cell::Cell;
use std::path::Path;

use visuomotor::config::load;
use visuomotor::encoder::EncoderKind;
use visuomotor::network::{choose_device, fill};
use visuomotor::policy::Checkpoint;
use visuomotor::recording::{EpisodeWriter, WriterOptions};
use visuomotor::training::behavior_cloning::{Settings, train};
use visuomotor::training::{Curves, Dataset, Run, TrainedEncoder};

use super::recording::episodes::{decision, end, image, observation, start};

fn data_set(folder: &Path) {
    for episode in 0..3u64 {
        let name = format!("episode-{episode}");
        let mut writer = EpisodeWriter::create(folder, &name, WriterOptions::default()).unwrap();
        writer.start(&start(&name)).unwrap();
        for index in 0..8 {
            let seen = observation(vec![image("front", 128, 128, index + episode * 20)], index);
            let decided = decision(index + episode);
            let step = visuomotor::episode::Step {
                index,
                observation: &seen,
                decision: &decided,
                decided_at: seen.observed_at,
            };
            writer.record_step(&step).unwrap();
        }
        writer.end(&end(8)).unwrap();
    }
}

fn settings() -> Settings {
    let mut settings: Settings =
        load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("launch/behavior_cloning.toml")).unwrap();
    settings.steps = 12;
    settings.batch_size = 8;
    settings.warmup_steps = 1;
    settings.checkpoint_every = 4;
    settings.validation = 3;
    settings.bf16 = false;
    settings
}

/// Trains at most `most` further steps; returns whether it came to the end.
fn run(data: &Dataset, out: &Path, resume: bool, most: u32) -> bool {
    let left = Cell::new(most);
    let stop = || {
        let now = left.get();
        left.set(now.saturating_sub(1));
        now == 0
    };
    let nobody = |_: &Path| Ok(None);
    let silent = |_: &str| {};
    train(
        &settings(),
        data,
        &Run {
            out,
            resume,
            device: choose_device(),
            command: "test".into(),
            stop: &stop,
            tell: &silent,
            score: &nobody,
        },
    )
    .unwrap()
}

#[test]
fn a_resumed_run_ends_in_the_weights_of_an_unbroken_one() {
    let _alone = super::alone();
    let folder = tempfile::tempdir().unwrap();
    let (episodes, whole, broken) = (folder.path().join("d"), folder.path().join("a"), folder.path().join("b"));
    std::fs::create_dir(&episodes).unwrap();
    data_set(&episodes);
    let data = Dataset::read(&episodes, &settings().tasks, 128).unwrap();
    assert_eq!((data.episodes(), data.len()), (3, 24));
    assert!(run(&data, &whole, false, 100));
    assert!(!run(&data, &broken, false, 8));
    assert!(run(&data, &broken, true, 100));
    for file in ["encoder.safetensors", "head.safetensors", "policy.toml"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&whole) == read(&broken), "{file} differs");
    }
    let curves: Curves = serde_json::from_slice(&std::fs::read(whole.join("curves.json")).unwrap()).unwrap();
    let losses = &curves.series["train_loss"];
    assert!(losses.last().unwrap().1 < losses[0].1, "{losses:?}");
}

#[test]
fn a_folder_without_episodes_and_an_unknown_task_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Dataset::read(folder.path(), &settings().tasks, 128).err().unwrap().to_string();
    assert!(error.contains("no episodes"), "{error}");
    data_set(folder.path());
    let error = Dataset::read(folder.path(), &["juggle".to_string()], 128).err().unwrap().to_string();
    assert!(error.contains("croissant_out_of_bowl") && error.contains("juggle"), "{error}");
}

#[test]
fn a_frozen_encoder_stays_as_it_was_while_the_head_learns() {
    let _alone = super::alone();
    let folder = tempfile::tempdir().unwrap();
    let (episodes, weights) = (folder.path().join("d"), folder.path().join("weights.safetensors"));
    std::fs::create_dir(&episodes).unwrap();
    data_set(&episodes);
    let encoder = TrainedEncoder::new(EncoderKind::Small, None, false, choose_device()).unwrap();
    fill(&encoder.variables, 4).unwrap();
    encoder.save(&weights).unwrap();
    let settings = Settings { freeze_encoder: true, encoder_weights: Some(weights.clone()), ..settings() };
    let data = Dataset::read(&episodes, &settings.tasks, 128).unwrap();
    let out = folder.path().join("out");
    let run = Run {
        out: &out,
        resume: false,
        device: choose_device(),
        command: "test".into(),
        stop: &|| false,
        tell: &|_| {},
        score: &|_| Ok(None),
    };
    assert!(train(&settings, &data, &run).unwrap());
    let read = |file: &Path| std::fs::read(file).unwrap();
    assert!(read(&out.join("encoder.safetensors")) == read(&weights));
    assert!(Checkpoint::load(&out).is_ok());
    let curves: Curves = serde_json::from_slice(&read(&out.join("curves.json"))).unwrap();
    let losses = &curves.series["train_loss"];
    assert!(losses.last().unwrap().1 < losses[0].1, "{losses:?}");
}

/// Named after a bug: with ten demonstrations and `validation = 1` training ended in an error of libtorch's.
#[test]
fn settings_that_leave_nothing_to_train_on_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    data_set(folder.path());
    let settings = Settings { validation: 1, ..settings() };
    let data = Dataset::read(folder.path(), &settings.tasks, 128).unwrap();
    let out = folder.path().join("out");
    let run = Run {
        out: &out,
        resume: false,
        device: choose_device(),
        command: "test".into(),
        stop: &|| false,
        tell: &|_| {},
        score: &|_| Ok(None),
    };
    let error = train(&settings, &data, &run).unwrap_err().to_string();
    assert!(error.contains("validation: found 1"), "{error}");
}
