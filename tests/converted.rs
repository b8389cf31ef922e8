//! `visuomotor convert --to onnx`: the output, the refusals, and, with onnxruntime, that results are unchanged.

use crate::program::{Project, refused, root};

#[test]
fn a_policy_becomes_a_folder_that_says_what_goes_in() {
    let project = Project::new();
    let convert = ["convert", "policies/button/panda_torque", "--to", "onnx", "--out", "converted"];
    refused(&project.call(&convert), &["--camera", "launch file"]);
    let convert = [&convert[..], &["--camera", "front"]].concat();
    let output = project.call(&convert);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["module"], "module.onnx");
    let said = project.call(&["policy", "inspect", "converted"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for word in ["panda at 50 Hz", "(ONNX)", "camera `front`, 128x128", "joint positions", "joint torques"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // Existing files are not overwritten, and policies made elsewhere are not converted.
    refused(&project.call(&convert), &["converted", "--out"]);
    let again = ["convert", "converted", "--to", "onnx", "--camera", "front", "--out", "again"];
    refused(&project.call(&again), &["converted", "made elsewhere"]);
}

#[test]
fn an_encoder_becomes_a_graph_and_wrong_calls_are_refused() {
    let project = Project::new();
    let weights = "policies/button/panda/encoder.safetensors";
    let convert =
        |more: &[&str]| project.call(&[&["convert", weights, "--to", "onnx", "--out", "small.onnx"], more].concat());
    refused(&convert(&[]), &["--encoder", "policy folder"]);
    refused(&convert(&["--encoder", "vip"]), &["encoder.safetensors", "key `"]);
    assert!(!project.path("small.onnx").exists());
    let output = convert(&["--encoder", "small"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let model = visuomotor::onnx::Model::read(&std::fs::read(project.path("small.onnx")).unwrap()).unwrap();
    assert_eq!(model.inputs[0].to_string(), "f32 (1, 3, 128, 128)");
    assert_eq!(model.outputs[0].to_string(), "f32 (1, 128)");
    refused(
        &project.call(&["convert", "policies/button/panda", "x.onnx", "--to", "onnx", "--encoder", "small"]),
        &["--encoder"],
    );
    let output = project.call(&["convert", weights, "--to", "onnx"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(root().join(weights).exists());
}

/// In builds with onnxruntime.
#[cfg(feature = "onnx")]
mod with_onnxruntime {
    use std::path::Path;
    use std::sync::Arc;

    use tch::{Device, nn};
    use visuomotor::action::{ActionSource, Decision, MotionKind};
    use visuomotor::config::ControlLaw;
    use visuomotor::encoder::weights::save;
    use visuomotor::geometry::{Approach, Pose};
    use visuomotor::network::fill;
    use visuomotor::observation::{Image, JointVector, Observation, Proprioception};
    use visuomotor::policy::{Actor, BroughtPolicy, Checkpoint, Condition, HeadKind, Offer, VisualPolicy};
    use visuomotor::time::{SystemClock, Timestamp};

    use super::*;

    /// A camera's image, not square, and a state within what the policy was trained on.
    fn observation(checkpoint: &Checkpoint, joints: usize, seed: u32) -> Observation {
        let mut random = seed.wrapping_mul(0x9e37_79b9) | 1;
        let mut draw = move || {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random
        };
        let [width, height] = checkpoint.camera_size;
        let pixels: Vec<u8> = (0..width * height * 3)
            .map(|i| {
                let (row, column) = (i / 3 / width, i / 3 % width);
                let block = ((column / 80 + row / 60) * (37 + seed) + i % 3 * 71) % 200;
                (block + draw() % 56) as u8
            })
            .collect();
        let mut near = |mean: f64, spread: f64| mean + spread * (f64::from(draw() % 2001) / 1000.0 - 1.0);
        let state = &checkpoint.state;
        let bridge_state = std::array::from_fn(|i| near(state.mean[i], state.std[i]));
        let scale = checkpoint.joints.as_ref();
        let of =
            |near: &mut dyn FnMut(usize) -> f64| JointVector::from_slice(&(0..joints).map(near).collect::<Vec<_>>());
        let joint_positions = of(&mut |i| scale.map_or(0.0, |s| near(s.position_mean[i], s.position_std[i])));
        let joint_velocities = of(&mut |i| scale.map_or(0.0, |s| near(0.0, s.velocity_std[i])));
        let captured_at = Timestamp::from_nanos(u64::from(seed));
        Observation {
            images: vec![Image {
                camera: "front".into(),
                width,
                height,
                pixels: pixels.into(),
                captured_at,
                sequence: 0,
            }],
            proprioception: Proprioception {
                joint_positions,
                joint_velocities,
                joint_efforts: JointVector::zeros(joints),
                finger_position: 0.0,
                gripper: bridge_state[6],
                measured_at: captured_at,
            },
            base_from_tool: Pose::identity(),
            bridge_state,
            observed_at: captured_at,
        }
    }

    /// The action's numbers, and the torques'.
    fn numbers(decision: &Decision) -> Vec<f64> {
        let torques =
            decision.motion.and_then(|motion| motion.torques()).map(|asked| asked.asked.to_vec()).unwrap_or_default();
        decision.action.to_array().into_iter().chain(torques).collect()
    }

    /// Largest difference between a policy and its conversion over observations, and the largest number.
    fn compare(folder: &Path, joints: usize) -> (f64, f64) {
        let checkpoint = Checkpoint::load(folder).unwrap();
        let clock = || Arc::new(SystemClock::new());
        let (mut worst, mut largest) = (0.0f64, 0.0f64);
        for task in &checkpoint.tasks {
            let mut own = VisualPolicy::load(folder, task, visuomotor::network::choose_device(), clock()).unwrap();
            let converted = tempfile::tempdir().unwrap();
            own.to_onnx("front").unwrap().write(converted.path()).unwrap();
            let offer = Offer {
                robot: &checkpoint.robot,
                joints,
                rate_hz: checkpoint.rate_hz,
                bounds: &checkpoint.bounds,
                camera_size: checkpoint.camera_size,
                law: if checkpoint.head.asks_torques() { ControlLaw::Torque } else { ControlLaw::Interpolate },
                approach: Approach::X,
            };
            let condition = Condition { task, ..Condition::default() };
            let mut other = BroughtPolicy::load(converted.path(), &offer, &["front"], &condition, clock()).unwrap();
            for seed in 0..5 {
                let observation = observation(&checkpoint, joints, seed);
                let (own, other) = (own.decide(&observation).unwrap(), other.decide(&observation).unwrap());
                assert_eq!(MotionKind::of(own.motion.as_ref()), MotionKind::of(other.motion.as_ref()));
                let (own, other) = (numbers(&own), numbers(&other));
                assert_eq!(own.len(), other.len());
                for (own, other) in own.iter().zip(&other) {
                    worst = worst.max((own - other).abs());
                    largest = largest.max(own.abs());
                }
            }
        }
        (worst, largest)
    }

    #[test]
    fn every_shipped_policy_asks_for_the_same_actions() {
        for (name, joints) in [
            ("kitchen", 6),
            ("button/panda", 7),
            ("button/panda_torque", 7),
            ("button/sawyer_torque", 7),
            ("button/jaco_j2n7s300_torque", 7),
        ] {
            let (worst, largest) = compare(&root().join("policies").join(name), joints);
            assert!(worst < 1e-4 && largest > 1e-3, "{name}: {worst:.1e} of {largest:.1e}");
        }
    }

    #[test]
    fn an_actor_asks_for_the_same_actions_with_and_without_places() {
        let _alone = crate::alone();
        for locates in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let shipped = root().join("policies/button/panda");
            std::fs::copy(shipped.join("encoder.safetensors"), folder.path().join("encoder.safetensors")).unwrap();
            let mut checkpoint = Checkpoint::load(&shipped).unwrap();
            let store = nn::VarStore::new(Device::Cpu);
            let actor = Actor::new(&store.root(), 128, 24, checkpoint.tasks.len() as i64, &[40, 32], locates).unwrap();
            fill(&store, 5).unwrap();
            let head = folder.path().join("head.safetensors");
            save(&store, &head, "test").unwrap();
            drop(actor);
            checkpoint.head_digest = visuomotor::config::digest(&std::fs::read(head).unwrap());
            (checkpoint.head, checkpoint.latent, checkpoint.locates) = (HeadKind::Actor, Some(24), locates);
            checkpoint.hidden = vec![40, 32];
            // A gripper that closes half-way: the bounds' gripper goes into the graph.
            (checkpoint.bounds.low[6], checkpoint.bounds.high[6]) = (0.25, 0.75);
            std::fs::write(Checkpoint::path(folder.path()), toml::to_string(&checkpoint).unwrap()).unwrap();
            let (worst, largest) = compare(folder.path(), 7);
            assert!(worst < 1e-4 && largest > 1e-3, "{worst:.1e} of {largest:.1e}");
        }
    }

    #[test]
    fn without_the_library_it_is_said_what_to_do() {
        let project = Project::new();
        let module = root().join("tests/golden/brought/policy.onnx").display().to_string();
        let inputs = ["--input", "image:front:32", "--input", "state", "--actions", "pose-change", "--normalized"];
        let new = ["policy", "new", &module, "--robot", "widowx", "--rate", "5", "--chunk", "8", "--out", "mine"];
        let new = [&new[..], &inputs].concat();
        let call = |library: &Path| project.command(&new).env("ORT_DYLIB_PATH", library).output().unwrap();
        refused(&call(Path::new("none.so")), &["none.so", "ORT_DYLIB_PATH"]);
        // Something else of that name, and a library of something else.
        std::fs::write(project.path("text.so"), "no library").unwrap();
        refused(&call(&project.path("text.so")), &["text.so", "cargo xtask setup --onnx"]);
        let other = root().join(".deps/libtorch/lib/libc10.so");
        refused(&call(&other), &["libc10.so", "OrtGetApiBase", "cargo xtask setup --onnx"]);
        assert!(!project.path("mine/policy.toml").exists());
        let output = project.call(&new);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let beside = root().join("tests/golden/brought/beside.onnx").display().to_string();
        let new = ["policy", "new", &beside, "--robot", "widowx", "--rate", "5", "--input", "state", "--out", "beside"];
        let output = project.call(&[&new[..], &["--actions", "pose-change"]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(project.path("beside/beside.data").exists());
        let said = project.call(&["policy", "inspect", "beside"]);
        assert!(String::from_utf8_lossy(&said.stdout).contains("weights beside.data"), "{said:?}");
    }
}
