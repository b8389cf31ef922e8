//! Storage of decoded frames: all of them, or the most recently used.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use super::recent::Recent;
use super::source::Source;
use super::{Clips, Fit};

/// Locks that keep two threads from decoding the same clip; several clips share one.
const GATES: usize = 64;

/// Format of the frames, and how many bytes of them are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub size: u32,
    pub fit: Fit,
    pub limit: u64,
}

impl Form {
    fn frame_bytes(self) -> usize {
        self.size as usize * self.size as usize * 3
    }
}

/// Clips with their frames, all in memory if they fit. Clips without any frame are left out and listed in `remarks`.
pub(super) fn load(source: Box<dyn Source>, form: Form, remarks: &mut Vec<String>) -> anyhow::Result<Box<dyn Clips>> {
    let frame_bytes = form.frame_bytes() as u64;
    ensure!((1..=4096).contains(&form.size), "image_size: found {}, expected 1 to 4096 pixels", form.size);
    let counts: Option<Vec<usize>> = source.clips().iter().map(|clip| clip.frames).collect();
    let total = |counts: &[usize]| counts.iter().fold(0u64, |sum, n| sum.saturating_add(*n as u64));
    let fits = counts.as_ref().is_none_or(|n| total(n).saturating_mul(frame_bytes) <= form.limit);
    let (counts, frames) = match counts {
        Some(counts) if !fits => (counts, None),
        _ => decode_all(source.as_ref(), form)?,
    };
    let kept: Vec<usize> = (0..counts.len()).filter(|clip| counts[*clip] > 0).collect();
    let name = |clip: usize| source.clips()[clip].name.clone();
    remarks.extend(
        (0..counts.len())
            .filter(|clip| counts[*clip] == 0)
            .map(|clip| format!("{}: no frame in it; the clip is left out", name(clip))),
    );
    ensure!(!kept.is_empty(), "no clip has a frame: {}", remarks.join("; "));
    let names: Vec<String> = kept.iter().map(|clip| name(*clip)).collect();
    if let Some(mut frames) = frames {
        let frames = kept.iter().map(|clip| std::mem::take(&mut frames[*clip])).collect();
        return Ok(Box::new(InMemory { size: form.size, names, frames }));
    }
    let least = if source.is_sequential() { counts.iter().copied().max().unwrap_or(1) } else { 1 };
    if (least as u64).saturating_mul(frame_bytes) > form.limit {
        let longest = counts.iter().position(|count| *count == least).map_or(String::new(), name);
        bail!(
            "{longest}: {least} frames of {0}x{0} take {1} bytes decoded, more than cache_bytes = {2}; raise it, cut the \
             clip into shorter ones, or make a folder of numbered images of it",
            form.size,
            (least as u64).saturating_mul(frame_bytes),
            form.limit
        );
    }
    let clips = kept.into_iter().map(|clip| (clip, counts[clip])).collect();
    Ok(Box::new(Bounded {
        form,
        names,
        clips,
        recent: Mutex::new(Recent::new(form.limit)),
        gates: (0..GATES).map(|_| Mutex::new(())).collect(),
        source,
    }))
}

/// All frames of each clip; `None` where they exceed the limit.
type Decoded = (Vec<usize>, Option<Vec<Vec<u8>>>);

/// Number of a clip's frames, and their bytes as far as they are kept.
type DecodedClip = anyhow::Result<(usize, Vec<u8>)>;

