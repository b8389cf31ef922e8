//! The Python wheels that carry libtorch and MuJoCo: their versions, digests, download and the files kept.
//!
//! They are the one place both libraries are published in a package registry. The versions are those that tch 0.24 and
//! mujoco-rs 7.0 bind to: all three change together.

use crate::failure::Failure;
use crate::host::size;
use crate::process::{answer, run_in_view};
use crate::python::pip;
use crate::requirement::{of_nvidia, of_toolkit};
use std::fs;
use std::path::{Path, PathBuf};

/// A wheel at an exact version.
pub struct Wheel {
    pub name: &'static str,
    pub version: &'static str,
    /// SHA-256 of the one file that fits [`platforms`] and [`PYTHON`].
    digest: &'static str,
    /// Members to unpack, as shell patterns (`*` matches `/` too).
    kept: &'static [&'static str],
}

/// libtorch.
pub const TORCH: Wheel = Wheel {
    name: "torch",
    version: "2.11.0",
    digest: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
    // libtorch_cpu.so needs c10, gomp, cudart and cupti, and nothing else of CUDA.
    kept: &[
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libc10.so",
        "torch/lib/libgomp*",
        "torch/lib/libshm.so",
        "torch/lib/libtorch_global_deps.so",
        "torch/include/*",
        DIST_INFO,
    ],
};

const CUDA_RUNTIME: Wheel = Wheel {
    name: "nvidia-cuda-runtime",
    version: "13.0.96",
    digest: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    kept: &NVIDIA_KEPT,
};

/// Everything that the set-up fetches; `torch` first, because it takes longest and fails first.
pub const WHEELS: [Wheel; 4] = [
    TORCH,
    CUDA_RUNTIME,
    Wheel {
        name: "nvidia-cuda-cupti",
        version: "13.0.85",
        digest: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        kept: &NVIDIA_KEPT,
    },
    Wheel {
        name: "mujoco",
        version: "3.17.0",
        digest: "d66928d86a2d1b601bbaa4dc11db50214d17d5301bb8afd84721313b67ff0874",
        kept: &["mujoco/libmujoco*", "mujoco/plugin/*", "mujoco/include/*", DIST_INFO],
    },
];

/// The wheels with CUDA's headers, in the versions that torch was built with.
pub const CUDA_HEADERS: [Wheel; 2] = [
    Wheel { kept: &["nvidia/*/include/*"], ..CUDA_RUNTIME },
    Wheel {
        name: "nvidia-cuda-crt",
        version: "13.0.88",
        digest: "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
        kept: &["nvidia/*/include/*"],
    },
];

/// Runs policies in ONNX. The version is the newest that was tested: `ort` opens this one and older ones.
pub const ONNX_RUNTIME: Wheel = Wheel {
    name: "onnxruntime",
    version: "1.32.0",
    digest: "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
    kept: &["onnxruntime/capi/libonnxruntime.so*", "onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"],
};

/// Licenses and METADATA.
const DIST_INFO: &str = "*.dist-info/*";
const NVIDIA_KEPT: [&str; 2] = ["nvidia/*/lib/*.so*", DIST_INFO];
/// With CUDA every library of torch: `libtorch_cuda.so` pulls in several.
const TORCH_KEPT_FOR_CUDA: &[&str] = &["torch/lib/*.so*", "torch/include/*", DIST_INFO];

/// The Python that the wheels are for; the host's may be another one.
const PYTHON: &str = "3.11";
const ABI: &str = "cp311";

/// Tags of the wheels above. pip takes a platform given by hand literally: `manylinux_2_28` alone finds no wheel that
/// is tagged `manylinux_2_25`, though every such wheel runs there.
fn platforms() -> Vec<String> {
    let glibc = (5..=28).rev().map(|minor| format!("manylinux_2_{minor}_x86_64"));
    let old_names = ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"];
    glibc.chain(old_names.map(str::to_owned)).collect()
}

/// One downloaded file and what to unpack of it.
struct Download {
    file: PathBuf,
    kept: Vec<&'static str>,
}

