"""Makes `cloning.json`: losses, gradients and ten steps of behavior cloning and of reward-weighted regression, in float64.

    .deps/reference/bin/python tests/golden/make_cloning.py

(make_cql.py has the commands for that environment.) Written from the formulas of `src/learning/training/behavior_cloning.rs` and
`src/learning/training/reward_weighted.rs` in plain torch; weights and inputs come from the hash of `src/learning/network/fill.rs`.
"""

import json
import math
import pathlib

import torch
from torch import nn

from make_cql import Actor, fill, flat, inputs
from make_encoders import filled

HERE = pathlib.Path(__file__).parent
BATCH, EMBEDDING, TASKS, HIDDEN = 4, 5, 2, [8, 8]
WEIGHTS, PLACES, UNITS = [1.0, 1.0, 1.0, 0.3, 0.3, 1.0, 0.5], 0.2, [3.0, 3.0, 2.0, 3.0, 3.0]
RATE, FINAL_RATE, WARM_UP, DECAY, CLIP, STEPS = 1e-3, 1e-5, 3, 1e-2, 1.0, 10
TEMPERATURE, LARGEST = 20.0, 5.0


class ActionHead(nn.Module):
    """Where to grasp and release, then the action."""

    def __init__(self):
        super().__init__()
        self.locate0, self.places = nn.Linear(EMBEDDING + TASKS, 128), nn.Linear(128, 5)
        width = EMBEDDING + 7 + TASKS + 10
        for i, hidden in enumerate(HIDDEN):
            setattr(self, f"hidden{i}", nn.Linear(width, hidden))
            width = hidden
        self.mean, self.log_std = nn.Linear(width, 7), nn.Linear(width, 7)

    def forward(self, embedding, condition):
        task, state = condition[:, 7:], condition[:, :7]
        places = self.places(torch.relu(self.locate0(torch.cat([embedding, task], 1))))
        x = torch.cat([embedding, condition, places, places - state[:, [0, 1, 5, 0, 1]]], 1)
        for i in range(len(HIDDEN)):
            x = torch.relu(getattr(self, f"hidden{i}")(x))
        # The spread's gradient stays in its own layer.
        return torch.tanh(self.mean(x)), self.log_std(x.detach()).clamp(-5, 2), places


def cloning_inputs(step):
    def of(name, *shape):
        return filled(f"{name}{step}", list(shape), 9).double()

    task = torch.eye(TASKS)[[0, 1, 1, 0]]
    ahead = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]]).double()
    return {
        "embedding": of("embedding", BATCH, EMBEDDING),
        "condition": torch.cat([of("state", BATCH, 7), task], 1),
        "action": (0.9 * filled(f"action{step}", [BATCH, 7], 9)).double(),
        "places": of("places", BATCH, 5),
        "ahead": ahead,
    }


def cloning_loss(head, x):
    mean, log_std, places = head(x["embedding"], x["condition"])
    squared = (torch.tensor(WEIGHTS) * (mean - x["action"]) ** 2).sum(-1).mean()
    before_tanh = lambda t: torch.atanh(t.clamp(-0.999, 0.999))
    error = before_tanh(x["action"]) - before_tanh(mean.detach())
    spread = (0.5 * (error / log_std.exp()) ** 2 + log_std).mean()
    far = (torch.tensor(UNITS) * (places - x["places"])) ** 2
    off = (2 * (torch.sqrt(1 + far) - 1) * x["ahead"]).sum(-1).mean()
    return squared + 0.01 * spread + PLACES * off, squared, spread, off


def cloning():
    head, x = fill(ActionHead(), 4), cloning_inputs(0)
    x["embedding"].requires_grad_(True)
    terms = cloning_loss(head, x)
    terms[0].backward()
    gradients = flat([(n, p.grad) for n, p in head.named_parameters()] + [("embedding", x["embedding"].grad)])

    # AdamW decays the matrices alone; warm-up, then a cosine; gradients clipped at a norm.
    head = fill(ActionHead(), 4)
    matrices = [p for p in head.parameters() if p.dim() > 1]
    vectors = [p for p in head.parameters() if p.dim() == 1]
    adam = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}])
    losses = []
    for step in range(STEPS):
        cosine = 0.5 * (1 + math.cos(math.pi * step / STEPS))
        for group in adam.param_groups:
            group["lr"] = min((step + 1) / WARM_UP, 1.0) * (FINAL_RATE + (RATE - FINAL_RATE) * cosine)
        total = cloning_loss(head, cloning_inputs(step))[0]
        adam.zero_grad()
        total.backward()
        norm = torch.sqrt(sum((p.grad**2).sum() for p in head.parameters()))
        if norm > CLIP:
            for p in head.parameters():
                p.grad *= CLIP / norm
        adam.step()
        losses.append(total.item())
    return {
        "terms": [t.item() for t in terms], "gradients": gradients, "losses": losses,
        "parameters": flat(head.named_parameters()),
    }


def regression_loss(actor, x, weights):
    actor(x["actor"], x["condition"], x["actor_normals"])
    return (weights * ((actor.mode - x["action"]) ** 2).sum(-1)).mean()


def reward_weighted():
    # An episode of six images and its goal.
    embeddings, goal = filled("episode", [6, EMBEDDING], 5).double(), filled("goal", [EMBEDDING], 5).double()
    distances = torch.linalg.norm(embeddings - goal, dim=-1)
    relative = distances / distances[0]
    rewards = torch.cat([relative[:-1] - relative[1:], torch.zeros(1)])
    raw = torch.clamp(torch.exp(TEMPERATURE * rewards), max=LARGEST)
    weights = raw / raw.mean()

    actor, x = fill(Actor(), 3), inputs(0)
    x["actor"].requires_grad_(True)
    loss = regression_loss(actor, x, weights[:BATCH])
    loss.backward()
    moved = [(n, p) for n, p in actor.named_parameters() if not n.startswith("log_std")]
    gradients = flat([(n, p.grad) for n, p in moved] + [("embedding", x["actor"].grad)])
    actor = fill(Actor(), 3)
    adam, losses = torch.optim.Adam(actor.parameters(), RATE), []
    for step in range(STEPS):
        total = regression_loss(actor, inputs(step), weights[:BATCH])
        adam.zero_grad()
        total.backward()
        adam.step()
        losses.append(total.item())
    return {
        "rewards": rewards.tolist(), "weights": weights.tolist(), "loss": loss.item(), "gradients": gradients,
        "losses": losses, "parameters": flat(actor.named_parameters()),
    }


if __name__ == "__main__":
    golden = {"cloning": cloning(), "reward_weighted": reward_weighted()}
    (HERE / "cloning.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(golden["cloning"]["terms"], golden["reward_weighted"]["loss"])
