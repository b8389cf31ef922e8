"""Makes `cql.json`: losses, gradients and ten optimizer steps of multi-task CQL, with PyTorch in float64.

    python3 -m venv .deps/reference && .deps/reference/bin/pip install torch==2.11.0 torchvision==0.26.0 numpy pillow
    .deps/reference/bin/python tests/golden/make_cql.py

Written from the formulas of `src/learning/training/cql/mod.rs` in plain torch; the networks are small, and weights, embeddings and
everything that is random in training come from the counter-based hash of `src/learning/network/fill.rs`, so that neither weights
nor inputs need to be stored.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

from make_encoders import filled

torch.set_default_dtype(torch.float64)
HERE = pathlib.Path(__file__).parent
BATCH, SAMPLES, EMBEDDING, LATENT, HIDDEN, TASKS = 4, 4, 5, 6, [8, 8], 2
DISCOUNT, TAU, ALPHA, TARGET_ENTROPY = 0.96, 0.005, 5.0, -7.0
ACTOR_RATE, CRITIC_RATE, TEMPERATURE_RATE = 1e-4, 3e-4, 3e-4
CLONING = 20.0
SPREAD = 0.5


class Bottleneck(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense, self.norm = nn.Linear(EMBEDDING, LATENT), nn.LayerNorm(LATENT, eps=1e-6)

    def forward(self, x):
        return torch.tanh(self.norm(self.dense(x)))


class Head(nn.Module):
    """Q of (actions, latent, task); actions and latent come in again after every hidden layer."""

    def __init__(self):
        super().__init__()
        width = 7 + LATENT + TASKS
        for i, hidden in enumerate(HIDDEN):
            setattr(self, f"hidden{i}", nn.Linear(width, hidden))
            width = hidden + 7 + LATENT
        self.q = nn.Linear(width, 1)

    def forward(self, latent, action, task):
        x = torch.cat([action, latent, task], -1)
        for i in range(len(HIDDEN)):
            x = torch.cat([F.relu(getattr(self, f"hidden{i}")(x)), action, latent], -1)
        return self.q(x).squeeze(-1)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.bottleneck, self.head0, self.head1 = Bottleneck(), Head(), Head()

    def forward(self, embedding, actions, task):
        """Embeddings (B, E), actions (B, K, 7), tasks (B, T) -> (2, B, K)."""
        latent = self.bottleneck(embedding).unsqueeze(1).expand(-1, actions.shape[1], -1)
        task = task.unsqueeze(1).expand(-1, actions.shape[1], -1)
        return torch.stack([self.head0(latent, actions, task), self.head1(latent, actions, task)])


class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.bottleneck = Bottleneck()
        width = LATENT + 7 + TASKS
        for i, hidden in enumerate(HIDDEN):
            setattr(self, f"hidden{i}", nn.Linear(width, hidden))
            width = hidden
        self.mean, self.log_std = nn.Linear(width, 7), nn.Linear(width, 7)

    def forward(self, embedding, condition, normals):
        """Actions (B, K, 7) and their log densities (B, K)."""
        x = torch.cat([self.bottleneck(embedding), condition], -1)
        for i in range(len(HIDDEN)):
            x = F.relu(getattr(self, f"hidden{i}")(x))
        self.log_deviation = self.log_std(x).clamp(-5, 2)
        # For the training of imitation's spread: its gradient stays in its own layer.
        self.log_deviation_alone = self.log_std(x.detach()).clamp(-5, 2)
        mean, deviation = self.mean(x).unsqueeze(1), self.log_deviation.exp().unsqueeze(1)
        u = mean + deviation * normals
        action = torch.tanh(u)
        self.mode = torch.tanh(mean.squeeze(1))
        log_density = torch.distributions.Normal(mean, deviation).log_prob(u) - torch.log(1 - action**2)
        return action, log_density.sum(-1)


def fill(module, seed):
    module.load_state_dict({name: filled(name, list(v.shape), seed).double() for name, v in module.state_dict().items()})
    return module


def inputs(step):
    def of(name, *shape):
        return filled(f"{name}{step}", list(shape), 9).double()

    task = torch.eye(TASKS)[[0, 1, 1, 0]]
    return {
        "critic": of("critic", BATCH, EMBEDDING),
        "target_next": of("target_next", BATCH, EMBEDDING),
        "actor": of("actor", BATCH, EMBEDDING),
        "actor_next": of("actor_next", BATCH, EMBEDDING),
        "task": task,
        "condition": torch.cat([of("state", BATCH, 7), task], 1),
        "next_condition": torch.cat([of("next_state", BATCH, 7), task], 1),
        "action": (0.9 * filled(f"action{step}", [BATCH, 7], 9)).double(),
        "shown": (0.9 * filled(f"shown{step}", [BATCH, 7], 9)).double(),
        "imitated": torch.tensor([1.0, 0.0, 1.0, 1.0]),
        "reward": torch.tensor([-1.0, 10.0, -1.0, -1.0]),
        "mask": torch.tensor([1.0, 0.0, 1.0, 1.0]),
        "return": torch.tensor([-0.5, 10.0, 1.5, 0.25]),
        "next_normals": (3 * filled(f"next_normals{step}", [BATCH, SAMPLES, 7], 9)).double(),
        "policy_normals": (3 * filled(f"policy_normals{step}", [BATCH, SAMPLES, 7], 9)).double(),
        "uniform": (2 * filled(f"uniform{step}", [BATCH, SAMPLES, 7], 9)).double(),
        "actor_normals": (3 * filled(f"actor_normals{step}", [BATCH, 1, 7], 9)).double(),
    }


def backup(target, actor, x):
    with torch.no_grad():
        action, _ = actor(x["actor_next"], x["next_condition"], x["next_normals"])
        q = target(x["target_next"], action, x["task"])
        return x["reward"] + DISCOUNT * x["mask"] * q.min(0).values.max(-1).values


def critic_losses(critic, actor, x, y, bound=False):
    with torch.no_grad():
        action, log_density = actor(x["actor"], x["condition"], x["policy_normals"])
    q = critic(x["critic"], x["action"].unsqueeze(1), x["task"]).squeeze(-1)
    policy_q, uniform_q = critic(x["critic"], action, x["task"]), critic(x["critic"], x["uniform"], x["task"])
    bellman = ((q - y) ** 2).mean()
    weighed = torch.maximum(policy_q, x["return"].unsqueeze(-1)) if bound else policy_q
    both = torch.cat([weighed - log_density, uniform_q - 7 * math.log(0.5)], -1)
    conservative = (torch.logsumexp(both, -1) - q).mean()
    return bellman, conservative, bellman + ALPHA * conservative


def actor_loss(critic, actor, log_temperature, x, cloning=0.0, spread=0.0):
    action, log_density = actor(x["actor"], x["condition"], x["actor_normals"])
    q = critic(x["critic"].detach(), action, x["task"]).squeeze(-1)
    log_density = log_density.squeeze(-1)
    greedy = (log_temperature.exp().detach() * log_density - q.min(0).values).mean()
    imitation = (x["imitated"] * ((actor.mode - x["shown"]) ** 2).sum(-1)).mean()
    inside = lambda v: v.clamp(-0.999, 0.999).atanh()
    error = (inside(x["shown"]) - inside(actor.mode.detach())) / actor.log_deviation_alone.exp()
    imitation = imitation + spread * (x["imitated"] * (0.5 * error**2 + actor.log_deviation_alone).mean(-1)).mean()
    return greedy + cloning * imitation, -log_density.mean().detach()


def networks():
    log_temperature = torch.zeros(1, requires_grad=True)
    return fill(Critic(), 1), fill(Critic(), 2).requires_grad_(False), fill(Actor(), 3), log_temperature


def flat(tensors):
    return {name: [float(f"{v:.9g}") for v in t.flatten().tolist()] for name, t in tensors}


def ten_steps(cloning, spread):
    """Critic, target, actor, temperature, ten times."""
    critic, target, actor, log_temperature = networks()
    adams = [
        torch.optim.Adam(critic.parameters(), CRITIC_RATE),
        torch.optim.Adam(actor.parameters(), ACTOR_RATE),
        torch.optim.Adam([log_temperature], TEMPERATURE_RATE),
    ]
    steps = []
    for step in range(10):
        x = inputs(step)
        _, _, loss = critic_losses(critic, actor, x, backup(target, actor, x))
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        with torch.no_grad():
            for slow, fast in zip(target.parameters(), critic.parameters()):
                slow.copy_((1 - TAU) * slow + TAU * fast)
        of_actor, entropy = actor_loss(critic, actor, log_temperature, x, cloning, spread)
        adams[1].zero_grad()
        of_actor.backward()
        adams[1].step()
        of_temperature = (log_temperature.exp() * (entropy - TARGET_ENTROPY)).mean()
        adams[2].zero_grad()
        of_temperature.backward()
        adams[2].step()
        steps.append([loss.item(), of_actor.item(), of_temperature.item()])
    return {
        "steps": steps,
        "critic": flat(critic.named_parameters()),
        "target": flat(target.named_parameters()),
        "actor": flat(actor.named_parameters()),
        "log_temperature": log_temperature.item(),
    }


def main():
    # Values and gradients before any step.
    critic, target, actor, log_temperature = networks()
    x = inputs(0)
    x["critic"].requires_grad_(True)
    x["actor"].requires_grad_(True)
    y = backup(target, actor, x)
    bellman, conservative, loss = critic_losses(critic, actor, x, y)
    loss.backward()
    critic_gradients = flat([(n, p.grad) for n, p in critic.named_parameters()] + [("embedding", x["critic"].grad)])
    bounded = critic_losses(critic, actor, x, y, bound=True)[1]
    of_actor, entropy = actor_loss(critic, actor, log_temperature, x)
    of_actor.backward()
    of_temperature = (log_temperature.exp() * (entropy - TARGET_ENTROPY)).mean()
    of_temperature.backward()
    out = {
        "target_q": y.tolist(),
        "bellman": bellman.item(),
        "conservative": conservative.item(),
        "conservative_bounded": bounded.item(),
        "critic_loss": loss.item(),
        "actor_loss": of_actor.item(),
        "entropy": entropy.item(),
        "temperature_loss": of_temperature.item(),
        "critic_gradients": critic_gradients,
        "actor_gradients": flat([(n, p.grad) for n, p in actor.named_parameters()] + [("embedding", x["actor"].grad)]),
        "temperature_gradient": log_temperature.grad.item(),
    }

    out |= ten_steps(0.0, 0.0)
    out["cloned"] = ten_steps(CLONING, SPREAD)
    (HERE / "cql.json").write_text(json.dumps(out, indent=None, separators=(",", ":")) + "\n")
    print({key: value for key, value in out.items() if isinstance(value, float)})


if __name__ == "__main__":
    main()
