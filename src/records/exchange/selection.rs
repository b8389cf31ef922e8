//! Chooses the episodes of a folder to export, and checks what they share.

use std::path::{Path, PathBuf};

use super::ExchangeError;
use crate::recording::{ReadOptions, RecordedStep, list_episodes, list_partial, read_episode, read_episode_with};
use visuomotor_core::action::Decider;
use visuomotor_core::episode::{EpisodeEnd, EpisodeStart};
use visuomotor_core::observation::Image;
use visuomotor_core::untrusted::shown;

/// Episodes to export, in order of their file names. They share arm, joints, cameras and policy rate.
#[derive(Debug)]
pub struct Selection {
    /// The episodes, at least one.
    pub episodes: Vec<SelectedEpisode>,
    /// Files that are left out, with reasons.
    pub left_out: Vec<(PathBuf, String)>,
    /// Of these, the ones at fault: that cannot be read, or do not fit the others.
    pub at_fault: usize,
    /// Names of the cameras, in launch-file order.
    pub cameras: Vec<String>,
}

/// An episode to export, without its images.
#[derive(Debug)]
pub struct SelectedEpisode {
    /// The recording.
    pub path: PathBuf,
    /// What is known before the first step.
    pub start: EpisodeStart,
    /// How it ended; `None` when it was cut off.
    pub end: Option<EpisodeEnd>,
    /// The policy steps without images and embeddings; at least one.
    pub steps: Vec<RecordedStep>,
    /// Wall-clock time of the start, nanoseconds since 1970, where it was annotated.
    pub started_at_unix_ns: Option<u64>,
}

impl Selection {
    /// Selects from the recordings of `folder`: the successful ones, or `all` finished ones. One that cannot be read or does not
    /// fit the others is left out, or with `strict` ends the selection.
    pub fn of(folder: &Path, all: bool, strict: bool) -> Result<Self, ExchangeError> {
        let mut chosen = Self { episodes: Vec::new(), left_out: Vec::new(), at_fault: 0, cameras: Vec::new() };
        for path in list_partial(folder)? {
            chosen.left_out.push((path, "cut off; `visuomotor recordings recover` keeps what was written".into()));
        }
        for path in list_episodes(folder)? {
            let episode = match read_episode_with(&path, ReadOptions { images: false, control_ticks: false }) {
                Err(error) if !strict => {
                    chosen.leave_out(path, &error.to_string());
                    continue;
                }
                read => read?,
            };
            let mut steps = episode.steps;
            steps.iter_mut().for_each(|step| step.embedding = None);
            let read = SelectedEpisode {
                path: path.clone(),
                start: episode.start,
                end: episode.end,
                steps,
                started_at_unix_ns: episode.started_at_unix_ns,
            };
            match read.unfit(all) {
                Some(why) => chosen.left_out.push((path, why)),
                None => match chosen.take(read) {
                    Err(error) if !strict => chosen.leave_out(path, &error.to_string()),
                    taken => taken?,
                },
            }
        }
        if chosen.episodes.is_empty() {
            let found = match chosen.left_out.len() {
                0 => "holds no recordings".into(),
                count => format!(
                    "none of its {count} recordings is taken: {}",
                    super::left_out::reasons(chosen.left_out.iter().map(|(_, why)| why.as_str()))
                ),
            };
            let fix = "name a folder of episodes; --all also takes those that did not succeed";
            return Err(ExchangeError::Place { path: folder.to_path_buf(), found, fix });
        }
        Ok(chosen)
    }

    /// Leaves out a recording at fault; the path, which stands beside the reason, is not said twice.
    fn leave_out(&mut self, path: PathBuf, reason: &str) {
        self.at_fault += 1;
        let own = format!("{}: ", shown(&path));
        let reason = reason.strip_prefix(&own).unwrap_or(reason).to_string();
        self.left_out.push((path, reason));
    }

