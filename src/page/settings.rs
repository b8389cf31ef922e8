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
    /// What a browser must know. `None`: a random token is made.
    pub token: Option<String>,
    /// Without a token, for every user of this machine; refused where others can reach it.
    pub open: bool,
    /// Folder of recordings, listed with playback.
    pub episodes: Option<PathBuf>,
    /// A holder of the controls that is not heard of for this long loses them.
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
    /// The token in force: the one given, or a random one; none for an open page.
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
    fn a_token_is_made_here_too_and_only_this_machine_may_do_without() {
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
        assert!(both.token_in_force().is_err(), "a token that is never asked for");
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
