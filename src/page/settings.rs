//! What the page is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use super::PageError;

/// Fewest and most characters of a token.
const TOKEN_LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// What the page is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSettings {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// What a browser must know. `None`: nothing on this machine itself, a random token anywhere else.
    pub token: Option<String>,
    /// Folder of recordings, listed with playback.
    pub episodes: Option<PathBuf>,
    /// A holder of the controls that is not heard of for this long loses them.
    pub silent_after: Duration,
}

impl Default for PageSettings {
    /// `127.0.0.1:8480`, no token, no recordings, three seconds of silence.
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8480)),
            token: None,
            episodes: None,
            silent_after: Duration::from_secs(3),
        }
    }
}

impl PageSettings {
    /// The token in force: the one given, a random one where the address can be reached from elsewhere, or none.
    pub(super) fn token_in_force(&self) -> Result<Option<String>, PageError> {
        match &self.token {
            Some(token) if is_token(token) => Ok(Some(token.clone())),
            Some(_) => Err(PageError::Token { least: *TOKEN_LENGTH.start(), most: *TOKEN_LENGTH.end() }),
            None if self.address.ip().is_loopback() => Ok(None),
            None => random_token().map(Some),
        }
    }
}

/// May it stand in an address and a cookie as it is?
fn is_token(token: &str) -> bool {
    TOKEN_LENGTH.contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// 128 bits from the operating system, hexadecimal.
fn random_token() -> Result<String, PageError> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| PageError::Random(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// One joint as the page draws it.
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
    fn only_this_machine_needs_no_token() {
        let here = PageSettings::default();
        assert_eq!(here.token_in_force().unwrap(), None);
        let everywhere = PageSettings { address: "0.0.0.0:0".parse().unwrap(), ..PageSettings::default() };
        let (one, other) =
            (everywhere.token_in_force().unwrap().unwrap(), everywhere.token_in_force().unwrap().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }

    #[test]
    fn a_token_that_would_break_an_address_is_refused() {
        for token in ["", "short", "with a blank", "semi;colon", "slash/slash"] {
            let settings = PageSettings { token: Some(token.into()), ..PageSettings::default() };
            assert!(settings.token_in_force().is_err(), "{token}");
        }
        let settings = PageSettings { token: Some("long-enough_1".into()), ..PageSettings::default() };
        assert_eq!(settings.token_in_force().unwrap().as_deref(), Some("long-enough_1"));
    }
}
