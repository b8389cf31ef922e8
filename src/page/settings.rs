//! Settings of the page.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use super::PageError;

/// Minimum and maximum length of a token.
const TOKEN_LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// Settings of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSettings {
    /// Listening address; with port 0 the system chooses.
    pub address: SocketAddr,
    /// Token that a browser must present. `None`: a random one is generated.
    pub token: Option<String>,
    /// No token, for every user of this machine; refused if other machines can reach it.
    pub open: bool,
    /// Folder of recordings, listed with playback.
    pub episodes: Option<PathBuf>,
    /// A holder of the controls that is silent for this long loses them.
    pub silent_after: Duration,
    /// A connection that has not shown the token for this long is closed.
    pub shown_within: Duration,
}

impl Default for PageSettings {
    /// `127.0.0.1:8480`, a random token, no recordings, three seconds of silence, five to show the token.
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8480)),
            token: None,
            open: false,
            episodes: None,
            silent_after: Duration::from_secs(3),
            shown_within: Duration::from_secs(5),
        }
    }
}

impl PageSettings {
    /// The token in force: the one given, or a random one; `None` for an open page.
    pub(super) fn token_in_force(&self) -> Result<Option<String>, PageError> {
        if self.open {
            return match self.address.ip().is_loopback() && self.token.is_none() {
                true => Ok(None),
                false => Err(PageError::Open { address: self.address }),
            };
        }
        match &self.token {
            Some(token) if is_token(token) => Ok(Some(token.clone())),
            Some(_) => Err(PageError::Token { least: *TOKEN_LENGTH.start(), most: *TOKEN_LENGTH.end() }),
            None => random_token().map(Some),
        }
    }
}

/// Is it valid in an address and a cookie without escaping?
fn is_token(token: &str) -> bool {
    TOKEN_LENGTH.contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// 128 bits from the operating system, hexadecimal.
fn random_token() -> Result<String, PageError> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| PageError::Random(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// One joint for display.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JointRange {
    /// Name of the joint.
    pub name: String,
    /// Lower limit \[rad\].
    pub low: f64,
    /// Upper limit \[rad\].
    pub high: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_generated_on_localhost_too_and_only_localhost_may_be_open() {
        let here = PageSettings::default();
        let everywhere = PageSettings { address: "0.0.0.0:0".parse().unwrap(), ..PageSettings::default() };
        for settings in [&here, &everywhere] {
            let [one, other] = [(); 2].map(|()| settings.token_in_force().unwrap().unwrap());
            assert_eq!(one.len(), 32);
            assert_ne!(one, other);
        }
        assert_eq!(PageSettings { open: true, ..here.clone() }.token_in_force().unwrap(), None);
        assert!(matches!(PageSettings { open: true, ..everywhere }.token_in_force(), Err(PageError::Open { .. })));
        let both = PageSettings { open: true, token: Some("long-enough".into()), ..here };
        assert!(both.token_in_force().is_err(), "a token that is never checked");
    }

    #[test]
    fn a_token_that_is_not_url_safe_is_refused() {
        for token in ["", "short", "with a blank", "semi;colon", "slash/slash"] {
            let settings = PageSettings { token: Some(token.into()), ..PageSettings::default() };
            assert!(settings.token_in_force().is_err(), "{token}");
        }
        let settings = PageSettings { token: Some("long-enough_1".into()), ..PageSettings::default() };
        assert_eq!(settings.token_in_force().unwrap().as_deref(), Some("long-enough_1"));
    }
}
