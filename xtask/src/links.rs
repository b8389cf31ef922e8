//! The two folders that the build scripts of torch-sys and mujoco-rs link against, made of relative links into the
//! unpacked wheels (so that `.deps` may be moved or be a link itself).

use crate::failure::Failure;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The libraries visible to torch-sys. No others, even with CUDA: it links `libtorch_cuda.so` as soon as that lies beside these,
/// and the program would then not start on a machine without CUDA. The program opens that library itself on request, from the
/// wheel's own folder, which is its run path.
const LIBTORCH: [&str; 5] = ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libshm.so", "libtorch_global_deps.so"];

/// torch-sys links `-ltorch`. The library of that name does nothing but pull in CUDA; this stands in for it.
const LIBTORCH_SCRIPT: &str = "INPUT(-ltorch_cpu)\n";

/// The file's own name (its SONAME, which the loader asks for) and the name that `-lmujoco` finds.
const LIBMUJOCO: [&str; 2] = ["libmujoco.so.3.17.0", "libmujoco.so"];

/// Makes `libtorch` and `mujoco` beside `site` in `deps`.
pub fn make(deps: &Path) -> Result<(), Failure> {
    let libtorch = deps.join("libtorch/lib");
    let mujoco = deps.join("mujoco");
    let made: io::Result<()> = (|| {
        fs::create_dir_all(&libtorch)?;
        fs::create_dir_all(&mujoco)?;
        symlink("../site/torch/include", deps.join("libtorch/include"))?;
        for name in LIBTORCH {
            symlink(format!("../../site/torch/lib/{name}"), libtorch.join(name))?;
        }
        fs::write(libtorch.join("libtorch.so"), LIBTORCH_SCRIPT)?;
        for name in LIBMUJOCO {
            symlink(format!("../site/mujoco/{}", LIBMUJOCO[0]), mujoco.join(name))?;
        }
        Ok(())
    })();
    made.map_err(|error| Failure::setup(format!("links in {} cannot be made: {error}", deps.display())))?;
    require_targets(deps)
}

/// A wheel of another build may name its files differently: an error here is clearer than the linker's.
fn require_targets(deps: &Path) -> Result<(), Failure> {
    let libtorch = LIBTORCH.map(|name| format!("libtorch/lib/{name}"));
    let mujoco = LIBMUJOCO.map(|name| format!("mujoco/{name}"));
    let header = "libtorch/include/torch/csrc/api/include/torch/torch.h".to_owned();
    for path in libtorch.into_iter().chain(mujoco).chain([header]) {
        if !deps.join(&path).exists() {
            return Err(Failure::setup(format!(
                "the wheels were unpacked but {path} leads nowhere: the versions in xtask/src/wheels.rs and the names in \
                 xtask/src/links.rs disagree"
            )));
        }
    }
    Ok(())
}
