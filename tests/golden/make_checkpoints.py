"""Makes checkpoints as PyTorch writes them, without PyTorch: `checkpoints_by_hand/*` beside this file.

Python's own pickle writes them; stand-ins with PyTorch's and numpy's names take the place of what torch.save would pickle. The
layouts were compared with files that torch.save wrote. Run: python3 tests/golden/make_checkpoints.py
"""

import argparse
import io
import pathlib
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict

HERE = pathlib.Path(__file__).parent / "checkpoints_by_hand"
FORMATS = {
    "FloatStorage": "f", "HalfStorage": "e", "DoubleStorage": "d", "LongStorage": "q", "IntStorage": "i", "ShortStorage": "h",
    "CharStorage": "b", "ByteStorage": "B", "BoolStorage": "?", "ComplexFloatStorage": "ff", "BFloat16Storage": "H",
    "UntypedStorage": "B",
}


def stand_in(module, name, kind=type):
    """Something that pickles as `module.name`."""
    if kind is type:
        made = type(name, (), {"__module__": module})
    else:
        def made(*arguments):
            return arguments
        made.__module__, made.__name__, made.__qualname__ = module, name, name
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:count]), types.ModuleType(".".join(parts[:count])))
    setattr(sys.modules[module], name, made)
    return made


TYPES = {name: stand_in("torch.storage" if name == "UntypedStorage" else "torch", name) for name in FORMATS}
REBUILD = stand_in("torch._utils", "_rebuild_tensor_v2", "function")
REBUILD_TYPED = stand_in("torch._utils", "_rebuild_tensor_v3", "function")
PARAMETER = stand_in("torch._utils", "_rebuild_parameter", "function")
DEVICE, SIZE = stand_in("torch", "device", "function"), stand_in("torch", "Size", "function")
FLOAT32, FLOAT8 = stand_in("torch", "float32", "function"), stand_in("torch", "float8_e4m3fn", "function")
RECONSTRUCT = stand_in("numpy._core.multiarray", "_reconstruct", "function")
SCALAR = stand_in("numpy._core.multiarray", "scalar", "function")
NDARRAY, DTYPE = stand_in("numpy", "ndarray"), stand_in("numpy", "dtype", "function")


class Storage:
    def __init__(self, kind, values):
        self.kind, self.values = kind, values

    def bytes(self):
        code = FORMATS[self.kind]
        return b"".join(struct.pack("<" + code, *([value] * len(code))) for value in self.values)


class Call:
    """Pickles as a call of `function`, then with a state."""

    def __init__(self, function, *arguments, state=None):
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.made


def tensor(storage, shape, strides=None, offset=0):
    if strides is None:
        strides, step = [], 1
        for size in reversed(shape):
            strides.insert(0, step)
            step *= max(size, 1)
    return Call(REBUILD, storage, offset, tuple(shape), tuple(strides), False, OrderedDict())


def floats(values, shape=None):
    return tensor(Storage("FloatStorage", values), [len(values)] if shape is None else shape)


def number_format():
    return Call(DTYPE, "f8", False, True, state=(3, "<", None, None, None, -1, -1, 0))


class Pickler(pickle.Pickler):
    def __init__(self, file, legacy=False):
        super().__init__(file, protocol=2)
        self.storages, self.legacy = {}, legacy

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = str(list(self.storages).index(id(value)) if id(value) in self.storages else len(self.storages))
        self.storages[id(value)] = value
        return ("storage", TYPES[value.kind], key, "cpu", len(value.values)) + ((None,) if self.legacy else ())


def save(name, value, more=()):
    out = io.BytesIO()
    pickler = Pickler(out)
    pickler.dump(value)
    with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_STORED) as archive:
        entries = [("data.pkl", out.getvalue()), ("byteorder", b"little"), *more]
        entries += [(f"data/{key}", storage.bytes()) for key, storage in enumerate(pickler.storages.values())]
        for entry, content in [*entries, ("version", b"3\n")]:
            archive.writestr(zipfile.ZipInfo(f"{pathlib.Path(name).stem}/{entry}"), content)


def save_legacy(name, value):
    out = io.BytesIO()
    for part in [0x1950a86a20f9469cfc6c, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}}]:
        pickle.dump(part, out, protocol=2)
    pickler = Pickler(out, legacy=True)
    pickler.dump(value)
    keys = sorted((str(key) for key in range(len(pickler.storages))), reverse=True)
    pickle.dump(keys, out, protocol=2)
    for key in keys:
        storage = list(pickler.storages.values())[int(key)]
        out.write(struct.pack("<q", len(storage.values)) + storage.bytes())
    (HERE / name).write_bytes(out.getvalue())


