"""Writes a small policy as TorchScript or as ONNX: an image and the state in, eight actions out.

    python examples/bring_your_own_policy/export.py policy.pt
    visuomotor policy new policy.pt --robot widowx --rate 5 --input image:front:32 --input state \\
        --actions pose-change --normalized --chunk 8 --execute 4 --out policies/mine

With policy.onnx in place of policy.pt it is ONNX (pip install onnxscript); `visuomotor` then has to be built with
`--features onnx`. The same pattern serves any network: trace, script or export it so that `forward` takes the tensors named by
--input, in order and with a leading axis of 1, and returns (1, chunk, 7): dx, dy, dz, droll, dpitch, dyaw, gripper.
"""

import sys

import torch


class Policy(torch.nn.Module):
    """A convolution, a pooled image and the state through one hidden layer; weights from a seed, nothing was learned."""

    def __init__(self, chunk: int = 8):
        super().__init__()
        self.chunk = chunk
        self.see = torch.nn.Conv2d(3, 8, 5, stride=2)
        self.think = torch.nn.Linear(8 + 7, 32)
        self.act = torch.nn.Linear(32, chunk * 7)

    def forward(self, image: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        seen = torch.relu(self.see(image)).mean(dim=[2, 3])
        hidden = torch.relu(self.think(torch.cat([seen, state], dim=1)))
        return torch.tanh(self.act(hidden)).reshape(1, self.chunk, 7)


def write(policy: torch.nn.Module, path: str) -> None:
    """TorchScript, or ONNX where the name ends in .onnx."""
    if not path.endswith(".onnx"):
        torch.jit.script(policy).save(path)
        return
    torch.onnx.export(
        policy,
        (torch.zeros(1, 3, 32, 32), torch.zeros(1, 7)),
        path,
        input_names=["image", "state"],
        output_names=["actions"],
        external_data=False,  # the weights inside; a file of their own is for models above 2 GB
        dynamo=True,
    )


if __name__ == "__main__":
    torch.manual_seed(1)
    write(Policy().eval(), sys.argv[1])
