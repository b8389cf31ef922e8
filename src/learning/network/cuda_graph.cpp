// A network's inference recorded once and launched as a whole (CUDA graph), for programs that link libtorch's CPU half
// alone. A library of its own, opened at run time after libtorch_cuda.so (src/network/cuda_graph.rs), so that nothing else
// needs CUDA's headers. `cargo xtask cuda-graphs` compiles it.
//
// Functions answer 0, or 1 with a sentence in `error`; no exception leaves them. Tensors are pointers to `at::Tensor`, as
// tch's are. Between enter and leave everything happens on the graph's stream, in the thread that entered.

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/types.h>

#include <cstdio>
#include <exception>
#include <memory>

namespace {

struct Graph {
  explicit Graph(c10::DeviceIndex device)
      : stream(c10::cuda::getStreamFromPool(true, device)), pool(at::cuda::graph_pool_handle()) {}

  at::cuda::CUDAGraph graph;
  c10::cuda::CUDAStream stream;
  at::cuda::MempoolId_t pool;
  std::unique_ptr<c10::cuda::CUDAStreamGuard> entered;
  // A recording was begun and did not end well: what libtorch set up for it still points to `graph`.
  bool broken = false;
};

template <typename Work>
int attempt(char* error, size_t room, Work work) {
  try {
    work();
    return 0;
  } catch (const std::exception& e) {
    std::snprintf(error, room, "%s", e.what());
  } catch (...) {
    std::snprintf(error, room, "an exception of an unknown kind");
  }
  return 1;
}

template <typename Work>
void quietly(Work work) {
  try {
    work();
  } catch (...) {
  }
}

// Memory asked for from now on is nobody's recording.
void give_up(Graph& graph) {
  quietly([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(graph.stream.device_index(), graph.pool); });
  quietly([&] { at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(graph.pool); });
}

Graph& of(void* graph) { return *static_cast<Graph*>(graph); }
at::Tensor& tensor(void* pointer) { return *static_cast<at::Tensor*>(pointer); }

}  // namespace

extern "C" {

// Changes with the meaning of any function below.
int visuomotor_graph_version() { return 1; }

// A graph of a device, or null.
void* visuomotor_graph_new(int device, char* error, size_t room) {
  Graph* graph = nullptr;
  attempt(error, room, [&] { graph = new Graph(static_cast<c10::DeviceIndex>(device)); });
  return graph;
}

void visuomotor_graph_free(void* graph) {
  quietly([&] { of(graph).entered.reset(); });
  // One that broke is left where it is: libtorch may still ask it whose memory is whose.
  if (!of(graph).broken) quietly([&] { delete static_cast<Graph*>(graph); });
}

// Pinned f32 zeros on the host, or null; the caller owns the tensor.
void* visuomotor_graph_pinned(const int64_t* shape, int dimensions, char* error, size_t room) {
  at::Tensor* tensor = nullptr;
  attempt(error, room, [&] {
    auto options = at::TensorOptions().dtype(at::kFloat).pinned_memory(true);
    tensor = new at::Tensor(at::zeros(at::IntArrayRef(shape, dimensions), options));
  });
  return tensor;
}

// Makes the graph's stream this thread's, behind what the thread has asked for so far.
int visuomotor_graph_enter(void* graph, char* error, size_t room) {
  return attempt(error, room, [&] {
    c10::cuda::getCurrentCUDAStream(of(graph).stream.device_index()).synchronize();
    of(graph).entered = std::make_unique<c10::cuda::CUDAStreamGuard>(of(graph).stream);
  });
}

int visuomotor_graph_leave(void* graph, char* error, size_t room) {
  return attempt(error, room, [&] {
    // The thread's own stream comes back also where waiting throws.
    auto entered = std::move(of(graph).entered);
    of(graph).stream.synchronize();
  });
}

// From here to the end what is asked for is recorded, not done.
int visuomotor_graph_begin(void* graph, char* error, size_t room) {
  return attempt(error, room, [&] {
    of(graph).stream.synchronize();
    of(graph).broken = true;
    try {
      // Only this thread's calls may spoil the recording: others go on with theirs.
      of(graph).graph.capture_begin(of(graph).pool, cudaStreamCaptureModeThreadLocal);
    } catch (...) {
      give_up(of(graph));
      throw;
    }
  });
}

int visuomotor_graph_end(void* graph, char* error, size_t room) {
  return attempt(error, room, [&] {
    try {
      of(graph).graph.capture_end();
    } catch (...) {
      give_up(of(graph));
      throw;
    }
    of(graph).broken = false;
  });
}

// host_in -> device_in, the recorded work, device_out -> host_out, and waits for it. Host tensors are pinned.
int visuomotor_graph_run(void* graph, void* host_in, void* device_in, void* device_out, void* host_out, char* error,
                         size_t room) {
  return attempt(error, room, [&] {
    at::NoGradGuard without_gradients;
    c10::cuda::CUDAStreamGuard on(of(graph).stream);
    try {
      tensor(device_in).copy_(tensor(host_in), true);
      of(graph).graph.replay();
      tensor(host_out).copy_(tensor(device_out), true);
    } catch (...) {
      // What was asked for before still reads and writes these.
      quietly([&] { of(graph).stream.synchronize(); });
      throw;
    }
    of(graph).stream.synchronize();
  });
}
}