/// Fetches and unpacks wheels through a Python that has pip.
pub struct Fetcher {
    /// Python with pip.
    pub python: PathBuf,
    /// Folder of the downloads until they are unpacked; kept after a failure, so that the next attempt continues from there.
    pub downloads: PathBuf,
}

impl Fetcher {
    /// Downloads every wheel and unpacks the kept files into `site`.
    pub fn fetch(&self, site: &Path, cuda: bool) -> Result<(), Failure> {
        self.download_pinned(&WHEELS)?;
        for wheel in &WHEELS {
            let kept = if cuda && wheel.name == TORCH.name { TORCH_KEPT_FOR_CUDA } else { wheel.kept };
            self.unpack_wheel(wheel, kept, site)?;
        }
        if cuda {
            self.fetch_cuda(site)?;
        }
        Ok(())
    }

    /// Downloads `wheels` and unpacks the kept files of each into `site`.
    pub fn fetch_pinned(&self, wheels: &[Wheel], site: &Path) -> Result<(), Failure> {
        self.download_pinned(wheels)?;
        wheels.iter().try_for_each(|wheel| self.unpack_wheel(wheel, wheel.kept, site))
    }

    fn unpack_wheel(&self, wheel: &Wheel, kept: &[&'static str], site: &Path) -> Result<(), Failure> {
        let file = self.file_of(wheel.name, wheel.version)?;
        self.unpack(&Download { file, kept: kept.to_vec() }, site)
    }

    fn download_pinned(&self, wheels: &[Wheel]) -> Result<(), Failure> {
        let list = self.downloads.join("requirements.txt");
        create_folder(&self.downloads)?;
        write(&list, &pinned(wheels))?;
        let names: Vec<_> = wheels.iter().map(|wheel| format!("{} {}", wheel.name, wheel.version)).collect();
        println!("    {}", names.join(", "));
        self.download(&["--require-hashes", "-r", &list.to_string_lossy()])
    }

    /// The rest of CUDA as pinned by the torch wheel.
    fn fetch_cuda(&self, site: &Path) -> Result<(), Failure> {
        let (mut wanted, toolkit) = of_nvidia(&metadata(site, TORCH.name)?);
        if let Some(toolkit) = toolkit {
            self.download(&[&toolkit.for_pip()])?;
            let file = self.file_of(&toolkit.name, &toolkit.version)?;
            self.unpack(&Download { file, kept: vec![DIST_INFO] }, site)?;
            wanted.extend(of_toolkit(&metadata(site, &toolkit.name)?, &toolkit.extras));
        }
        wanted.retain(|one| WHEELS.iter().all(|wheel| wheel.name != one.name));
        for one in wanted {
            println!("    {}", one.for_pip());
            self.download(&[&one.for_pip()])?;
            let file = self.file_of(&one.name, &one.version)?;
            self.unpack(&Download { file, kept: NVIDIA_KEPT.to_vec() }, site)?;
        }
        Ok(())
    }

    fn download(&self, what: &[&str]) -> Result<(), Failure> {
        let mut command = pip(&self.python);
        command.args(["download", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]);
        command.args(["--python-version", PYTHON, "--abi", ABI]);
        for platform in platforms() {
            command.args(["--platform", &platform]);
        }
        command.arg("--dest").arg(&self.downloads).args(what);
        // pip collects a wheel in the temporary folder first; /tmp is often small and in memory.
        command.env("TMPDIR", &self.downloads);
        run_in_view(&mut command).map_err(|complaint| {
            Failure::setup(format!(
                "the wheels could not be downloaded: {complaint}\nIs the network there, and does pip reach its package \
                 registry (`{} -m pip download --no-deps mujoco==3.17.0`)? Then repeat; finished downloads are kept.",
                self.python.display()
            ))
        })
    }

    /// The downloaded file of a wheel; an earlier set-up may have left another version beside it.
    fn file_of(&self, name: &str, version: &str) -> Result<PathBuf, Failure> {
        let start = file_start(name, version);
        let files = fs::read_dir(&self.downloads).into_iter().flatten().flatten();
        files
            .map(|entry| entry.path())
            .find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(&start) && name.ends_with(".whl")
            })
            .ok_or_else(|| {
                Failure::setup(format!("pip ended well but left no wheel of {name} in {}", self.downloads.display()))
            })
    }

    fn unpack(&self, download: &Download, site: &Path) -> Result<(), Failure> {
        let (wheel, folder) = (download.file.to_string_lossy(), site.to_string_lossy());
        let mut arguments = vec!["-c", include_str!("unpack_wheel.py"), &wheel, &folder];
        arguments.extend(&download.kept);
        let name = download.file.file_name().unwrap_or_default().to_string_lossy();
        let counted = answer(&self.python.to_string_lossy(), &arguments);
        let Some((files, bytes)) = counted.as_deref().and_then(files_and_bytes) else {
            // A damaged file would be used again by the next attempt.
            let _ = fs::remove_file(&download.file);
            return Err(Failure::setup(format!(
                "{name} could not be unpacked into {}: the download is damaged (now removed) or the disk is full. Repeat.",
                site.display()
            )));
        };
        println!("    unpacked {name}: {files} files, {}", size(bytes));
        Ok(())
    }
}

