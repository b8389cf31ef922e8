//! Files of earlier versions mean what they meant.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::training::{behavior_cloning, cql, icvf, reward_weighted, torque_cloning, vip};
use visuomotor_core::config::{load, parse};

fn checkout(file: &str) -> PathBuf {
    Path::new(crate::CHECKOUT).join(file)
}

/// A launch file's settings, and those of the same file under the former names; `changed` are further changes to its text.
/// What is known by the digest of the latter is known on.
fn both<S: DeserializeOwned>(algorithm: &str, file: &str, changed: &[(&str, &str)]) -> (S, S) {
    let file = checkout(file);
    let mut text = std::fs::read_to_string(&file).unwrap();
    for (now, former) in changed {
        assert!(text.contains(now), "{now}");
        text = text.replace(now, former);
    }
    let former = |line: &str| match line.split_once(" = ") {
        Some((key, value)) => {
            let former = FORMER.iter().find(|(_, now)| *now == key).map_or(key, |(former, _)| former);
            format!("{former} = {value}")
        }
        None => line.to_string(),
    };
    let text: Vec<String> = text.lines().map(former).collect();
    let (written, text) = (std::fs::read_to_string(&file).unwrap(), text.join("\n"));
    assert_eq!(
        under_former_names(algorithm, written.parse().unwrap()).to_string(),
        text.parse::<toml::Table>().unwrap().to_string()
    );
    (load(&file).unwrap(), parse(&file, &text).unwrap())
}

#[test]
fn a_file_of_an_earlier_version_gives_the_same_settings() {
    let last = [("final_lr_fraction = 0.01", "final_learning_rate = 1e-5")];
    let (now, former) = both::<behavior_cloning::Settings>("behavior-cloning", "launch/behavior_cloning.toml", &last);
    assert_eq!(now, former);
    let last = [("final_lr_fraction = 0.1", "final_learning_rate = 1e-5")];
    let (now, former) = both::<behavior_cloning::Settings>("behavior-cloning", "launch/paper/r3m_cloning.toml", &last);
    assert_eq!(now, former);
    let last = [("final_lr_fraction = 0.01", "final_learning_rate = 1e-5")];
    let (now, former) = both::<torque_cloning::Settings>("torque-cloning", "launch/button/torque_cloning.toml", &last);
    assert_eq!(now, former);
    for file in ["launch/small/cql.toml", "launch/small/finetune.toml", "launch/smoke/finetune.toml"] {
        let (now, former) = both::<cql::Settings>("finetune", file, &[]);
        assert_eq!(now, former);
    }
    let (now, former) =
        both::<icvf::Settings>("icvf", "launch/small/icvf.toml", &[("final_lr_fraction = 0.0", "cosine = true")]);
    assert_eq!(now, former);
    let text = std::fs::read_to_string(checkout("launch/small/icvf.toml")).unwrap();
    let constant = text.replace("final_lr_fraction = 0.0", "cosine = false");
    let constant: icvf::Settings = parse(Path::new("icvf.toml"), &constant).unwrap();
    assert_eq!(constant, icvf::Settings { final_lr_fraction: Fraction::ONE, ..now });
    let (now, former) = both::<vip::Settings>("vip", "launch/small/vip.toml", &[]);
    assert_eq!(now, former);
    let (now, former) = both::<reward_weighted::Settings>("reward-weighted", "launch/small/reward_weighted.toml", &[]);
    assert_eq!(now, former);
}

#[test]
fn a_last_learning_rate_above_the_largest_is_refused() {
    let file = checkout("launch/behavior_cloning.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("final_lr_fraction = 0.01", "final_learning_rate = 2e-3");
    let error = parse::<behavior_cloning::Settings>(&file, &text).unwrap_err().to_string();
    assert!(error.contains("final_learning_rate: found 0.002") && error.contains("0.001"), "{error}");
}

fn map(settings: &impl Serialize) -> Map<String, Value> {
    serde_json::to_value(settings).unwrap().as_object().unwrap().clone()
}

/// The shipped policies were trained before the keys had their names; a training that goes on reports no difference.
#[test]
fn the_records_of_shipped_policies_have_the_settings_of_now() {
    let of = |folder: &str| -> Map<String, Value> {
        let text = std::fs::read(checkout("policies").join(folder).join("record.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["settings"].as_object().unwrap().clone()
    };
    let record = of("kitchen");
    let read: behavior_cloning::Settings = serde_json::from_value(record.clone().into()).unwrap();
    let launched: behavior_cloning::Settings = load(&checkout("launch/behavior_cloning.toml")).unwrap();
    assert_eq!((read.final_lr_fraction, read.warmup_steps), (launched.final_lr_fraction, launched.warmup_steps));
    let different = |now: Map<String, Value>, then: &Map<String, Value>| {
        now.into_iter().filter(|(key, value)| recorded(then, key) != *value).map(|(key, _)| key).collect::<Vec<_>>()
    };
    // That key is younger than this policy.
    assert_eq!(different(map(&read), &record), ["freeze_encoder"]);
    let record = of("button/jaco_j2n7s300_torque");
    let read: torque_cloning::Settings = serde_json::from_value(record.clone().into()).unwrap();
    assert_eq!(different(map(&read), &record), [""; 0]);
    // What does differ is reported, of every form.
    let faster = torque_cloning::Settings { warmup_steps: 1, final_lr_fraction: Fraction::ONE, ..read };
    assert_eq!(different(map(&faster), &record), ["final_lr_fraction", "warmup_steps"]);
    let falling: Map<String, Value> = [("cosine".to_string(), Value::Bool(true))].into_iter().collect();
    assert_eq!(recorded(&falling, "final_lr_fraction"), 0.0);
}
