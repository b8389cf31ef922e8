"""Writes tests/golden/brought/: TorchScript modules, ONNX files and their outputs, for the tests of policies made elsewhere.

    python tests/golden/make_brought.py        (torch 2.11.0, onnx 1.23.2, onnxscript 0.7.2)

`policy.pt` and `policy.onnx` are the example's export, `reads_files.pt` calls an operator that maps a file, `forgets.pt` returns
a wrong shape, `nan.pt` and `nan.onnx` return a NaN, `instructed.pt` and `instructed.onnx` return the
instruction's embedding, `joint_positions.pt` moves to a posture in scaled joint positions. The next ones fail after some calls:
`nan_later.pt` and `short_later.pt` like the two above, `slow_later.pt` takes seconds, and `jumps.pt` returns a chunk that goes back and
forth. `beside.onnx` keeps its weights in `beside.data`, `custom.onnx` calls an operator of a made-up library. `expected.json` and
`joint_positions.json` hold PyTorch's outputs for the inputs named in them.
"""

import json
import os
import sys
import zipfile

import onnx
import torch

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../examples/bring_your_own_policy"))
from export import Policy, write  # noqa: E402

folder = os.path.join(here, "brought")
os.makedirs(folder, exist_ok=True)


def save(module: torch.nn.Module, name: str) -> None:
    """As TorchScript, without source paths, which differ on every machine."""
    path = os.path.join(folder, name)
    torch.jit.script(module.eval()).save(path)
    with zipfile.ZipFile(path) as file:
        entries = [(entry, file.read(entry)) for entry in file.namelist() if not entry.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as file:
        for entry, content in entries:
            file.writestr(zipfile.ZipInfo(entry), content)


torch.manual_seed(1)
policy = Policy().eval()
save(policy, "policy.pt")
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
        # Not for the inputs that a policy is tried with: there the gripper's number is 0.
        return state / (1.0 - state[:, 6:])


class Later(torch.nn.Module):
    """Stays where it is, counts its calls, and passes the later ones to `wrong`."""

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
        for _ in range(1500):
            square = square @ square
        return action * square[0, 0]


class Jumps(torch.nn.Module):
    def forward(self, state: torch.Tensor) -> torch.Tensor:
        there = torch.tensor([[0.15, -0.15, 0.05, 0.0, 0.0, 0.8, 1.0]])
        back = there * torch.tensor([[-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0]])
        return torch.cat([there, back, there, back], dim=0).unsqueeze(0)


class JointPositions(torch.nn.Module):
    """Moves from the scaled joint positions (1, 6) to a posture, with the gripper open (1 after scaling)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("goal", torch.tensor([[0.5, 0.5, -0.5, 0.5, -0.5, 1.0]]))

    def forward(self, joints: torch.Tensor) -> torch.Tensor:
        asked = self.goal + 0.2 * (joints - self.goal)
        return torch.cat([asked, torch.ones_like(asked[:, :1])], dim=1)


class Instructed(torch.nn.Module):
    def forward(self, instruction: torch.Tensor) -> torch.Tensor:
        return torch.cat([instruction, torch.zeros(1, 3)], dim=1)


modules = [
    (ReadsFiles(), "reads_files"),
    (Forgets(), "forgets"),
    (Nan(), "nan"),
    (NanLater(), "nan_later"),
    (ShortLater(), "short_later"),
    (SlowLater(), "slow_later"),
    (Jumps(), "jumps"),
    (Instructed(), "instructed"),
]
for module, name in modules:
    save(module, f"{name}.pt")

posture = JointPositions().eval()
save(posture, "joint_positions.pt")
joints = torch.tensor([[0.1, -0.2, 0.3, -0.4, 0.5, -0.6]])
with torch.no_grad():
    said = posture(joints)
with open(os.path.join(folder, "joint_positions.json"), "w") as file:
    json.dump({"torch": torch.__version__, "joints": joints[0].tolist(), "action": said[0].tolist()}, file)


def keep(name: str, model: onnx.ModelProto) -> None:
    """Without the exporter's source paths, which differ on every machine."""
    graph = model.graph
    for part in [model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(folder, name))


path = os.path.join(folder, "policy.onnx")
write(policy, path)
keep("policy.onnx", onnx.load(path))

made = onnx.helper
row = lambda name, size: made.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size])  # noqa: E731
image = made.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, "height", "width"])
numbers = lambda name, *values: made.make_tensor(name, onnx.TensorProto.FLOAT, [len(values)], values)  # noqa: E731
opset = [made.make_opsetid("", 17)]


def model(nodes, inputs, constants=(), opsets=opset):
    graph = made.make_graph(nodes, "made", inputs, [row("actions", 7)], list(constants))
    return made.make_model(graph, opset_imports=opsets, ir_version=8)


# state / (1 - gripper), as nan.pt.
last = [made.make_tensor(name, onnx.TensorProto.INT64, [1], [value]) for name, value in [("begin", 6), ("end", 7), ("axis", 1)]]
keep("nan.onnx", model(
    [
        made.make_node("Slice", ["state", "begin", "end", "axis"], ["gripper"]),
        made.make_node("Sub", ["one", "gripper"], ["rest"]),
        made.make_node("Div", ["state", "rest"], ["actions"]),
    ],
    [image, row("state", 7)],
    [*last, numbers("one", 1.0)],
))
keep("instructed.onnx", model(
    [made.make_node("Concat", ["instruction", "zeros"], ["actions"], axis=1)],
    [row("instruction", 4)],
    [made.make_tensor("zeros", onnx.TensorProto.FLOAT, [1, 3], [0.0] * 3)],
))
beside = model([made.make_node("Mul", ["state", "factor"], ["actions"])], [row("state", 7)], [numbers("factor", *[2.0] * 7)])
# The helper keeps small constants in the graph unless they are raw bytes.
beside.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(beside.graph.initializer[0]), "factor"))
if os.path.exists(os.path.join(folder, "beside.data")):
    os.remove(os.path.join(folder, "beside.data"))  # it would be appended to
onnx.save(beside, os.path.join(folder, "beside.onnx"), save_as_external_data=True, location="beside.data", size_threshold=0)
custom = model(
    [made.make_node("Shell", ["state"], ["actions"], domain="com.example")],
    [row("state", 7)],
    opsets=[*opset, made.make_opsetid("com.example", 1)],
)
onnx.save(custom, os.path.join(folder, "custom.onnx"))
