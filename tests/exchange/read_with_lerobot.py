"""Opens a data set with LeRobot's own reader and compares every value with those that pyarrow reads from the tables.

Usage: python read_with_lerobot.py DATA_SET        (pip install "lerobot[dataset]"; several gigabytes)
Ends with one line: a summary of what was read. Not part of the test run; docs/exchange.md has its output.
"""

import pathlib
import sys

import lerobot
import numpy
import pyarrow.parquet
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

root = pathlib.Path(sys.argv[1])
data = LeRobotDataset("local/set", root=root, video_backend="pyav")
tables = [pyarrow.parquet.read_table(file) for file in sorted((root / "data").rglob("*.parquet"))]
table = pyarrow.concat_tables(tables)
assert len(data) == len(table) == data.meta.total_frames, (len(data), len(table))
cameras = data.meta.camera_keys
numeric = [key for key in data.meta.features if key not in cameras]
columns = {key: numpy.array(table[key].to_pylist(), dtype="f8") for key in numeric}
spread = {key: [1.0, 0.0] for key in cameras}
for i in range(len(data)):
    frame = data[i]
    for key in numeric:
        # Its tensors are always f32.
        found, expected = numpy.array(frame[key]).reshape(-1), columns[key][i].reshape(-1)
        assert numpy.array_equal(found, expected.astype(found.dtype), equal_nan=True), (i, key, found, expected)
    for key in cameras:
        picture = frame[key]
        assert list(picture.shape) == [data.meta.features[key]["shape"][k] for k in (2, 0, 1)], picture.shape
        spread[key] = [min(spread[key][0], float(picture.min())), max(spread[key][1], float(picture.max()))]
    assert frame["task"] == data.meta.tasks.index[int(frame["task_index"])]
for key, (low, high) in spread.items():
    assert 0.0 <= low < 0.5 < high <= 1.0, (key, low, high)
batch = next(iter(torch.utils.data.DataLoader(data, batch_size=min(4, len(data)))))
assert batch["action"].shape[1] == 7
print(f"lerobot {lerobot.__version__}: {data.meta.total_episodes} episodes, {len(data)} frames, cameras {cameras}: equal")
