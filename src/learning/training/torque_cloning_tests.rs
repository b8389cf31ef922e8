//! A head that learns a spring, and resumes as if never stopped.

use super::*;
use crate::policy::{PLACES, StateScale};
use crate::training::range::within;
use visuomotor_core::observation::JointVector;

const JOINTS: usize = 2;
const STEPS: i64 = 512;

fn settings(steps: u64) -> Settings {
    let file = Path::new(crate::CHECKOUT).join("launch/button/torque_cloning.toml");
    Settings {
        steps,
        batch_size: 64,
        warmup_steps: 10,
        ema_decay: within(0.99),
        hidden: vec![64],
        ..visuomotor_core::config::load(&file).unwrap()
    }
}

fn checkpoint(settings: &Settings) -> Checkpoint {
    let ones = JointVector::from_slice(&[1.0; JOINTS]);
    let mut zeros = ones;
    zeros.fill(0.0);
    Checkpoint {
        version: Checkpoint::VERSION,
        name: settings.name.clone(),
        robot: "panda".into(),
        encoder: settings.encoder,
        encoder_digest: String::new(),
        head_digest: String::new(),
        image_size: 128,
        camera_size: [640, 480],
        rate_hz: 50.0,
        bounds: visuomotor_core::action::ActionBounds::BRIDGE,
        tasks: settings.tasks.clone(),
        state: StateScale { mean: [0.0; 7], std: [1.0; 7] },
        hidden: settings.hidden.clone(),
        head: HeadKind::Torques,
        latent: None,
        locates: true,
        joints: Some(JointScale { position_mean: zeros, position_std: ones, velocity_std: ones, torque_std: ones }),
        critic: None,
    }
}

/// A damped spring to where the embedding points: tau = 2 (e - q) - v; the gripper closes where it is negative.
fn table(dimension: i64) -> Table {
    let options = (Kind::Float, Device::Cpu);
    tch::manual_seed(3);
    let (embeddings, bodies) = (Tensor::randn([STEPS, dimension], options), Tensor::randn([STEPS, 4], options));
    let mut conditions = Tensor::zeros([STEPS, 8], options);
    let _ = conditions.narrow(1, 7, 1).fill_(1.0);
    let aim = embeddings.narrow(1, 0, JOINTS as i64);
    let torques = 2.0 * (&aim - bodies.narrow(1, 0, 2)) - bodies.narrow(1, 2, 2);
    let gripper = aim.narrow(1, 0, 1).sign();
    let places = Tensor::zeros([STEPS, PLACES], options);
    places.narrow(1, 0, JOINTS as i64).copy_(&aim);
    conditions = conditions.contiguous();
    let places =
        Places { places, units: Tensor::ones([PLACES], options), ahead: Tensor::ones([STEPS, PLACES], options) };
    Table { embeddings, conditions, bodies, labels: Tensor::cat(&[torques, gripper], 1), places }
}

fn learner(settings: &Settings) -> TorqueCloning<'_> {
    let mut encoder = TrainedEncoder::new(settings.encoder, None, false, Device::Cpu).unwrap();
    encoder.freeze();
    let table = table(encoder.dimension());
    let kept = [1, 2, 3].map(|step| Pick::late(step, 0, &[0]));
    TorqueCloning::new(settings, checkpoint(settings), encoder, table, kept.to_vec()).unwrap()
}

fn train(learner: &mut TorqueCloning<'_>, settings: &Settings, steps: std::ops::Range<u64>) -> f64 {
    let draws = Draws { settings, starts: &[0], training: (0..STEPS as usize).collect() };
    let mut last = f64::NAN;
    for step in steps {
        last = learner.update(&draws.batch(step).unwrap(), step).unwrap()[1].1;
    }
    last
}

#[test]
fn a_spring_is_learned_from_embedding_and_joints() {
    let settings = settings(600);
    let mut learner = learner(&settings);
    let before = learner.validate().unwrap()[1].1;
    let after = train(&mut learner, &settings, 0..600);
    assert!(before > 1.0 && after < 0.1 * before, "{before} before, {after} after");
}

#[test]
fn states_are_late_by_no_more_than_asked_and_of_the_same_episode() {
    let starts = [0, 100, 110, STEPS as usize];
    let training: Vec<usize> = (0..STEPS as usize).collect();
    for stale in [0, 5] {
        let settings = Settings { max_state_age: stale, batch_size: 4096, ..settings(1) };
        let draws = Draws { settings: &settings, starts: &starts, training: training.clone() };
        let mut seen = vec![0; stale + 1];
        for pick in draws.batch(7).unwrap() {
            let first = *starts.iter().rfind(|start| **start as i64 <= pick.step).unwrap() as i64;
            assert!(pick.sensed >= first, "{pick:?}");
            seen[usize::try_from(pick.step - pick.sensed).unwrap()] += 1;
        }
        let least = 4096 / (2 * (stale + 1));
        assert!(seen.iter().all(|count| *count > least), "{seen:?}");
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_weights() {
    let settings = settings(20);
    let mut unbroken = learner(&settings);
    // The state as a checkpoint holds it: a second learner starts with other weights, as tests share one generator.
    train(&mut unbroken, &settings, 0..11);
    let state: Vec<(String, Tensor)> = unbroken.state().unwrap().into_iter().map(|(n, t)| (n, t.copy())).collect();
    train(&mut unbroken, &settings, 11..20);
    let mut resumed = learner(&settings);
    resumed.restore(&state).unwrap();
    train(&mut resumed, &settings, 11..20);
    for (name, variable) in unbroken.variables.variables() {
        assert!(variable.equal(&resumed.variables.variables()[&name]), "{name}");
    }
}

#[test]
fn what_is_saved_is_a_policy_of_torques() {
    let settings = settings(5);
    let mut learner = learner(&settings);
    train(&mut learner, &settings, 0..5);
    let folder = tempfile::tempdir().unwrap();
    learner.save(folder.path()).unwrap();
    let checkpoint = Checkpoint::load(folder.path()).unwrap();
    assert_eq!(checkpoint.joints(folder.path()).unwrap().joints(), JOINTS);
    assert!(checkpoint.head.asks_torques());
    crate::policy::VisualPolicy::load(
        folder.path(),
        "press_button",
        Device::Cpu,
        std::sync::Arc::new(visuomotor_core::time::SystemClock::new()),
    )
    .unwrap();
}
