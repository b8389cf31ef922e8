//! Exports our episodes as a LeRobot data set. Start at [`export_lerobot`].

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::columns::{Column, Standing, columns};
use super::info::{Camera, Totals, hugging_face, info};
use super::tables::{Named, Table, floats, integers, lists, numbers, pictures, texts};
use super::*;
use crate::exchange::ExchangeError;
use crate::exchange::error::write_error;
use crate::exchange::ffmpeg::{VideoCodec, VideoWriter};
use crate::exchange::selection::{SelectedEpisode, Selection};
use crate::exchange::statistics::{Colors, Statistics};
use crate::exchange::write::write_file;
use crate::recording::{RecordedStep, png};
use crate::staging::Staging;

/// Storage of the images.
#[derive(Clone, Debug)]
pub enum LerobotPictures {
    /// As a video per camera: small, lossy.
    Video {
        /// The ffmpeg program.
        ffmpeg: PathBuf,
        /// How.
        codec: VideoCodec,
    },
    /// In the table, the recorded JPEG files unchanged.
    Jpeg,
    /// In the table, as PNG: the same pixels as the JPEG files, several times larger.
    Png,
}

/// Options of an export.
#[derive(Clone, Debug)]
pub struct LerobotExport {
    /// Storage of the images.
    pub pictures: LerobotPictures,
}

/// Writes a selection as a LeRobot data set into the new folder `out`; `progress` is called after each episode.
pub fn export_lerobot(
    selection: &Selection,
    out: &Path,
    options: &LerobotExport,
    progress: &mut dyn FnMut(),
) -> Result<PathBuf, ExchangeError> {
    let rate = whole_rate(selection)?;
    for camera in &selection.cameras {
        check_camera(selection, camera)?;
    }
    let staging = Staging::folder(out)?;
    let mut set = DataSet::begin(staging.path(), selection, options, rate);
    for episode in &selection.episodes {
        set.add(selection, episode)?;
        progress();
    }
    set.finish(selection)?;
    Ok(staging.finish()?)
}

/// LeRobot's rate is a whole number.
fn whole_rate(selection: &Selection) -> Result<u32, ExchangeError> {
    let rate = selection.start().policy_rate_hz;
    let whole = rate.round();
    if (1.0..=1e6).contains(&whole) && (rate - whole).abs() <= 1e-6 * whole {
        return Ok(whole as u32);
    }
    Err(ExchangeError::Episode {
        path: selection.episodes[0].path.clone(),
        key: "policy_rate_hz",
        found: rate.to_string(),
        expected: "a whole number, as LeRobot's fps is".into(),
        fix: "record at a whole rate, or export to robomimic or Bridge",
    })
}

/// Feature names become names of folders and columns.
fn check_camera(selection: &Selection, camera: &str) -> Result<(), ExchangeError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !camera.is_empty() && camera.chars().all(plain) && !camera.starts_with('.') {
        return Ok(());
    }
    Err(ExchangeError::Episode {
        path: selection.episodes[0].path.clone(),
        key: "camera",
        found: format!("{camera:?}"),
        expected: "letters, digits, `_`, `-` and `.`".into(),
        fix: "name the camera so in the launch file",
    })
}

/// Per camera, per step: an image file.
type Files = Vec<Vec<Vec<u8>>>;

/// A data set being written.
struct DataSet<'a> {
    root: &'a Path,
    options: &'a LerobotExport,
    rate: u32,
    tasks: Vec<String>,
    data: Option<Table>,
    videos: Vec<VideoWriter>,
    sizes: Vec<Option<(u32, u32)>>,
    /// All columns over all episodes, for the statistics.
    all: Vec<Column>,
    colors: Vec<Colors>,
    rows: Vec<EpisodeRow>,
    steps: u64,
}

/// One row of the episodes table.
struct EpisodeRow {
    task: usize,
    length: u64,
    first: u64,
    start: String,
    end: String,
    statistics: Vec<(String, u64, Vec<Statistics>)>,
    colors: Vec<Colors>,
}

