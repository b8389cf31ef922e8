"""Times ResNet-50 (224x224, batch 1) on a GPU, host to host: this crate against PyTorch eager and PyTorch's CUDA graph, in turns.

    cargo xtask cuda-graphs
    cargo bench --bench encoder --no-run
    LD_LIBRARY_PATH=<torch>/lib:$PWD/.deps/cuda python tests/golden/bench_gpu.py [ROUNDS]      # a Python with torch 2.11

Every round times each contender ten times in a row. A ratio is the median over rounds of (mean time / PyTorch eager's in the same
round). Writes docs/encoder-speed-gpu.json with every sample; without a GPU it reports that and exits with 1.
"""

import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch

from make_encoders import SEED, Vip, fill

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 100
REPEATS = 10
VARIANTS = ["vip-gpu", "vip-graph", "vip-gpu-bf16", "vip-graph-bf16"]


def contenders(dtype):
    """PyTorch eager and PyTorch's CUDA graph, from pinned memory to pinned memory."""
    network = fill(Vip(), SEED).cuda().to(dtype).to(memory_format=torch.channels_last)
    host = torch.rand(1, 3, 224, 224).pin_memory()
    out = torch.empty(1, 1024).pin_memory()
    static = torch.empty(1, 3, 224, 224, device="cuda")

    def forward():
        return network(static.to(dtype).to(memory_format=torch.channels_last)).float()

    def eager():
        static.copy_(host, non_blocking=True)
        out.copy_(forward(), non_blocking=True)
        torch.cuda.synchronize()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            forward()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = forward()

    def replay():
        static.copy_(host, non_blocking=True)
        graph.replay()
        out.copy_(result, non_blocking=True)
        torch.cuda.synchronize()

    return eager, replay


def main():
    if not torch.cuda.is_available():
        print("no GPU: nothing is measured")
        return 1
    torch.backends.cudnn.benchmark = True
    programs = [p for p in glob.glob(str(ROOT / "target/release/deps/encoder-*")) if os.access(p, os.X_OK) and "." not in pathlib.Path(p).name]
    ours = subprocess.Popen([max(programs, key=os.path.getmtime), "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def serve(variant):
        ours.stdin.write(variant + "\n")
        ours.stdin.flush()
        return float(ours.stdout.readline())

    with torch.inference_mode():
        runs = {}
        for dtype, name in [(torch.float32, ""), (torch.bfloat16, "-bf16")]:
            runs["pytorch-eager" + name], runs["pytorch-graph" + name] = contenders(dtype)
        samples = {name: [] for name in [*runs, *("ours " + v for v in VARIANTS)]}
        for round in range(-5, ROUNDS):
            for name, run in runs.items():
                times = []
                for _ in range(REPEATS):
                    start = time.perf_counter()
                    run()
                    times.append(time.perf_counter() - start)
                if round >= 0:
                    samples[name].append(times)
            for variant in VARIANTS:
                times = [serve(variant) for _ in range(REPEATS)]
                if round >= 0:
                    samples["ours " + variant].append(times)
    ours.stdin.close()
    ours.wait()

    print("| contender | n | p50 ms | p99 ms | max ms | time / eager |\n|---|---|---|---|---|---|")
    for name, rounds in samples.items():
        base = samples["pytorch-eager-bf16" if name.endswith("bf16") else "pytorch-eager"]
        ratio = statistics.median(statistics.mean(a) / statistics.mean(b) for a, b in zip(rounds, base))
        values = sorted(t for times in rounds for t in times)
        at = lambda share: 1e3 * values[min(len(values) - 1, int(share * len(values)))]
        print(f"| {name} | {len(values)} | {at(0.5):.3f} | {at(0.99):.3f} | {1e3 * values[-1]:.3f} | {ratio:.3f} |")
    out = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(), "seconds": samples}
    (ROOT / "docs/encoder-speed-gpu.json").write_text(json.dumps(out) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
