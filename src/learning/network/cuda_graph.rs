//! A network's inference recorded once and launched as a whole: a CUDA graph.
//!
//! With a batch of one, a GPU spends most of its time waiting for the next layer's launch. A [`Recording`] launches all
//! layers at once, with pinned memory on both ends. tch has no CUDA graphs; our small C++ library (`cuda_graph.cpp`) does.
//! `cargo xtask cuda-graphs` compiles it, and it is opened when the first recording is made, so the program needs nothing of
//! CUDA where there is none.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::OnceLock;

use tch::{Device, Kind, TchError, Tensor};

use super::device::{library_folders, open_library};

/// The library's file.
const LIBRARY: &str = "libvisuomotor_cuda.so";
/// The version that `visuomotor_graph_version` returns for the functions below.
const VERSION: c_int = 1;
/// Warm-up runs before recording, in which cuDNN chooses its kernels.
const WARM_UPS: usize = 3;
/// Size of the buffer for the library's error text.
const ROOM: usize = 1024;

type Version = unsafe extern "C" fn() -> c_int;
type New = unsafe extern "C" fn(c_int, *mut c_char, usize) -> *mut c_void;
type Pinned = unsafe extern "C" fn(*const i64, c_int, *mut c_char, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type Step = unsafe extern "C" fn(*mut c_void, *mut c_char, usize) -> c_int;
type Launch =
    unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, *mut c_void, *mut c_void, *mut c_char, usize) -> c_int;

/// The functions of `libvisuomotor_cuda.so`.
struct Library {
    new: New,
    pinned: Pinned,
    free: Free,
    enter: Step,
    leave: Step,
    begin: Step,
    end: Step,
    run: Launch,
}

/// A graph owned by the library.
struct Graph {
    library: &'static Library,
    graph: NonNull<c_void>,
}

// SAFETY: a graph is used by one thread at a time, for every use takes `&mut self`; the library keeps thread-local values in
// it only between enter and leave, and one call of `Recording::new` encloses them.
unsafe impl Send for Graph {}

