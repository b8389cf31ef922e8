//! Reads and writes videos with the program `ffmpeg`: raw RGB images over pipes.
//!
//! A program instead of a library, because a library would tie the build to one version of it. Videos are written with a
//! constant rate, one packet per image and a key frame at every second image, so that a reader can seek anywhere.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::ExchangeError;
use super::error::{read_error, shown, write_error};
use crate::recording::Decoded;
use visuomotor_core::untrusted;

/// Where `cargo xtask` puts an ffmpeg for the tests, below the working directory.
const IN_CHECKOUT: &str = ".deps/ffmpeg/ffmpeg";

/// Largest image read from a video \[pixels a side\].
const LARGEST_SIDE: usize = 8192;

const INSTALL: &str = "install ffmpeg (Debian: apt-get install ffmpeg), name one with --ffmpeg PATH, or do without \
                       video: --images";

/// How images are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264 by libx264: quick, plays everywhere.
    #[default]
    H264,
    /// AV1 by SVT-AV1: LeRobot's default, smaller and slower.
    Av1,
}

impl VideoCodec {
    /// As `video.codec` in LeRobot's info.json.
    pub(super) fn name(self) -> &'static str {
        match self {
            VideoCodec::H264 => "h264",
            VideoCodec::Av1 => "av1",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            // Without B-frames images keep their order, and the first is at time zero.
            VideoCodec::H264 => &["-c:v", "libx264", "-crf", "20", "-bf", "0"],
            VideoCodec::Av1 => &["-c:v", "libsvtav1", "-crf", "30", "-preset", "8"],
        }
    }
}

/// The ffmpeg to use: `given`, the checkout's own, or the first in `PATH`.
pub fn find_ffmpeg(given: Option<&Path>) -> Result<PathBuf, ExchangeError> {
    if let Some(given) = given {
        if given.is_file() {
            // A bare name would be looked for in PATH.
            return std::path::absolute(given).map_err(read_error(given));
        }
        let program = given.display().to_string();
        return Err(ExchangeError::Ffmpeg { program, found: "is not a file".into(), fix: INSTALL });
    }
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&in_path).map(|folder| folder.join("ffmpeg"));
    std::iter::once(PathBuf::from(IN_CHECKOUT)).chain(candidates).find(|path| path.is_file()).ok_or_else(|| {
        let found = format!("is neither at {IN_CHECKOUT} nor in PATH, and videos need it");
        ExchangeError::Ffmpeg { program: "ffmpeg".into(), found, fix: INSTALL }
    })
}

/// `file:` keeps ffmpeg from reading a path as an option or as another protocol.
fn as_url(path: &Path) -> std::ffi::OsString {
    let mut url = std::ffi::OsString::from("file:");
    url.push(path);
    url
}

/// Writes one video, image by image.
pub(super) struct VideoWriter {
    child: Child,
    pictures: Option<ChildStdin>,
    program: PathBuf,
    path: PathBuf,
    /// ffmpeg's log; beside the video while it is written.
    log: PathBuf,
    written: u64,
}

