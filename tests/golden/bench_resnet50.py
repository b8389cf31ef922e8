"""Times ResNet-50 (224x224, batch 1, CPU, 2 threads): this crate against PyTorch eager and ONNX Runtime, taking turns.

    cargo bench --bench encoder --no-run
    .deps/reference/bin/pip install torch==2.11.0 torchvision==0.26.0 numpy pillow onnxruntime onnx onnxscript
    .deps/reference/bin/python tests/golden/bench_resnet50.py [ROUNDS [SECONDS]]

Every round times each contender once, so that a busy moment of the machine affects all alike. A ratio is the median over
rounds of (time / PyTorch eager's time in the same round). Writes docs/encoder-speed.json with every sample.
"""

import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "2"
# On a shared machine waiting threads must not spin: they would take the processor from the contender that is being timed.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
import torch

from make_encoders import SEED, Vip, fill

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 1e9
VARIANTS = ["vip-plain", "vip-folded", "vip-pixels", "vip", "vip-bf16"]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main():
    torch.set_num_threads(2)
    network, x = fill(Vip(), SEED), torch.rand(1, 3, 224, 224)
    contenders = {"pytorch-eager": lambda: network(x)}
    pixels = fill(Vip(), SEED).to(memory_format=torch.channels_last)
    y = x.to(memory_format=torch.channels_last)
    contenders["pytorch-eager-channels-last"] = lambda: pixels(y)
    try:
        import onnxruntime

        path = pathlib.Path(tempfile.mkdtemp()) / "vip.onnx"
        torch.onnx.export(network, (x,), path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: x.numpy()}
        contenders["onnxruntime-" + onnxruntime.__version__] = lambda: session.run(None, feed)
    except ImportError as error:
        print("without ONNX Runtime:", error)

    programs = [p for p in glob.glob(str(ROOT / "target/release/deps/encoder-*")) if os.access(p, os.X_OK) and "." not in pathlib.Path(p).name]
    program = max(programs, key=os.path.getmtime)
    ours = subprocess.Popen([program, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "VISUOMOTOR_THREADS": "2"})

    def serve(variant):
        ours.stdin.write(variant + "\n")
        ours.stdin.flush()
        return float(ours.stdout.readline())

    samples = {name: [] for name in [*contenders, *("ours " + v for v in VARIANTS)]}
    with torch.inference_mode():
        begin = time.monotonic()
        for round in range(-3, ROUNDS):
            if time.monotonic() - begin > SECONDS:
                break
            for name, run in contenders.items():
                start = time.perf_counter()
                run()
                seconds = time.perf_counter() - start
                if round >= 0:
                    samples[name].append(seconds)
            for variant in VARIANTS:
                seconds = serve(variant)
                if round >= 0:
                    samples["ours " + variant].append(seconds)
    ours.stdin.close()
    ours.wait()

    base = samples["pytorch-eager"]
    print(f"| contender | n | min ms | p50 ms | p99 ms | time / eager |\n|---|---|---|---|---|---|")
    for name, values in samples.items():
        ratio = statistics.median(a / b for a, b in zip(values, base))
        ms = [f"{1e3 * v:.1f}" for v in (min(values), percentile(values, 0.5), percentile(values, 0.99))]
        print(f"| {name} | {len(values)} | {' | '.join(ms)} | {ratio:.3f} |")
    out = {"torch": torch.__version__, "threads": 2, "seconds": samples}
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs/encoder-speed.json").write_text(json.dumps(out, indent=None) + "\n")


if __name__ == "__main__":
    main()
