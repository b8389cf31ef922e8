"""Makes the golden files of the encoders and of the checkpoint reader, with PyTorch.

    python3 -m venv .deps/reference && .deps/reference/bin/pip install torch==2.11.0 torchvision==0.26.0 numpy pillow
    .deps/reference/bin/python tests/golden/make_encoders.py

Writes `encoders.json` (embeddings), `preprocess.json` (resized images) and `checkpoints/*.pt` beside this file. The
networks are written out here in plain torch.nn, from the papers' definitions and torchvision's names; weights and
images come from the counter-based hash of `src/learning/network/fill.rs`, so that none need to be stored.
"""

import json
import math
import os
import pathlib
import pickle
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision.transforms import v2

HERE = pathlib.Path(__file__).parent
SEED = 7
# width, height, number of the image
IMAGES = [(224, 224, 0), (640, 480, 1), (128, 128, 2)]


# --- values from a seed -----------------------------------------------------------------------------------------------
def splitmix64(key, index):
    with np.errstate(over="ignore"):
        z = np.uint64(key) + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def fnv1a64(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def filled(name, shape, seed):
    count = int(np.prod(shape))
    key = fnv1a64(name) ^ int(splitmix64(seed, np.zeros(1, np.uint64))[0])
    unit = ((splitmix64(key, np.arange(count, dtype=np.uint64)) >> np.uint64(40)).astype(np.float64) + 0.5) / 2**23 - 1
    parts = name.split(".")
    if len(shape) >= 2:
        offset, scale = 0.0, math.sqrt(6 / np.prod(shape[1:]))
    elif parts[-1] == "weight":
        offset, scale = (0.25 if parts[-2:-1] == ["bn3"] else 1.0), 0.1
    elif parts[-1] == "running_var":
        offset, scale = 1.0, 0.5
    else:
        offset, scale = 0.0, 0.1
    return torch.from_numpy((offset + scale * unit).astype(np.float32)).reshape(shape)


def fill(module, seed):
    state = {
        name: value if name.endswith("num_batches_tracked") else filled(name, list(value.shape), seed)
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module.eval()


def image(width, height, number):
    """u8 (height, width, 3): a slope per color with hashed noise of 32 levels, integers only."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    slope = (x * (c + 1) * 160 // width + y * (3 - c) * 64 // height) % 224
    index = ((y * width + x) * 3 + c).astype(np.uint64)
    return (slope + (splitmix64(number, index) >> np.uint64(59)).astype(np.int64)).astype(np.uint8)


# --- networks ---------------------------------------------------------------------------------------------------------
class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Vip(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for stage, (count, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 1):
            blocks = []
            for i in range(count):
                blocks.append(Bottleneck(inputs, width, 2 if i == 0 and stage > 1 else 1))
                inputs = 4 * width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(2048, 1024)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


class StandardizedConv(nn.Conv2d):
    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=False)

    def forward(self, x):
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        w = w / torch.sqrt((w * w).mean((1, 2, 3), keepdim=True) + 1e-10)
        return F.conv2d(x, w, None, self.stride, self.padding)


class Unit(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = 4 * width
        self.gn1, self.conv1 = nn.GroupNorm(32, inputs), StandardizedConv(inputs, width, 1)
        self.gn2, self.conv2 = nn.GroupNorm(32, width), StandardizedConv(width, width, 3, stride)
        self.gn3, self.conv3 = nn.GroupNorm(32, width), StandardizedConv(width, outputs, 1)
        self.conv_proj = StandardizedConv(inputs, outputs, 1, stride) if inputs != outputs else None

    def forward(self, x):
        y = F.relu(self.gn1(x))
        shortcut = x if self.conv_proj is None else self.conv_proj(y)
        y = self.conv2(F.relu(self.gn2(self.conv1(y))))
        return shortcut + self.conv3(F.relu(self.gn3(y)))


class Vptr(nn.Module):
    def __init__(self):
        super().__init__()
        self.root_block = nn.ModuleDict({"conv_root": StandardizedConv(3, 64, 7, 2)})
        inputs = 64
        for block, (count, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 1):
            units = nn.ModuleDict()
            for i in range(1, count + 1):
                units[f"unit{i:02}"] = Unit(inputs, width, 2 if i == 1 and block > 1 else 1)
                inputs = 4 * width
            setattr(self, f"block{block}", units)
        self.add_module("norm-pre-head", nn.GroupNorm(32, 2048))

    def forward(self, x):
        x = F.max_pool2d(self.root_block["conv_root"](x), 3, 2, 1)
        for block in (self.block1, self.block2, self.block3, self.block4):
            for unit in block.values():
                x = unit(x)
        return F.relu(getattr(self, "norm-pre-head")(x)).mean((2, 3))


class R3m(Vip):
    def __init__(self):
        super().__init__()
        self.fc = nn.Identity()


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, t, w = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(w // self.heads), -1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, t, w))


class ViTBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=1e-6), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Mvp(nn.Module):
    def __init__(self, width=768, depth=12, heads=12):
        super().__init__()
        self.cls_token, self.pos_embed = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, 197, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, 16, 16)})
        self.blocks = nn.ModuleList([ViTBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, 0])


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        shapes = [(5, 32, 5, 2), (32, 64, 3, 2), (64, 64, 3, 1), (64, 64, 3, 1)]
        for i, (inputs, outputs, kernel, stride) in enumerate(shapes, 1):
            setattr(self, f"conv{i}", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2))
            setattr(self, f"norm{i}", nn.GroupNorm(8, outputs))
        self.conv5 = nn.Conv2d(64, 64, 1)
        self.log_temperature = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        x = torch.cat([x, self.grid(128).reshape(1, 2, 128, 128).expand(len(x), -1, -1, -1)], 1)
        for i in range(1, 5):
            x = F.relu(getattr(self, f"norm{i}")(getattr(self, f"conv{i}")(x)))
        maps = torch.softmax((self.conv5(x) / self.log_temperature.exp()).flatten(2), -1)
        return torch.einsum("bkp,cp->bkc", maps, self.grid(32)).flatten(1)

    @staticmethod
    def grid(size):
        line = torch.tensor([2.0 * i / (size - 1) - 1.0 for i in range(size)])
        return torch.stack([line.repeat(size), line.repeat_interleave(size)])


# --- preprocessing ----------------------------------------------------------------------------------------------------
def squash(pixels):
    # Two steps: Pillow 13 resizes some tall images vertically first, earlier ones never.
    narrow = Image.fromarray(pixels).resize((128, len(pixels)), Image.Resampling.BILINEAR)
    return np.asarray(narrow.resize((128, 128), Image.Resampling.BILINEAR))


def tensor(pixels):
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / 255


def vip_input(pixels, zoom=False):
    x = tensor(pixels)
    if zoom or x.shape[2:] != (224, 224):
        x = v2.CenterCrop(224)(v2.Resize(256, antialias=True)(x))
    return v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(x)


def vptr_input(pixels):
    return F.interpolate(tensor(squash(pixels)), size=(224, 224), mode="bilinear", align_corners=False)


def small_input(pixels):
    return tensor(squash(pixels))


# --- files ------------------------------------------------------------------------------------------------------------
def write_embeddings():
    out = {"seed": SEED, "torch": torch.__version__, "embeddings": []}
    kinds = [
        ("vip", Vip(), vip_input), ("vptr", Vptr(), vptr_input), ("r3m", R3m(), vip_input), ("mvp", Mvp(), vip_input),
        ("small", Small(), small_input),
    ]
    for kind, network, prepare in kinds:
        fill(network, SEED)
        for width, height, number in IMAGES:
            with torch.no_grad():
                values = network(prepare(image(width, height, number)))[0]
            print(kind, (width, height), "mean abs", float(values.abs().mean()), "std", float(values.std()))
            out["embeddings"].append({
                "encoder": kind, "width": width, "height": height, "number": number,
                "values": [float(f"{v:.8g}") for v in values.tolist()],
            })
    (HERE / "encoders.json").write_text(json.dumps(out) + "\n")


def write_preprocessing():
    """Rows and columns of prepared images: enough to detect a wrong filter, a shifted crop or swapped colors."""
    out = []
    for width, height, number in [*IMAGES, (300, 500, 3)]:
        pixels = image(width, height, number)
        small = squash(pixels).astype(int)
        entry = {"width": width, "height": height, "number": number, "squashed_row_41": small[41].ravel().tolist()}
        for name, x in [("vip", vip_input(pixels)), ("vip_zoom", vip_input(pixels, True)), ("vptr", vptr_input(pixels))]:
            entry[name + "_row_100"] = [float(f"{v:.8g}") for v in x[0, :, 100, ::7].flatten().tolist()]
        out.append(entry)
    (HERE / "preprocess.json").write_text(json.dumps(out) + "\n")


class Hostile:
    """A pickle that runs code when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch visuomotor-was-here",)


def write_checkpoints():
    folder = HERE / "checkpoints"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.pt"):
        old.unlink()
    weight = filled("conv1.weight", [4, 3, 3, 3], SEED)
    state = OrderedDict()
    state["module.convnet.conv1.weight"] = weight
    state["module.convnet.bn1.running_var"] = filled("bn1.running_var", [4], SEED)
    state["module.convnet.bn1.num_batches_tracked"] = torch.tensor(12)
    state["module.convnet.fc.weight"] = filled("fc.weight", [5, 4], SEED).t()
    state["module.convnet.fc.bias"] = nn.Parameter(filled("fc.bias", [6], SEED)[1:5])
    torch.save({"vip": state, "global_step": 20000}, folder / "vip.pt")
    # R3M's file has its language head beside the encoder, MVP's a training state beside the weights.
    language = {"module.lang_rew.pred.0.weight": torch.zeros(2, 2), "module.lang_enc.model.embeddings.weight": torch.zeros(2, 2)}
    torch.save({"r3m": {**state, **language}, "global_step": 1}, folder / "r3m.pt")
    torch.save({"model": {"cls_token": torch.zeros(1, 1, 4), "norm.weight": torch.ones(4)}, "epoch": 3}, folder / "mvp.pt")
    torch.save({"half": weight.half(), "brain": weight.bfloat16(), "strided": weight[1:, ::2, :, 1:].permute(2, 0, 3, 1)},
               folder / "kinds.pt")
    module = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    module.load_state_dict({k: filled(k, list(v.shape), SEED) if v.ndim else v for k, v in module.state_dict().items()})
    torch.save(module.state_dict(), folder / "module.pt")
    torch.save({"a": {"x": torch.zeros(1)}, "b": {"x": torch.zeros(1)}}, folder / "two.pt")
    torch.save({"x": torch.zeros(1, dtype=torch.complex64)}, folder / "complex.pt")
    torch.save({"x": torch.zeros(2)}, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"x": torch.zeros(1), "y": Hostile()}, folder / "hostile.pt")
    # Hand-made: a tensor that repeats one value 2^40 times, and one that reaches out of its storage.
    for name, size, stride in [("repeated", (1 << 20, 1 << 20), (0, 0)), ("outside", (4, 4), (8, 1))]:
        class Storage:
            pass

        class Pickler(pickle.Pickler):
            def persistent_id(self, object):
                return ("storage", torch.FloatStorage, "0", "cpu", 16) if isinstance(object, Storage) else None

        class Tensor:
            def __reduce__(self):
                return torch._utils._rebuild_tensor_v2, (Storage(), 0, size, stride, False, OrderedDict())

        with zipfile.ZipFile(folder / f"{name}.pt", "w", zipfile.ZIP_STORED) as archive:
            with archive.open(zipfile.ZipInfo("archive/data.pkl"), "w") as file:
                Pickler(file, protocol=2).dump({"x": Tensor()})
            archive.writestr(zipfile.ZipInfo("archive/data/0"), bytes(64))


if __name__ == "__main__":
    torch.manual_seed(0)
    for write in (write_checkpoints, write_preprocessing, write_embeddings):
        if len(sys.argv) < 2 or write.__name__ == "write_" + sys.argv[1]:
            write()
