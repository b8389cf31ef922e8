//! Data for pre-training: reproducible, with the requested share of failures, and without anything of the target's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use visuomotor::cli::kitchen::KitchenSetting;
use visuomotor::cli::set_up::SetUp;
use visuomotor::episode::Judge;
use visuomotor::recording::{Contents, dataset_digest, list_episodes, read_episode};
use visuomotor::runtime::{EpisodeRequest, StopFlag, Timing, run_episode};
use visuomotor::scripted::{Demonstrator, Disturbance};
use visuomotor::simulation::HandVocabulary;
use visuomotor::time::ManualClock;

use crate::program::{Project, refused, root};

const ROBOT: &str = "launch/pretraining/robot.toml";

fn setting(launch: &str) -> KitchenSetting {
    KitchenSetting::load(&root().join(launch)).unwrap()
}

fn project() -> Project {
    let project = Project::new();
    std::fs::create_dir(project.path("launch/pretraining")).unwrap();
    project.edit(ROBOT, |text| text);
    project
}

/// Everything that a scene can show: its name and its fixtures', its tasks, its objects.
fn names(setting: &KitchenSetting) -> BTreeSet<String> {
    let scene = &setting.scene;
    let fixtures = scene.task.iter().map(|task| scene.fixtures_of(task).display().to_string());
    let tasks = scene.task.iter().map(|task| task.name.clone());
    [scene.name.clone()].into_iter().chain(fixtures).chain(tasks).chain(setting.objects.keys().cloned()).collect()
}

/// Type, size and position of each geom of an MJCF file, sorted.
fn geometry(file: &Path) -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(file).unwrap();
    let attribute = |line: &str, key: &str| {
        let from = line.find(&format!(" {key}=\"")).map(|at| at + key.len() + 3)?;
        line[from..].find('"').map(|to| line[from..from + to].to_string())
    };
    let mut geoms: Vec<[String; 3]> = text
        .lines()
        .filter(|line| line.contains("<geom ") && line.contains(" name="))
        .map(|line| {
            let place = attribute(line, "pos").or_else(|| attribute(line, "fromto")).unwrap_or_default();
            [attribute(line, "type").unwrap_or_default(), attribute(line, "size").unwrap_or_default(), place]
        })
        .collect();
    geoms.sort();
    geoms
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "xml")).collect()
}

#[test]
fn nothing_of_the_target_is_in_pre_training() {
    let (target, robot) = (setting("launch/widowx_kitchen.toml"), setting(ROBOT));
    // All objects of the target, whether in its scene file or not.
    let mut targets = names(&target);
    targets.extend(files("scenes/objects").iter().map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()));
    let mut seen = names(&robot);
    seen.extend(HandVocabulary::places().into_iter().chain(HandVocabulary::chores()).chain(HandVocabulary::things()));
    let both: Vec<_> = targets.intersection(&seen).collect();
    assert!(both.is_empty(), "{both:?}");

    for ours in files("scenes/objects") {
        let shape = geometry(&ours);
        assert!(!shape.is_empty(), "{}", ours.display());
        for theirs in files("scenes/pretraining/objects") {
            let same: Vec<_> = geometry(&theirs).into_iter().map(|[kind, size, _]| [kind, size]).collect();
            let ours_bare: Vec<_> = shape.iter().map(|[kind, size, _]| [kind.clone(), size.clone()]).collect();
            assert_ne!(ours_bare, same, "{} and {}", ours.display(), theirs.display());
        }
    }
    let kitchen = geometry(&root().join("scenes/kitchen.xml"));
    let kitchens = files("scenes/pretraining");
    assert!(kitchens.len() >= 3);
    for other in &kitchens {
        let shared: Vec<_> = geometry(other).into_iter().filter(|geom| kitchen.contains(geom)).collect();
        assert!(shared.len() <= 1, "{} is arranged like the target: {shared:?}", other.display());
    }
}

