//! Numbers within a range. A settings file's reader adds file, line and key to what these say.

use serde::{Deserialize, Serialize};

macro_rules! ranges {
    ($($(#[$meta:meta])* $name:ident: $within:expr, $expected:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The number.
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = String;

            /// Refuses a number outside the range, with the number and the range.
            fn try_from(value: f64) -> Result<Self, String> {
                let within: fn(f64) -> bool = $within;
                if within(value) { Ok(Self(value)) } else { Err(format!(concat!("found {}, expected ", $expected), value)) }
            }
        }

        impl From<$name> for f64 {
            fn from(number: $name) -> f64 {
                number.0
            }
        }
    )*};
}

// NaN is within none of them.
ranges! {
    /// A number from 0 to 1.
    #[derive(Default)]
    Fraction: |value| (0.0..=1.0).contains(&value), "a fraction from 0 to 1";
    /// A fraction below 1: the share of an average that each step keeps. 0 keeps nothing.
    #[derive(Default)]
    Decay: |value| (0.0..1.0).contains(&value), "at least 0 and less than 1";
    /// A finite number above 0.
    Positive: |value| value > 0.0 && value.is_finite(), "a number above 0";
    /// A finite number of at least 0.
    #[derive(Default)]
    NonNegative: |value| value >= 0.0 && value.is_finite(), "a number of at least 0";
}

impl Fraction {
    /// The whole.
    pub const ONE: Self = Self(1.0);

    /// The whole, as the default of a key.
    pub(super) fn one() -> Self {
        Self::ONE
    }
}

/// A number in its range, for tests.
#[cfg(test)]
pub(crate) fn within<T: TryFrom<f64, Error = String>>(value: f64) -> T {
    T::try_from(value).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_are_refused_with_number_and_range() {
        let refused = [
            (Fraction::try_from(1.5).unwrap_err(), "found 1.5, expected a fraction from 0 to 1"),
            (Decay::try_from(1.0).unwrap_err(), "found 1, expected at least 0 and less than 1"),
            (Positive::try_from(0.0).unwrap_err(), "found 0, expected a number above 0"),
            (NonNegative::try_from(-1.0).unwrap_err(), "found -1, expected a number of at least 0"),
        ];
        for (error, expected) in refused {
            assert_eq!(error, expected);
        }
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Fraction::try_from(none).is_err() && Decay::try_from(none).is_err());
            assert!(Positive::try_from(none).is_err() && NonNegative::try_from(none).is_err());
        }
        assert!(Fraction::try_from(1.0).is_ok() && Decay::try_from(0.0).is_ok() && NonNegative::try_from(0.0).is_ok());
    }
}
