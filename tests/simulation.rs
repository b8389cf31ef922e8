//! The simulated kitchen: the expert's episodes, run tick by tick without the runtime's loops.

use std::path::Path;
use std::time::Duration;

use visuomotor::action::ActionSource;
use visuomotor::camera::Camera;
use visuomotor::cli::setting::{SetUp, Setting};
use visuomotor::control::Controller;
use visuomotor::driver::ArmDriver;
use visuomotor::episode::{Judge, Outcome};
use visuomotor::observation::Observation;
use visuomotor::safety::SafetyFilter;
use visuomotor::simulation::{Demonstrator, Disturbance, SimulatedArm, SimulatedCamera, SuccessRule};
use visuomotor::time::Timestamp;

fn setting() -> Setting {
    Setting::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("launch/widowx_kitchen.toml")).unwrap()
}

fn set_up(setting: &Setting, task: &str, object_at: [f64; 2], start: [f64; 2]) -> SetUp {
    let task = setting.scene.task(&setting.scene_file, task).unwrap().clone();
    SetUp {
        object: task.object.clone(),
        object_at,
        object_yaw: 0.1,
        container_at: setting.container_at(&task, object_at),
        others: vec![],
        start: [start[0], start[1], setting.scene.start_height, 0.0, 0.0, 0.0],
        seed: 1,
        task,
    }
}

fn run(setting: &Setting, set_up: &SetUp, pictures: Option<&Path>) -> (Outcome, u64) {
    let prepared = setting.prepare(set_up).unwrap();
    let (mut arm, for_camera, for_judge) = SimulatedArm::new(&setting.robot, &prepared.kitchen);
    let mut camera =
        SimulatedCamera::new("over_shoulder", &prepared.kitchen, setting.renderer.clone(), for_camera).unwrap();
    let container = setting.object(&set_up.task.container).unwrap();
    let mut judge = SuccessRule::new(
        &prepared.kitchen,
        for_judge,
        set_up.task.rule,
        &set_up.object,
        &set_up.task.container,
        container,
    );
    let bounds = setting.launch.policy.bounds;
    let mut expert = Demonstrator::new(prepared.assignment, bounds, Disturbance::NONE, 1);
    let mut controller = Controller::new(
        &setting.robot,
        setting.chain.clone(),
        bounds,
        setting.launch.policy.gripper,
        Duration::from_millis(200),
    );
    let mut safety = SafetyFilter::new(&setting.robot, setting.chain.clone());
    let mut now = Timestamp::ZERO;
    arm.activate(now).unwrap();
    let measured = arm.read(now).unwrap();
    controller.seed(now, &measured);
    safety.seed(now, &measured);
    for tick in 0..3000u64 {
        let measured = arm.read(now).unwrap();
        let wished = controller.command(now);
        let verdict = safety.filter(now, &wished, &measured, None);
        if tick % 10 == 1 && std::env::var("VERBOSE").is_ok() {
            println!("  {:?} {:?}", verdict.filtered, measured.joint_positions);
        }
        arm.write(now, &verdict.sent).unwrap();
        if tick % 10 == 0 {
            let base_from_tool = setting.chain.forward(&measured.joint_positions);
            let images = if pictures.is_some() { vec![camera.newest(now).unwrap()] } else { vec![] };
            let observation = Observation { images, proprioception: measured, base_from_tool, observed_at: now };
            let decision = expert.decide(&observation).unwrap();
            if std::env::var("VERBOSE").is_ok() {
                println!(
                    "{:3} state {:.3?} action {:.3?}",
                    tick / 10,
                    observation.bridge_state(),
                    decision.action.to_array()
                );
            }
            if let Some(folder) = pictures {
                let image = &observation.images[0];
                let file = std::fs::File::create(folder.join(format!("{:03}.png", tick / 10))).unwrap();
                let mut encoder = png::Encoder::new(file, image.width, image.height);
                encoder.set_color(png::ColorType::Rgb);
                encoder.write_header().unwrap().write_image_data(&image.pixels).unwrap();
            }
            let accepted = controller.accept(now, &decision.action, &measured);
            if std::env::var("VERBOSE").is_ok() {
                println!("    {accepted:?}");
            }
            if let Some(outcome) = judge.judge(now) {
                return (outcome, tick / 10);
            }
            if tick / 10 > 100 {
                break;
            }
        }
        now = now + Duration::from_millis(20);
    }
    (judge.time_out(now), 300)
}

#[test]
fn the_expert_does_every_task_from_every_corner() {
    let setting = setting();
    let folder = std::env::var("PICTURES").ok();
    for task in ["croissant_out_of_bowl", "sweet_potato_on_plate", "knife_in_pot", "cucumber_in_pot"] {
        for start in setting.scene.start.clone() {
            let set_up = set_up(&setting, task, [start.at[0], start.at[1]], start.at);
            let begin = std::time::Instant::now();
            let (outcome, steps) = run(&setting, &set_up, folder.as_deref().map(Path::new));
            println!("{task} {} {outcome:?} {steps} {:?}", start.name, begin.elapsed());
        }
    }
}
