//! The token a program presents to a guard on another host, so that no other program can stop or block the arm.

use std::path::Path;

use sha2::{Digest, Sha256};

/// Shortest token; shorter ones can be guessed.
pub const SHORTEST: usize = 16;

/// A secret. Never printed.
#[derive(Clone, PartialEq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// From a text, without surrounding white space. Refuses one that is too short or longer than a line.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fit = text.len() >= SHORTEST && text.len() <= 4096 && !text.contains(['\n', '\r']);
        if !fit {
            return Err(format!(
                "the token has {} characters in {} lines, expected one line of {SHORTEST} or more; make one with \
                 `head -c 24 /dev/urandom | base64`",
                text.len(),
                text.lines().count()
            ));
        }
        Ok(Self(text.into()))
    }

    /// From a file that no other user may read.
    pub fn load(path: &Path) -> Result<Self, String> {
        use std::os::unix::fs::PermissionsExt;
        let named = |what: String| format!("{}: {what}", path.display());
        let about = std::fs::metadata(path).map_err(|error| named(error.to_string()))?;
        if !about.is_file() || about.len() > 8192 {
            return Err(named("is not a small file; write the token into one".into()));
        }
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(named(format!("its mode is {mode:o}, so others can read it, expected 600; chmod 600 it")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        Self::new(&text).map_err(named)
    }

    /// The secret itself, for the wire.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Is this the secret? The time does not depend on where a wrong one differs.
    pub fn is(&self, shown: &str) -> bool {
        let (ours, theirs) = (Sha256::digest(self.0.as_bytes()), Sha256::digest(shown.trim().as_bytes()));
        ours.iter().zip(theirs.iter()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_same_token_is_the_token_and_it_is_never_printed() {
        let token = Token::new("correct horse battery\n").unwrap();
        assert!(token.is("correct horse battery"));
        assert!(!token.is("correct horse batterz") && !token.is("") && !token.is("correct horse battery staple"));
        assert!(!format!("{token:?}").contains("horse"));
        assert!(Token::new("short").is_err() && Token::new("two lines of\ntoo much text").is_err());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "correct horse battery\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(Token::load(&file).unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(Token::load(&file).unwrap().is("correct horse battery"));
        assert!(Token::load(folder.path()).unwrap_err().contains("not a small file"));
    }
}
