//! The slot between the loops: one writer, one reader, only the newest value. Neither side ever waits.
//!
//! Built on `triple_buffer`, for `Copy` values, so that nothing is freed on the control thread.

use std::time::Duration;

use triple_buffer::{Input, Output};

use visuomotor_core::time::Timestamp;

/// The writing end.
pub struct LatestWriter<T: Copy + Send>(Input<Option<(Timestamp, T)>>);

/// The reading end.
pub struct LatestReader<T: Copy + Send>(Output<Option<(Timestamp, T)>>);

/// An empty slot.
pub fn latest<T: Copy + Send>() -> (LatestWriter<T>, LatestReader<T>) {
    let (input, output) = triple_buffer::triple_buffer(&None);
    (LatestWriter(input), LatestReader(output))
}

impl<T: Copy + Send> LatestWriter<T> {
    /// Replaces the value; `at` is its time stamp.
    pub fn publish(&mut self, at: Timestamp, value: T) {
        self.0.write(Some((at, value)));
    }
}

impl<T: Copy + Send> LatestReader<T> {
    /// The newest value and its age at `now`; `None` before the first.
    pub fn newest(&mut self, now: Timestamp) -> Option<(T, Duration)> {
        self.0.read().map(|(at, value)| (value, now.since(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_value_is_seen_with_its_age() {
        let (mut writer, mut reader) = latest();
        assert_eq!(reader.newest(Timestamp::ZERO), None::<(i32, Duration)>);
        writer.publish(Timestamp::from_nanos(10), 1);
        writer.publish(Timestamp::from_nanos(20), 2);
        assert_eq!(reader.newest(Timestamp::from_nanos(25)), Some((2, Duration::from_nanos(5))));
        assert_eq!(reader.newest(Timestamp::from_nanos(30)), Some((2, Duration::from_nanos(10))));
    }
}