impl Graph {
    fn new(library: &'static Library, device: usize) -> Result<Self, TchError> {
        let number = c_int::try_from(device).unwrap_or(c_int::MAX);
        let mut error = [0 as c_char; ROOM];
        // SAFETY: the function writes at most `error.len()` bytes, the last one 0, and lets no C++ exception out.
        let graph = unsafe { (library.new)(number, error.as_mut_ptr(), error.len()) };
        match NonNull::new(graph) {
            Some(graph) => Ok(Self { library, graph }),
            None => Err(library_error(&error)),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TchError> {
        let mut error = [0 as c_char; ROOM];
        // SAFETY: the graph lives until it is dropped; of `error` as in `new`.
        let code = unsafe { step(self.graph.as_ptr(), error.as_mut_ptr(), error.len()) };
        if code == 0 { Ok(()) } else { Err(library_error(&error)) }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: it has no other owner, and it is not used again.
        unsafe { (self.library.free)(self.graph.as_ptr()) };
    }
}

/// A recorded inference for images of one shape.
pub struct Recording {
    // Before the tensors whose addresses it holds: fields are dropped in this order.
    graph: Graph,
    host_in: Tensor,
    device_in: Tensor,
    device_out: Tensor,
    host_out: Tensor,
}

impl Recording {
    /// Records `forward` for images of `shape`, f32, on a GPU. `forward` must launch the same work for all images, and copy
    /// nothing from the host. What it reads on the GPU, the network's weights, must stay at its address, unchanged, as long
    /// as the recording is used.
    ///
    /// The error gives the reason: no GPU, no library, or an operation that cannot be recorded.
    pub fn new(
        shape: &[i64],
        device: Device,
        forward: &dyn Fn(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Self, TchError> {
        let Device::Cuda(number) = device else {
            return Err(refused(format!("CUDA graphs are recorded on a GPU, this network runs on {device:?}")));
        };
        let library = library().map_err(|reason| refused(reason.clone()))?;
        tch::no_grad(|| {
            let (host_in, device_in) = (library.pinned(shape)?, Tensor::f_zeros(shape, (Kind::Float, device))?);
            let mut graph = Graph::new(library, number)?;
            graph.step(library.enter)?;
            let recorded = record(&mut graph, &|| forward(&device_in));
            // Also after an error: the thread's own stream must be restored.
            let left = graph.step(library.leave);
            let device_out = recorded?;
            left?;
            let host_out = library.pinned(&device_out.size())?;
            Ok(Self { graph, host_in, device_in, device_out, host_out })
        })
    }

    /// Runs the recorded work on `images` (on the CPU, of the recorded shape); the result is a new tensor on the CPU.
    pub fn run(&mut self, images: &Tensor) -> Result<Tensor, TchError> {
        let expected = self.host_in.size();
        if images.size() != expected {
            let found = images.size();
            return Err(TchError::Shape(format!("images of shape {found:?} were given, {expected:?} were recorded")));
        }
        tch::no_grad(|| self.launch(images))
    }

    fn launch(&mut self, images: &Tensor) -> Result<Tensor, TchError> {
        let Self { graph, host_in, device_in, device_out, host_out } = self;
        host_in.f_copy_(images)?;
        let mut error = [0 as c_char; ROOM];
        // SAFETY: the graph and the four tensors live as long as `self`, tch's pointers point to `at::Tensor`, and the call
        // returns only when the device is done with them, also with an error; of `error` as in `Graph::new`.
        let code = unsafe {
            (graph.library.run)(
                graph.graph.as_ptr(),
                host_in.as_mut_ptr().cast(),
                device_in.as_mut_ptr().cast(),
                device_out.as_mut_ptr().cast(),
                host_out.as_mut_ptr().cast(),
                error.as_mut_ptr(),
                error.len(),
            )
        };
        if code != 0 {
            return Err(library_error(&error));
        }
        let mut out = host_out.f_empty_like()?;
        out.f_copy_(host_out)?;
        Ok(out)
    }
}

/// Runs the work a few times, then records it; returns the tensor that the recorded work writes.
fn record(graph: &mut Graph, work: &dyn Fn() -> Result<Tensor, TchError>) -> Result<Tensor, TchError> {
    for _ in 0..WARM_UPS {
        drop(work()?);
    }
    let library = graph.library;
    graph.step(library.begin)?;
    let out = work();
    // A recording that was begun must end, also after an error.
    let ended = graph.step(library.end);
    let out = out?;
    ended?;
    Ok(out)
}

/// Whether the library for recordings is found: its path, or why not.
pub(super) fn describe() -> String {
    match library() {
        Ok(_) => "CUDA graphs".into(),
        Err(reason) => format!("no CUDA graphs, each layer is launched on its own: {reason}"),
    }
}

fn library() -> Result<&'static Library, &'static String> {
    static OPENED: OnceLock<Result<Library, String>> = OnceLock::new();
    let opened = OPENED.get_or_init(|| {
        // The CUDA libraries that it calls must be loaded first.
        super::choose_device();
        let path = folders().into_iter().map(|folder| folder.join(LIBRARY)).find(|path| path.is_file());
        let path = path.ok_or_else(|| {
            format!(
                "no {LIBRARY} beside the program, in .deps/cuda, beside libtorch or in LD_LIBRARY_PATH; `cargo xtask \
                 cuda-graphs` makes it"
            )
        })?;
        Library::open(&path)
    });
    opened.as_ref()
}

/// Folders in which the library is looked for.
fn folders() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    let beside = program.iter().filter_map(|program| program.parent()).map(Path::to_path_buf);
    // From target/release and target/release/deps, as the run paths of `build.rs`.
    let fetched = beside.clone().flat_map(|folder| ["../..", "../../.."].map(|up| folder.join(up).join(".deps/cuda")));
    beside.clone().chain(fetched).chain(library_folders()).collect()
}

impl Library {
    /// Pinned f32 zeros on the host.
    fn pinned(&self, shape: &[i64]) -> Result<Tensor, TchError> {
        let dimensions = c_int::try_from(shape.len()).unwrap_or(c_int::MAX);
        let mut error = [0 as c_char; ROOM];
        // SAFETY: the shape has as many numbers as declared; of `error` as in `Graph::new`.
        let tensor = unsafe { (self.pinned)(shape.as_ptr(), dimensions, error.as_mut_ptr(), error.len()) };
        if tensor.is_null() {
            return Err(library_error(&error));
        }
        // SAFETY: a new `at::Tensor` without another owner.
        Ok(unsafe { Tensor::from_ptr(tensor.cast()) })
    }

    /// Opens the library at `path`; the error is a sentence.
    fn open(path: &Path) -> Result<Self, String> {
        let handle = open_library(path)?;
        // SAFETY: the library is ours; this function has one type in all versions.
        let version = unsafe { function::<Version>(handle, path, c"visuomotor_graph_version")? };
        // SAFETY: it takes nothing and touches nothing.
        let version = unsafe { version() };
        if version != VERSION {
            return Err(format!("{}: version {version}, expected {VERSION}; make it again", path.display()));
        }
        // SAFETY: these are the types of version 1.
        unsafe {
            Ok(Self {
                new: function(handle, path, c"visuomotor_graph_new")?,
                pinned: function(handle, path, c"visuomotor_graph_pinned")?,
                free: function(handle, path, c"visuomotor_graph_free")?,
                enter: function(handle, path, c"visuomotor_graph_enter")?,
                leave: function(handle, path, c"visuomotor_graph_leave")?,
                begin: function(handle, path, c"visuomotor_graph_begin")?,
                end: function(handle, path, c"visuomotor_graph_end")?,
                run: function(handle, path, c"visuomotor_graph_run")?,
            })
        }
    }
}

/// A function of an open library; the error is a sentence.
///
/// # Safety
///
/// `F` is the type of a pointer to the function of that name.
unsafe fn function<F: Copy>(handle: *mut c_void, path: &Path, name: &CStr) -> Result<F, String> {
    // SAFETY: the handle is open for the life of the process and the name is a valid C string.
    let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
    if found.is_null() {
        return Err(format!("{}: has no `{}`; make it again", path.display(), name.to_string_lossy()));
    }
    // SAFETY: the caller says that it is a pointer to such a function, and function pointers are as large as others.
    Ok(unsafe { std::mem::transmute_copy(&found) })
}

fn library_error(error: &[c_char; ROOM]) -> TchError {
    // SAFETY: the array ends in 0: it was full of them and at most all but the last byte was written.
    let text = unsafe { CStr::from_ptr(error.as_ptr()) }.to_string_lossy();
    // libtorch appends a C++ backtrace.
    refused(format!("CUDA graph: {}", text.lines().next().unwrap_or_default()))
}

fn refused(what: String) -> TchError {
    TchError::Torch(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_recording_is_an_error_with_the_reason() {
        let error = Recording::new(&[1, 3], Device::Cpu, &|x| Ok(x.shallow_clone())).err().unwrap().to_string();
        assert!(error.contains("GPU") && error.contains("Cpu"), "{error}");
    }

    #[test]
    fn files_that_are_not_our_library_are_refused_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(LIBRARY);
        std::fs::write(&file, "no library").unwrap();
        let error = Library::open(&file).err().unwrap();
        assert!(error.contains(LIBRARY), "{error}");
        // A library that is not ours.
        let other =
            library_folders().into_iter().map(|folder| folder.join("libc10.so")).find(|path| path.is_file()).unwrap();
        let error = Library::open(&other).err().unwrap();
        assert!(error.contains("libc10.so") && error.contains("visuomotor_graph_version"), "{error}");
    }
}
