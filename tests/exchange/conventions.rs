//! Data sets of hidden conventions, written by pyarrow: each is imported right, or refused.

use std::path::Path;

use visuomotor::exchange::{
    ActionKind, Column, Frame, GripperForm, ImportOptions, RotationForm, Scale, Statements, import_lerobot,
};
use visuomotor::geometry::rotation_from_euler;

use super::fixture::{options, python_script, read};

#[derive(serde::Deserialize)]
struct Truth {
    robot: String,
    style: String,
    kind: String,
    frame: String,
    scale: f64,
    rotation: String,
    width: usize,
    gripper: String,
    action_gripper: String,
    states: Vec<[f64; 7]>,
    actions: Vec<[f64; 7]>,
}

fn gripper(word: &str) -> GripperForm {
    match word {
        "open-1" => GripperForm::OpenIsOne,
        "open-0" => GripperForm::OpenIsZero,
        "0..100" => GripperForm::Percent,
        "-1..1" => GripperForm::SignedOpenIsOne,
        "1..-1" => GripperForm::SignedOpenIsMinusOne,
        _ => GripperForm::Meters(0.08),
    }
}

impl Truth {
    fn statements(&self) -> Statements {
        let columns = || Some((0..self.width).map(Column::Index).collect());
        Statements {
            action_kind: Some(if self.kind == "delta" { ActionKind::Delta } else { ActionKind::Absolute }),
            rotation: Some(match self.rotation.as_str() {
                "euler-xyz" => RotationForm::EulerXyz,
                "rotvec" => RotationForm::RotationVector,
                "quat-xyzw" => RotationForm::QuaternionXyzw,
                "quat-wxyz" => RotationForm::QuaternionWxyz,
                _ => RotationForm::SixNumbers,
            }),
            gripper: Some(gripper(&self.gripper)),
            action_gripper: Some(gripper(&self.action_gripper)),
            scale: (self.scale != 1.0).then_some(Scale { position: self.scale, rotation: 1.0 }),
            frame: Some(if self.frame == "base" { Frame::Base } else { Frame::Tool }),
            columns: columns(),
            action_columns: columns(),
            ..Statements::default()
        }
    }

    /// The largest distance of what was imported from the truth.
    fn distance(&self, out: &Path) -> f64 {
        let mut farthest: f64 = 0.0;
        let steps = read(out).into_iter().flat_map(|episode| episode.steps);
        let mut count = 0;
        for (step, (state, action)) in steps.zip(self.states.iter().zip(&self.actions)) {
            count += 1;
            for (got, truth) in [(step.bridge_state, *state), (step.action.to_array(), *action)] {
                for i in [0, 1, 2, 6] {
                    farthest = farthest.max((got[i] - truth[i]).abs());
                }
                let [turn, true_turn] = [got, truth].map(|n| rotation_from_euler(n[3], n[4], n[5]));
                farthest = farthest.max(turn.angle_to(&true_turn));
            }
        }
        if count == self.states.len() { farthest } else { f64::INFINITY }
    }
}

/// 32-bit floats; a change from absolute poses is a difference of two.
const CLOSE: f64 = 2e-3;

#[test]
fn hidden_conventions_are_imported_right_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let count = 200;
    python_script("exchange/make_conventions.py", &[at.as_os_str(), "200".as_ref(), "7".as_ref()]);
    let (mut right, mut refused, mut mended) = (0, 0, 0);
    for number in 0..count {
        let source = at.join(format!("{number:03}"));
        let text = std::fs::read_to_string(source.with_extension("json")).unwrap();
        let truth: Truth = serde_json::from_str(&text).unwrap();
        let what = format!(
            "{number}: {} {} {} {} scale {} {} gripper {} {}",
            truth.robot,
            truth.style,
            truth.kind,
            truth.frame,
            truth.scale,
            truth.rotation,
            truth.gripper,
            truth.action_gripper
        );
        let out = at.join("out");
        match import_lerobot(&source, &out, &options(), &mut |_, _| {}) {
            Ok(_) => {
                let distance = truth.distance(&out);
                assert!(distance < CLOSE, "{what}: imported {distance} off");
                std::fs::remove_dir_all(&out).unwrap();
                right += 1;
            }
            Err(error) => {
                assert!(!error.to_string().contains("damaged"), "{what}: {error}");
                refused += 1;
            }
        }
        let stated = ImportOptions { statements: truth.statements(), ..options() };
        match import_lerobot(&source, &out, &stated, &mut |_, _| {}) {
            Ok(_) => {
                let distance = truth.distance(&out);
                assert!(distance < CLOSE, "{what}: as stated imported {distance} off");
                std::fs::remove_dir_all(&out).unwrap();
                mended += 1;
            }
            Err(error) => panic!("{what}: as stated refused: {error}"),
        }
    }
    assert!(right >= 5 && refused >= 100, "{right} right, {refused} refused");
    assert_eq!(mended, count);
    println!("{right} right and {refused} refused without options; {mended} right with them");
}

#[test]
fn a_wrong_statement_is_refused_by_the_motion_of_the_states() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    python_script("exchange/make_conventions.py", &[at.as_os_str(), "40".as_ref(), "11".as_ref()]);
    let mut tried = 0;
    for number in 0..40 {
        let source = at.join(format!("{number:03}"));
        let text = std::fs::read_to_string(source.with_extension("json")).unwrap();
        let truth: Truth = serde_json::from_str(&text).unwrap();
        let right = truth.statements();
        let wrong = [
            Statements {
                action_kind: Some(match right.action_kind {
                    Some(ActionKind::Delta) => ActionKind::Absolute,
                    _ => ActionKind::Delta,
                }),
                ..right.clone()
            },
            Statements { scale: Some(Scale { position: 7.0 * truth.scale, rotation: 1.0 }), ..right.clone() },
        ];
        for statements in wrong {
            let out = at.join("out");
            let stated = ImportOptions { statements, ..options() };
            let imported = import_lerobot(&source, &out, &stated, &mut |_, _| {});
            assert!(imported.is_err(), "{number}: {} {} was imported", truth.kind, truth.frame);
            assert!(!out.exists());
            tried += 1;
        }
    }
    assert_eq!(tried, 80);
}
