//! robomimic: h5py reads our exports.

use visuomotor::exchange::*;

use super::fixture::*;

#[test]
fn h5py_sees_the_recorded_numbers_and_pictures() {
    let bench = Bench::new();
    let file = export_robomimic(&bench.selection, &bench.path("demos.hdf5"), &mut || {}).unwrap();
    let seen = python("exchange/read_robomimic.py", &[&file]);
    assert_eq!(seen["total"], 15);
    assert_eq!(seen["env_args"]["env_kwargs"]["robot"], "widowx");
    assert_eq!((&seen["mask"]["train"][0], &seen["mask"]["valid"][0]), (&"demo_0".into(), &"demo_1".into()));
    for (index, episode) in bench.selection.episodes.iter().enumerate() {
        let demo = &seen["demos"][format!("demo_{index}")];
        let steps = visuomotor::recording::read_episode(&episode.path).unwrap().steps;
        let all = |of: &dyn Fn(&visuomotor::recording::RecordedStep) -> Vec<f64>| {
            steps.iter().flat_map(of).collect::<Vec<f64>>()
        };
        assert_eq!(demo["length"], steps.len());
        assert_eq!(demo["lang"], episode.start.instruction);
        assert_eq!(demo["end"]["outcome"]["judge"], "success_rule");
        assert_eq!(numbers(&demo["actions"]), all(&|step| step.action.to_array().to_vec()));
        assert_eq!(numbers(&demo["noise_free_actions"]), all(&|step| step.label.to_array().to_vec()));
        assert_eq!(numbers(&demo["obs"]["state"]), all(&|step| step.bridge_state.to_vec()));
        assert_eq!(
            numbers(&demo["obs"]["robot0_joint_pos"]),
            all(&|step| step.proprioception.joint_positions.to_vec())
        );
        let quaternion = |step: &visuomotor::recording::RecordedStep| {
            let q = step.base_from_tool.rotation;
            vec![q.i, q.j, q.k, q.w]
        };
        assert_eq!(numbers(&demo["obs"]["robot0_eef_quat"]), all(&quaternion));
        let mut rewards = vec![0.0; steps.len()];
        *rewards.last_mut().unwrap() = 1.0;
        assert_eq!((numbers(&demo["rewards"]), numbers(&demo["dones"])), (rewards.clone(), rewards));
        let (shape, last) = (&demo["pictures"]["arm_image"][0], &demo["pictures"]["arm_image"][1]);
        assert_eq!(numbers(shape), [steps.len() as f64, 48.0, 64.0, 3.0]);
        let image = steps.last().unwrap().images[1].decode().unwrap();
        assert_eq!(numbers(last), image.pixels.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    }
}
