//! Files of an export.

use std::path::Path;

use super::ExchangeError;
use super::error::write_error;

/// Creates the folder of `path` and writes the file.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ExchangeError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(write_error(folder))?;
    }
    std::fs::write(path, bytes).map_err(write_error(path))
}
