//! Errors at the start of the page.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::failure::{Failing, FailureKind};

/// Why the page could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Another program listens there.
    #[error(
        "the page cannot listen on {address}: the address is in use. Is another visuomotor running? \
         End it, or choose another port (0 lets the system choose one)"
    )]
    InUse {
        /// Requested listening address.
        address: SocketAddr,
    },
    /// Any other reason not to listen.
    #[error(
        "the page cannot listen on {address}: {source}. \
         The address must be one of this machine; 127.0.0.1:8480 always is"
    )]
    Listen {
        /// Requested listening address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// A token that is not URL-safe or is easily guessed.
    #[error("the page's token must be {least} to {most} letters, digits, `-` or `_`; leave it out to have one made")]
    Token {
        /// Fewest characters.
        least: usize,
        /// Most characters.
        most: usize,
    },
    /// An open page that other machines could reach, or that has a token.
    #[error(
        "the page on {address} cannot do without its token: an open page is for this machine alone (127.0.0.1, ::1) and has \
         no token; leave --page-open out, or listen on 127.0.0.1"
    )]
    Open {
        /// Requested listening address.
        address: SocketAddr,
    },
    /// The system returned no random numbers for a token.
    #[error("no token for the page could be made: the system gave no random numbers ({0}); give one yourself")]
    Random(String),
    /// The folder of recordings does not exist.
    #[error("the page cannot list the recordings in {}: no such folder; make it, or name another", path.display())]
    Episodes {
        /// The requested folder.
        path: PathBuf,
    },
    /// A thread or the runtime could not be started.
    #[error("the page could not be started: {0}")]
    Start(#[from] std::io::Error),
}

impl Failing for PageError {
    fn failure(&self) -> FailureKind {
        match self {
            Self::Random(_) | Self::Start(_) => FailureKind::Machine,
            _ => FailureKind::Usage,
        }
    }
}