impl<'a> DataSet<'a> {
    fn begin(root: &'a Path, selection: &Selection, options: &'a LerobotExport, rate: u32) -> Self {
        Self {
            root,
            options,
            rate,
            tasks: Vec::new(),
            data: None,
            videos: Vec::new(),
            sizes: vec![None; selection.cameras.len()],
            all: Vec::new(),
            colors: selection.cameras.iter().map(|_| Colors::new()).collect(),
            rows: Vec::new(),
            steps: 0,
        }
    }

    fn add(&mut self, selection: &Selection, episode: &SelectedEpisode) -> Result<(), ExchangeError> {
        let instruction = episode.instruction();
        let task = self.tasks.iter().position(|known| known == instruction).unwrap_or_else(|| {
            self.tasks.push(instruction.to_string());
            self.tasks.len() - 1
        });
        let standing = Standing { episode: self.rows.len(), task, first: self.steps, rate: self.rate };
        let columns = columns(selection, episode, standing);
        let (colors, files) = self.pictures(selection, episode)?;
        let broken = |error: arrow_schema::ArrowError| write_error(self.root)(std::io::Error::other(error));
        let mut row: Vec<Named> = Vec::new();
        for column in &columns {
            row.push((column.name.clone(), numbers(column).map_err(broken)?));
        }
        let ending = if matches!(self.options.pictures, LerobotPictures::Png) { "png" } else { "jpg" };
        for (camera, files) in selection.cameras.iter().zip(files) {
            row.push((format!("{IMAGES}{camera}"), pictures(files, ending)));
        }
        if self.data.is_none() {
            let keys: Vec<String> = match self.options.pictures {
                LerobotPictures::Video { .. } => Vec::new(),
                _ => selection.cameras.iter().map(|camera| format!("{IMAGES}{camera}")).collect(),
            };
            let metadata = vec![("huggingface".into(), hugging_face(&columns, &keys))];
            self.data = Some(Table::create(&self.root.join("data/chunk-000/file-000.parquet"), metadata)?);
        }
        if let Some(data) = &mut self.data {
            data.add(row)?;
        }
        self.note(episode, task, &columns, colors);
        Ok(())
    }

    /// Decodes the images of an episode for the videos and the colors' statistics; returns the image files to embed.
    fn pictures(
        &mut self,
        selection: &Selection,
        episode: &SelectedEpisode,
    ) -> Result<(Vec<Colors>, Files), ExchangeError> {
        let mut colors: Vec<Colors> = selection.cameras.iter().map(|_| Colors::new()).collect();
        let mut files = Vec::new();
        if selection.cameras.is_empty() {
            return Ok((colors, files));
        }
        for step in episode.steps_with_pictures()? {
            for (camera, recorded) in step.images.iter().enumerate() {
                let image = recorded.decode()?;
                episode.check_size(&image, &mut self.sizes[camera])?;
                colors[camera].add(&image);
                match &self.options.pictures {
                    LerobotPictures::Video { ffmpeg, codec } => {
                        if self.videos.len() == camera {
                            let size = even(episode, &step, (image.width, image.height))?;
                            let path = format!("videos/{IMAGES}{}/chunk-000/file-000.mp4", recorded.camera);
                            let path = self.root.join(path);
                            self.videos.push(VideoWriter::start(ffmpeg, &path, size, self.rate, *codec)?);
                        }
                        self.videos[camera].add(&image.pixels)?;
                    }
                    embedded => {
                        files.resize_with(selection.cameras.len(), Vec::new);
                        files[camera].push(match embedded {
                            LerobotPictures::Png => png::encode(&image).map_err(write_error(self.root))?,
                            _ => recorded.jpeg.clone(),
                        });
                    }
                }
            }
        }
        Ok((colors, files))
    }

    fn note(&mut self, episode: &SelectedEpisode, task: usize, columns: &[Column], colors: Vec<Colors>) {
        for (all, new) in self.colors.iter_mut().zip(&colors) {
            all.merge(new);
        }
        if self.all.is_empty() {
            self.all = columns.to_vec();
        } else {
            for (all, new) in self.all.iter_mut().zip(columns) {
                all.values.extend(&new.values);
            }
        }
        let length = episode.steps.len() as u64;
        self.rows.push(EpisodeRow {
            task,
            length,
            first: self.steps,
            // Plain structures of strings and finite numbers.
            start: serde_json::to_string(&episode.start).unwrap_or_default(),
            end: serde_json::to_string(&episode.end).unwrap_or_default(),
            statistics: columns.iter().map(statistics).collect(),
            colors,
        });
        self.steps += length;
    }

