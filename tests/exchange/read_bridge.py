"""Reads Bridge's raw folders with Python's own pickle, numpy and PIL, as Bridge's converters to numpy files do, and prints
their contents as JSON.

Usage: python read_bridge.py ROOT     (ROOT/TASK/NN/DATE/raw/traj_group*/traj*)
"""

import datetime
import glob
import json
import os
import pickle
import sys

import numpy
from PIL import Image

out = []
for dated in sorted(glob.glob(os.path.join(sys.argv[1], "*", "*", "*"))):
    # Images lagged by a step before this day, and converters shift them.
    day = datetime.datetime.strptime(os.path.basename(dated), "%Y-%m-%d_%H-%M-%S")
    assert day > datetime.datetime(2021, 7, 23)
    assert json.load(open(os.path.join(dated, "collection_metadata.json")))["robot"]
    for path in sorted(glob.glob(os.path.join(dated, "raw", "traj_group*", "traj*"))):
        with open(os.path.join(path, "obs_dict.pkl"), "rb") as file:
            observed = pickle.load(file)
        with open(os.path.join(path, "policy_out.pkl"), "rb") as file:
            decided = pickle.load(file)
        with open(os.path.join(path, "agent_data.pkl"), "rb") as file:
            about = pickle.load(file)
        actions = numpy.array([one["actions"] for one in decided])
        count = len(actions)
        assert actions.shape == (count, 7) and actions.dtype == numpy.float64
        states = observed["full_state"]
        assert states.shape == (count + 1, 7) and states.flags.c_contiguous
        assert observed["eef_transform"].shape == (count + 1, 4, 4)
        assert numpy.allclose(observed["eef_transform"][:, :3, 3], states[:, :3])
        assert (observed["eef_transform"][:, 3] == [0, 0, 0, 1]).all()
        folders = sorted(name for name in os.listdir(path) if "images" in name and "depth" not in name)
        sizes = []
        for name in folders:
            files = glob.glob(os.path.join(path, name, "im_*.jpg"))
            assert len(files) == count + 1
            sizes.append({Image.open(os.path.join(path, name, f"im_{t}.jpg")).convert("RGB").size for t in range(count + 1)}.pop())
        with open(os.path.join(path, "lang.txt")) as file:
            language = [line.strip() for line in file if "confidence" not in line]
        out.append({
            "path": path, "date": os.path.basename(dated), "language": language, "sizes": sizes,
            "actions": actions.ravel().tolist(),
            "states": states[:-1].ravel().tolist(), "next_states": states[1:].ravel().tolist(),
            "qpos": observed["qpos"].ravel().tolist(), "effort": observed["joint_effort"].ravel().tolist(),
            "time_stamp": observed["time_stamp"].tolist(), "policy": decided[0]["policy_type"],
            "repeated": about["last_observation_repeated"], "cameras": about["camera_names"],
        })
json.dump(out, sys.stdout)
