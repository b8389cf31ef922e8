"""Writes one LeRobot v3.0 data set in many ways, with pyarrow and PyAV: input for the import's tests.

Usage: python make_variants.py FOLDER
FOLDER/codec-*: its tables in every codec of parquet, in half precision, with views and large types; images in the table.
FOLDER/rate-*: a video at another rate than the rows (10 Hz), sometimes with images before and after; FOLDER/rate-*.json lists the bar of
the image nearest to each row, or null where none is within half a row (even rates: no row lies midway between two images).
FOLDER/layout-v21: the same in version 2.1, a file per episode and a video for each.
Number i of step n is sin(0.07 n + i) * 0.3; the image of index n is black with a white bar that begins at column 8 (n mod 12).
"""

import io
import json
import os
import sys
from fractions import Fraction

import av
import numpy
import pyarrow
import pyarrow.parquet
from PIL import Image

root = sys.argv[1]
FPS, LENGTHS, SIZE = 10, [4, 6], (64, 96)
total = sum(LENGTHS)
numbers = numpy.array([[numpy.sin(0.07 * n + i) * 0.3 for i in range(7)] for n in range(total)], dtype="f4")
numbers[:, 6] = abs(numbers[:, 6])
camera = "observation.images.top"
names = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
frame = numpy.concatenate([numpy.arange(length) for length in LENGTHS])


def picture(n):
    pixels = numpy.zeros((*SIZE, 3), numpy.uint8)
    pixels[:, 8 * (n % 12) : 8 * (n % 12) + 8] = 255
    return pixels


def png(n):
    file = io.BytesIO()
    Image.fromarray(picture(n)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"frame-{n:06d}.png"}


def write(name, kind, compression, change=lambda table: table, videos=None):
    folder = os.path.join(root, name)
    features = {
        "observation.state": {"dtype": "float32", "shape": [7], "names": names},
        "action": {"dtype": "float32", "shape": [7], "names": names},
        camera: {"dtype": kind, "shape": [*SIZE, 3], "names": ["height", "width", "channels"]},
    }
    for key in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        features[key] = {"dtype": "float32" if key == "timestamp" else "int64", "shape": [1], "names": None}
    info = {
        "codebase_version": "v3.0", "robot_type": "widowx", "total_episodes": 2, "total_frames": total, "total_tasks": 1,
        "fps": FPS, "splits": {"train": "0:2"}, "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4" if kind == "video" else None,
        "features": features,
    }
    for part in ("meta/episodes/chunk-000", "data/chunk-000", f"videos/{camera}/chunk-000"):
        os.makedirs(os.path.join(folder, part))
    with open(os.path.join(folder, "meta/info.json"), "w") as file:
        json.dump(info, file)
    lists = lambda values: pyarrow.array([list(map(float, row)) for row in values], pyarrow.list_(pyarrow.float32()))
    table = {
        "observation.state": lists(numbers), "action": lists(numbers / 10), "timestamp": (frame / FPS).astype("f4"),
        "frame_index": frame, "episode_index": numpy.repeat([0, 1], LENGTHS), "index": numpy.arange(total),
        "task_index": numpy.zeros(total, "i8"),
    }
    if kind == "image":
        table[camera] = pyarrow.array([png(n) for n in range(total)])
    table = change(pyarrow.table(table))
    pyarrow.parquet.write_table(table, os.path.join(folder, "data/chunk-000/file-000.parquet"), compression=compression)
    rows, first = [], 0
    for episode, length in enumerate(LENGTHS):
        row = {"episode_index": episode, "tasks": ["close the microwave"], "length": length, "data/chunk_index": 0, "data/file_index": 0}
        if kind == "video":
            row |= {f"videos/{camera}/chunk_index": 0, f"videos/{camera}/file_index": 0,
                    f"videos/{camera}/from_timestamp": videos["from"] + first / FPS}
        rows.append(row)
        first += length
    episodes = pyarrow.Table.from_pylist(rows)
    if name == "codec-views":
        episodes = episodes.set_column(1, "tasks", pyarrow.array([["close the microwave"]] * 2, pyarrow.list_(pyarrow.string_view())))
    pyarrow.parquet.write_table(episodes, os.path.join(folder, "meta/episodes/chunk-000/file-000.parquet"), compression=compression)
    if kind != "video":
        return
    with av.open(os.path.join(folder, f"videos/{camera}/chunk-000/file-000.mp4"), "w") as video:
        stream = video.add_stream("libx264", rate=videos["rate"], options={"g": "2", "crf": "18", "bf": videos["b_frames"]})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, videos["rate"])
        for n in range(videos["count"]):
            image = av.VideoFrame.from_ndarray(picture(n), format="rgb24")
            image.pts, image.time_base = n, Fraction(1, videos["rate"])
            video.mux(stream.encode(image))
        video.mux(stream.encode())
    bars = []
    for row in range(total):
        at = videos["from"] + row / FPS
        nearest = min(range(videos["count"]), key=lambda n: abs(n / videos["rate"] - at))
        bars.append(nearest % 12 if abs(nearest / videos["rate"] - at) <= 0.5 / FPS + 1e-3 else None)
    with open(folder + ".json", "w") as file:
        json.dump(bars, file)


