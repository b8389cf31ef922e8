"""Reads a robomimic file with h5py the way robomimic's SequenceDataset does, and prints its contents as JSON.

Usage: python read_robomimic.py FILE
"""

import json
import sys

import h5py
import numpy

out = {"demos": {}}
with h5py.File(sys.argv[1], "r") as file:
    data = file["data"]
    out["total"] = int(data.attrs["total"])
    out["env_args"] = json.loads(data.attrs["env_args"])
    out["mask"] = {key: [name.decode("utf-8") for name in numpy.array(file[f"mask/{key}"][:])] for key in file["mask"]}
    for name in sorted(data.keys(), key=lambda name: int(name[5:])):
        demo = data[name]
        length = int(demo.attrs["num_samples"])
        of = {"length": length, "lang": json.loads(demo.attrs["ep_meta"])["lang"], "end": json.loads(demo.attrs["episode_end"])}
        for key in ("actions", "noise_free_actions", "states", "rewards", "dones"):
            assert len(demo[key]) == length
            of[key] = numpy.asarray(demo[key], dtype="f8").ravel().tolist()
        assert set(demo["obs"].keys()) == set(demo["next_obs"].keys())
        of["obs"], of["pictures"] = {}, {}
        for key, values in demo["obs"].items():
            now, later = values[:], demo["next_obs"][key][:]
            assert len(now) == length and (now[1:] == later[:-1]).all() and (now[-1] == later[-1]).all(), key
            if key.endswith("_image"):
                assert now.dtype == numpy.uint8 and values.compression == "gzip"
                of["pictures"][key] = [list(now.shape), now[-1].ravel().tolist()]
            else:
                of["obs"][key] = now.ravel().tolist()
        out["demos"][name] = of
json.dump(out, sys.stdout)