def main():
    HERE.mkdir(exist_ok=True)
    weights = OrderedDict([("conv.weight", floats([0.5, -1.0, 2.0, 4.0, 8.0, 0.25], [2, 3])), ("conv.bias", floats([1.0, 3.0]))])
    long = Storage("FloatStorage", [float(value) for value in range(10)])
    save("formats.pt", OrderedDict([
        ("weight", Call(PARAMETER, floats([0.5, -2.0]), True, OrderedDict())),
        ("double", tensor(Storage("DoubleStorage", [0.1, 2.0]), [2])),
        ("half", tensor(Storage("HalfStorage", [0.5, -4.0]), [2])),
        ("brain", tensor(Storage("BFloat16Storage", [0x3f80, 0xc040]), [2])),
        ("eight", Call(REBUILD_TYPED, Storage("UntypedStorage", [0x38, 0xc0, 0x01]), 0, (3,), (1,), False, OrderedDict(), FLOAT8)),
        ("int64", tensor(Storage("LongStorage", [-3]), [])),
        ("int32", tensor(Storage("IntStorage", [-3, 1 << 30]), [2])),
        ("int16", tensor(Storage("ShortStorage", [-300]), [1])),
        ("int8", tensor(Storage("CharStorage", [-3, 100]), [2])),
        ("uint8", tensor(Storage("ByteStorage", [200, 1]), [2])),
        ("bool", tensor(Storage("BoolStorage", [True, False]), [2])),
        ("complex", tensor(Storage("ComplexFloatStorage", [1.0]), [1])),
        ("expanded", tensor(Storage("FloatStorage", [1.0, 2.0]), [3, 2], [0, 1])),
        ("transposed", tensor(Storage("FloatStorage", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), [3, 2], [1, 3])),
        ("tied", tensor(long, [4], [1], 3)), ("tied_again", tensor(long, [2, 2], [4, 2], 1)),
        ("empty", tensor(Storage("FloatStorage", []), [0, 5])), ("scalar", floats([7.0], [])),
    ]))
    array = Call(RECONSTRUCT, NDARRAY, (0,), b"b", state=(1, (2,), number_format(), False, struct.pack("<dd", 1.5, -2.0)))
    settings = {
        "device": Call(DEVICE, "cpu"), "dtype": FLOAT32, "size": Call(SIZE, (224, 224)), "seed": 1 << 70, "set": {1, 2},
        "path": pathlib.PurePosixPath("/data/run"), "args": argparse.Namespace(lr=1e-4, name="vit"),
        "loss": Call(SCALAR, number_format(), struct.pack("<d", 0.25)), "mean": array,
        "log": defaultdict(list, {"a": [1]}),
    }
    save("settings.pt", {**settings, "model": weights, "step": tensor(Storage("LongStorage", [5]), [])})
    save("arrays.pt", {"weight": floats([1.0]), "mean": array})
    save("nested.pt", {"state": {"encoder": weights, "step": 5, "head": {"w": floats([9.0])}}, "epoch": 3})
    save("lightning.pt", {
        "pytorch-lightning_version": "2.1.0", "state_dict": OrderedDict((f"model.{k}", v) for k, v in weights.items()),
        "callbacks": {"average": {"w": floats([0.0])}}, "optimizer_states": [{"state": {0: {"exp_avg": floats([0.0])}}}],
    })
    save("compiled.pt", OrderedDict((f"module._orig_mod.{k}", v) for k, v in weights.items()))
    save("numbered.pt", {0: floats([1.0]), 1: floats([2.0])})
    save("listed.pt", {"model": [floats([1.0]), floats([2.0])]})
    save("integers.pt", {"x": tensor(Storage("LongStorage", [5]), [])})
    save_legacy("before_1.6.pt", weights)
    module, scripted = stand_in("__main__", "Net"), stand_in("__torch__", "Net")
    for name, kind, more in [("whole.pt", module, ()), ("scripted.pt", scripted, [("constants.pkl", b"\x80\x02).")])]:
        net = kind()
        net.__dict__ = {"training": True, "_parameters": {"w": floats([1.0])}, "_buffers": {}, "_modules": {}}
        save(name, net, more)
    with zipfile.ZipFile(HERE / "arrays.npz", "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.npy"), b"\x93NUMPY\x01\x00")
    (HERE / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4cac19946db8\nsize 90000000\n")
    (HERE / "page.pt").write_text("\n<!DOCTYPE html><html><head><title>Virus scan warning</title></head></html>\n")


if __name__ == "__main__":
    main()
