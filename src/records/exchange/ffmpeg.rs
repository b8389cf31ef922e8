//! Reads and writes videos with the program `ffmpeg`: raw RGB images over pipes.
//!
//! A program instead of a library, because a library would tie the build to one version of it. Videos are written with a
//! constant rate, one packet per image and a key frame at every second image, so that a reader can seek anywhere.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

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
            let given = std::path::absolute(given).map_err(read_error(given))?;
            return check_version(&given).map(|()| given);
        }
        let program = given.display().to_string();
        return Err(ExchangeError::Ffmpeg { program, found: "is not a file".into(), fix: INSTALL });
    }
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&in_path).map(|folder| folder.join("ffmpeg"));
    let found = std::iter::once(PathBuf::from(IN_CHECKOUT)).chain(candidates).find(|path| path.is_file());
    let found = found.ok_or_else(|| {
        let found = format!("is neither at {IN_CHECKOUT} nor in PATH, and videos need it");
        ExchangeError::Ffmpeg { program: "ffmpeg".into(), found, fix: INSTALL }
    })?;
    check_version(&found).map(|()| found)
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

/// An image of a video, and when it is shown \[s\].
#[derive(Debug)]
pub(super) struct ShownImage {
    pub seconds: f64,
    pub image: Decoded,
}

/// Reads one video, image by image.
#[derive(Debug)]
pub struct VideoReader {
    child: Child,
    pictures: BufReader<ChildStdout>,
    /// When each image is shown \[s\], in order.
    times: Receiver<f64>,
    /// ffmpeg's last errors.
    errors: Arc<Mutex<VecDeque<String>>>,
    path: PathBuf,
    program: PathBuf,
}

impl VideoReader {
    /// Opens a video of this container (`mp4`, `matroska`, `avi`: a demuxer of ffmpeg; no other is tried) at the first image
    /// that is shown at `seconds` or later.
    pub fn open_at(ffmpeg: &Path, path: &Path, container: &str, seconds: f64) -> Result<Self, ExchangeError> {
        // Checked here, because ffmpeg would wait for a pipe.
        untrusted::open(path).map_err(read_error(path))?;
        // No seeking to zero: some videos have no image exactly at zero.
        let seek = (seconds > 0.0).then(|| ["-ss".to_string(), format!("{seconds:.6}")]);
        let mut child = Command::new(ffmpeg)
            .args(["-hide_banner", "-nostats", "-loglevel", "level+info", "-nostdin"])
            .args(seek.iter().flatten())
            // Times stay those of the file. The file is untrusted: ffmpeg opens only this kind of file, and nothing that it names.
            .args(["-copyts", "-protocol_whitelist", "file", "-f", container, "-i"])
            .arg(as_url(path))
            // PPM, because each image has its size: a video of another size than announced is detected.
            .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", SHOW_TIMES, "-pix_fmt", "rgb24", "-c:v", "ppm"])
            .args(["-f", "image2pipe", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| not_started(ffmpeg, &error))?;
        let (Some(pictures), Some(log)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(not_started(ffmpeg, &std::io::Error::other("no pipe")));
        };
        let (sender, times) = std::sync::mpsc::channel();
        let errors = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&errors);
        // It ends with ffmpeg, whose log it reads.
        std::thread::spawn(move || read_log(log, &sender, &kept));
        let pictures = BufReader::with_capacity(1 << 20, pictures);
        Ok(Self { child, pictures, times, errors, path: path.into(), program: ffmpeg.into() })
    }

