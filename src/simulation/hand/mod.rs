//! Videos of hands at work, without actions: a stand-in for recordings of people, for pre-training.
//!
//! A hand without an arm does everyday chores in kitchens, at tables and benches that are random for each clip, seen by a
//! camera at head height that drifts and follows the hand. There is no physics: hand and objects move along minimum-jerk
//! strokes, held objects follow the hand, released objects fall. Neither an arm nor anything of the target's scene appears.
//!
//! Start reading at [`HandClip::draw`].

mod body;
mod chores;
mod mjcf;
mod motion;
mod place;
mod plan;
mod things;
mod view;

use std::sync::Arc;

use mujoco_rs::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::body::Hand;
use self::motion::{Moment, perform};
use super::{SharedRenderer, SimulationError};
use visuomotor_core::geometry::Pose;

/// Fewest and most frames of a clip, as in the public preparation of Ego4D.
pub const FRAMES: (usize, usize) = (10, 150);

/// One clip, planned as a function of a seed.
pub struct HandClip {
    /// Name of its place.
    pub place: &'static str,
    /// Name of its chore.
    pub chore: &'static str,
    /// Kinds of its objects.
    pub things: Vec<&'static str>,
    model: String,
    moments: Vec<Moment>,
    views: Vec<Pose>,
}

