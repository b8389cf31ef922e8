"""Writes trajectories as Bridge's recorder does, with Python's pickle, numpy and PIL: input for the import's tests.

Usage: python make_bridge.py FOLDER
One trajectory per pickle protocol; number i of step t is sin(7 t + i) * 0.3, an action a tenth of that.
"""

import collections
import os
import pickle
import sys

import numpy
from PIL import Image

STEPS = 5
for number, protocol in enumerate((2, 3, 4, 5)):
    folder = os.path.join(sys.argv[1], "toykitchen1", "00", "2022-03-04_10-11-12", "raw", "traj_group0", f"traj{number}")
    os.makedirs(os.path.join(folder, "images0"))
    os.makedirs(os.path.join(folder, "images1"))
    rows = STEPS + 1
    full_state = numpy.array([[numpy.sin(7 * t + i) * 0.3 for i in range(7)] for t in range(rows)])
    if number == 1:
        full_state = numpy.asfortranarray(full_state)
    observed = {
        "joint_effort": numpy.full((rows, 6), 3, dtype=numpy.int16),
        "qpos": numpy.tile(numpy.arange(6, dtype=numpy.float32), (rows, 1)) / 10,
        "qvel": numpy.zeros((rows, 6)),
        "full_state": full_state,
        "state": full_state.copy(),
        "desired_state": full_state + 0.01,
        "time_stamp": numpy.array([1646388672.25 + 0.2 * t for t in range(rows)]),
        "eef_transform": numpy.tile(numpy.eye(4), (rows, 1, 1)),
        "high_bound": numpy.array([[0.45, 0.25, 0.18, 1.57, 0]] * rows),
        "env_done": numpy.array([False] * STEPS + [True]),
        "t_get_obs": [0.08] * rows,
        "task_stage": numpy.zeros(rows, dtype=numpy.int64),
    }
    actions = full_state[:-1] / 10
    if number == 3:
        decided = list(actions)
    else:
        decided = [{"actions": one, "new_robot_transform": numpy.eye(4), "delta_robot_transform": numpy.eye(4),
                    "policy_type": "VRTeleopPolicy", "done": numpy.bool_(False)} for one in actions]
    about = {"traj_ok": True, "term_t": STEPS, "stats": collections.OrderedDict(mean=numpy.float64(0.5))}
    for name, value in (("obs_dict", observed), ("policy_out", decided), ("agent_data", about)):
        with open(os.path.join(folder, name + ".pkl"), "wb") as file:
            pickle.dump(value, file, protocol=protocol)
    with open(os.path.join(folder, "lang.txt"), "w") as file:
        file.write("put the corn in the pot\nconfidence: 1\n")
    for t in range(rows):
        pixels = numpy.zeros((48, 64, 3), numpy.uint8)
        pixels[:, t * 8 : t * 8 + 8] = [220, 40, 30]
        for camera in (0, 1):
            Image.fromarray(pixels).save(os.path.join(folder, f"images{camera}", f"im_{t}.jpg"))
