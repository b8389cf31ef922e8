//! Modules written by PyTorch (`tests/golden/make_brought.py`), and stations they do not fit.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::description::Scaling;
use super::*;
use visuomotor_core::action::{Action, ActionBounds, Motion};
use visuomotor_core::config::ControlLaw;
use visuomotor_core::geometry::Pose;
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::time::{ManualClock, Timestamp};

#[derive(Deserialize)]
pub(super) struct Expected {
    pub state: [f64; 7],
    pub actions: Vec<Vec<f64>>,
}

pub(super) fn golden() -> PathBuf {
    Path::new(crate::CHECKOUT).join("tests/golden/brought")
}

pub(super) fn golden_actions() -> Expected {
    serde_json::from_slice(&std::fs::read(golden().join("expected.json")).unwrap()).unwrap()
}

/// A policy folder of the module `name`.
pub(super) fn folder(name: &str, change: impl FnOnce(&mut Description)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(golden().join(name)).unwrap();
    let file = Path::new("policy").with_extension(Path::new(name).extension().unwrap());
    std::fs::write(folder.path().join(&file), &bytes).unwrap();
    let image =
        Input::Image { camera: "front".into(), size: 32, channels: Channels::First, pixels: Pixels::Unit, history: 1 };
    let mut description = Description {
        version: Description::VERSION,
        name: "brought".into(),
        robot: "widowx".into(),
        rate_hz: 5.0,
        tasks: Vec::new(),
        bounds: ActionBounds::BRIDGE,
        module: Module { file, digest: visuomotor_core::config::digest(&bytes), data: Vec::new() },
        input: vec![image, Input::State(Default::default())],
        output: Output {
            actions: ActionKind::PoseChange,
            units: Units::Normalized,
            chunk: 8,
            execute: Some(3),
            blend: 0.0,
            scaling: OutputScaling::default(),
        },
    };
    change(&mut description);
    std::fs::write(folder.path().join("policy.toml"), toml::to_string(&description).unwrap()).unwrap();
    folder
}

pub(super) fn offer() -> Offer<'static> {
    const BRIDGE: ActionBounds = ActionBounds::BRIDGE;
    Offer {
        robot: "widowx",
        joints: 6,
        rate_hz: 5.0,
        bounds: &BRIDGE,
        camera_size: [640, 480],
        law: ControlLaw::Interpolate,
        approach: Approach::X,
    }
}

pub(super) fn load(folder: &Path, offer: &Offer<'_>) -> Result<BroughtPolicy, PolicyError> {
    load_for(folder, offer, "")
}

fn load_for(folder: &Path, offer: &Offer<'_>, instruction: &str) -> Result<BroughtPolicy, PolicyError> {
    let condition = Condition { task: "stack", instruction, goal: None };
    BroughtPolicy::load(folder, offer, &["wrist", "front"], &condition, Arc::new(ManualClock::new()))
}

pub(super) fn refused(folder: &Path, offer: &Offer<'_>) -> String {
    match load(folder, offer) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was taken"),
    }
}

pub(super) fn observation(at: u64, state: [f64; 7]) -> Observation {
    let pixels: Vec<u8> =
        (0..32 * 32 * 3).map(|i| ((3 * (i / 96) + 5 * (i / 3 % 32) + 7 * (i % 3)) % 256) as u8).collect();
    let image = |camera: &str, pixels: Vec<u8>| Image {
        camera: camera.into(),
        width: 32,
        height: 32,
        pixels: pixels.into(),
        captured_at: Timestamp::from_nanos(at),
        sequence: at,
    };
    Observation {
        images: vec![image("wrist", vec![0; 32 * 32 * 3]), image("front", pixels)],
        proprioception: Proprioception {
            joint_positions: JointVector::zeros(6),
            joint_velocities: JointVector::zeros(6),
            joint_efforts: JointVector::zeros(6),
            finger_position: 0.0,
            gripper: state[6],
            measured_at: Timestamp::from_nanos(at),
        },
        base_from_tool: Pose::identity(),
        bridge_state: state,
        observed_at: Timestamp::from_nanos(at),
    }
}