/// Decodes every clip once, on all cores: counts frames, and keeps them while they fit.
fn decode_all(source: &dyn Source, form: Form) -> anyhow::Result<Decoded> {
    let listed = source.clips();
    let bar = ProgressBar::new(listed.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("frames [{bar:40}] {pos}/{len} clips, {eta} left") {
        bar.set_style(style);
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let (used, full) = (AtomicU64::new(0), AtomicBool::new(false));
    let results: Vec<OnceLock<DecodedClip>> = listed.iter().map(|_| OnceLock::new()).collect();
    let decode = |clip: usize| -> DecodedClip {
        let mut count = 0;
        let mut bytes = Vec::with_capacity(listed[clip].frames.unwrap_or(0) * form.frame_bytes());
        source.decode(clip, 0..usize::MAX, &mut |picture| {
            count += 1;
            let length = form.frame_bytes() as u64;
            if full.load(Ordering::Relaxed) || used.fetch_add(length, Ordering::Relaxed) + length > form.limit {
                full.store(true, Ordering::Relaxed);
                bytes = Vec::new();
                return Ok(());
            }
            let frame = picture.fitted(form.size, form.fit);
            bytes.extend(frame.with_context(|| format!("{}: frame {}", listed[clip].name, count - 1))?);
            Ok(())
        })?;
        if let Some(expected) = listed[clip].frames.filter(|expected| *expected != count) {
            bail!("{}: {count} frames came out of it, expected {expected}", listed[clip].name);
        }
        Ok((count, bytes))
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(listed.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let clip = next.fetch_add(1, Ordering::Relaxed);
                    if clip >= listed.len() || clip > failed.load(Ordering::Relaxed) {
                        break;
                    }
                    let made = decode(clip);
                    if made.is_err() {
                        failed.fetch_min(clip, Ordering::Relaxed);
                    }
                    // Each number is taken by one thread.
                    let _ = results[clip].set(made);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let (mut counts, mut frames) = (Vec::new(), Vec::new());
    // Clips before the first failure were started, and finished.
    for result in results.into_iter().map_while(OnceLock::into_inner) {
        let (count, bytes) = result?;
        counts.push(count);
        frames.push(bytes);
    }
    ensure!(counts.len() == listed.len(), "only {} of {} clips were decoded", counts.len(), listed.len());
    Ok((counts, (!full.into_inner()).then_some(frames)))
}

/// Every frame in memory.
struct InMemory {
    size: u32,
    names: Vec<String>,
    /// Per clip its frames, concatenated.
    frames: Vec<Vec<u8>>,
}

impl Clips for InMemory {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn frames(&self, clip: usize) -> usize {
        self.frames[clip].len() / (self.size as usize * self.size as usize * 3)
    }

    fn name(&self, clip: usize) -> &str {
        &self.names[clip]
    }

    fn size(&self) -> u32 {
        self.size
    }

    fn frame(&self, clip: usize, index: usize) -> anyhow::Result<Cow<'_, [u8]>> {
        let length = self.size as usize * self.size as usize * 3;
        let frame = self.frames.get(clip).and_then(|frames| frames.chunks_exact(length).nth(index));
        Ok(Cow::Borrowed(frame.with_context(|| beyond(clip, index, self))?))
    }
}

/// Frames decoded on demand.
struct Bounded {
    form: Form,
    names: Vec<String>,
    /// Number of a clip in the source, and its frames.
    clips: Vec<(usize, usize)>,
    recent: Mutex<Recent>,
    gates: Vec<Mutex<()>>,
    source: Box<dyn Source>,
}

/// A thread that panicked while it held a lock left nothing inconsistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bounded {
    /// The frames cached under a key, from `first` on, decoded if missing.
    fn decoded(&self, clip: usize, index: usize) -> anyhow::Result<Arc<[u8]>> {
        let (source_clip, frames) = self.clips[clip];
        let sequential = self.source.is_sequential();
        let (key, range) = if sequential { ((clip, 0), 0..frames) } else { ((clip, index), index..index + 1) };
        if let Some(held) = lock(&self.recent).get(key) {
            return Ok(held);
        }
        let _gate = sequential.then(|| lock(&self.gates[clip % GATES]));
        if sequential && let Some(held) = lock(&self.recent).get(key) {
            return Ok(held);
        }
        let expected = range.len() * self.form.frame_bytes();
        let mut bytes = Vec::with_capacity(expected);
        self.source.decode(source_clip, range, &mut |picture| {
            let frame = picture.fitted(self.form.size, self.form.fit);
            bytes.extend(frame.with_context(|| format!("{}: frame {index}", self.names[clip]))?);
            Ok(())
        })?;
        ensure!(
            bytes.len() == expected,
            "{}: {} frames came out of it, expected {}: it changed since it was opened",
            self.names[clip],
            bytes.len() / self.form.frame_bytes(),
            expected / self.form.frame_bytes()
        );
        let held: Arc<[u8]> = bytes.into();
        lock(&self.recent).insert(key, held.clone());
        Ok(held)
    }
}

impl Clips for Bounded {
    fn len(&self) -> usize {
        self.clips.len()
    }

    fn frames(&self, clip: usize) -> usize {
        self.clips[clip].1
    }

    fn name(&self, clip: usize) -> &str {
        &self.names[clip]
    }

    fn size(&self) -> u32 {
        self.form.size
    }

    fn frame(&self, clip: usize, index: usize) -> anyhow::Result<Cow<'_, [u8]>> {
        ensure!(self.clips.get(clip).is_some_and(|(_, frames)| index < *frames), beyond(clip, index, self));
        let held = self.decoded(clip, index)?;
        let length = self.form.frame_bytes();
        let from = if self.source.is_sequential() { index * length } else { 0 };
        Ok(Cow::Owned(held[from..from + length].to_vec()))
    }
}

fn beyond(clip: usize, index: usize, clips: &dyn Clips) -> String {
    match clip < clips.len() {
        true => format!("{}: frame {index} was asked for, it has {}", clips.name(clip), clips.frames(clip)),
        false => format!("clip {clip} was asked for, there are {}", clips.len()),
    }
}