impl HandClip {
    /// Plans the clip of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let hand = Hand::draw(&mut rng);
        let chore = chores::chore(&hand, &mut rng);
        let place = place::place(&mut rng);
        let rate = rng.random_range(8.0..13.0);
        let mut moments = perform(chore.start, &chore.strokes, &chore.props, rate);
        // Cut like clips of long recordings: some start while the hand is already moving.
        let late = rng.random_range(0..=moments.len() / 8);
        moments.drain(..late);
        moments.truncate(FRAMES.1);
        let views = view::follow(&moments, rate, &mut rng);
        let mut model = String::from(
            "<mujoco model=\"hands\">\n<compiler angle=\"radian\" eulerseq=\"XYZ\"/>\n\
             <statistic extent=\"1\" center=\"0.2 0 0\"/>\n\
             <visual><map znear=\"0.03\" zfar=\"12\"/><global offwidth=\"640\" offheight=\"480\"/>\
             <quality shadowsize=\"0\" offsamples=\"0\" numslices=\"12\" numstacks=\"6\" numquads=\"1\"/>\
             <headlight active=\"0\"/></visual>\n",
        );
        model.push_str(&format!("<asset>\n{}</asset>\n<worldbody>\n{}", place.assets, place.world));
        let angle = rng.random_range(46.0..62.0);
        model.push_str(&format!(
            "<body name=\"head\" mocap=\"true\"><camera name=\"eyes\" fovy=\"{angle:.4}\"/></body>\n"
        ));
        model.push_str(&hand.mjcf);
        for thing in &chore.things {
            model.push_str(&format!("<body mocap=\"true\">\n{}</body>\n", thing.geoms.0));
        }
        model.push_str("</worldbody>\n</mujoco>\n");
        let things = chore.things.iter().map(|thing| thing.kind).collect();
        Self { place: place.kind, chore: chore.kind, things, model, moments, views }
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.moments.len()
    }

    /// Renders all frames in order, each `height * width * 3` bytes, RGB, and passes them to `each` with their number.
    pub fn film<E: From<SimulationError>>(
        &self,
        renderer: &SharedRenderer,
        mut each: impl FnMut(usize, Arc<[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let unfit =
            |why: String| SimulationError::Scene { file: format!("{} in a {}", self.chore, self.place).into(), why };
        let model = MjModel::from_xml_string(&self.model).map_err(|error| unfit(error.to_string()))?;
        let mut data = MjData::new(Arc::new(model));
        for (number, (moment, view)) in self.moments.iter().zip(&self.views).enumerate() {
            // In the model's order: head, hand, objects.
            for (slot, pose) in [view, &moment.hand].into_iter().chain(&moment.things).enumerate() {
                let (p, q) = (pose.translation, pose.rotation);
                data.mocap_pos_mut()[slot] = [p.x, p.y, p.z];
                data.mocap_quat_mut()[slot] = [q.w, q.i, q.j, q.k];
            }
            data.qpos_mut().copy_from_slice(&body::joints(moment.grip));
            data.forward_kinematics();
            each(number, renderer.draw(&mut data, 0)?)?;
        }
        Ok(())
    }
}

/// Names of all possible places, chores and objects.
pub struct HandVocabulary;

impl HandVocabulary {
    /// Places.
    pub fn places() -> Vec<String> {
        place::PLACES.map(String::from).to_vec()
    }

    /// Chores.
    pub fn chores() -> Vec<String> {
        chores::CHORES.map(String::from).to_vec()
    }

    /// Objects.
    pub fn things() -> Vec<String> {
        things::HANDLED.iter().chain(&things::HOLDING).chain(&things::PROPS).map(|name| name.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_a_function_of_its_seed_and_seeds_differ() {
        let (a, b, c) = (HandClip::draw(3), HandClip::draw(3), HandClip::draw(4));
        assert_eq!(a.model, b.model);
        assert_eq!(format!("{:?}{:?}", a.moments, a.views), format!("{:?}{:?}", b.moments, b.views));
        assert_ne!(a.model, c.model);
    }

    #[test]
    fn every_chore_compiles_ends_in_time_and_stays_before_the_camera() {
        let mut seen = std::collections::BTreeSet::new();
        let mut places = std::collections::BTreeSet::new();
        for seed in 0..150 {
            let clip = HandClip::draw(seed);
            let words = format!("seed {seed}: {} in a {}", clip.chore, clip.place);
            MjModel::from_xml_string(&clip.model).unwrap_or_else(|error| panic!("{words}: {error}"));
            assert!((FRAMES.0..=FRAMES.1).contains(&clip.frames()), "{words}: {} frames", clip.frames());
            let vocabulary = HandVocabulary::things();
            assert!(
                clip.things.iter().all(|kind| vocabulary.contains(&kind.to_string())),
                "{words}: {:?}",
                clip.things
            );
            let mut before: Option<&Moment> = None;
            for moment in &clip.moments {
                let place = moment.hand.translation.vector;
                assert!(place.x > -0.5 && place.x < 0.6 && place.y.abs() < 0.6, "{words}: hand at {place:?}");
                assert!(place.z > -0.02 && place.z < 0.6, "{words}: hand at {place:?}");
                if let Some(before) = before {
                    let way = (place - before.hand.translation.vector).norm();
                    assert!(way < 0.25, "{words}: the hand jumps {way} m");
                }
                before = Some(moment);
            }
            seen.insert(clip.chore);
            places.insert(clip.place);
        }
        assert_eq!((seen.len(), places.len()), (chores::CHORES.len(), place::PLACES.len()));
    }

    /// Each chore has the effect that its name states.
    #[test]
    fn things_end_where_the_chore_requires() {
        for seed in 0..200 {
            let clip = HandClip::draw(seed);
            let (first, last) = (&clip.moments[0].things, &clip.moments[clip.frames() - 1].things);
            let words = format!("seed {seed}: {}", clip.chore);
            if clip.frames() == FRAMES.1 {
                continue;
            }
            let moved = |thing: usize| (last[thing].translation.vector - first[thing].translation.vector).norm();
            match clip.chore {
                "put_into" => {
                    let away = (last[1].translation.vector - last[0].translation.vector).xy().norm();
                    assert!(away < 0.04 && last[1].translation.z < 0.02, "{words}: {away}");
                }
                "take_out" => {
                    let away = (last[1].translation.vector - last[0].translation.vector).xy().norm();
                    assert!(away > 0.05, "{words}: {away}");
                }
                "stack" => assert!(last[1].translation.z > first[1].translation.z + 0.01, "{words}"),
                "wipe" => {
                    let gone = last.iter().filter(|pose| pose.translation.z < -1.0).count();
                    assert!(gone >= 2, "{words}: {gone} stains gone");
                }
                "pour" => {
                    let shown = |things: &[Pose]| things[2..].iter().filter(|p| p.translation.z > -1.0).count();
                    assert!(shown(last) >= shown(first) + 8, "{words}");
                }
                "open_drawer" | "close_drawer" => assert!(moved(1) > 0.08, "{words}: {}", moved(1)),
                "take_lid_off" | "put_lid_on" => assert!(moved(1) > 0.03, "{words}: {}", moved(1)),
                "push_aside" | "push_away" => assert!(moved(0) > 0.09, "{words}: {}", moved(0)),
                _ => assert!(moved(0) > 0.01, "{words}: {}", moved(0)),
            }
        }
    }
}