#[test]
fn actions_are_pytorchs_and_a_chunk_is_executed_before_the_next_inference() {
    let folder = folder("policy.pt", |_| ());
    assert!(BroughtPolicy::is_in(folder.path()));
    let mut policy = load(folder.path(), &offer()).unwrap();
    let Expected { state, actions } = golden_actions();
    for at in 0..5u64 {
        let decision = policy.decide(&observation(at, state)).unwrap();
        // The fourth decision runs the network again, on the same image.
        let row = (at % 3) as usize;
        let expected = ActionBounds::BRIDGE.denormalize(actions[row].clone().try_into().unwrap());
        for (found, expected) in decision.action.to_array().iter().zip(expected.to_array()) {
            assert!((found - expected).abs() < 1e-6, "decision {at}: {found} is not {expected}");
        }
        let planned = decision.planned.unwrap();
        assert_eq!(planned.image_captured_at, Timestamp::from_nanos(at - at % 3));
        assert!((planned.ahead.as_secs_f64() - 0.2 * row as f64).abs() < 1e-9);
    }
}

/// A folder of the module that returns scaled joint positions; the arm's joints are scaled by the same numbers.
fn posture(change: impl FnOnce(&mut Description)) -> tempfile::TempDir {
    folder("joint_positions.pt", |description| {
        let (mean, std) = (vec![0.2, -0.8, 0.4, 0.0, 1.7, 0.0], vec![0.6, 0.2, 0.2, 0.2, 0.4, 0.4]);
        let behind = |list: &[f64]| [list, &[0.5]].concat();
        description.output = Output {
            actions: ActionKind::JointPositions,
            units: Units::Si,
            chunk: 1,
            execute: None,
            blend: 0.0,
            scaling: OutputScaling { mean: behind(&mean), std: behind(&std), ..Default::default() },
        };
        description.input = vec![Input::JointPositions(Scaling { mean, std })];
        change(description);
    })
}

#[test]
fn joint_positions_are_pytorchs_in_radians() {
    #[derive(Deserialize)]
    struct Expected {
        joints: Vec<f64>,
        action: Vec<f64>,
    }
    let bytes = std::fs::read(golden().join("joint_positions.json")).unwrap();
    let Expected { joints, action } = serde_json::from_slice(&bytes).unwrap();
    let folder = posture(|_| ());
    let mut policy = load(folder.path(), &offer()).unwrap();
    let scaling = policy.description().output.scaling.clone();
    let radians = |scaled: &[f64]| {
        let scaled = scaled.iter().zip(scaling.std.iter().zip(&scaling.mean));
        JointVector::from_slice(&scaled.map(|(value, (std, mean))| value * std + mean).collect::<Vec<_>>())
    };
    let mut seen = observation(0, [0.0; 7]);
    seen.proprioception.joint_positions = radians(&joints);
    let decision = policy.decide(&seen).unwrap();
    let Some(Motion::JointPositions(asked)) = decision.motion else { panic!("{decision:?}") };
    assert!((asked - radians(&action[..6])).max_abs() < 1e-6, "{asked:?}");
    assert_eq!(decision.action, Action::stay(1.0));
    assert!(!policy.looks_at_images());
}

#[test]
fn joint_positions_of_another_arm_or_law_or_width_are_refused() {
    let folder = posture(|_| ());
    let message = refused(folder.path(), &Offer { law: ControlLaw::Torque, ..offer() });
    assert!(message.contains("joint positions") && message.contains("control.law"), "{message}");
    let message = refused(folder.path(), &Offer { joints: 7, ..offer() });
    assert!(message.contains("output.scaling") && message.contains("7 joints"), "{message}");
    // Without scaling, loading finds that the module returns another width, before anything moves.
    let plain = posture(|description| {
        (description.output.scaling, description.input) =
            (OutputScaling::default(), vec![Input::JointPositions(Scaling::default())]);
        description.output.actions = ActionKind::ToolPoseQuaternion;
    });
    let message = refused(plain.path(), &offer());
    assert!(message.contains("[1, 7]") && message.contains("(1, 1, 8)"), "{message}");
    let velocities = posture(|description| description.output.actions = ActionKind::JointVelocities);
    let message = refused(velocities.path(), &offer());
    assert!(message.contains("joint velocities") && message.contains("`velocity`"), "{message}");
    load(velocities.path(), &Offer { law: ControlLaw::Velocity, ..offer() }).unwrap();
}

#[test]
fn chunks_that_overlap_are_blended() {
    let output = Output {
        actions: ActionKind::PoseChange,
        units: Units::Si,
        chunk: 3,
        execute: Some(1),
        blend: 0.25,
        scaling: OutputScaling::default(),
    };
    let mut chunk = Chunk::new(&output, 0.2);
    let rows = |values: [f64; 3]| values.map(|value| vec![value]).to_vec();
    let at = Timestamp::from_secs_f64;
    chunk.begin(rows([0.0, 1.0, 2.0]), Timestamp::ZERO, at(1.0));
    assert_eq!(chunk.next().unwrap().row, [0.0]);
    assert!(chunk.is_used_up(at(1.2)));
    chunk.begin(rows([5.0, 6.0, 7.0]), Timestamp::ZERO, at(1.2));
    // The previous chunk had planned 1 for this moment.
    assert_eq!(chunk.next().unwrap().row, [0.75 * 5.0 + 0.25]);
    // Decisions were skipped: the previous plan is for other moments.
    chunk.begin(rows([8.0, 9.0, 10.0]), Timestamp::ZERO, at(3.0));
    assert_eq!(chunk.next().unwrap().row, [8.0]);
    chunk.forget();
    assert!(chunk.is_used_up(at(3.0)) && chunk.next().is_none());
}