    fn finish(mut self, selection: &Selection) -> Result<(), ExchangeError> {
        for video in std::mem::take(&mut self.videos) {
            video.finish()?;
        }
        if let Some(data) = self.data.take() {
            data.finish()?;
        }
        self.write_tasks()?;
        self.write_episodes(selection)?;
        let codec = match &self.options.pictures {
            LerobotPictures::Video { codec, .. } => Some(codec.name()),
            _ => None,
        };
        let cameras = selection.cameras.iter().zip(&self.sizes).map(|(name, size)| Camera {
            key: format!("{IMAGES}{name}"),
            size: size.unwrap_or((0, 0)),
            codec,
        });
        let cameras: Vec<Camera> = cameras.collect();
        let totals = Totals { episodes: self.rows.len(), steps: self.steps, tasks: self.tasks.len(), rate: self.rate };
        self.write_json("meta/info.json", &info(&selection.start().robot, &totals, &self.all, &cameras))?;
        let mut all = serde_json::Map::new();
        for (name, count, dimensions) in self.all.iter().map(statistics) {
            let mut of = serde_json::Map::from_iter([("count".to_string(), json!([count]))]);
            for (index, (key, _)) in dimensions[0].named().iter().enumerate() {
                let values: Vec<f64> = dimensions.iter().map(|dimension| dimension.named()[index].1).collect();
                of.insert(key.to_string(), json!(values));
            }
            all.insert(name, of.into());
        }
        for (camera, colors) in cameras.iter().zip(&self.colors) {
            let mut of = serde_json::Map::from_iter([("count".to_string(), json!([colors.pictures]))]);
            let channels = colors.statistics();
            for (index, (key, _)) in channels[0].named().iter().enumerate() {
                of.insert(key.to_string(), json!(channels.each_ref().map(|channel| [[channel.named()[index].1]])));
            }
            all.insert(camera.key.clone(), of.into());
        }
        self.write_json("meta/stats.json", &all.into())
    }

    fn write_json(&self, name: &str, value: &Value) -> Result<(), ExchangeError> {
        let path = self.root.join(name);
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(value, &mut serializer)
            .map_err(|error| write_error(&path)(std::io::Error::other(error)))?;
        write_file(&path, &text)
    }

