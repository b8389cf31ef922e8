//! onnxruntime, opened when the first ONNX file is loaded: the program is built and runs without it.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;

use super::super::network::{Refusal, first_line};
use super::EXPORT;

/// Environment variable with the path of a library to use instead of the fetched one.
const VARIABLE: &str = "ORT_DYLIB_PATH";
/// Where `cargo xtask setup --onnx` puts it, below the root of a checkout.
const FETCHED: &str = ".deps/onnx";
/// How its file name begins.
const NAME: &str = "libonnxruntime.so";
const FETCH: &str = "run `cargo xtask setup --onnx`, or set ORT_DYLIB_PATH to the path of libonnxruntime.so";

/// The only environment that the library allows in a process.
static OPENED: Mutex<Option<Environment>> = Mutex::new(None);

/// A session of the graph in `bytes` with the files of weights that it names.
pub fn session(bytes: &[u8], weights: Vec<(&str, Vec<u8>)>) -> Result<Session, Refusal> {
    let environment = environment()?;
    let refuse = |error: String| Refusal { what: format!("onnxruntime cannot load it ({error})"), fix: EXPORT };
    // As many threads as libtorch has; a thread that spins while it waits would take a core from the control thread.
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
    let mut builder = Session::builder(&environment).map_err(|error| refuse(message(&error)))?;
    builder = builder.with_intra_threads(threads).map_err(|error| refuse(message(&error)))?;
    builder = builder.with_intra_op_spinning(false).map_err(|error| refuse(message(&error)))?;
    // It also returns the errors that it logs.
    builder = builder.with_log_level(ort::logging::LogLevel::Fatal).map_err(|error| refuse(message(&error)))?;
    for (name, bytes) in weights {
        builder = builder
            .with_external_initializer_file_in_memory(name, Arc::from(bytes))
            .map_err(|error| refuse(message(&error)))?;
    }
    builder.commit_from_memory(bytes).map_err(|error| refuse(message(&error)))
}

fn message<R>(error: &ort::Error<R>) -> String {
    first_line(&error.to_string())
}

/// Opens the library, once.
fn environment() -> Result<Environment, Refusal> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*opened {
        return Ok(environment.clone());
    }
    let path = find(env::var_os(VARIABLE).map(PathBuf::from), &folders())?;
    let refuse = |error: String| Refusal { what: format!("{}: {error}", path.display()), fix: FETCH };
    let builder = ort::init_from(&path).map_err(|error| refuse(first_line(&error.to_string())))?;
    let environment = builder.with_telemetry(false).build().map_err(|error| refuse(message(&error)))?;
    Ok(opened.insert(environment).clone())
}

/// Folders in which the library is looked for: beside the program, and in a checkout.
fn folders() -> Vec<PathBuf> {
    let program = env::current_exe().and_then(|program| program.canonicalize()).unwrap_or_default();
    let beside = program.parent().map(Path::to_path_buf);
    // From `target/release` and `target/release/deps`, then the checkout it was built in, as the run paths (`native_library.rs`).
    let built = beside.iter().flat_map(|folder| ["../..", "../../.."].map(|up| folder.join(up).join(FETCHED)));
    let checkout = Path::new(crate::CHECKOUT).join(FETCHED);
    beside.clone().into_iter().chain(built).chain([checkout]).collect()
}

/// The library's file: the one that the variable names, else the first found in a folder.
fn find(named: Option<PathBuf>, folders: &[PathBuf]) -> Result<PathBuf, Refusal> {
    if let Some(path) = named.filter(|path| !path.as_os_str().is_empty()) {
        if path.is_file() {
            return Ok(std::path::absolute(&path).unwrap_or(path));
        }
        let what = format!("onnxruntime runs it, and {VARIABLE} names {}, which is not a file", path.display());
        return Err(Refusal { what, fix: "set ORT_DYLIB_PATH to the path of libonnxruntime.so, or unset it" });
    }
    let in_folder = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(NAME));
        names.map(|entry| entry.path()).filter(|path| path.is_file()).min()
    };
    folders.iter().find_map(in_folder).ok_or_else(|| Refusal {
        what: format!("onnxruntime runs it, which is neither in {FETCHED} nor beside the program"),
        fix: FETCH,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_the_named_one_else_the_fetched_one_else_the_error_gives_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
        std::fs::create_dir(&empty).unwrap();
        std::fs::create_dir(&full).unwrap();
        let library = full.join("libonnxruntime.so.1.2.3");
        std::fs::write(&library, "").unwrap();
        std::fs::write(full.join("LICENSE"), "").unwrap();
        assert_eq!(find(None, &[empty.clone(), full.clone()]).unwrap(), library);
        // A variable that is set to nothing counts as not set.
        assert_eq!(find(Some(PathBuf::new()), std::slice::from_ref(&full)).unwrap(), library);
        assert_eq!(find(Some(library.clone()), &[]).unwrap(), library);
        let absent = find(None, std::slice::from_ref(&empty)).unwrap_err();
        assert!(absent.what.contains(".deps/onnx") && absent.fix.contains("cargo xtask setup --onnx"), "{absent:?}");
        assert!(absent.fix.contains("ORT_DYLIB_PATH"));
        let wrong = find(Some(empty.join("none.so")), &[full]).unwrap_err();
        assert!(wrong.what.contains("none.so") && wrong.what.contains("ORT_DYLIB_PATH"), "{wrong:?}");
    }
}
