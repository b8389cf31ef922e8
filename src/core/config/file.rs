//! Reads a file, and where its project is.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::document;
use super::error::ConfigError;
use crate::untrusted;

/// Reads a TOML file into `T`; `T` denies unknown fields.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = untrusted::read_text(path, untrusted::LARGEST_TEXT).map_err(|source| ConfigError::Unreadable {
        path: path.to_path_buf(),
        source,
        fix: "check the path".into(),
    })?;
    parse(path, &text)
}

/// Parses the text of a TOML file; `path` is for messages only.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    document::read(text).map_err(|fault| ConfigError::Malformed {
        path: path.to_path_buf(),
        line: fault.start().map_or(1, |start| text[..start.min(text.len())].matches('\n').count() + 1),
        key: fault.path(),
        message: fault.message().to_string(),
    })
}

/// Is a table equal to its default? Then it is not serialized.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// SHA-256 of bytes, hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The project folder a launch file belongs to: the nearest folder above it that holds `robots/`.
pub fn project_root(launch: &Path) -> PathBuf {
    let absolute = std::path::absolute(launch).unwrap_or_else(|_| launch.to_path_buf());
    absolute
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("robots").is_dir())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code)]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code)]
        rate_hz: f64,
    }

    #[test]
    fn an_unknown_key_is_named_with_file_line_and_key() {
        let error = parse::<Outer>(Path::new("a.toml"), "[inner]\nrate_hz = 5.0\nrate = 3\n").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("a.toml:3:"), "{text}");
        assert!(text.contains("inner") && text.contains("rate") && text.contains("rate_hz"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_key() {
        let text = parse::<Outer>(Path::new("a.toml"), "[inner]\nrate_hz = \"fast\"\n").unwrap_err().to_string();
        assert!(text.starts_with("a.toml:2: key `inner.rate_hz`"), "{text}");
    }

    #[test]
    fn a_missing_key_is_named() {
        let text = parse::<Outer>(Path::new("a.toml"), "[inner]\n").unwrap_err().to_string();
        assert!(text.contains("rate_hz"), "{text}");
    }
}
