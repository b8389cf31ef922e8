//! A whole decision in simulation: render 640x480, resize to 128x128, encode, act; and each part alone.
//!
//! `cargo bench --bench decide`

use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use visuomotor::action::ActionSource;
use visuomotor::cli::kitchen::KitchenSetting;
use visuomotor::cli::set_up::SetUp;
use visuomotor::encoder::policy_image;
use visuomotor::network::choose_device;
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::policy::VisualPolicy;
use visuomotor::time::{SystemClock, Timestamp};

fn decide(criterion: &mut Criterion) {
    visuomotor::simulation::prepare_process();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setting = KitchenSetting::load(&root.join("launch/widowx_kitchen.toml")).unwrap();
    let task = setting.scene.task(&setting.scene_file, "knife_in_pot").unwrap().clone();
    let set_up = SetUp {
        object: task.object.clone(),
        object_at: [0.28, 0.07],
        object_yaw: 0.1,
        container_at: setting.container_at(&task, [0.28, 0.07]),
        others: vec![],
        start: [0.28, 0.07, setting.scene.start_height, 0.0, 0.0, 0.0],
        seed: 1,
        task,
    };
    let prepared = setting.prepare(&set_up).unwrap();
    let (mut station, _) = setting.running(&set_up, &prepared).unwrap();
    let mut policy = VisualPolicy::load(
        &root.join("policies/kitchen"),
        "knife_in_pot",
        choose_device(),
        Arc::new(SystemClock::new()),
    )
    .unwrap();
    let joints = prepared.joints;
    let proprioception = Proprioception {
        joint_positions: joints,
        joint_velocities: JointVector::zeros(joints.len()),
        joint_efforts: JointVector::zeros(joints.len()),
        finger_position: 0.035,
        gripper: 1.0,
        measured_at: Timestamp::ZERO,
    };
    let mut at = Timestamp::ZERO;
    let mut picture = |station: &mut visuomotor::runtime::Station| {
        // The arm publishes a new snapshot, so that the camera renders a new image.
        at = at + station.control_period;
        station.arm.read(at).unwrap();
        station.cameras[0].0.newest(at).unwrap()
    };
    let image = picture(&mut station);
    let observe = |image| setting.station.chain.observation(vec![image], proprioception, Timestamp::ZERO);
    let observation = observe(image.clone());
    criterion.bench_function("physics of one control period and a 640x480 image", |b| {
        b.iter(|| picture(&mut station));
    });
    criterion.bench_function("640x480 to 128x128", |b| b.iter(|| policy_image(&image, 128).unwrap()));
    criterion.bench_function("resize, encode and act", |b| b.iter(|| policy.decide(&observation).unwrap()));
    criterion.bench_function("render, resize, encode and act", |b| {
        b.iter(|| {
            let observation = observe(picture(&mut station));
            policy.decide(&observation).unwrap()
        });
    });
}

criterion_group!(benches, decide);
criterion_main!(benches);