    /// After the last image: did ffmpeg end without an error? It does not if it cannot read the file.
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        let status = self.child.wait().map_err(read_error(&self.path))?;
        if status.success() { Ok(()) } else { Err(self.unread(&status.to_string())) }
    }

    /// ffmpeg's errors so far, in parentheses; empty if it had none.
    pub(super) fn messages(&self) -> String {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let text = errors.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
        if text.is_empty() { text } else { format!(" (ffmpeg: {})", shown(&text)) }
    }

    fn unread(&self, how: &str) -> ExchangeError {
        ExchangeError::Ffmpeg {
            program: self.program.display().to_string(),
            found: format!(
                "{}: cannot read it as a video ({how}){}",
                shown(&self.path.to_string_lossy()),
                self.messages()
            ),
            fix: "name an ffmpeg that decodes this video (--ffmpeg PATH); if none does, fetch the video again",
        }
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
                return Err(self.unread(&format!("it makes no image of at most {LARGEST_SIDE} pixels a side of it")));
            }
        }
        let mut pixels = vec![0; sides[0] * sides[1] * 3];
        if self.pictures.read_exact(&mut pixels).is_err() {
            return Err(self.unread("it ended within an image"));
        }
        Ok(Some(Decoded { width: sides[0] as u32, height: sides[1] as u32, pixels }))
    }

    /// The next image with its time; `None` at the end. At the end ffmpeg must have had no error.
    pub(super) fn read_shown(&mut self) -> Result<Option<ShownImage>, ExchangeError> {
        let Some(image) = self.read()? else {
            let status = self.child.wait().map_err(read_error(&self.path))?;
            return if status.success() { Ok(None) } else { Err(self.unread(&status.to_string())) };
        };
        // ffmpeg logs an image's time before it writes the image.
        match self.times.recv() {
            Ok(seconds) if seconds.is_finite() => Ok(Some(ShownImage { seconds, image })),
            Ok(_) | Err(_) => Err(self.unread("an image has no time")),
        }
    }
}

/// Logs the time of every image.
const SHOW_TIMES: &str = "showinfo=checksum=0";
/// Most of ffmpeg's errors kept.
const MOST_ERRORS: usize = 5;

/// Sorts ffmpeg's log into the times of images and the errors.
fn read_log(log: ChildStderr, times: &Sender<f64>, errors: &Mutex<VecDeque<String>>) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    loop {
        line.clear();
        match Read::take(&mut log, 1 << 16).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if text.contains("showinfo") {
            let time = text.split_once("pts_time:").and_then(|(_, rest)| rest.split_whitespace().next());
            if let Some(time) = time {
                // An image without a time is counted too, or later times would belong to other images. Sending fails once the
                // reader is gone.
                let _ = times.send(time.parse().unwrap_or(f64::NAN));
            }
        } else if let Some((_, error)) = text.split_once("[error] ").or_else(|| text.split_once("[fatal] ")) {
            let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
            if errors.len() == MOST_ERRORS {
                errors.pop_front();
            }
            errors.push_back(error.trim().chars().take(200).collect());
        }
    }
}

impl Drop for VideoReader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Refuses an ffmpeg older than 5.1, which lacks options used here. One without a version of this form is believed.
fn check_version(ffmpeg: &Path) -> Result<(), ExchangeError> {
    let output = Command::new(ffmpeg).arg("-version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| not_started(ffmpeg, &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.strip_prefix("ffmpeg version ").and_then(|rest| rest.split_whitespace().next());
    let refuse = |found: String, fix| Err(ExchangeError::Ffmpeg { program: ffmpeg.display().to_string(), found, fix });
    let Some(version) = version else {
        return refuse("does not say its version, as ffmpeg does".into(), INSTALL);
    };
    let numbers: Vec<u32> =
        version.trim_start_matches('n').split(['.', '-']).map_while(|part| part.parse().ok()).collect();
    match numbers[..] {
        [major, ..] if major < 5 => refuse(format!("is version {}", shown(version)), NEWER),
        [5, 0, ..] | [5] => refuse(format!("is version {}", shown(version)), NEWER),
        _ => Ok(()),
    }
}

const NEWER: &str = "version 5.1 or newer is needed (Ubuntu 22.04 has 4.4): install a newer one and name it with --ffmpeg PATH, or do \
                     without video: --images";

fn not_started(ffmpeg: &Path, error: &std::io::Error) -> ExchangeError {
    ExchangeError::Ffmpeg {
        program: ffmpeg.display().to_string(),
        found: format!("cannot be started ({error})"),
        fix: INSTALL,
    }
}
