//! `docs/arms.png`: the four arms side by side, as MuJoCo has them and our renderer draws them. Rewrite it with
//! `cargo run --release --example arms`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use visuomotor::config::Robot;
use visuomotor::simulation::mujoco_rs::prelude::*;
use visuomotor::simulation::mujoco_rs::wrappers::mj_model::MjtObjBase;
use visuomotor::simulation::{SharedRenderer, arm_mjcf, prepare_process};

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 540;
/// Arm, where its base stands \[m\], which way it faces \[deg\], its pose \[rad\].
const ROW: [(&str, [f64; 3], f64, &[f64]); 4] = [
    ("widowx", [-1.15, -0.45, 0.0], -30.0, &[0.0, -0.35, 0.3, 0.0, 0.85, 0.0]),
    ("sawyer", [-0.55, 0.2, 0.0], -30.0, &[-0.15, -0.9, 0.2, 1.7, 0.0, 0.75, 3.3161]),
    ("jaco_j2s7s300", [0.28, -0.1, 0.0], -25.0, &[3.192, 3.6, 0.0, 1.6, 0.05, 3.7, std::f64::consts::PI]),
    ("panda", [1.06, 0.2, 0.0], -50.0, &[0.0, -0.35, 0.0, -2.1, 0.0, 1.75, 0.785]),
];
const SCENE: &str = r#"
<asset>
<texture name="sky" type="skybox" builtin="gradient" rgb1="0.93 0.95 0.97" rgb2="0.70 0.76 0.82" width="256" height="256"/>
<texture name="floor" type="2d" builtin="checker" rgb1="0.80 0.82 0.84" rgb2="0.72 0.745 0.77" width="512" height="512"/>
<material name="floor" texture="floor" texrepeat="40 40" reflectance="0.04" specular="0.1"/>
<material name="plate" rgba="0.35 0.37 0.40 1" specular="0.4"/>
</asset>
<worldbody>
<light directional="true" castshadow="true" pos="-1.5 -2 4" dir="0.35 0.45 -0.8" ambient="0.42 0.42 0.44" diffuse="0.50 0.49 0.47" specular="0.35 0.35 0.35"/>
<light directional="true" castshadow="false" pos="2 -3 2" dir="-0.5 0.7 -0.4" ambient="0 0 0" diffuse="0.32 0.33 0.37" specular="0.1 0.1 0.1"/>
<geom type="plane" size="12 12 0.1" pos="0 0 -0.03" material="floor"/>
<camera name="picture" pos="0.1 -3.6 1.3" xyaxes="1 0 0 0 0.255 0.967" fovy="22.5"/>
</worldbody>
"#;

fn scene() -> anyhow::Result<String> {
    let mut text = format!(
        "<mujoco><compiler angle=\"radian\" autolimits=\"true\"/>\n\
         <visual><global offwidth=\"{WIDTH}\" offheight=\"{HEIGHT}\"/><headlight active=\"0\"/>\n\
         <quality shadowsize=\"4096\" offsamples=\"8\" numslices=\"48\" numstacks=\"24\"/><map shadowclip=\"2.5\"/></visual>\n\
         <statistic extent=\"2.5\" center=\"0 0 0.4\"/>{SCENE}"
    );
    for (name, [x, y, z], facing, _) in ROW {
        let yaw = f64::to_radians(facing);
        let arm = arm_mjcf(&robot(name)?)
            .replace("\"arm_", &format!("\"{name}_"))
            .replace("name=\"tool\"", &format!("name=\"{name}_tool\""))
            .replace("<worldbody>", &format!("<worldbody><frame pos=\"{x} {y} {z}\" euler=\"0 0 {yaw}\"><geom type=\"cylinder\" size=\"0.16 0.015\" pos=\"0 0 -0.015\" material=\"plate\"/>"))
            .replace("</worldbody>", "</frame></worldbody>");
        text.push_str(&arm);
    }
    text.push_str("</mujoco>");
    Ok(text)
}

fn robot(name: &str) -> anyhow::Result<Robot> {
    Ok(Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name)?)
}

fn main() -> anyhow::Result<()> {
    prepare_process();
    let model = Arc::new(MjModel::from_xml_string(&scene()?)?);
    let mut data = MjData::new(Arc::clone(&model));
    for (name, _, _, pose) in ROW {
        let robot = robot(name)?;
        let fingers = robot.gripper.finger.iter().map(|f| (&f.name, robot.gripper.finger_open));
        let joints = robot.joint.iter().map(|joint| &joint.name).zip(pose.iter().copied());
        for (joint, value) in joints.chain(fingers) {
            let id = model.name_to_id(MjtObjBase::mjOBJ_JOINT, joint).context("MuJoCo knows every joint")?;
            data.qpos_mut()[model.jnt_qposadr()[id] as usize] = value;
        }
    }
    data.forward();
    let camera = model.name_to_id(MjtObjBase::mjOBJ_CAMERA, "picture").context("the scene has a camera")?;
    let pixels = SharedRenderer::new(WIDTH, HEIGHT).draw(&mut data, camera)?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/arms.png");
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(&file)?), WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(&pixels)?;
    println!("{}", file.display());
    Ok(())
}
