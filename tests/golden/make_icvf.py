"""Makes the golden values of ICVF with PyTorch: its loss, gradients and ten optimizer steps.

    .deps/reference/bin/python tests/golden/make_icvf.py

Writes `icvf.json` beside this file. The environment is that of `make_encoders.py`, whose weights from a seed, images and
small encoder are used. Everything else is written out here from the formulas: heads, loss, target network, schedule.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

from make_encoders import Small, fill, filled, image, tensor

HERE = pathlib.Path(__file__).parent
SEED = 7
EPSILON = 3.125e-4
B, D, HIDDEN = 5, 7, [6, 5]


class Perceptron(nn.Module):
    def __init__(self, inputs, hidden, layer_norm):
        super().__init__()
        self.count, self.layer_norm = len(hidden), layer_norm
        for i, width in enumerate(hidden):
            setattr(self, f"dense{i}", nn.Linear(inputs, width))
            if layer_norm:
                setattr(self, f"norm{i}", nn.LayerNorm(width, eps=1e-6))
            inputs = width

    def forward(self, x):
        for i in range(self.count):
            x = getattr(self, f"dense{i}")(x)
            x = getattr(self, f"norm{i}")(F.gelu(x, approximate="tanh")) if self.layer_norm else F.relu(x)
        return x


class Value(nn.Module):
    """V(s, g, z) = sum_j [A (T * phi(s))]_j [B (T * psi(g))]_j, T = T_net(psi(z))."""

    def __init__(self, inputs, hidden, layer_norm):
        super().__init__()
        self.phi, self.psi = Perceptron(inputs, hidden, layer_norm), Perceptron(inputs, hidden, layer_norm)
        self.t = Perceptron(hidden[-1], hidden, layer_norm)
        self.a, self.b = nn.Linear(hidden[-1], hidden[-1]), nn.Linear(hidden[-1], hidden[-1])

    def forward(self, s, g, z):
        t = self.t(self.psi(z))
        return (self.a(t * self.phi(s)) * self.b(t * self.psi(g))).sum(-1)


class Values(nn.Module):
    def __init__(self, inputs, hidden, layer_norm=False):
        super().__init__()
        self.v1, self.v2 = Value(inputs, hidden, layer_norm), Value(inputs, hidden, layer_norm)

    def forward(self, s, g, z):
        return self.v1(s, g, z), self.v2(s, g, z)


def loss(values, online, target_values, target, reached, discount, expectile, min_q, intent):
    s, g, z = online
    s_next, target_s, target_g, target_z = target
    reached_g, reached_z = reached
    r_g, m_g, r_z, m_z = reached_g - 1, 1 - reached_g, reached_z - 1, 1 - reached_z
    with torch.no_grad():
        q = [r_g + discount * m_g * v for v in target_values(s_next, target_g, target_z)]
        next1, next2 = target_values(s_next, target_z, target_z)
        next_z = torch.minimum(next1, next2) if min_q else (next1 + next2) / 2
        now1, now2 = target_values(target_s, target_z, target_z)
        advantage = r_z + discount * m_z * next_z - (now1 + now2) / 2
        if not intent:
            advantage = torch.zeros_like(advantage)
        weight = torch.where(advantage >= 0, expectile, 1 - expectile)
    v = values(s, g, z)
    total = sum((weight * (q_i - v_i) ** 2).mean() for q_i, v_i in zip(q, v))
    error = (q[0] - v[0]) ** 2
    terms = {
        "value": v[0].mean(),
        "advantage": advantage.mean(),
        "advantage_share": (advantage >= 0).float().mean(),
        "error_at_goal": (error * reached_g).sum() / max(float(reached_g.sum()), 1.0),
        "error_before_goal": (error * m_g).sum() / max(float(m_g.sum()), 1.0),
    }
    return total, {name: value.item() for name, value in terms.items()}


@torch.no_grad()
def follow(target, online, rate):
    for a, b in zip(target.parameters(), online.parameters()):
        a.copy_((1 - rate) * a + rate * b)


def listed(tensor):
    return [float(f"{v:.7g}") for v in tensor.detach().flatten().tolist()]


def case(layer_norm, min_q, intent, discount, expectile):
    values, target_values = (fill(Values(D, HIDDEN, layer_norm), seed) for seed in (SEED, SEED + 1))
    online = [filled(f"online.{name}", [B, D], SEED).requires_grad_() for name in "sgz"]
    target = [filled(f"target.{name}", [B, D], SEED) for name in ("s_next", "s", "g", "z")]
    reached = torch.tensor(REACHED_G), torch.tensor(REACHED_Z)
    arguments = dict(discount=discount, expectile=expectile, min_q=min_q, intent=intent)

    def of():
        return loss(values, online, target_values, target, reached, **arguments)

    total, terms = of()
    total.backward()
    gradients = {name: listed(p.grad) for name, p in values.named_parameters()}
    gradients |= {f"online.{name}": listed(x.grad) for name, x in zip("sgz", online)}
    adam = torch.optim.Adam(values.parameters(), lr=1e-2, eps=EPSILON)
    for _ in range(10):
        adam.zero_grad()
        of()[0].backward()
        follow(target_values, values, 0.1)
        adam.step()
    return dict(
        layer_norm=layer_norm,
        **arguments,
        loss=float(total),
        terms=terms,
        gradients=gradients,
        after={name: listed(p) for name, p in values.named_parameters()},
    )


def learner():
    """Encoder and heads together, ten steps on two elements, with a learning rate that falls along a cosine."""
    rate, target_rate, discount, expectile = 1e-3, 0.1, 0.98, 0.9
    encoder, target_encoder = fill(Small(), SEED), fill(Small(), SEED + 1)
    values, target_values = fill(Values(128, [8, 6]), SEED), fill(Values(128, [8, 6]), SEED + 1)
    s, s_next, g, z = (torch.cat([tensor(image(128, 128, first + i)) for i in range(2)]) for first in (0, 2, 4, 6))
    reached = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0])
    networks = {
        "encoder": encoder,
        "values": values,
        "target_encoder": target_encoder,
        "target_values": target_values,
    }
    before = {f"{prefix}.{n}": p.detach().clone() for prefix, net in networks.items() for n, p in net.named_parameters()}
    adam = torch.optim.Adam([*encoder.parameters(), *values.parameters()], lr=rate, eps=EPSILON)
    losses = []
    for step in range(10):
        for group in adam.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / 10))
        adam.zero_grad()
        with torch.no_grad():
            target = [target_encoder(x) for x in (s_next, s, g, z)]
        online = [encoder(x) for x in (s, g, z)]
        total, _ = loss(values, online, target_values, target, reached, discount, expectile, True, True)
        losses.append(float(total))
        total.backward()
        follow(target_encoder, encoder, target_rate)
        follow(target_values, values, target_rate)
        adam.step()
    after = {}
    for prefix, network in networks.items():
        for name, parameter in network.named_parameters():
            flat = parameter.detach().flatten()
            move = (flat - before[f"{prefix}.{name}"].flatten()).abs().max()
            after[f"{prefix}.{name}"] = {
                "values": listed(flat[:: max(len(flat) // 8, 1)]),
                "largest_move": float(f"{float(move):.6g}"),
            }
    return dict(learning_rate=rate, target_rate=target_rate, losses=losses, after=after)


REACHED_G = [0.0, 1.0, 0.0, 0.0, 1.0]
REACHED_Z = [0.0, 0.0, 1.0, 0.0, 1.0]

if __name__ == "__main__":
    out = dict(
        reached_g=REACHED_G,
        reached_z=REACHED_Z,
        cases=[
            case(False, True, True, 0.99, 0.9),
            case(True, True, True, 0.98, 0.8),
            case(False, False, True, 0.99, 0.9),
            case(False, True, False, 0.95, 0.7),
        ],
        learner=learner(),
    )
    (HERE / "icvf.json").write_text(json.dumps(out) + "\n")
