//! Folders of numbered images: each folder is a clip (VIP's own layout: `0/0.png`, `0/1.png`, ...).

use std::ops::Range;

use super::picture;
use super::source::{Listed, Source, Take};
use super::walk::Numbered;

/// The clips of some folders.
pub(super) struct Frames {
    listed: Vec<Listed>,
    clips: Vec<Numbered>,
}

/// Makes a clip of each folder. Gaps in otherwise evenly spaced numbers are listed in `remarks`.
pub(super) fn open(clips: Vec<Numbered>, remarks: &mut Vec<String>) -> Frames {
    for Numbered { folder, files } in &clips {
        let steps: Vec<u64> = files.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let Some(usual) = steps.iter().min() else { continue };
        if let Some(at) = steps.iter().position(|step| step != usual) {
            remarks.push(format!(
                "{}: no frame between {} and {}; they are treated as neighbors",
                folder.display(),
                files[at].1,
                files[at + 1].1
            ));
        }
    }
    let listed = |clip: &Numbered| Listed { name: clip.folder.display().to_string(), frames: Some(clip.files.len()) };
    Frames { listed: clips.iter().map(listed).collect(), clips }
}

impl Source for Frames {
    fn clips(&self) -> &[Listed] {
        &self.listed
    }

    fn is_sequential(&self) -> bool {
        false
    }

    fn decode(&self, clip: usize, frames: Range<usize>, take: &mut Take<'_>) -> anyhow::Result<()> {
        let Numbered { folder, files } = &self.clips[clip];
        let end = frames.end.min(files.len());
        for (_, name) in files.get(frames.start..end).unwrap_or_default() {
            take(picture::read(&folder.join(name))?)?;
        }
        Ok(())
    }
}