#[test]
fn there_is_enough_to_learn_from() {
    let robot = setting(ROBOT);
    let tasks = &robot.protocol.tasks;
    let distinct = |name: fn(&visuomotor::config::Task) -> String| {
        robot.scene.task.iter().map(name).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(tasks.len(), robot.scene.task.len());
    assert!(
        tasks.len() >= 8
            && distinct(|task| task.object.clone()) >= 8
            && distinct(|task| task.container.clone().unwrap()) >= 4
    );
    let kitchens: BTreeSet<_> = robot.scene.task.iter().map(|task| robot.scene.fixtures_of(task)).collect();
    assert!(kitchens.len() >= 3);
    let rules: BTreeSet<_> = robot.scene.task.iter().map(|task| format!("{:?}", task.rule)).collect();
    assert_eq!(rules.len(), 2, "put in and take out");
    // The arm and the camera are the target's.
    let target = setting("launch/widowx_kitchen.toml");
    let (robot, target) = (&robot.station, &target.station);
    assert_eq!((&robot.robot, &robot.cameras), (&target.robot, &target.cameras));
}

#[test]
fn told_the_truth_the_expert_does_every_task_and_objects_rest_where_they_are_put() {
    let setting = setting(ROBOT);
    for task in &setting.scene.task {
        let at = [0.28, 0.09];
        let set_up = SetUp {
            object: task.object.clone(),
            object_at: at,
            object_yaw: 0.2,
            container_at: setting.container_at(task, at),
            others: vec![],
            start: [0.25, 0.0, setting.scene.start_height, 0.0, 0.0, 0.0],
            seed: 1,
            task: task.clone(),
        };
        let prepared = setting.prepare(&set_up).unwrap();
        let resting = prepared.kitchen.placed_pose(&task.object).unwrap();
        let grasp = resting * nalgebra::Point3::from(setting.objects[&task.object].grasp_offset);
        let drift = (grasp.x - at[0]).hypot(grasp.y - at[1]);
        assert!(drift < 0.01, "{}: the {} drifts {drift} m", task.name, task.object);
        let upright = (resting.rotation * nalgebra::Vector3::z()).z;
        assert!(upright > 0.9, "{}: the {} tips over", task.name, task.object);
        let (mut station, mut judge) = setting.running(&set_up, &prepared).unwrap();
        let mut expert =
            Demonstrator::new(prepared.assignment, setting.station.launch.policy.bounds, Disturbance::NONE, 1);
        let report = run_episode(
            &mut station,
            EpisodeRequest {
                start: setting.episode_start("test", &set_up, "expert"),
                seconds: 20.0,
                source: &mut expert,
                sinks: vec![],
                judge: &mut judge as &mut dyn Judge,
                stop: &StopFlag::new(),
            },
            Timing::Lockstep { clock: &ManualClock::new(), stopwatch: &ManualClock::new() },
        );
        assert!(report.outcome.is_success(), "{}: {:?} after {} s", task.name, report.outcome, report.seconds);
    }
}

#[test]
fn the_asked_share_succeeds_failures_are_kept_and_the_same_call_makes_the_same_bytes() {
    let project = project();
    let make = |out: &str, episodes: &str, jobs: &str| {
        let arguments = ["demonstrate", ROBOT, "--success-share", "0.3", "--seed", "5", "--task", "die_in_basket"];
        let more = ["--episodes", episodes, "--out", out, "--jobs", jobs];
        let output = project.call(&[&arguments[..], &more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        dataset_digest(&project.path(out)).unwrap()
    };
    assert_eq!(make("a", "4", "1"), make("b", "4", "2"));
    // The other six of ten are added.
    make("b", "10", "2");
    let outcomes: Vec<String> = list_episodes(&project.path("b"))
        .unwrap()
        .iter()
        .map(|file| read_episode(file).unwrap().end.unwrap().outcome.word().to_string())
        .collect();
    let count = |word: &str| outcomes.iter().filter(|outcome| *outcome == word).count();
    assert_eq!((count("success"), count("failure"), outcomes.len()), (3, 7, 10));
    let contents = Contents::read(&project.path("b")).unwrap().unwrap();
    assert_eq!(contents.scenes, ["patio", "pretraining"]);
    assert_eq!((contents.tasks.as_slice(), contents.seed), (&["die_in_basket".to_string()][..], 5));
    assert!(contents.objects.contains(&"basket".into()) && contents.command.contains("--success-share 0.3"));
}

#[test]
fn a_share_that_is_none_and_a_counter_out_of_reach_are_refused() {
    let project = project();
    let call = |share: &str| project.call(&["demonstrate", ROBOT, "--out", "x", "--success-share", share]);
    refused(&call("1.5"), &["--success-share", "1.5", "from 0 to 1"]);
    project.edit("scenes/pretraining/kitchens.toml", |text| text.replace("high = [0.44, 0.23]", "high = [0.84, 0.23]"));
    refused(&call("0.3"), &["kitchens.toml", "counter", "0.84", "workspace", "0.45", "make it smaller"]);
    project.edit("scenes/pretraining/kitchens.toml", |t| t.replace("high = [0.44, 0.23]", "high = [0.30, -0.05]"));
    refused(&call("0.3"), &["kitchens.toml", "counter", "-0.05", "room for the avocado beside the basket", "larger"]);
    project.edit("scenes/pretraining/kitchens.toml", |text| {
        text.replace("fixtures = \"loft.xml\"", "fixtures = \"lift.xml\"")
    });
    refused(&call("0.3"), &["kitchens.toml", "task.toy_car_in_basket.fixtures", "lift.xml"]);
}

/// All files below a folder with their bytes.
fn bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn videos_repeat_go_on_after_a_cut_and_lie_as_their_manifest_says() {
    let project = Project::new();
    let call = |out: &str, clips: &str, seed: &str, jobs: &str| {
        project.call(&["videos", "--clips", clips, "--seed", seed, "--out", out, "--size", "64", "--jobs", jobs])
    };
    let made = |out: &str, clips: &str, jobs: &str| {
        let output = call(out, clips, "3", jobs);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let mut files = bytes(&project.path(out));
        let contents = files.remove(Path::new(Contents::FILE)).unwrap();
        (files, String::from_utf8(contents).unwrap())
    };
    let (first, contents) = made("a", "6", "1");
    for word in ["worktop", "carpet", "open_drawer", "pour", "carton", "basin", "\"seed\": 3"] {
        assert!(contents.contains(word), "{word}: {contents}");
    }
    assert_eq!(made("b", "6", "2").0, first);

    let manifest = String::from_utf8(first[Path::new("manifest.csv")].clone()).unwrap();
    let mut lines = manifest.lines();
    assert_eq!(lines.next(), Some("path,len"));
    let mut frames = 0;
    for line in lines {
        let (path, len) = line.split_once(',').unwrap();
        let len: usize = len.parse().unwrap();
        assert!((10..=150).contains(&len) && path.ends_with('/'), "{line}");
        for index in 0..len {
            let jpeg = &first[Path::new(&format!("{path}{index:06}.jpg"))];
            assert_eq!(jpeg[..2], [0xff, 0xd8], "{path}{index:06}.jpg");
        }
        frames += len;
    }
    assert_eq!(first.len(), frames + 1, "files that the manifest does not list");

    // Cut off while the third clip was written: no manifest, and an incomplete clip.
    std::fs::remove_file(project.path("b/manifest.csv")).unwrap();
    std::fs::rename(project.path("b/clips/000002"), project.path("b/clips/000002.partial")).unwrap();
    std::fs::remove_file(project.path("b/clips/000002.partial/000003.jpg")).unwrap();
    std::fs::remove_dir_all(project.path("b/clips/000005")).unwrap();
    assert_eq!(made("b", "6", "2").0, first);
    // Additional clips leave the first ones unchanged.
    let (more, _) = made("b", "7", "1");
    assert!(first.iter().filter(|(name, _)| name.starts_with("clips")).all(|(name, jpeg)| more[name] == *jpeg));
    let larger = project.call(&["videos", "--clips", "7", "--seed", "3", "--out", "b", "--size", "96"]);
    refused(&larger, &["clips/00000", "64x64", "asked for 96x96", "--out"]);
    refused(&call("b", "7", "4", "1"), &["clips/00000", "--seed", "delete it"]);
    refused(&call("c", "0", "1", "1"), &["--clips"]);
}