impl VideoWriter {
    /// Starts a video of `size` (width, height \[pixels\], both even) and `rate` \[Hz\].
    pub fn start(
        ffmpeg: &Path,
        path: &Path,
        size: (u32, u32),
        rate: u32,
        codec: VideoCodec,
    ) -> Result<Self, ExchangeError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(write_error(folder))?;
        }
        let log = path.with_extension("log");
        let out = File::create_new(&log).map_err(write_error(&log))?;
        let complaints = out.try_clone().map_err(write_error(&log))?;
        let rate = rate.to_string();
        let mut child = Command::new(ffmpeg)
            .args(["-hide_banner", "-nostats", "-loglevel", "error", "-progress", "pipe:1"])
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", &format!("{}x{}", size.0, size.1)])
            .args(["-framerate", &rate, "-i", "pipe:0"])
            .args(codec.arguments())
            .args(["-g", "2", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-f", "mp4"])
            .arg(as_url(path))
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(complaints)
            .spawn()
            .map_err(|error| not_started(ffmpeg, &error))?;
        let pictures = child.stdin.take();
        Ok(Self { child, pictures, program: ffmpeg.into(), path: path.into(), log, written: 0 })
    }

    /// Adds an image: height * width * 3 bytes.
    pub fn add(&mut self, pixels: &[u8]) -> Result<(), ExchangeError> {
        let taken = self.pictures.as_mut().is_some_and(|pipe| pipe.write_all(pixels).is_ok());
        self.written += 1;
        if taken { Ok(()) } else { Err(self.failed("stopped taking images".into())) }
    }

    /// Ends the video and checks that every image is in it.
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        drop(self.pictures.take());
        let status = self.child.wait().map_err(write_error(&self.path))?;
        if !status.success() {
            return Err(self.failed(format!("ended with {status}")));
        }
        let report = self.log_text();
        let counted = report.lines().filter_map(|line| line.strip_prefix("frame=")).next_back();
        if counted.and_then(|count| count.trim().parse().ok()) != Some(self.written) {
            let counted = counted.unwrap_or("an unknown number");
            return Err(self.failed(format!("wrote {counted} of {} images", self.written)));
        }
        std::fs::remove_file(&self.log).map_err(write_error(&self.log))
    }

    fn log_text(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn failed(&mut self, what: String) -> ExchangeError {
        drop(self.pictures.take());
        let _ = self.child.wait();
        let log = self.log_text();
        // `-progress` writes `key=value` lines; the other lines are messages.
        let is_progress = |line: &str| line.split_once('=').is_some_and(|(key, _)| !key.contains(' '));
        let words: Vec<&str> = log.lines().filter(|line| !is_progress(line) && !line.is_empty()).collect();
        let message = words.join("; ");
        ExchangeError::Ffmpeg {
            program: self.program.display().to_string(),
            found: format!("{what} of {}: {}", self.path.display(), shown(&message)),
            fix: "use an ffmpeg with the codec (libx264 or libsvtav1) and room on the disk, or --images",
        }
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        drop(self.pictures.take());
        // Has no effect on a process that ended; the log is removed with its folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads one video, image by image.
#[derive(Debug)]
pub struct VideoReader {
    child: Child,
    pictures: BufReader<ChildStdout>,
    path: PathBuf,
    /// Index of the next image, counted from where reading began.
    pub(super) next: u64,
}

impl VideoReader {
    /// Opens an MP4 video at its start.
    pub(super) fn open(ffmpeg: &Path, path: &Path) -> Result<Self, ExchangeError> {
        Self::open_at(ffmpeg, path, "mp4", 0.0)
    }

    /// Opens a video of this container (`mp4`, `matroska`, `avi`: a demuxer of ffmpeg; no other is tried) at the first image
    /// that is shown at `seconds` or later.
    pub fn open_at(ffmpeg: &Path, path: &Path, container: &str, seconds: f64) -> Result<Self, ExchangeError> {
        // Checked here, because ffmpeg would wait for a pipe.
        untrusted::open(path).map_err(read_error(path))?;
        // No seeking to zero: some videos have no image exactly at zero.
        let seek = (seconds > 0.0).then(|| ["-ss".to_string(), format!("{seconds:.6}")]);
        let mut child = Command::new(ffmpeg)
            .args(["-hide_banner", "-nostats", "-loglevel", "fatal", "-nostdin"])
            .args(seek.iter().flatten())
            // The file is untrusted: ffmpeg opens only this kind of file, and nothing that it names.
            .args(["-protocol_whitelist", "file", "-f", container, "-i"])
            .arg(as_url(path))
            // PPM, because each image has its size: a video of another size than announced is detected.
            .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-c:v", "ppm"])
            .args(["-f", "image2pipe", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| not_started(ffmpeg, &error))?;
        let Some(pictures) = child.stdout.take() else {
            return Err(not_started(ffmpeg, &std::io::Error::other("no pipe")));
        };
        let pictures = BufReader::with_capacity(1 << 20, pictures);
        Ok(Self { child, pictures, path: path.into(), next: 0 })
    }

    /// After the last image: did ffmpeg end without an error? It does not if it cannot read the file.
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        let status = self.child.wait().map_err(read_error(&self.path))?;
        if status.success() {
            return Ok(());
        }
        let found = format!("ffmpeg cannot read it as a video ({status})");
        Err(ExchangeError::Place { path: self.path.clone(), found, fix: super::error::DAMAGED })
    }

    /// The next image; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Decoded>, ExchangeError> {
        let mut sides = [0; 2];
        let mut word = String::new();
        for (place, expected) in ["P6", "size", "255"].into_iter().enumerate() {
            word.clear();
            let mut line = Read::take(&mut self.pictures, 64);
            let length = line.read_line(&mut word).map_err(read_error(&self.path))?;
            if length == 0 && place == 0 {
                return Ok(None);
            }
            let fits = match place {
                1 => {
                    let mut numbers = word.split_whitespace().map(str::parse::<usize>);
                    sides = [(); 2].map(|()| numbers.next().and_then(Result::ok).unwrap_or(0));
                    sides.iter().all(|side| (1..=LARGEST_SIDE).contains(side))
                }
                _ => word.trim() == expected,
            };
            if !fits {
                let found = format!("ffmpeg makes no image of at most {LARGEST_SIDE} pixels a side of it");
                return Err(ExchangeError::Place { path: self.path.clone(), found, fix: super::error::DAMAGED });
            }
        }
        let mut pixels = vec![0; sides[0] * sides[1] * 3];
        self.pictures.read_exact(&mut pixels).map_err(read_error(&self.path))?;
        self.next += 1;
        Ok(Some(Decoded { width: sides[0] as u32, height: sides[1] as u32, pixels }))
    }
}

impl Drop for VideoReader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn not_started(ffmpeg: &Path, error: &std::io::Error) -> ExchangeError {
    ExchangeError::Ffmpeg {
        program: ffmpeg.display().to_string(),
        found: format!("cannot be started ({error})"),
        fix: INSTALL,
    }
}
