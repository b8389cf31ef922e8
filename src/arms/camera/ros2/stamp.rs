//! Stamps of image messages, on the wall clock.

use std::time::SystemTime;

use crate::transport::ros2::messages::builtin::Time;
use visuomotor_core::time::Timestamp;

/// The wall clock \[ns since 1970\].
pub(super) fn wall_nanos() -> i128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0))
}

/// A stamp \[ns since 1970\]; `None` for the zero stamp and for an invalid one.
pub(super) fn nanos(stamp: Time) -> Option<i128> {
    let usable = stamp != Time::default() && stamp.nanosec < 1_000_000_000;
    usable.then(|| i128::from(stamp.sec) * 1_000_000_000 + i128::from(stamp.nanosec))
}

/// The wall-clock stamp, as cameras send it, of an image captured at `captured_at` on a clock that reads `now`.
pub fn stamp(captured_at: Timestamp, now: Timestamp) -> Time {
    let taken = wall_nanos() - i128::try_from(now.since(captured_at).as_nanos()).unwrap_or(0);
    Time {
        sec: i32::try_from(taken.div_euclid(1_000_000_000)).unwrap_or(i32::MAX),
        nanosec: taken.rem_euclid(1_000_000_000) as u32,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::camera::stamps::Stamps;
    use visuomotor_core::config::ImageClock;

    #[test]
    fn a_zero_or_impossible_stamp_is_none() {
        assert_eq!(nanos(Time::default()), None);
        assert_eq!(nanos(Time { sec: 5, nanosec: u32::MAX }), None);
        assert_eq!(nanos(Time { sec: 5, nanosec: 7 }), Some(5_000_000_007));
    }

    #[test]
    fn a_stamp_we_send_is_read_back_as_the_capture_time() {
        let (captured, now) = (Timestamp::from_nanos(3_000_000_000), Timestamp::from_nanos(3_250_000_000));
        let mut stamps = Stamps::new(ImageClock::Auto, Duration::ZERO);
        let wall = wall_nanos();
        let sent = nanos(stamp(captured, now)).unwrap();
        // The wall clock advanced between the two calls: the image is younger by at most that much.
        let read = stamps.captured(Some(sent.min(wall - 250_000_000)), now, wall).unwrap();
        assert_eq!(read, captured);
    }
}
