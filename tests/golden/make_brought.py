"""Writes tests/golden/brought/: TorchScript modules and what they say, for the tests of policies that were made elsewhere.

    python tests/golden/make_brought.py        (torch 2.11.0)

`policy.pt` is the example's export, `reads_files.pt` calls an operator that maps a file, `forgets.pt` returns another shape than it
should, `nan.pt` returns a number that is none. `expected.json` is what PyTorch says of the inputs named in it. `joint_positions.pt`
goes to a posture in scaled joint positions, and `joint_positions.json` says what it returns.
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


for module, name in [(ReadsFiles(), "reads_files"), (Forgets(), "forgets"), (Nan(), "nan")]:
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
