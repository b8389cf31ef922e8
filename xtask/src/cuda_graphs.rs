//! The library of CUDA graphs (`src/learning/network/cuda_graph.cpp`): compiled against libtorch's headers and CUDA's, which two
//! small wheels carry. It needs neither a GPU nor CUDA's libraries until it is opened.
//!
//! ```text
//! .deps/cuda/libvisuomotor_cuda.so   looked for here, beside the program and in LD_LIBRARY_PATH
//! .deps/cuda/stamp                   the digest of what it was made of
//! ```

use crate::failure::Failure;
use crate::process::run_in_view;
use crate::setup::remove;
use crate::wheels::{CUDA_HEADERS, Fetcher, TORCH};
use crate::{python, system_packages};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

const SOURCE: &str = "src/learning/network/cuda_graph.cpp";
const LIBRARY: &str = "libvisuomotor_cuda.so";
/// The compiler's options. The symbols that the library calls are in the process when it is opened: the program must not need CUDA.
const OPTIONS: [&str; 5] = ["-std=c++17", "-O2", "-shared", "-fPIC", "-w"];

/// Compiles the library into `deps`, where libtorch's headers are; quick if it is already there.
pub fn compile(root: &Path, deps: &Path) -> Result<(), Failure> {
    let (source, folder) = (root.join(SOURCE), deps.join("cuda"));
    let (library, stamp) = (folder.join(LIBRARY), folder.join("stamp"));
    let made_of = digest(&source)?;
    if library.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found == made_of) {
        println!("CUDA graphs: already there in {}", library.display());
        return Ok(());
    }
    println!("CUDA graphs: {} into {}", CUDA_HEADERS.map(|wheel| wheel.name).join(", "), folder.display());
    let attempt = |outcome: std::io::Result<()>| {
        outcome.map_err(|error| {
            Failure::setup(format!("{}: {error}; free it, or remove the folder, and repeat", folder.display()))
        })
    };
    attempt(fs::create_dir_all(&folder))?;
    attempt(remove(&stamp))?;
    let (site, downloads, partial) = (folder.join("site"), folder.join("tmp"), folder.join("partial"));
    Fetcher { python: python::with_pip(deps)?, downloads: downloads.clone() }.fetch_pinned(&CUDA_HEADERS, &site)?;
    let torch = deps.join("libtorch/include");
    let compiler = system_packages::compiler()?.unwrap_or_else(|| "c++".into());
    let mut words = compiler.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("c++"));
    command.args(words).args(OPTIONS);
    for include in [torch.clone(), torch.join("torch/csrc/api/include"), site.join("nvidia/cu13/include")] {
        command.arg("-I").arg(include);
    }
    command.arg(&source).arg("-o").arg(&partial);
    run_in_view(&mut command)
        .map_err(|complaint| Failure::setup(format!("{} does not compile: {complaint}", source.display())))?;
    attempt(fs::rename(&partial, &library))?;
    attempt(remove(&site).and_then(|()| remove(&downloads)))?;
    attempt(fs::write(&stamp, made_of))
}

/// Digest of the source, the options and the versions of all headers.
fn digest(source: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(source)
        .map_err(|error| Failure::setup(format!("{} cannot be read: {error}", source.display())))?;
    let mut hasher = DefaultHasher::new();
    (text, OPTIONS).hash(&mut hasher);
    for wheel in CUDA_HEADERS.iter().chain([&TORCH]) {
        (wheel.name, wheel.version).hash(&mut hasher);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_source_is_another_library() {
        let folder = std::env::temp_dir().join(format!("visuomotor-cuda-graphs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("a.cpp");
        fs::write(&file, "int a;").unwrap();
        let first = digest(&file).unwrap();
        assert_eq!(first, digest(&file).unwrap());
        fs::write(&file, "int b;").unwrap();
        assert_ne!(first, digest(&file).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        assert!(digest(&file).unwrap_err().message.contains("a.cpp"));
    }
}
