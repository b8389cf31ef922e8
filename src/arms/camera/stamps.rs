//! Capture times on our clock, from the stamps of messages.
//!
//! A constant delay does not show in stamps of another clock, so the first step is to find out which clock they are from:
//!
//! - **Ours** (the camera's driver runs on this computer, or on one synchronized with it): the stamp is within a minute of our
//!   wall clock. Then it is the capture time, and a delay of any size is age.
//! - **Another clock**: the stamp only shows how much later an image arrived than the quickest one. The quickest one is assumed to
//!   be `latency` old (launch file). This estimate relaxes no faster than two clocks drift apart, so a growing delay counts as age
//!   as well.
//! - **None** (zero stamps, as Bridge's own streamer sends): an image is `latency` old on arrival.
//!
//! The clock is determined once, with the first stamped image. A capture time that does not advance is rejected: an image resent
//! under its old stamp never counts as new. Our wall clock is only used for the difference to a stamp, so setting it does not
//! disturb a camera on this computer.

use std::time::Duration;

use visuomotor_core::config::ImageClock;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Stamps within this of our wall clock are taken to be of our wall clock \[ns\].
const SAME_CLOCK: i128 = 60_000_000_000;
/// How far ahead of ours a synchronized clock may be \[ns\].
const AHEAD: i128 = 50_000_000;
/// Capture times closer than this are the same: two clocks are read one after the other \[ns\].
const SAME_MOMENT: u64 = 500_000;
/// How fast two clocks may drift apart \[1\].
const DRIFT: f64 = 1e-4;

