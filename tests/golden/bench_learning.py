"""Times training steps on the CPU: this crate against PyTorch, taking turns, with the same networks, batches and threads.

    cargo bench --bench learning --no-run
    .deps/reference/bin/pip install torch==2.11.0 torchvision==0.26.0 numpy pillow
    .deps/reference/bin/python tests/golden/bench_learning.py [ROUNDS [THREADS]]

The first losses of VIP's steps are compared before anything is timed (CQL's depend on random draws; `make_cql.py` compares
those). Every round times each contender once. A ratio is the median over rounds of time / PyTorch's time in the same round
and number format. PyTorch's bf16 is `torch.autocast`. Writes docs/learning-speed.json and docs/learning-speed.md.
"""

import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
THREADS = sys.argv[2] if len(sys.argv) > 2 else "2"
os.environ["OMP_NUM_THREADS"] = THREADS
# On a shared machine waiting threads must not spin: they would take the processor from the contender that is being timed.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
import torch

import make_cql
import make_vip
from make_encoders import Small, fill, filled

torch.set_default_dtype(torch.float32)
ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH, SEED, TASKS = 32, 7, 16
make_cql.BATCH, make_cql.EMBEDDING, make_cql.LATENT, make_cql.HIDDEN, make_cql.TASKS = BATCH, 128, 256, [256] * 3, TASKS
PERMUTATIONS = [[(i + by) % BATCH for i in range(BATCH)] for by in (1, 5, 11)]


def images(name, count):
    values = filled(name, [count, 3, 128, 128], SEED)
    return (values / values.abs().max() + 1) / 2


def vip(bf16):
    network, frames = fill(Small(), SEED).train(), images("frames", 4 * BATCH)
    adam = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            embeddings = network(frames).float()
        total = make_vip.loss(embeddings.reshape(BATCH, 4, -1), PERMUTATIONS, 0.98, 1e-3, 1e-3)[0]
        adam.zero_grad()
        total.backward()
        adam.step()
        return total.item()

    return step