#[test]
fn after_skipped_decisions_the_policy_takes_a_new_image() {
    let folder = folder("policy.pt", |description| description.output.execute = Some(8));
    let mut policy = load(folder.path(), &offer()).unwrap();
    let state = golden_actions().state;
    let planned = |policy: &mut BroughtPolicy, seconds: f64| {
        let at = Timestamp::from_secs_f64(seconds);
        policy.decide(&observation(at.as_nanos(), state)).unwrap().planned.unwrap()
    };
    let first = planned(&mut policy, 1.0);
    assert_eq!(planned(&mut policy, 1.2).image_captured_at, first.image_captured_at);
    // A camera fault held the arm for a second.
    let later = planned(&mut policy, 2.4);
    assert_eq!((later.image_captured_at, later.ahead), (Timestamp::from_secs_f64(2.4), std::time::Duration::ZERO));
}

#[test]
fn a_history_begins_with_the_first_image_and_moves_on() {
    let input =
        Input::Image { camera: "front".into(), size: 32, channels: Channels::Last, pixels: Pixels::Bytes, history: 3 };
    let folder = folder("policy.pt", |description| description.input = vec![input]);
    let description = Description::load(folder.path()).unwrap();
    let mut inputs = Inputs::new(folder.path(), &description, &[None], &Condition::default()).unwrap();
    let mut first = observation(0, [0.0; 7]);
    first.images[1].pixels = vec![1; 32 * 32 * 3].into();
    for (seen, mean) in [(1u8, 1.0), (4, 2.0), (7, 4.0), (10, 7.0)] {
        first.images[1].pixels = vec![seen; 32 * 32 * 3].into();
        inputs.see(&first).unwrap();
        let tensors = inputs.tensors(&first).unwrap();
        assert_eq!(tensors[0].size(), [1, 3, 32, 32, 3]);
        assert_eq!(f64::try_from(tensors[0].mean(tch::Kind::Double)).unwrap(), mean);
    }
}

/// One action of one look.
pub(super) fn single(description: &mut Description) {
    (description.output.chunk, description.output.execute) = (1, None);
}

#[test]
fn a_module_that_reads_files_is_refused_before_libtorch_sees_it() {
    let message = refused(folder("reads_files.pt", |_| ()).path(), &offer());
    assert!(message.contains("torch.from_file") && message.contains("policy.pt"), "{message}");
}

#[test]
fn a_wrong_shape_is_found_before_anything_moves_and_nan_when_it_is_returned() {
    let message = refused(folder("forgets.pt", single).path(), &offer());
    assert!(message.contains("[1, 6]") && message.contains("(1, 1, 7)") && message.contains("[output]"), "{message}");
}

#[test]
fn nan_ends_in_an_error() {
    for module in ["nan.pt", "nan.onnx"] {
        if cfg!(feature = "onnx") || module == "nan.pt" {
            let folder = folder(module, single);
            let mut policy = load(folder.path(), &offer()).unwrap();
            let error = policy.decide(&observation(0, [0.0, 0.1, 0.1, 0.0, 0.0, 0.0, 1.0])).unwrap_err();
            assert!(matches!(error, ActionError::NotFinite(_)), "{module}: {error}");
        }
    }
}