/// Why a stamp is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// The same stamp again, or an older one.
    #[error(
        "the stamp is {by_ms} ms before that of an image which came earlier: an old image is sent again, or the camera's \
         clock was set back; restart the camera's driver, then this program"
    )]
    NotNew {
        /// How far back \[ms\]; 0 for the same stamp.
        by_ms: u64,
    },
    /// Later than now.
    #[error(
        "the stamp lies {by_ms} ms in the future; synchronize the clocks of both computers, or write clock = \"other\" and \
         its `latency` in the launch file's [[camera]]"
    )]
    Future {
        /// How far ahead \[ms\].
        by_ms: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Basis {
    Ours,
    /// Our time minus theirs \[ns\] for the quickest image, and when that was last updated.
    Other {
        offset: i128,
        at: Timestamp,
    },
}

/// Turns one camera's stamps into capture times.
#[derive(Clone, Debug)]
pub struct Stamps {
    clock: ImageClock,
    latency: Duration,
    basis: Option<Basis>,
    /// Newest stamp of another clock \[ns\], or newest capture time on ours.
    newest: Option<i128>,
    /// When the first stamped image came, on our clock and on the wall clock \[ns\].
    first: Option<(Timestamp, i128)>,
}

impl Stamps {
    /// No message yet. `latency` is the age of an image on arrival, where its stamp cannot give it.
    pub fn new(clock: ImageClock, latency: Duration) -> Self {
        Self { clock, latency, basis: None, newest: None, first: None }
    }

    /// Are the stamps from another clock, so that a constant delay must be given as `latency`?
    pub fn come_from_another_clock(&self) -> bool {
        matches!(self.basis, Some(Basis::Other { .. }))
    }

    /// Capture time of an image that arrived at `now` (`wall` on the wall clock); `stamp` and `wall` are since 1970 \[ns\], no
    /// stamp is `None`.
    pub fn captured(&mut self, stamp: Option<i128>, now: Timestamp, wall: i128) -> Result<Timestamp, StampError> {
        let Some(stamp) = stamp else { return Ok(earlier(now, self.latency.as_nanos() as i128)) };
        // The wall clock may be set at any time.
        let (then, first) = *self.first.get_or_insert((now, wall));
        let wall = if Protection::WallClock.is_on() { wall } else { first + now.since(then).as_nanos() as i128 };
        let ours = match self.clock {
            ImageClock::Ours => true,
            ImageClock::Other => false,
            ImageClock::Auto => (wall - stamp).abs() <= SAME_CLOCK,
        };
        let arrived = i128::from(now.as_nanos());
        let basis = *self.basis.get_or_insert(match ours {
            true => Basis::Ours,
            false => Basis::Other { offset: arrived - stamp, at: now },
        });
        match basis {
            Basis::Ours => {
                let age = wall - stamp;
                if age < -AHEAD {
                    return Err(StampError::Future { by_ms: millis(-age) });
                }
                let captured = arrived - age.max(0);
                self.forward(captured, i128::from(SAME_MOMENT))?;
                Ok(earlier(now, age))
            }
            Basis::Other { offset, at } => {
                self.forward(stamp, 1)?;
                let drifted = (now.since(at).as_nanos() as f64 * DRIFT) as i128;
                let offset = (offset + drifted).min(arrived - stamp);
                self.basis = Some(Basis::Other { offset, at: now });
                // Never negative, because no offset is larger than this image's.
                let late = arrived - (stamp + offset);
                Ok(earlier(now, late + self.latency.as_nanos() as i128))
            }
        }
    }

    fn forward(&mut self, to: i128, least: i128) -> Result<(), StampError> {
        if let Some(newest) = self.newest.filter(|newest| to - newest < least) {
            return Err(StampError::NotNew { by_ms: millis((newest - to).max(0)) });
        }
        self.newest = Some(to);
        Ok(())
    }
}

/// `now` less an age \[ns\]; not before the clock's start, not after `now`.
fn earlier(now: Timestamp, age: i128) -> Timestamp {
    let age = u64::try_from(age.max(0)).unwrap_or(u64::MAX);
    Timestamp::from_nanos(now.as_nanos().saturating_sub(age))
}

fn millis(nanos: i128) -> u64 {
    u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i128 = 1_000_000;
    /// A day on the wall clock \[ns\].
    const WALL: i128 = 1_790_000_000_000 * MS;
    /// Our clock at that wall time \[ms\].
    const START: u64 = 1_000_000;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos((START + ms) * 1_000_000)
    }

    /// An image that comes at `ms` with a stamp of our wall clock, `age` ms old.
    fn comes(stamps: &mut Stamps, ms: u64, stamp_ms: i128) -> Result<Timestamp, StampError> {
        stamps.captured(Some(WALL + stamp_ms * MS), at(ms), WALL + i128::from(ms) * MS)
    }

    fn auto() -> Stamps {
        Stamps::new(ImageClock::Auto, Duration::from_millis(40))
    }

    #[test]
    fn a_constant_delay_on_our_clock_is_age() {
        let mut stamps = auto();
        for image in 0..100 {
            let came = 2000 + 33 * image;
            let captured = comes(&mut stamps, came, i128::from(came) - 800).unwrap();
            assert_eq!(at(came).since(captured), Duration::from_millis(800));
        }
        assert!(!stamps.come_from_another_clock());
    }

    #[test]
    fn an_image_sent_again_under_its_old_stamp_is_never_new() {
        let mut stamps = auto();
        comes(&mut stamps, 30, 0).unwrap();
        // Three minutes at 30 Hz: longer than any time in which a clock could be mistaken for another one.
        for image in 1..5400 {
            let refused = comes(&mut stamps, 30 + 33 * image, 0);
            assert_eq!(refused, Err(StampError::NotNew { by_ms: 0 }), "image {image}");
        }
        assert_eq!(comes(&mut stamps, 180_000, 179_990), Ok(at(179_990)), "a new one is taken again");
    }

    #[test]
    fn an_old_stretch_played_in_a_circle_ends_with_its_first_round() {
        for (clock, base) in [(ImageClock::Auto, WALL), (ImageClock::Auto, 7_000_000 * MS), (ImageClock::Other, WALL)] {
            let mut stamps = Stamps::new(clock, Duration::ZERO);
            let taken = (0..6000_u64)
                .filter(|image| {
                    let (now, stamp) = (at(33 * image), base + i128::from(33 * (image % 60)) * MS);
                    stamps.captured(Some(stamp), now, WALL + i128::from(33 * image) * MS).is_ok()
                })
                .count();
            assert_eq!(taken, 60, "{clock:?}");
        }
    }

    #[test]
    fn a_stamp_in_the_future_is_refused_beyond_what_synchronized_clocks_differ_by() {
        let mut stamps = auto();
        assert_eq!(comes(&mut stamps, 100, 120), Ok(at(100)));
        assert_eq!(comes(&mut stamps, 200, 450), Err(StampError::Future { by_ms: 250 }));
        assert_eq!(comes(&mut stamps, 300, 290), Ok(at(290)));
    }

    #[test]
    fn our_wall_clock_may_be_set_under_a_camera_of_this_computer() {
        let mut stamps = auto();
        for (image, set_by) in [(0, 0), (1, 0), (2, 3_600_000), (3, 3_600_000), (4, -86_400_000), (5, -86_400_000)] {
            let wall = WALL + (i128::from(33 * image) + set_by) * MS;
            let captured = stamps.captured(Some(wall - 20 * MS), at(33 * image), wall).unwrap();
            assert_eq!(at(33 * image).since(captured), Duration::from_millis(20), "image {image}");
        }
    }

    #[test]
    fn another_clock_has_the_configured_latency_and_what_is_slower_than_the_quickest_is_older() {
        let mut stamps = auto();
        let stamp = |ms: i128| Some((5_000_000 + ms) * MS);
        let mut take = |sent: i128, came: u64| {
            let captured = stamps.captured(stamp(sent), at(came), WALL + i128::from(came) * MS).unwrap();
            at(came).since(captured).as_millis()
        };
        // The delays are 30, 10 and 50 ms; stamps alone cannot show them.
        assert_eq!(take(100, 130), 40);
        assert_eq!(take(200, 210), 40);
        // Minus the drift that two clocks may have accumulated meanwhile.
        assert_eq!(take(300, 350), 79);
        assert!(stamps.come_from_another_clock());
        assert_eq!(stamps.captured(stamp(250), at(400), WALL + 400 * MS), Err(StampError::NotNew { by_ms: 50 }));
    }

    #[test]
    fn a_delay_that_grows_is_not_forgotten() {
        let mut stamps = Stamps::new(ImageClock::Other, Duration::ZERO);
        // 5 ms more each second for a minute, like a queue that fills up: the drift allowance forgives 6 ms of 300.
        let ages = (0..60_u64).map(|second| {
            let came = 1000 * second + 5 * second;
            let captured = stamps.captured(Some(i128::from(1000 * second) * MS), at(came), WALL).unwrap();
            at(came).since(captured).as_millis()
        });
        let last = ages.last().unwrap();
        assert!((285..=295).contains(&last), "{last}");
    }

    #[test]
    fn images_without_stamps_are_as_old_as_the_launch_file_says() {
        let mut stamps = auto();
        assert_eq!(stamps.captured(None, at(500), WALL), Ok(at(460)));
        assert_eq!(stamps.captured(None, Timestamp::ZERO, WALL), Ok(Timestamp::ZERO));
    }

    proptest! {
        #[test]
        fn capture_times_are_never_after_now_and_never_go_back_on_our_clock(
            images in proptest::collection::vec((0u64..400, -200i128..3000), 1..60)
        ) {
            let (mut stamps, mut came, mut newest) = (auto(), 0, Timestamp::ZERO);
            for (after, age) in images {
                came += after;
                if let Ok(captured) = comes(&mut stamps, came, i128::from(came) - age) {
                    prop_assert!(captured <= at(came));
                    prop_assert!(captured > newest);
                    newest = captured;
                }
            }
        }
    }
}
