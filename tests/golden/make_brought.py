"""Writes tests/golden/brought/: TorchScript modules and what they say, for the tests of policies that were made elsewhere.

    python tests/golden/make_brought.py        (torch 2.11.0)

`policy.pt` is the example's export, `reads_files.pt` calls an operator that maps a file, `forgets.pt` returns another shape than it
should, `nan.pt` returns a number that is none. `expected.json` is what PyTorch says of the inputs named in it.
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