/// Prefix of a wheel's file: its name, dashes written as underscores.
fn file_name(name: &str) -> String {
    name.replace(['-', '.'], "_")
}

/// Prefix of a wheel's file, given its version or the clause that requires it (`==13.1.0.3.*`).
fn file_start(name: &str, version: &str) -> String {
    format!("{}-{}", file_name(name), version.trim_start_matches("==").trim_end_matches(".*"))
}

/// The METADATA of an unpacked wheel.
fn metadata(site: &Path, name: &str) -> Result<String, Failure> {
    let start = format!("{}-", file_name(name));
    let folders = fs::read_dir(site).into_iter().flatten().flatten();
    folders
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dist-info"))
        .find(|path| path.file_name().unwrap_or_default().to_string_lossy().starts_with(&start))
        .and_then(|path| fs::read_to_string(path.join("METADATA")).ok())
        .ok_or_else(|| Failure::setup(format!("the wheel of {name} has no METADATA in {}", site.display())))
}

/// A requirements file with digests: pip refuses a file that differs.
fn pinned(wheels: &[Wheel]) -> String {
    wheels.iter().map(|wheel| format!("{}=={} --hash=sha256:{}\n", wheel.name, wheel.version, wheel.digest)).collect()
}

fn files_and_bytes(answer: &str) -> Option<(usize, u64)> {
    let (files, bytes) = answer.split_once(' ')?;
    let files: usize = files.parse().ok()?;
    (files > 0).then_some((files, bytes.parse().ok()?))
}

fn create_folder(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::setup(format!("{} cannot be made: {error}", folder.display())))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| Failure::setup(format!("{} cannot be written: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_of_our_wheels_is_asked_for() {
        let platforms = platforms();
        for tag in ["manylinux_2_28_x86_64", "manylinux_2_25_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"] {
            assert!(platforms.iter().any(|one| one == tag), "{tag}");
        }
        assert_eq!(platforms[0], "manylinux_2_28_x86_64", "the newest comes first: pip prefers it");
    }

    #[test]
    fn the_list_for_pip_is_pinned_by_digest() {
        let list = pinned(&WHEELS);
        assert_eq!(list.lines().count(), WHEELS.len());
        assert!(
            list.lines().all(|line| line.contains("==") && line.split("sha256:").nth(1).is_some_and(|d| d.len() == 64))
        );
    }

    #[test]
    fn a_wheel_that_unpacks_to_nothing_is_an_error() {
        assert_eq!(files_and_bytes("9430 490000000"), Some((9430, 490_000_000)));
        assert_eq!(files_and_bytes("0 0"), None);
        assert_eq!(files_and_bytes(""), None);
    }

    #[test]
    fn names_become_file_names() {
        assert_eq!(file_start("nvidia-cuda-runtime", "13.0.96"), "nvidia_cuda_runtime-13.0.96");
        assert_eq!(file_start("nvidia-cublas", "==13.1.0.3.*"), "nvidia_cublas-13.1.0.3");
    }
}