    /// A pandas frame whose index is the instruction: readers look up task numbers by it.
    fn write_tasks(&self) -> Result<(), ExchangeError> {
        let column = |name: &str, pandas: &str, numpy: &str| json!({"name": name, "field_name": name, "pandas_type": pandas, "numpy_type": numpy, "metadata": null});
        let pandas = json!({
            "index_columns": ["task"],
            "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"}}],
            "columns": [column("task_index", "int64", "int64"), column("task", "unicode", "object")],
            "attributes": {},
            "creator": {"library": "visuomotor", "version": env!("CARGO_PKG_VERSION")},
            "pandas_version": "2.2.0",
        });
        let metadata = vec![("pandas".to_string(), pandas.to_string())];
        let mut table = Table::create(&self.root.join("meta/tasks.parquet"), metadata)?;
        table.add(vec![
            ("task_index".into(), integers(0..self.tasks.len() as i64)),
            ("task".into(), texts(self.tasks.iter().map(String::as_str))),
        ])?;
        table.finish()
    }

    fn write_episodes(&self, selection: &Selection) -> Result<(), ExchangeError> {
        let path = self.root.join("meta/episodes/chunk-000/file-000.parquet");
        let broken = |error: arrow_schema::ArrowError| write_error(&path)(std::io::Error::other(error));
        let rows = &self.rows;
        let whole = |of: &dyn Fn(&EpisodeRow) -> u64| integers(rows.iter().map(|row| of(row) as i64));
        let zero = || whole(&|_| 0);
        let mut columns: Vec<Named> = vec![
            ("episode_index".into(), integers(0..rows.len() as i64)),
            ("tasks".into(), lists(texts(rows.iter().map(|row| self.tasks[row.task].as_str())), 1).map_err(broken)?),
            ("length".into(), whole(&|row| row.length)),
            ("data/chunk_index".into(), zero()),
            ("data/file_index".into(), zero()),
            ("dataset_from_index".into(), whole(&|row| row.first)),
            ("dataset_to_index".into(), whole(&|row| row.first + row.length)),
        ];
        if matches!(self.options.pictures, LerobotPictures::Video { .. }) {
            let rate = f64::from(self.rate);
            for camera in &selection.cameras {
                let name = |what: &str| format!("videos/{IMAGES}{camera}/{what}");
                columns.push((name("chunk_index"), zero()));
                columns.push((name("file_index"), zero()));
                columns.push((name("from_timestamp"), floats(rows.iter().map(|row| row.first as f64 / rate))));
                let ends = rows.iter().map(|row| (row.first + row.length) as f64 / rate);
                columns.push((name("to_timestamp"), floats(ends)));
            }
        }
        for (place, (name, _, dimensions)) in rows.first().map_or(&[][..], |row| &row.statistics).iter().enumerate() {
            for (index, (key, _)) in dimensions[0].named().iter().enumerate() {
                let of =
                    |row: &EpisodeRow| row.statistics[place].2.iter().map(|d| d.named()[index].1).collect::<Vec<_>>();
                let values = floats(rows.iter().flat_map(of));
                columns.push((format!("stats/{name}/{key}"), lists(values, dimensions.len()).map_err(broken)?));
            }
            let counts = integers(rows.iter().map(|row| row.statistics[place].1 as i64));
            columns.push((format!("stats/{name}/count"), lists(counts, 1).map_err(broken)?));
        }
        for (place, camera) in selection.cameras.iter().enumerate() {
            let channels: Vec<[Statistics; 3]> = rows.iter().map(|row| row.colors[place].statistics()).collect();
            let names = Statistics::of(vec![0.0]).named();
            for (index, (key, _)) in names.iter().enumerate() {
                let values = floats(channels.iter().flatten().map(|channel| channel.named()[index].1));
                let nested = lists(values, 1).and_then(|v| lists(v, 1)).and_then(|v| lists(v, 3)).map_err(broken)?;
                columns.push((format!("stats/{IMAGES}{camera}/{key}"), nested));
            }
            let counts = integers(rows.iter().map(|row| row.colors[place].pictures as i64));
            columns.push((format!("stats/{IMAGES}{camera}/count"), lists(counts, 1).map_err(broken)?));
        }
        columns.push((EPISODE_START.into(), texts(rows.iter().map(|row| row.start.as_str()))));
        columns.push((EPISODE_END.into(), texts(rows.iter().map(|row| row.end.as_str()))));
        columns.push(("meta/episodes/chunk_index".into(), zero()));
        columns.push(("meta/episodes/file_index".into(), zero()));
        let mut table = Table::create(&path, Vec::new())?;
        table.add(columns)?;
        table.finish()
    }
}

fn statistics(column: &Column) -> (String, u64, Vec<Statistics>) {
    let count = column.values.len() / column.width.max(1);
    let dimensions = (0..column.width.max(1)).map(|index| Statistics::of(column.dimension(index))).collect();
    (column.name.clone(), count as u64, dimensions)
}

/// The videos' pixel format halves both sides.
fn even(episode: &SelectedEpisode, step: &RecordedStep, size: (u32, u32)) -> Result<(u32, u32), ExchangeError> {
    if size.0.is_multiple_of(2) && size.1.is_multiple_of(2) {
        return Ok(size);
    }
    Err(ExchangeError::Episode {
        path: episode.path.clone(),
        key: "image size",
        found: format!("{}x{} at step {}", size.0, size.1, step.index),
        expected: "an even number of pixels a side, as video needs".into(),
        fix: "export with --images",
    })
}
