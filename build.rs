//! Tells the linker where the programs of this package find libtorch and MuJoCo when they start, and compiles the one
//! layer that is written against libtorch's C++ (`src/network/group_norm_relu.cpp`).
//!
//! `cargo xtask setup` lands both in `.deps`; without a run path every call would need `LD_LIBRARY_PATH`. The paths go
//! in as RUNPATH (`--enable-new-dtags`), which the loader reads after `LD_LIBRARY_PATH`: a release binary carried to a
//! host with its own torch uses that one by setting `LD_LIBRARY_PATH`. RUNPATH does not reach the libraries of a
//! library, and need not: libtorch's carry their own, written for the wheel's layout. That is why the path below is
//! the wheel's folder (`.deps/site/torch/lib`) and not the folder of links that the linker sees
//! (`.deps/libtorch/lib`): the loader takes `$ORIGIN` from the path it opened.

use std::env;
use std::path::{Path, PathBuf};

/// From the folder of an executable to the root of the checkout: `target/release`, then `target/release/deps` and
/// `target/release/examples`. Relative, so that a moved checkout still runs.
const ROOT_FROM_PROGRAM: [&str; 2] = ["$ORIGIN/../..", "$ORIGIN/../../.."];

/// Where `cargo xtask setup` lands libtorch.
const TORCH: &str = ".deps/libtorch";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    #[cfg(feature = "torch")]
    compile(&root, &folder(&root, "LIBTORCH", TORCH));
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    println!("cargo::rustc-link-arg=-Wl,--enable-new-dtags");
    if env::var_os("CARGO_FEATURE_TORCH").is_some() {
        find(&root, "LIBTORCH", TORCH, "lib/libtorch.so", ".deps/site/torch/lib");
        // GNU ld wants to see what libtorch_cpu.so itself needs; lld does not ask.
        println!("cargo::rustc-link-arg=-Wl,-rpath-link,{}", root.join(".deps/site/nvidia/cu13/lib").display());
    }
    if env::var_os("CARGO_FEATURE_MUJOCO").is_some() {
        find(&root, "MUJOCO_DYNAMIC_LINK_DIR", ".deps/mujoco", "libmujoco.so", ".deps/mujoco");
    }
}

/// Compiles our C++ against the headers of the libtorch that is linked.
#[cfg(feature = "torch")]
fn compile(root: &Path, libtorch: &Path) {
    let (source, include) = (root.join("src/network/group_norm_relu.cpp"), libtorch.join("include"));
    println!("cargo::rerun-if-changed={}", source.display());
    if !include.exists() {
        println!("cargo::error={} is missing: run `cargo xtask setup` first", include.display());
        return;
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .file(source)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        // The headers are full of them.
        .warnings(false)
        .compile("visuomotor_network");
}

/// The folder of a library: what the caller's environment says, else the fetched one (relative to the root).
fn folder(root: &Path, variable: &str, fetched: &str) -> PathBuf {
    println!("cargo::rerun-if-env-changed={variable}");
    env::var_os(variable).map_or_else(|| root.join(fetched), PathBuf::from)
}

/// Adds the run path of one library, or says that it is missing.
///
/// `variable` names the folder that the dependency's build script links against: `fetched` (relative to the root)
/// unless the caller's environment says otherwise. `library` is the file to look for in it, and `run_path` the folder
/// that the loader shall open when the folder is ours.
fn find(root: &Path, variable: &str, fetched: &str, library: &str, run_path: &str) {
    let folder = folder(root, variable, fetched);
    let library = folder.join(library);
    println!("cargo::rerun-if-changed={}", library.display());
    if !library.exists() {
        println!("cargo::error={} is missing: run `cargo xtask setup` first", library.display());
        return;
    }
    if folder == root.join(fetched) {
        for to_root in ROOT_FROM_PROGRAM {
            println!("cargo::rustc-link-arg=-Wl,-rpath,{to_root}/{run_path}");
        }
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", root.join(run_path).display());
    } else {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", library.parent().unwrap_or(&folder).display());
    }
}
