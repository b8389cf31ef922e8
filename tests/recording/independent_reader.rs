//! A reader that shares no code with ours sees the same numbers.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use visuomotor::recording::*;

use super::episodes::*;

fn read(path: &Path) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".deps/python/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask setup`, or `python3 -m venv .deps/python && .deps/python/bin/pip install \
         mcap==1.6.0 mcap-ros2-support==0.6.0`",
        python.display()
    );
    let output = Command::new(python).arg(root.join("tests/recording/read_mcap.py")).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

#[test]
fn mcap_ros2_decodes_every_message_and_sees_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EpisodeWriter::create(folder.path(), "a", WriterOptions::default()).unwrap();
    let all = record(&mut writer, "a", 4, (64, 48));
    let seen = read(writer.path());
    assert_eq!(seen["profile"], "ros2");
    assert_eq!(seen["attachments"]["settings.toml"], start("a").settings);
    assert_eq!(seen["metadata"]["visuomotor"]["format_version"], FORMAT_VERSION.to_string());
    let counts = seen["counts"].as_object().unwrap();
    for (topic, count) in [
        ("/camera/front/compressed", 4),
        ("/observed_joint_states", 4),
        ("/tool_pose", 4),
        ("/bridge_state", 4),
        ("/action", 4),
        ("/action_label", 4),
        ("/embedding", 2),
        ("/joint_states", 40),
        ("/wished_command", 40),
        ("/sent_command", 40),
        ("/control_tick", 40),
        ("/episode/start", 1),
        ("/episode/step", 4),
        ("/episode/safety", 16),
        ("/episode/end", 1),
    ] {
        assert_eq!(counts[topic], count, "{topic}");
    }
    assert_eq!(counts.len(), 15);
    let total: u64 = counts.values().filter_map(Value::as_u64).sum();
    assert_eq!(seen["messages_in_summary"], total);
    for (index, told) in all.iter().enumerate() {
        let (observation, decision) = (&told.observation, &told.decision);
        let image = &seen["images"][index];
        assert_eq!(image[0], observation.images[0].captured_at.as_nanos());
        assert_eq!((&image[1], &image[2], &image[3]), (&"front".into(), &64.into(), &48.into()));
        let body = &observation.proprioception;
        let observed = &seen["observed"][index];
        assert_eq!(observed[0], body.measured_at.as_nanos());
        assert_eq!(numbers(&observed[1]), [&body.joint_positions[..], &[body.gripper, body.finger_position]].concat());
        assert_eq!(numbers(&observed[2]), [&body.joint_velocities[..], &[0.0, 0.0]].concat());
        assert_eq!(numbers(&observed[3]), [&body.joint_efforts[..], &[0.0, 0.0]].concat());
        let (p, q) = (&observation.base_from_tool.translation, &observation.base_from_tool.rotation);
        assert_eq!(seen["poses"][index][0], "base");
        assert_eq!(numbers(&seen["poses"][index]), [p.x, p.y, p.z, q.i, q.j, q.k, q.w]);
        assert_eq!(numbers(&seen["actions"][index])[1..], decision.action.to_array());
        assert_eq!(seen["actions"][index][1], 7);
    }
    let embedding = all[0].decision.embedding.as_ref().unwrap();
    assert_eq!(seen["embeddings"][0][0], embedding.encoder_digest);
    assert_eq!(numbers(&seen["embeddings"][0]), embedding.values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    for index in 0..40 {
        let told = tick(index);
        let joints = &seen["joints"][index as usize];
        assert_eq!(joints[0], told.at.as_nanos());
        assert_eq!(joints[1][6], "gripper");
        assert_eq!(numbers(&joints[2]), [&told.measured[..], &[told.measured_gripper]].concat());
    }
    let events = seen["json"].as_array().unwrap();
    let last = events.last().unwrap();
    assert_eq!((&last[0], &last[1]["outcome"]["outcome"]), (&"/episode/end".into(), &"success".into()));
}

#[test]
fn a_recovered_file_opens_there_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EpisodeWriter::create(folder.path(), "a", WriterOptions::default()).unwrap();
    record(&mut writer, "a", 4, (32, 24));
    let bytes = std::fs::read(writer.path()).unwrap();
    let cut = folder.path().join("b.mcap.partial");
    std::fs::write(&cut, &bytes[..bytes.len() * 6 / 10]).unwrap();
    let recovered = recover(&cut).unwrap();
    let seen = read(&recovered.path);
    assert_eq!(seen["counts"]["/episode/step"], recovered.steps);
    assert!(seen["metadata"]["visuomotor.recovered"]["lost"].as_str().unwrap().contains("steps are kept"));
}
