//! The images of one camera, episode by episode, without states and actions. Start at [`LerobotFrames`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::CONVERT;
use super::cameras::{Source, cameras, order_by_columns, path_inside};
use super::info::{Info, read_info};
use super::places::{Place, places};
use super::reading::Rows;
use super::video::TimedVideo;
use crate::exchange::ExchangeError;
use crate::exchange::error::{DAMAGED, read_error, source_error};
use crate::exchange::ffmpeg::find_ffmpeg;
use crate::recording::{Decoded, jpeg, png};
use visuomotor_core::untrusted;

/// The images of one camera of a LeRobot v3.0 data set of any robot; the rest of the data set is ignored.
pub struct LerobotFrames {
    root: PathBuf,
    info_path: PathBuf,
    info: Info,
    camera: Source,
    ffmpeg: Option<PathBuf>,
    episodes: Vec<Place>,
}

impl LerobotFrames {
    /// Opens a data set; `choose` gets the names of its cameras and returns the index of one.
    pub fn open(
        root: &Path,
        choose: &dyn Fn(&[String]) -> Option<usize>,
        ffmpeg: Option<&Path>,
    ) -> Result<Self, ExchangeError> {
        let info_path = root.join("meta/info.json");
        let info = read_info(root, &info_path)?;
        let mut cameras = cameras(&info_path, &info, None, &mut BTreeSet::new())?;
        order_by_columns(&mut cameras, root, &path_inside(root, &info_path, &info.data_path, "", (0, 0))?);
        let names: Vec<String> = cameras.iter().map(|camera| camera.name.to_string()).collect();
        let Some(camera) = choose(&names).filter(|place| *place < cameras.len()).map(|place| cameras.remove(place))
        else {
            let found = if names.is_empty() { "none".into() } else { names.join(", ") };
            let fix = "choose another camera, or another data set";
            return Err(source_error(&info_path, "features (cameras)", found, "the camera asked for", fix));
        };
        let ffmpeg = camera.is_video.then(|| find_ffmpeg(ffmpeg)).transpose()?;
        let videos: &[String] = if camera.is_video { std::slice::from_ref(&camera.key) } else { &[] };
        let episodes = places(root, &info, videos)?;
        Ok(Self { root: root.to_path_buf(), info_path, info, camera, ffmpeg, episodes })
    }

    /// Number of episodes, at least 1.
    pub fn episodes(&self) -> usize {
        self.episodes.len()
    }

    /// An episode's number in the data set and its number of images; `None` after the last.
    pub fn episode(&self, place: usize) -> Option<(u64, u64)> {
        self.episodes.get(place).map(|place| (place.index, place.length))
    }

    /// Name of the camera.
    pub fn camera(&self) -> &str {
        &self.camera.name
    }

    /// Passes the images of an episode to `take`, in order.
    pub fn read<E: From<ExchangeError>>(
        &self,
        episode: usize,
        take: &mut dyn FnMut(Decoded) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(place) = self.episodes.get(episode) else { return Ok(()) };
        match &self.ffmpeg {
            Some(ffmpeg) => self.read_video(ffmpeg, place, take),
            None => self.read_files(place, take),
        }
    }

    fn read_video<E: From<ExchangeError>>(
        &self,
        ffmpeg: &Path,
        place: &Place,
        take: &mut dyn FnMut(Decoded) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((of, from)) = place.videos.first() else { return Ok(()) };
        let template = self.info.video_path.as_deref().unwrap_or_default();
        let path = path_inside(&self.root, &self.info_path, template, &self.camera.key, *of)?;
        let stamps = self.stamps(place)?;
        let first = from + stamps.first().copied().unwrap_or_default();
        if !(0.0..1e9).contains(&first) {
            let found = format!("from_timestamp {from}");
            return Err(source_error(&path, "video", found, "seconds within the video", DAMAGED).into());
        }
        untrusted::open_inside(&self.root, &path).map_err(read_error(&path))?;
        let mut video = TimedVideo::open(ffmpeg, &path, first, self.info.fps, self.camera.size)?;
        for stamp in stamps {
            take(video.at(from + stamp)?.image)?;
        }
        Ok(())
    }

    /// The times of an episode's rows since its start \[s\].
    fn stamps(&self, place: &Place) -> Result<Vec<f64>, ExchangeError> {
        let path = path_inside(&self.root, &self.info_path, &self.info.data_path, "", place.data)?;
        let part = (place.first_row, place.length);
        let mut rows = Rows::open_part(&self.root, &path, &["episode_index", "timestamp"], &[], part)?;
        let mut stamps = Vec::new();
        while let Some(batch) = rows.next()? {
            if let Some(other) = batch.counts("episode_index")?.into_iter().find(|index| *index != place.index) {
                let expected = format!("{}, as the lengths in meta/episodes say", place.index);
                return Err(source_error(&path, "episode_index", other, expected, DAMAGED));
            }
            stamps.extend(batch.numbers("timestamp")?);
        }
        if stamps.len() as u64 != place.length {
            let found = format!("{} of {} rows of episode {}", stamps.len(), place.length, place.index);
            return Err(source_error(&path, "episode_index", found, "as many as its length says", DAMAGED));
        }
        Ok(stamps)
    }

    fn read_files<E: From<ExchangeError>>(
        &self,
        place: &Place,
        take: &mut dyn FnMut(Decoded) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = path_inside(&self.root, &self.info_path, &self.info.data_path, "", place.data)?;
        let (key, first) = (self.camera.key.as_str(), place.first_row);
        let mut rows = Rows::open_part(&self.root, &path, &["episode_index", key], &[], (first, place.length))?;
        let mut done = 0;
        while let Some(batch) = rows.next()? {
            let episodes = batch.counts("episode_index")?;
            for (episode, file) in episodes.into_iter().zip(batch.files(key)?) {
                if episode != place.index {
                    let found = format!("{episode} in row {}", first + done);
                    let expected = format!("{}, as the lengths in meta/episodes say", place.index);
                    return Err(source_error(&path, "episode_index", found, expected, DAMAGED).into());
                }
                let frame = decoded(&file).map_err(|found| {
                    source_error(&path, format!("{key}, row {}", first + done), found, "a JPEG or PNG file", CONVERT)
                })?;
                take(frame)?;
                done += 1;
            }
        }
        if done < place.length {
            let found = format!("{done} of {} rows of episode {}", place.length, place.index);
            return Err(source_error(&path, "episode_index", found, "as many as its length says", DAMAGED).into());
        }
        Ok(())
    }
}

fn decoded(file: &[u8]) -> Result<Decoded, String> {
    if file.starts_with(b"\x89PNG") {
        return png::decode(file);
    }
    jpeg::decode(file, false)
}