def cql(bf16):
    encoders = {name: fill(Small(), SEED) for name in ("critic", "target", "actor")}
    critic, target, actor = make_cql.Critic(), make_cql.Critic().requires_grad_(False), make_cql.Actor()
    log_temperature = torch.zeros(1, requires_grad=True)
    adams = [
        torch.optim.Adam([*critic.parameters(), *encoders["critic"].parameters()], 1e-3),
        torch.optim.Adam([*actor.parameters(), *encoders["actor"].parameters()], 1e-3),
        torch.optim.Adam([log_temperature], 1e-3),
    ]
    encoders["target"].requires_grad_(False)
    now, after = images("now", BATCH), images("next", BATCH)
    task = torch.eye(TASKS)[torch.arange(BATCH) % TASKS]
    state = filled("state", [BATCH, 7], SEED)

    def step():
        normals = lambda count: torch.randn(BATCH, count, 7)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            seen = {"critic": encoders["critic"](now).float(), "actor": encoders["actor"](now).float()}
            with torch.no_grad():
                seen["target_next"] = encoders["target"](after).float()
                seen["actor_next"] = encoders["actor"](after).float()
        x = {
            **seen, "task": task, "condition": torch.cat([state, task], 1), "next_condition": torch.cat([state, task], 1),
            "action": filled("action", [BATCH, 7], SEED), "shown": filled("shown", [BATCH, 7], SEED),
            "imitated": torch.ones(BATCH), "reward": -torch.ones(BATCH), "mask": torch.ones(BATCH),
            "next_normals": normals(4), "policy_normals": normals(4), "actor_normals": normals(1),
            "uniform": 2 * torch.rand(BATCH, 4, 7) - 1,
        }
        _, _, loss = make_cql.critic_losses(critic, actor, x, make_cql.backup(target, actor, x))
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        with torch.no_grad():
            for slow, fast in [(target, critic), (encoders["target"], encoders["critic"])]:
                for a, b in zip(slow.parameters(), fast.parameters()):
                    a.mul_(0.995).add_(b, alpha=0.005)
        of_actor, entropy = make_cql.actor_loss(critic, actor, log_temperature, x, 20.0)
        adams[1].zero_grad()
        of_actor.backward()
        adams[1].step()
        adams[2].zero_grad()
        (log_temperature.exp() * (entropy + 7.0)).mean().backward()
        adams[2].step()
        return loss.item()

    return step


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main():
    torch.set_num_threads(int(THREADS))
    programs = [
        p for p in glob.glob(str(ROOT / "target/release/deps/learning-*"))
        if os.access(p, os.X_OK) and "." not in pathlib.Path(p).name
    ]
    program = max(programs, key=os.path.getmtime)
    # The setting that `visuomotor train` makes itself: the allocator keeps freed memory.
    kept = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_TOP_PAD_": str(256 << 20)}
    contenders = {"ours": {}, "ours as train": kept}
    ours = {
        who: subprocess.Popen([program, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "VISUOMOTOR_THREADS": THREADS, **more})
        for who, more in contenders.items()
    }

    def serve(who, variant):
        ours[who].stdin.write(variant + "\n")
        ours[who].stdin.flush()
        return [float(word) for word in ours[who].stdout.readline().split()]

    variants = {f"{name}-{kind}": make(kind == "bf16") for name, make in [("vip", vip), ("cql", cql)] for kind in ("f32", "bf16")}
    for variant, step in variants.items():
        theirs, mine = step(), serve("ours", variant)[1]
        print(variant, "first loss: PyTorch", theirs, "ours", mine)
        if variant.startswith("vip"):
            assert abs(theirs - mine) <= (1e-5 if variant == "vip-f32" else 1e-4) * abs(theirs), "not the same step"
    samples = {variant: {"pytorch": [], **{who: [] for who in contenders}} for variant in variants}
    for round in range(-2, ROUNDS):
        for variant, step in variants.items():
            start = time.perf_counter()
            step()
            seconds = {"pytorch": time.perf_counter() - start, **{who: serve(who, variant)[0] for who in contenders}}
            if round >= 0:
                for who, value in seconds.items():
                    samples[variant][who].append(value)
    for program in ours.values():
        program.stdin.close()
        program.wait()

    lines = ["| step | contender | n | p50 ms | p99 ms | max ms | time / PyTorch |", "|---|---|---|---|---|---|---|"]
    for variant, of in samples.items():
        for who, values in of.items():
            ratio = statistics.median(a / b for a, b in zip(values, of["pytorch"]))
            ms = [f"{1e3 * v:.0f}" for v in (percentile(values, 0.5), percentile(values, 0.99), max(values))]
            lines.append(f"| {variant} | {who} | {ROUNDS} | {' | '.join(ms)} | {ratio:.3f} |")
    table = "\n".join(lines)
    print(table)
    out = {"torch": torch.__version__, "threads": int(THREADS), "batch": BATCH, "seconds": samples}
    (ROOT / "docs/learning-speed.json").write_text(json.dumps(out) + "\n")
    (ROOT / "docs/learning-speed.md").write_text(PAGE.format(threads=THREADS, torch=torch.__version__, table=table))


PAGE = """# Training speed

Written by `tests/golden/bench_learning.py`, whose docstring has the commands; every sample is in `learning-speed.json`.

One step of VIP (32 samples of four images) and of multi-task CQL (32 transitions, four encodings) with the small encoder on a
CPU, {threads} threads, against PyTorch {torch} with the same networks, batches and optimizers, in turns. VIP's first losses
are equal to 1e-5 in f32 and to 1e-4 in bf16; CQL's losses are compared by the golden files. PyTorch's bf16 is
`torch.autocast`. "As train": with the allocator set to keep freed memory, as `visuomotor train` sets it; PyTorch's has its
default. A ratio is the median over rounds; with so few rounds p99 is the slowest.

{table}

Nothing was measured on a GPU.
"""


if __name__ == "__main__":
    main()
