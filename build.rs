//! Tells the linker where the programs of this package find libtorch and MuJoCo when they start: what the packages that link them
//! found (`src/native_library.rs`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // In an archive of `cargo xtask dist`, and in no other folder, libraries lie beside the program.
    println!("cargo::rustc-link-arg=-Wl,--enable-new-dtags");
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    let said = |name: &str| std::env::var(name).ok();
    for paths in ["DEP_VISUOMOTOR_TORCH_RUN_PATHS", "DEP_VISUOMOTOR_MUJOCO_RUN_PATHS"].into_iter().filter_map(said) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{paths}");
    }
    if let Some(needed) = said("DEP_VISUOMOTOR_TORCH_NEEDED") {
        println!("cargo::rustc-link-arg=-Wl,-rpath-link,{needed}");
    }
}
