"""Writes the policy for the timing of a start: a ResNet-18 and a head of one hidden layer, 45 MB, weights from a seed.

    python tests/start_up/export.py policy.pt
"""

import sys

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.one = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside),
        )
        self.other = nn.Sequential()
        if stride != 1 or inside != outside:
            self.other = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.one(x) + self.other(x))


class Policy(nn.Module):
    """An image (1, 3, 224, 224) of 0 to 1 and seven joint positions in, a normalized pose change and the gripper out."""

    def __init__(self):
        super().__init__()
        widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
            *[Block(*width) for width in widths], nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Linear(512 + 7, 256), nn.ReLU(), nn.Linear(256, 7))

    def forward(self, image: torch.Tensor, joints: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.head(torch.cat([self.encoder(image), joints], dim=1)))


if __name__ == "__main__":
    torch.manual_seed(1)
    torch.jit.script(Policy().eval()).save(sys.argv[1])
