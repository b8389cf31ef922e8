"""Writes a LeRobot v3.0 data set with LeRobot's own writer: input for the import's tests.

Usage: python make_lerobot_own.py FOLDER video|image      (pip install "lerobot[dataset]"; 0.6.1 wrote the files kept here)
Two episodes of 4 and 6 steps at 10 Hz in one file; number i of step n (counted over all) is sin(7 n + i) * 0.3, actions a
tenth of it. The image of step n is black with a white bar that begins at column 8 n.
"""

import sys

import numpy
from lerobot.datasets.lerobot_dataset import LeRobotDataset

root, kind = sys.argv[1:3]
LENGTHS, SIZE = [4, 6], (64, 96)
names = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
features = {
    "observation.state": {"dtype": "float32", "shape": (7,), "names": names},
    "action": {"dtype": "float32", "shape": (7,), "names": names},
    "observation.images.top": {"dtype": kind, "shape": (*SIZE, 3), "names": ["height", "width", "channels"]},
}
data = LeRobotDataset.create(
    "made/here", fps=10, features=features, root=root, robot_type="widowx", use_videos=kind == "video"
)
n = 0
for length in LENGTHS:
    for _ in range(length):
        numbers = numpy.array([numpy.sin(7 * n + i) * 0.3 for i in range(7)], dtype="f4")
        picture = numpy.zeros((*SIZE, 3), numpy.uint8)
        picture[:, 8 * n : 8 * n + 8] = 255
        data.add_frame({
            "observation.state": numbers, "action": numbers / 10, "observation.images.top": picture,
            "task": "close the microwave",
        })
        n += 1
    data.save_episode()
data.finalize()
