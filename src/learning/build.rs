//! Tells the linker where programs find libtorch when they start, and compiles the one layer that is written against libtorch's
//! C++ (`network/group_norm_relu.cpp`).

#[path = "../native_library.rs"]
mod native_library;

use native_library::NativeLibrary;

const TORCH: NativeLibrary = NativeLibrary {
    variable: "LIBTORCH",
    fetched: ".deps/libtorch",
    file: "lib/libtorch.so",
    run_path: ".deps/site/torch/lib",
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../native_library.rs");
    TORCH.link();
    // GNU ld wants to see what libtorch_cpu.so itself needs; lld does not ask.
    let needed = NativeLibrary::root().join(".deps/site/nvidia/cu13/lib");
    println!("cargo::rustc-link-arg=-Wl,-rpath-link,{}", needed.display());
    println!("cargo::metadata=needed={}", needed.display());
    compile();
}

/// Compiles our C++ against the headers of the libtorch that is linked.
fn compile() {
    let (source, include) = ("network/group_norm_relu.cpp", TORCH.folder().join("include"));
    println!("cargo::rerun-if-changed={source}");
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
        // The headers cause many warnings.
        .warnings(false)
        .compile("visuomotor_network");
}
