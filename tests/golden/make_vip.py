"""Makes the golden file of VIP, with PyTorch: the loss and its gradients, Adam, ten steps of training.

    .deps/reference/bin/python tests/golden/make_vip.py

(make_encoders.py has the commands for that environment.) Writes `vip.json` beside this file. The loss is written out from
the released code's formulas, exponentiated as there; embeddings, weights and images come from the counter-based hash of
`src/learning/network/fill.rs`.
"""

import json
import pathlib

import numpy as np
import torch
from torch import nn

from make_encoders import Small, fill, filled, splitmix64

HERE = pathlib.Path(__file__).parent


def loss(e, permutations, discount, l2, l1):
    """e: (B, 4, D) in the order o_0, g, o_k, o_k+1."""
    flat = e.flatten(0, 1)
    size = l2 * torch.linalg.norm(flat, ord=2, dim=-1).mean() + l1 * torch.linalg.norm(flat, ord=1, dim=-1).mean()
    value = lambda x, goal: -torch.linalg.norm(x - goal, dim=-1)
    start, goal, now, then = e.unbind(1)
    reward = -1.0
    main = (1 - discount) * -value(start, goal).mean() + torch.log(
        1e-8 + torch.mean(torch.exp(-(reward + discount * value(then, goal) - value(now, goal))))
    )
    negatives = torch.zeros_like(main)
    if permutations:
        a = torch.cat([value(now[p], goal) for p in permutations])
        b = torch.cat([value(then[p], goal) for p in permutations])
        negatives = torch.log(1e-8 + torch.mean(torch.exp(-(reward + discount * b - a))))
    return size + main + negatives, size, main, negatives


def digits(tensor, n=9):
    return [float(f"{v:.{n}g}") for v in tensor.detach().flatten().tolist()]


def losses():
    out = []
    cases = [
        # batch, dimension, scale, penalties, permutations
        (3, 5, 1.0, 1e-3, 1e-3, [[2, 0, 1], [0, 1, 2], [1, 0, 2]]),
        (6, 16, 4.0, 1e-3, 1e-3, [[5, 3, 1, 0, 4, 2], [1, 2, 3, 4, 5, 0], [0, 2, 1, 5, 4, 3]]),
        (4, 8, 2.0, 0.0, 0.0, []),
        (1, 8, 1.0, 1e-2, 1e-3, [[0], [0]]),
    ]
    for number, (batch, dimension, scale, l2, l1, permutations) in enumerate(cases):
        e = scale * filled("embeddings", [batch, 4, dimension], number)
        if number == 1:
            e[0, 3] = e[0, 1]  # o_k+1 is the goal: a distance of 0
        e = e.double().requires_grad_()
        terms = loss(e, permutations, 0.98, l2, l1)
        terms[0].backward()
        out.append({
            "batch": batch, "dimension": dimension, "scale": scale, "seed": number, "l2": l2, "l1": l1,
            "permutations": permutations, "next_is_goal": number == 1,
            "terms": [float(f"{t.item():.10g}") for t in terms], "gradient": digits(e.grad),
        })
    return out


def adam():
    """Ten steps of torch.optim.Adam on a small network; two epsilons."""
    out = []
    for epsilon in (1e-8, 3.125e-4):
        first, second = filled("first", [6, 4], 1).requires_grad_(), filled("second", [1, 6], 1).requires_grad_()
        optimizer = torch.optim.Adam([first, second], lr=1e-2, eps=epsilon)
        for step in range(10):
            x = filled("x", [8, 4], step)
            optimizer.zero_grad()
            ((torch.tanh(x @ first.t()) @ second.t() - x.sum(1, keepdim=True)) ** 2).mean().backward()
            optimizer.step()
        out.append({"epsilon": epsilon, "first": digits(first), "second": digits(second)})
    return out


def frame(number):
    """(3, 128, 128) in 0..1: squares of 16 pixels, their colors from the hash."""
    y, x = np.meshgrid(np.arange(128) // 16, np.arange(128) // 16, indexing="ij")
    index = np.stack([(y * 8 + x) * 3 + c for c in range(3)]).astype(np.uint64)
    return torch.from_numpy((splitmix64(number, index) >> np.uint64(56)).astype(np.float32) / 255)


def training():
    """Ten steps on one batch with the small network: losses, then of every variable its sum and a few values."""
    network = fill(Small(), 11)
    images = torch.stack([frame(i) for i in range(16)])
    permutations = [[2, 0, 3, 1], [3, 2, 1, 0], [0, 1, 2, 3]]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        total = loss(network(images).reshape(4, 4, -1), permutations, 0.98, 1e-3, 1e-3)[0]
        total.backward()
        optimizer.step()
        losses.append(float(f"{total.item():.9g}"))
    variables = {}
    for name, value in network.named_parameters():
        flat = value.detach().flatten()
        picks = torch.linspace(0, len(flat) - 1, min(len(flat), 5)).long()
        moved = flat - filled(name, list(value.shape), 11).flatten()
        variables[name] = {
            "sum": float(f"{flat.double().sum().item():.10g}"),
            "moved": float(f"{moved.double().abs().sum().item():.8g}"),
            "picks": picks.tolist(), "values": digits(flat[picks]),
        }
    print("losses", losses)
    return {"permutations": permutations, "losses": losses, "variables": variables}


if __name__ == "__main__":
    torch.manual_seed(0)
    golden = {"torch": torch.__version__, "losses": losses(), "adam": adam(), "training": training()}
    (HERE / "vip.json").write_text(json.dumps(golden) + "\n")
