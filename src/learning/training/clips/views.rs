//! Subsets of clips: those long enough, training clips and held-out clips.

use std::borrow::Cow;

use anyhow::{Context, ensure};

use super::Clips;

/// A reference or box of clips implements [`Clips`], too.
macro_rules! holder {
    ($($head:tt)*) => {
        $($head)* {
            fn len(&self) -> usize {
                (**self).len()
            }

            fn frames(&self, clip: usize) -> usize {
                (**self).frames(clip)
            }

            fn name(&self, clip: usize) -> &str {
                (**self).name(clip)
            }

            fn size(&self) -> u32 {
                (**self).size()
            }

            fn frame(&self, clip: usize, index: usize) -> anyhow::Result<Cow<'_, [u8]>> {
                (**self).frame(clip, index)
            }
        }
    };
}

holder!(impl<T: Clips + ?Sized> Clips for Box<T>);
holder!(impl<T: Clips + ?Sized> Clips for &T);

/// The clips of a set that are long enough for an algorithm.
pub struct Longer<C> {
    clips: C,
    kept: Vec<usize>,
    least: usize,
}

/// Leaves out clips of fewer than `least` frames (VIP needs 3, ICVF 2); refuses a set in which none is left.
pub fn at_least<C: Clips>(clips: C, least: usize) -> anyhow::Result<Longer<C>> {
    let kept: Vec<usize> = (0..clips.len()).filter(|clip| clips.frames(*clip) >= least).collect();
    let longest = (0..clips.len()).max_by_key(|clip| clips.frames(*clip));
    ensure!(
        !kept.is_empty(),
        "none of {} clips has {least} frames{}; take longer clips",
        clips.len(),
        longest.map_or(String::new(), |clip| format!(", the longest has {}: {}", clips.frames(clip), clips.name(clip)))
    );
    Ok(Longer { clips, kept, least })
}

impl<C: Clips> Longer<C> {
    /// Number of clips that were too short.
    pub fn left_out(&self) -> usize {
        self.clips.len() - self.kept.len()
    }

    /// A remark on the clips left out; `None` without any.
    pub fn remark(&self) -> Option<String> {
        let all = self.clips.len();
        let (out, least) = (self.left_out(), self.least);
        let first = (0..all).find(|clip| self.clips.frames(*clip) < least)?;
        let name = self.clips.name(first);
        Some(format!("{out} of {all} clips have fewer than {least} frames and are left out, the first is {name}"))
    }
}

/// A subset of clips.
pub struct Part<'a> {
    clips: &'a dyn Clips,
    kept: Vec<usize>,
}

impl Part<'_> {
    /// The indices of its clips in the whole set.
    pub fn indices(&self) -> &[usize] {
        &self.kept
    }
}

/// Splits off every `nth` clip for validation, none for 0: training clips, and held-out clips. Refuses a split without
/// training clips.
pub fn split(clips: &dyn Clips, nth: usize) -> anyhow::Result<(Part<'_>, Part<'_>)> {
    let (validation, training): (Vec<usize>, Vec<usize>) =
        (0..clips.len()).partition(|clip| nth > 0 && clip % nth == nth - 1);
    ensure!(
        !training.is_empty(),
        "validation: found {nth}, which keeps every clip of {} back and leaves none to train on; use 0, or 2 and more",
        clips.len()
    );
    Ok((Part { clips, kept: training }, Part { clips, kept: validation }))
}

/// The two views differ only in who owns the set.
macro_rules! view {
    ($($head:tt)*) => {
        $($head)* {
            fn len(&self) -> usize {
                self.kept.len()
            }

            fn frames(&self, clip: usize) -> usize {
                self.clips.frames(self.kept[clip])
            }

            fn name(&self, clip: usize) -> &str {
                self.clips.name(self.kept[clip])
            }

            fn size(&self) -> u32 {
                self.clips.size()
            }

            fn frame(&self, clip: usize, index: usize) -> anyhow::Result<Cow<'_, [u8]>> {
                let of = self.kept.get(clip);
                let of = of.with_context(|| format!("clip {clip} was asked for, there are {}", self.kept.len()))?;
                self.clips.frame(*of, index)
            }
        }
    };
}

view!(impl<C: Clips> Clips for Longer<C>);
view!(impl Clips for Part<'_>);

#[cfg(test)]
mod tests {
    use super::*;

    /// Clip i has `self.0[i]` frames of one pixel: clip, frame, 0.
    struct Fake(Vec<usize>);

    impl Clips for Fake {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn frames(&self, clip: usize) -> usize {
            self.0[clip]
        }

        fn name(&self, clip: usize) -> &str {
            ["a", "b", "c", "d", "e"][clip]
        }

        fn size(&self) -> u32 {
            1
        }

        fn frame(&self, clip: usize, index: usize) -> anyhow::Result<Cow<'_, [u8]>> {
            Ok(Cow::Owned(vec![clip as u8, index as u8, 0]))
        }
    }

    #[test]
    fn short_clips_are_left_out_and_counted() {
        let longer = at_least(Fake(vec![1, 3, 2, 5, 1]), 3).unwrap();
        assert_eq!((longer.len(), longer.left_out(), longer.name(1), longer.frames(1)), (2, 3, "d", 5));
        assert_eq!(*longer.frame(1, 4).unwrap(), [3, 4, 0]);
        assert!(longer.remark().unwrap().contains("3 of 5 clips have fewer than 3 frames"));
        assert!(longer.frame(2, 0).is_err());
        assert_eq!(at_least(Fake(vec![1, 3]), 1).unwrap().remark(), None);
        let error = at_least(Fake(vec![1, 2, 1]), 3).err().unwrap().to_string();
        assert!(error.contains("none of 3 clips has 3 frames") && error.contains("has 2: b"), "{error}");
        assert!(at_least(Fake(vec![]), 3).is_err());
    }

    #[test]
    fn the_parts_of_a_split_share_no_clip() {
        let all = Fake(vec![2; 5]);
        let (training, validation) = split(&all, 2).unwrap();
        assert_eq!((training.indices(), validation.indices()), (&[0, 2, 4][..], &[1, 3][..]));
        assert_eq!((training.name(1), validation.name(1)), ("c", "d"));
        let (training, validation) = split(&all, 0).unwrap();
        assert_eq!((training.len(), validation.is_empty()), (5, true));
        assert!(split(&all, 1).err().unwrap().to_string().contains("validation: found 1"));
    }
}