def half(table):
    column = pyarrow.array([list(row) for row in numbers.astype("f2")], pyarrow.list_(pyarrow.float16()))
    return table.set_column(0, "observation.state", column)


def large(table):
    column = pyarrow.array([list(map(float, row)) for row in numbers], pyarrow.large_list(pyarrow.float64()))
    return table.set_column(0, "observation.state", column)


for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd"):
    write(f"codec-{codec}", "image", codec)
write("codec-half", "image", "zstd", half)
write("codec-large", "image", "snappy", large)
write("codec-views", "image", "snappy")
random = numpy.random.default_rng(5)
for number in range(24):
    rate = int(random.choice([6, 10, 12, 14, 20, 24, 26, 30, 50, 60]))
    start = float(random.choice([0.0, 0.1, 0.5, 1.0]))
    count = int((start + total / FPS) * rate) + int(random.integers(0, 3))
    if random.random() < 0.2:
        count -= rate // 5 + 1
    write(f"rate-{number:02}", "video", "snappy", videos={"rate": rate, "from": start, "count": count, "b_frames": str(random.choice([0, 0, 2]))})


def write_v21():
    folder = os.path.join(root, "layout-v21")
    features = {key: {"dtype": "float32", "shape": [7], "names": names} for key in ("observation.state", "action")}
    features[camera] = {"dtype": "video", "shape": [*SIZE, 3], "names": ["height", "width", "channels"]}
    for part in ("meta", "data/chunk-000", f"videos/chunk-000/{camera}"):
        os.makedirs(os.path.join(folder, part))
    info = {
        "codebase_version": "v2.1", "robot_type": "widowx", "total_episodes": 2, "total_frames": total, "total_tasks": 1, "chunks_size": 1000,
        "fps": FPS, "features": features, "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    with open(os.path.join(folder, "meta/info.json"), "w") as file:
        json.dump(info, file)
    first = 0
    with open(os.path.join(folder, "meta/episodes.jsonl"), "w") as file:
        for episode, length in enumerate(LENGTHS):
            file.write(json.dumps({"episode_index": episode, "tasks": ["close the microwave"], "length": length}) + "\n")
            part = slice(first, first + length)
            lists = lambda values: pyarrow.array([list(map(float, row)) for row in values], pyarrow.list_(pyarrow.float32()))
            table = {
                "observation.state": lists(numbers[part]), "action": lists(numbers[part] / 10), "timestamp": (frame[part] / FPS).astype("f4"),
                "frame_index": frame[part], "episode_index": numpy.full(length, episode), "index": numpy.arange(total)[part],
            }
            pyarrow.parquet.write_table(pyarrow.table(table), os.path.join(folder, f"data/chunk-000/episode_{episode:06}.parquet"))
            with av.open(os.path.join(folder, f"videos/chunk-000/{camera}/episode_{episode:06}.mp4"), "w") as video:
                stream = video.add_stream("libx264", rate=FPS, options={"g": "2", "crf": "18"})
                stream.height, stream.width = SIZE
                stream.pix_fmt = "yuv420p"
                for n in range(first, first + length):
                    video.mux(stream.encode(av.VideoFrame.from_ndarray(picture(n), format="rgb24")))
                video.mux(stream.encode())
            first += length


write_v21()
