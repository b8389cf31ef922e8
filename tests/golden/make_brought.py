"""Writes tests/golden/brought/: TorchScript modules and what they say, for the tests of policies that were made elsewhere.

    python tests/golden/make_brought.py        (torch 2.11.0)

`policy.pt` is the example's export, `reads_files.pt` calls an operator that maps a file, `forgets.pt` returns another shape than it
should, `nan.pt` returns a number that is none. `joint_positions.pt` goes to a posture in scaled joint positions. The rest go wrong after
some calls: `nan_later.pt` and `short_later.pt` as the two before, `slow_later.pt` takes seconds, and `jumps.pt` returns a chunk that goes
back and forth. `expected.json` and `joint_positions.json` are what PyTorch says of the inputs named in them.
"""

import json
import os
import sys

import torch

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../examples/bring_your_own_policy"))
from export import Policy  # noqa: E402

folder = os.path.join(here, "brought")
os.makedirs(folder, exist_ok=True)
torch.manual_seed(1)
policy = Policy().eval()
torch.jit.script(policy).save(os.path.join(folder, "policy.pt"))
# Pixel (row, column, color) is (3 row + 5 column + 7 color) % 256, as the test makes it.
rows, columns, colors = torch.meshgrid(torch.arange(32), torch.arange(32), torch.arange(3), indexing="ij")
image = ((3 * rows + 5 * columns + 7 * colors) % 256).float().div(255).permute(2, 0, 1).unsqueeze(0)
state = torch.tensor([[0.3, -0.1, 0.15, 0.0, 0.1, -0.2, 1.0]])
with torch.no_grad():
    said = policy(image, state)
with open(os.path.join(folder, "expected.json"), "w") as file:
    json.dump({"torch": torch.__version__, "state": state[0].tolist(), "actions": said[0].tolist()}, file)


class ReadsFiles(torch.nn.Module):
    def forward(self, image: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return torch.from_file("/etc/hostname", False, 7, dtype=torch.uint8).float().reshape(1, 7)


class Forgets(torch.nn.Module):
    def forward(self, image: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return state[:, :6]


class Nan(torch.nn.Module):
    def forward(self, image: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        # Not of what a policy is tried out with: there the gripper's number is 0.
        return state / (1.0 - state[:, 6:])


class Later(torch.nn.Module):
    """Stays where it is, counts its calls, and lets `wrong` have the later ones."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        action = torch.cat([torch.zeros(1, 6), state[:, 6:]], dim=1)
        return action if self.calls <= 5 else self.wrong(action)


class NanLater(Later):
    def wrong(self, action: torch.Tensor) -> torch.Tensor:
        return action * float("nan")


class ShortLater(Later):
    def wrong(self, action: torch.Tensor) -> torch.Tensor:
        return action[:, :6]


class SlowLater(Later):
    def wrong(self, action: torch.Tensor) -> torch.Tensor:
        square = torch.eye(512)
        for _ in range(300):
            square = square @ square
        return action * square[0, 0]


class Jumps(torch.nn.Module):
    def forward(self, state: torch.Tensor) -> torch.Tensor:
        there = torch.tensor([[0.15, -0.15, 0.05, 0.0, 0.0, 0.8, 1.0]])
        back = there * torch.tensor([[-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0]])
        return torch.cat([there, back, there, back], dim=0).unsqueeze(0)


modules = [
    (ReadsFiles(), "reads_files"),
    (Forgets(), "forgets"),
    (Nan(), "nan"),
    (NanLater(), "nan_later"),
    (ShortLater(), "short_later"),
    (SlowLater(), "slow_later"),
    (Jumps(), "jumps"),
]
for module, name in modules:
    torch.jit.script(module.eval()).save(os.path.join(folder, f"{name}.pt"))


class JointPositions(torch.nn.Module):
    """Goes on from the scaled joint positions (1, 6) to a posture, with the gripper open (1 after scaling)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("goal", torch.tensor([[0.5, 0.5, -0.5, 0.5, -0.5, 1.0]]))

    def forward(self, joints: torch.Tensor) -> torch.Tensor:
        asked = self.goal + 0.2 * (joints - self.goal)
        return torch.cat([asked, torch.ones_like(asked[:, :1])], dim=1)


posture = JointPositions().eval()
torch.jit.script(posture).save(os.path.join(folder, "joint_positions.pt"))
joints = torch.tensor([[0.1, -0.2, 0.3, -0.4, 0.5, -0.6]])
with torch.no_grad():
    said = posture(joints)
with open(os.path.join(folder, "joint_positions.json"), "w") as file:
    json.dump({"torch": torch.__version__, "joints": joints[0].tolist(), "action": said[0].tolist()}, file)
