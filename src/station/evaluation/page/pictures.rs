//! Selects the images of a trial and embeds them in the page as data URIs, so that the file is self-contained.

use std::fs;
use std::path::Path;

use crate::evaluation::journal::TrialRecord;
use visuomotor_core::untrusted;

/// Maximum total of base64 bytes of a page's images; the rest of a page is below 3 MB.
const PAGE_BYTES: usize = 20_000_000;
/// Maximum images in a trial's player: 60 s at more than one per second.
const MOST_FRAMES: usize = 90;
/// Images in the strip of a trial.
const STRIP: usize = 6;

/// The images of one trial.
#[derive(Clone, Debug, Default)]
pub(super) struct Pictures {
    /// For the strip: time \[s\] and data URI.
    pub(super) strip: Vec<(f64, String)>,
    /// For the player: time \[s\] and base64 of the JPEG.
    pub(super) frames: Vec<(f64, String)>,
}

impl Pictures {
    /// Reads evenly spaced images of `record` from `folder`, within the size budget of one of `attempts` trials. Unreadable
    /// images are left out: a report must not fail because of them.
    pub(super) fn read(folder: &Path, record: &TrialRecord, attempts: usize) -> Self {
        let sizes: Vec<usize> = record
            .pictures
            .iter()
            .map(|picture| fs::metadata(folder.join(&picture.file)).map_or(0, |file| file.len() as usize))
            .collect();
        // The largest, not the mean, as a bound for any choice of images.
        let largest = sizes.iter().copied().max().unwrap_or(0).max(1) * 4 / 3 + 4;
        let affordable = PAGE_BYTES / attempts.max(1) / largest;
        let strip = STRIP.min(affordable);
        let frames = MOST_FRAMES.min(affordable - strip);
        let load = |count: usize| -> Vec<(f64, String)> {
            spread(record.pictures.len(), count)
                .filter_map(|i| {
                    let picture = &record.pictures[i];
                    Some((
                        picture.seconds,
                        base64(&untrusted::read(&folder.join(&picture.file), untrusted::LARGEST_PICTURE).ok()?),
                    ))
                })
                .collect()
        };
        let strip = load(strip).into_iter().map(|(at, code)| (at, format!("data:image/jpeg;base64,{code}"))).collect();
        Self { strip, frames: load(frames) }
    }
}

/// Up to `count` distinct indices of 0..length, including the first and last.
fn spread(length: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(length);
    (0..count).map(move |i| if count < 2 { length - 1 } else { i * (length - 1) / (count - 1) })
}

/// RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standards() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, code) in cases {
            assert_eq!(base64(plain.as_bytes()), code);
        }
    }

    #[test]
    fn spreading_keeps_first_and_last() {
        assert_eq!(spread(300, 6).collect::<Vec<_>>(), [0, 59, 119, 179, 239, 299]);
        assert_eq!(spread(3, 6).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(3, 1).collect::<Vec<_>>(), [2]);
        assert_eq!(spread(0, 6).count(), 0);
    }
}
