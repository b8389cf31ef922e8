"""Writes a LeRobot v3.0 data set with pyarrow and PyAV, from the format's description alone: input for the import's tests.

Usage: python make_lerobot.py FOLDER video|image
Two episodes of 4 and 6 steps at 10 Hz in one file; number i of step n (counted over all) is sin(7 n + i) * 0.3. The image
of step n is black with a white bar that begins at column 8 n.
"""

import io
import json
import os
import sys

import av
import numpy
import pyarrow
import pyarrow.parquet
from PIL import Image

root, kind = sys.argv[1:3]
FPS, LENGTHS, SIZE = 10, [4, 6], (64, 96)
total = sum(LENGTHS)
numbers = numpy.array([[numpy.sin(7 * n + i) * 0.3 for i in range(7)] for n in range(total)], dtype="f4")
camera = "observation.images.top"
names = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
features = {
    "observation.state": {"dtype": "float32", "shape": [7], "names": {"motors": names}},
    "action": {"dtype": "float32", "shape": [7], "names": names},
    camera: {"dtype": kind, "shape": [*SIZE, 3], "names": ["height", "width", "channels"]},
}
for key in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
    features[key] = {"dtype": "float32" if key == "timestamp" else "int64", "shape": [1], "names": None}
info = {
    "codebase_version": "v3.0", "robot_type": "widowx", "total_episodes": 2, "total_frames": total, "total_tasks": 1,
    "chunks_size": 1000, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200, "fps": FPS, "splits": {"train": "0:2"},
    "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4" if kind == "video" else None,
    "features": features,
}
for folder in ("meta/episodes/chunk-000", "data/chunk-000", f"videos/{camera}/chunk-000"):
    os.makedirs(os.path.join(root, folder))
with open(os.path.join(root, "meta/info.json"), "w") as file:
    json.dump(info, file, indent=4)


def picture(n):
    pixels = numpy.zeros((*SIZE, 3), numpy.uint8)
    pixels[:, 8 * n : 8 * n + 8] = 255
    return pixels


def png(n):
    file = io.BytesIO()
    Image.fromarray(picture(n)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"frame-{n:06d}.png"}


frame = numpy.concatenate([numpy.arange(length) for length in LENGTHS])
seven = lambda values: pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1)), 7)
table = {
    "observation.state": seven(numbers), "action": seven(numbers / 10), "timestamp": (frame / FPS).astype("f4"),
    "frame_index": frame, "episode_index": numpy.repeat([0, 1], LENGTHS), "index": numpy.arange(total),
    "task_index": numpy.zeros(total, "i8"),
}
if kind == "image":
    table[camera] = pyarrow.array([png(n) for n in range(total)])
else:
    with av.open(os.path.join(root, f"videos/{camera}/chunk-000/file-000.mp4"), "w") as video:
        stream = video.add_stream("libx264", rate=FPS, options={"g": "2", "crf": "18"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for n in range(total):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(picture(n), format="rgb24")))
        video.mux(stream.encode())
pyarrow.parquet.write_table(pyarrow.table(table), os.path.join(root, "data/chunk-000/file-000.parquet"))
rows, first = [], 0
for episode, length in enumerate(LENGTHS):
    row = {
        "episode_index": episode, "tasks": ["close the microwave"], "length": length, "data/chunk_index": 0,
        "data/file_index": 0, "dataset_from_index": first, "dataset_to_index": first + length,
    }
    if kind == "video":
        row |= {f"videos/{camera}/chunk_index": 0, f"videos/{camera}/file_index": 0,
                f"videos/{camera}/from_timestamp": first / FPS, f"videos/{camera}/to_timestamp": (first + length) / FPS}
    rows.append(row)
    first += length
pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), os.path.join(root, "meta/episodes/chunk-000/file-000.parquet"))
