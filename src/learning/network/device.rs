//! Where tensors live: the GPU when libtorch's CUDA library can be opened, else the CPU.
//!
//! The program links libtorch's CPU library only, so that one binary runs with and without a GPU. libtorch picks CUDA
//! up when `libtorch_cuda.so` is in the process before its first call; [`choose_device`] opens it from beside
//! `libtorch_cpu.so` or from `LD_LIBRARY_PATH`. A program calls it once, before anything else that makes tensors, and hands
//! the device to what it makes; networks, encoders, policies and learners take it as an argument.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tch::{Cuda, Device};

use super::cuda_graph;

const CUDA_LIBRARY: &str = "libtorch_cuda.so";

struct Choice {
    device: Device,
    reason: String,
}

/// The GPU if this machine and libtorch have one, else the CPU. Every call of a process returns the same.
pub fn choose_device() -> Device {
    choice().device
}

/// One line: which device [`choose_device`] returns, and why not the GPU if it is the CPU.
pub fn describe_device() -> String {
    let Choice { device, reason } = choice();
    match device {
        Device::Cpu => format!("cpu ({} threads): {reason}", tch::get_num_threads()),
        other => format!("{other:?}: {reason}, {}", cuda_graph::describe()),
    }
}

/// Sets how many threads one tensor operation may use. Call it before the first tensor is made; at least 1.
pub fn set_threads(threads: usize) {
    // The choice comes first: CUDA must be in the process before libtorch's first call.
    let _ = choice();
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}

/// Does `device` compute bf16 in hardware? On a processor without it libtorch emulates it, many times slower than f32. GPUs
/// are assumed to.
pub fn computes_bf16(device: Device) -> bool {
    match device {
        Device::Cpu => processor_computes_bf16(),
        _ => true,
    }
}

#[cfg(target_arch = "x86_64")]
fn processor_computes_bf16() -> bool {
    // Every processor with AMX has this one, too.
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_computes_bf16() -> bool {
    false
}

fn choice() -> &'static Choice {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    CHOICE.get_or_init(|| {
        let opened = open_cuda_library();
        // A binary linked with CUDA has it already.
        if Cuda::is_available() {
            let devices = Cuda::device_count();
            return Choice { device: Device::Cuda(0), reason: format!("{devices} CUDA device(s) found") };
        }
        let reason = match opened {
            Ok(path) => format!("{} was loaded but finds no CUDA device", path.display()),
            Err(reason) => reason,
        };
        Choice { device: Device::Cpu, reason }
    })
}

/// Opens the CUDA half of libtorch; the error is a sentence.
fn open_cuda_library() -> Result<PathBuf, String> {
    let path = library_folders().into_iter().map(|folder| folder.join(CUDA_LIBRARY)).find(|path| path.is_file());
    let Some(path) = path else {
        return Err(format!("no {CUDA_LIBRARY} beside libtorch_cpu.so or in LD_LIBRARY_PATH"));
    };
    open_library(&path).map(|_| path)
}

/// Opens a library of code for libtorch; it stays open for the life of the process. The error is a sentence.
pub(super) fn open_library(path: &Path) -> Result<*mut c_void, String> {
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else {
        return Err(format!("{} cannot be opened: its path holds a zero byte", path.display()));
    };
    // SAFETY: `name` is a valid C string; the initializers of such a library only register kernels with libtorch, which is
    // the purpose. The handle is kept open for the life of the process.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(handle);
    }
    // SAFETY: dlerror gives a valid C string or null, which is checked, and it is copied at once.
    let message = unsafe {
        let message = libc::dlerror();
        if message.is_null() { String::new() } else { CStr::from_ptr(message).to_string_lossy().into_owned() }
    };
    Err(format!("{} cannot be opened: {message}", path.display()))
}

/// Folders to look in: where `libtorch_cpu.so` was loaded from, then `LD_LIBRARY_PATH`.
pub(super) fn library_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(maps) = std::fs::read_to_string("/proc/self/maps") {
        let loaded = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
        if let Some(path) = loaded.map(PathBuf::from).find(|path| path.ends_with("libtorch_cpu.so")) {
            // The mapped path may go through a folder of links; the real file has the CUDA library beside it.
            folders.extend(path.canonicalize().unwrap_or(path).parent().map(PathBuf::from));
        }
    }
    if let Some(list) = std::env::var_os("LD_LIBRARY_PATH") {
        folders.extend(std::env::split_paths(&list).filter(|folder| !folder.as_os_str().is_empty()));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_described_in_one_line() {
        let line = describe_device();
        assert!(!line.contains('\n') && line.len() > 5, "{line}");
    }

    #[test]
    fn bf16_is_detected_from_the_processors_flags() {
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags = text.lines().find(|line| line.starts_with("flags")).unwrap();
        assert_eq!(computes_bf16(Device::Cpu), flags.split_whitespace().any(|flag| flag == "avx512_bf16"));
        assert!(computes_bf16(Device::Cuda(0)));
    }

    #[test]
    fn libtorch_is_found_in_the_process() {
        assert!(library_folders().iter().any(|folder| folder.join("libtorch_cpu.so").exists()));
    }
}