    fn take(&mut self, episode: SelectedEpisode) -> Result<(), ExchangeError> {
        let cameras =
            |step: &RecordedStep| step.images.iter().map(|image| image.camera.to_string()).collect::<Vec<_>>();
        if self.episodes.is_empty() {
            self.cameras = cameras(&episode.steps[0]);
        }
        let first = self.episodes.first().unwrap_or(&episode);
        let differ = |key, found: String, expected: String| ExchangeError::Episode {
            path: episode.path.clone(),
            key,
            found,
            expected,
            fix: "export recordings of one arm, camera set and rate; move the others to folders of their own",
        };
        let (is, was) = (&episode.start, &first.start);
        if is.robot != was.robot {
            return Err(differ("robot", is.robot.clone(), was.robot.clone()));
        }
        if is.joint_names != was.joint_names {
            return Err(differ("joint_names", is.joint_names.join(" "), was.joint_names.join(" ")));
        }
        if (is.policy_rate_hz - was.policy_rate_hz).abs() > 1e-6 * was.policy_rate_hz {
            return Err(differ("policy_rate_hz", is.policy_rate_hz.to_string(), was.policy_rate_hz.to_string()));
        }
        for step in &episode.steps {
            let found = cameras(step);
            if found != self.cameras {
                return Err(differ(
                    "cameras",
                    format!("{found:?} at step {}", step.index),
                    format!("{:?}", self.cameras),
                ));
            }
            let joints = step.proprioception.joint_positions.len();
            if joints != was.joint_names.len() {
                let names = format!("as many as there are names: {}", was.joint_names.len());
                return Err(differ("joint_positions", format!("{joints} at step {}", step.index), names));
            }
        }
        self.episodes.push(episode);
        Ok(())
    }

    /// The start of the first episode.
    pub(super) fn start(&self) -> &EpisodeStart {
        &self.episodes[0].start
    }
}

impl SelectedEpisode {
    /// Why it is not exported.
    fn unfit(&self, all: bool) -> Option<String> {
        let finite = |step: &RecordedStep| {
            let body = &step.proprioception;
            step.action.is_finite()
                && step.label.is_finite()
                && step.bridge_state.iter().all(|v| v.is_finite())
                && body.joint_positions.is_finite()
        };
        if self.steps.is_empty() {
            return Some("no steps".into());
        }
        if let Some(step) = self.steps.iter().find(|step| !finite(step)) {
            return Some(format!("step {} holds a number that is not finite", step.index));
        }
        if let Some(motion) = self.steps.iter().find_map(|step| step.motion) {
            return Some(format!("{}, for which there is no place in these formats", motion.kind()));
        }
        match &self.end {
            _ if all => None,
            Some(end) if end.outcome.is_success() => None,
            Some(end) => Some(format!("outcome {}", end.outcome.word())),
            None => Some("no outcome".into()),
        }
    }

    /// The instruction; the task's name where there is none.
    pub(super) fn instruction(&self) -> &str {
        if self.start.instruction.is_empty() { &self.start.task } else { &self.start.instruction }
    }

    /// Time of a step's observation since the first one \[s\].
    pub(super) fn seconds(&self, step: &RecordedStep) -> f64 {
        step.observed_at.as_secs_f64() - self.steps[0].observed_at.as_secs_f64()
    }

    /// Did the episode end in success?
    pub(super) fn succeeded(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.outcome.is_success())
    }

    /// Was noise added to the demonstrator's actions, so that executed and intended actions differ?
    pub(super) fn was_disturbed(&self) -> bool {
        self.steps.iter().any(|step| step.action != step.label)
    }

    /// Did the operator decide any of its steps in place of the policy?
    pub(super) fn has_interventions(&self) -> bool {
        self.steps.iter().any(|step| step.decided_by == Some(Decider::Operator))
    }

    /// Reads the episode's steps again, with images.
    pub(super) fn steps_with_pictures(&self) -> Result<Vec<RecordedStep>, ExchangeError> {
        let steps = read_episode(&self.path)?.steps;
        if steps.len() != self.steps.len() {
            let found = "changed while it was exported".into();
            return Err(ExchangeError::Place {
                path: self.path.clone(),
                found,
                fix: "export it when no program is writing it",
            });
        }
        Ok(steps)
    }

    /// Checks that an image has the size of the first image of its camera.
    pub(super) fn check_size(&self, image: &Image, expected: &mut Option<(u32, u32)>) -> Result<(), ExchangeError> {
        let size = (image.width, image.height);
        let expected = *expected.get_or_insert(size);
        if size == expected {
            return Ok(());
        }
        Err(ExchangeError::Episode {
            path: self.path.clone(),
            key: "image size",
            found: format!("{}x{} of camera `{}`", size.0, size.1, image.camera),
            expected: format!("{}x{}", expected.0, expected.1),
            fix: "export recordings of one image size; move the others to folders of their own",
        })
    }
}
