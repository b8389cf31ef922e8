//! Sets the linker's run path to MuJoCo's library.

#[path = "../native_library.rs"]
mod native_library;

use native_library::NativeLibrary;

const MUJOCO: NativeLibrary = NativeLibrary {
    variable: "MUJOCO_DYNAMIC_LINK_DIR",
    fetched: ".deps/mujoco",
    file: "libmujoco.so",
    run_path: ".deps/mujoco",
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../native_library.rs");
    MUJOCO.link();
}