#[test]
fn parts_that_do_not_fit_the_station_are_named() {
    let plain = folder("policy.pt", |_| ());
    let path = plain.path();
    for (offer, words) in [
        (Offer { robot: "panda", ..offer() }, ["robot", "widowx", "panda"]),
        (Offer { rate_hz: 10.0, ..offer() }, ["rate_hz", "5 Hz", "10 Hz"]),
        (Offer { rate_hz: f64::NAN, ..offer() }, ["rate_hz", "5 Hz", "NaN"]),
        (Offer { law: ControlLaw::Torque, ..offer() }, ["output.actions", "joint torques", "control.law"]),
    ] {
        let message = refused(path, &offer);
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
    let other = folder("policy.pt", |description| description.tasks = vec!["pour".into()]);
    assert!(refused(other.path(), &offer()).contains("pour"));
    let camera = folder("policy.pt", |description| {
        let Input::Image { camera, .. } = &mut description.input[0] else { panic!() };
        *camera = "side".into();
    });
    let message = refused(camera.path(), &offer());
    assert!(message.contains("camera `side`") && message.contains("wrist, front"), "{message}");
    let goal = folder("policy.pt", |description| {
        description.input[0] = Input::Goal { size: 32, channels: Channels::First, pixels: Pixels::Unit };
    });
    assert!(refused(goal.path(), &offer()).contains("--goal"));
    std::fs::write(path.join("policy.pt"), "another").unwrap();
    assert!(refused(path, &offer()).contains("digest"));
}

#[test]
fn a_description_out_of_range_is_refused_by_its_key() {
    for (change, key) in [
        (Box::new(|d: &mut Description| d.output.chunk = 0) as Box<dyn FnOnce(&mut Description)>, "output.chunk"),
        (Box::new(|d: &mut Description| d.output.execute = Some(9)), "output.execute"),
        (Box::new(|d: &mut Description| d.output.blend = f64::NAN), "output.blend"),
        (Box::new(|d: &mut Description| d.output.actions = ActionKind::JointTorques), "output.units"),
        (Box::new(|d: &mut Description| d.input[1] = Input::Task), "input[1].kind"),
        (Box::new(|d: &mut Description| d.version = 7), "version"),
    ] {
        let message = refused(folder("policy.pt", change).path(), &offer());
        assert!(message.contains(key), "{key}: {message}");
    }
}

/// A policy that returns the numbers of the instruction, with a file of two instructions.
fn instructed(module: &str, change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let arrays = [
        ("press the button".to_string(), vec![4], vec![0.01f32, 0.02, 0.03, 0.04]),
        ("lift the cup".to_string(), vec![1, 4], vec![-0.01, 0.0, 0.0, 0.0]),
    ];
    let mut bytes = crate::encoder::weights::to_bytes(Path::new("embeddings"), &arrays, "test").unwrap();
    change(&mut bytes);
    let embeddings = PathBuf::from("instructions.safetensors");
    let folder = folder(module, |description| {
        single(description);
        description.output.units = Units::Si;
        let digest = visuomotor_core::config::digest(&bytes);
        description.input = vec![Input::Instruction { embeddings: embeddings.clone(), digest }];
    });
    std::fs::write(folder.path().join(embeddings), bytes).unwrap();
    folder
}

#[test]
fn the_network_gets_the_numbers_of_the_instruction() {
    let modules: &[&str] =
        if cfg!(feature = "onnx") { &["instructed.pt", "instructed.onnx"] } else { &["instructed.pt"] };
    for module in modules {
        let folder = instructed(module, |_| ());
        let mut policy = load_for(folder.path(), &offer(), "press the button").unwrap();
        let asked = |policy: &mut BroughtPolicy| policy.decide(&observation(0, [0.0; 7])).unwrap().action.translation;
        let near = |found: [f64; 3], expected: [f64; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(asked(&mut policy), [0.01, 0.02, 0.03]), "{module}");
        let other = Condition { task: "stack", instruction: "lift the cup", goal: None };
        policy.set_task(&other).unwrap();
        assert!(near(asked(&mut policy), [-0.01, 0.0, 0.0]), "{module}");
        let unknown = Condition { instruction: "dance", ..other };
        let message = policy.set_task(&unknown).unwrap_err().to_string();
        assert!(message.contains("`dance`") && message.contains("`lift the cup`, `press the button`"), "{message}");
    }
}

#[test]
fn an_unknown_instruction_and_a_spoiled_file_are_refused_before_anything_moves() {
    let message = |folder: &tempfile::TempDir, instruction: &str| match load_for(folder.path(), &offer(), instruction) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was taken"),
    };
    let whole = instructed("instructed.pt", |_| ());
    let unknown = message(&whole, "press the buttons");
    assert!(unknown.contains("`press the buttons`") && unknown.contains("`press the button`"), "{unknown}");
    assert!(message(&whole, "").contains("no instruction"));
    let cut = instructed("instructed.pt", |bytes| bytes.truncate(bytes.len() - 3));
    assert!(message(&cut, "press the button").contains("not a safetensors file"));
    let nan = instructed("instructed.pt", |bytes| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(message(&nan, "press the button").contains("NaN"));
    std::fs::write(whole.path().join("instructions.safetensors"), "another").unwrap();
    let other = message(&whole, "press the button");
    assert!(other.contains("instructions.safetensors") && other.contains("digest"), "{other}");
}
