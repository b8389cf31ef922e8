//! What is settled, asked and converted.

use super::super::{Column, Columns};
use super::*;

fn numbers<'a>(key: &'a str, names: &str) -> Numbers<'a> {
    let names: Vec<String> = names.split(' ').map(str::to_string).collect();
    Numbers { key, width: names.len(), names: Some(names) }
}

fn settle(robot: &str, state: &str, action: &str, statements: &Statements) -> Result<Meaning, String> {
    let (state, action) = (numbers("observation.state", state), numbers("action", action));
    Meaning::of(Path::new("info.json"), Some(robot), &state, &action, statements, &mut BTreeSet::new())
        .map_err(|error| error.to_string())
}

const BRIDGE: &str = "x y z roll pitch yaw gripper";
const EE: &str = "ee.x ee.y ee.z ee.wx ee.wy ee.wz ee.gripper_pos";

#[test]
fn bridge_is_known_and_others_must_say_what_they_are() {
    let silent = Statements::default();
    assert_eq!(settle("widowx", BRIDGE, BRIDGE, &silent), Ok(Meaning::bridge()));
    let padded = settle("WidowX 250s", "x y z roll pitch yaw pad gripper", BRIDGE, &silent).unwrap();
    assert_eq!(padded.state.gripper, 7);
    let words = settle("panda", BRIDGE, BRIDGE, &silent).unwrap_err();
    for option in ["--action-kind", "--gripper", "--action-gripper"] {
        assert!(words.contains(option), "{words}");
    }
    assert!(!words.contains("--rotation"), "roll, pitch and yaw are certain: {words}");
    let words = settle("so100", EE, EE, &silent).unwrap_err();
    assert!(words.contains("--action-kind") && words.contains("gripper_pos"), "{words}");
    let words = settle("panda", "x y z rx ry rz gripper", BRIDGE, &silent).unwrap_err();
    assert!(words.contains("--rotation") && words.contains("rx ry rz"), "{words}");
}

#[test]
fn joints_are_no_pose() {
    let words = settle(
        "widowx",
        "waist shoulder elbow forearm_roll wrist_angle wrist_rotate gripper",
        BRIDGE,
        &Statements::default(),
    );
    assert!(words.unwrap_err().contains("--columns"));
    let words = settle("widowx", BRIDGE, "j1_x j2_y j3_z j4_x roll pitch gripper", &Statements::default());
    assert!(words.unwrap_err().contains("--action-columns"));
}

#[test]
fn stated_conventions_are_converted() {
    let statements = Statements {
        action_kind: Some(ActionKind::Absolute),
        gripper: Some(GripperForm::Percent),
        ..Statements::default()
    };
    let meaning = settle("so100", EE, EE, &statements).unwrap();
    let turn = std::f64::consts::FRAC_PI_2;
    let converted =
        meaning.convert(&[0.2, 0.0, 0.1, 0.0, 0.0, turn, 50.0], &[0.21, 0.0, 0.1, 0.0, 0.0, 0.5 * turn, 100.0]);
    let Converted { state, action } = converted.unwrap();
    for (number, expected) in state.iter().zip([0.2, 0.0, 0.1, 0.0, 0.0, turn, 0.5]) {
        assert!((number - expected).abs() < 1e-12, "{state:?}");
    }
    for (number, expected) in action.iter().zip([0.01, 0.0, 0.0, 0.0, 0.0, -0.5 * turn, 1.0]) {
        assert!((number - expected).abs() < 1e-12, "{action:?}");
    }
}

#[test]
fn changes_along_the_tool_are_turned_to_the_base() {
    let statements = Statements {
        action_kind: Some(ActionKind::Delta),
        gripper: Some(GripperForm::OpenIsZero),
        frame: Some(Frame::Tool),
        scale: Some(Scale { position: 0.001, rotation: 1.0 }),
        ..Statements::default()
    };
    let meaning = settle("panda", BRIDGE, BRIDGE, &statements).unwrap();
    let turn = std::f64::consts::FRAC_PI_2;
    let Converted { state, action } =
        meaning.convert(&[0.2, 0.0, 0.1, 0.0, 0.0, turn, 0.25], &[10.0, 0.0, 0.0, 0.1, 0.0, 0.0, 1.0]).unwrap();
    assert!((state[6] - 0.75).abs() < 1e-12);
    for (number, expected) in action.iter().zip([0.0, 0.01, 0.0, 0.0, 0.1, 0.0, 0.0]) {
        assert!((number - expected).abs() < 1e-12, "{action:?}");
    }
}

#[test]
fn columns_choose_by_name_and_by_place() {
    let columns = |text: &str| {
        let column = |word: &str| word.parse().map_or_else(|_| Column::Name(word.into()), Column::Index);
        Some(text.split(',').map(column).collect::<Columns>())
    };
    let statements = Statements {
        action_kind: Some(ActionKind::Delta),
        rotation: Some(RotationForm::RotationVector),
        gripper: Some(GripperForm::Meters(0.08)),
        action_gripper: Some(GripperForm::SignedOpenIsMinusOne),
        columns: columns("0,1,2,3,4,5,f1"),
        action_columns: columns("x,y,z,a,b,c,g"),
        ..Statements::default()
    };
    let meaning = settle("panda", "s0 s1 s2 s3 s4 s5 f1 f2", "g x y z a b c", &statements).unwrap();
    let converted =
        meaning.convert(&[0.1, 0.2, 0.3, 0.0, 0.0, 0.4, 0.04, -0.04], &[-1.0, 0.01, 0.0, 0.0, 0.0, 0.0, 0.2]);
    let Converted { state, action } = converted.unwrap();
    assert_eq!([state[6], action[6], action[0]], [0.5, 1.0, 0.01]);
    let wrong = Statements { columns: columns("0,1,2,3,4,5,elsewhere"), ..statements.clone() };
    assert!(settle("panda", "s0 s1 s2 s3 s4 s5 f1 f2", "g x y z a b c", &wrong).unwrap_err().contains("one of s0"));
    let short = Statements { columns: columns("0,1,2,3,4"), ..statements };
    assert!(settle("panda", "s0 s1 s2 s3 s4 s5 f1 f2", "g x y z a b c", &short).unwrap_err().contains("5 columns"));
}
