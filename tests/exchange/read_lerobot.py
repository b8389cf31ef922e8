"""Reads a LeRobot v3.0 data set with pyarrow, pandas, `datasets` and PyAV, as LeRobot's own reader would, and prints its
contents as JSON. Shares no code with the program that wrote it.

Usage: python read_lerobot.py DATA_SET FOLDER_FOR_FRAMES
Writes the decoded images as raw RGB: FOLDER/CAMERA-EPISODE-FRAME.rgb
"""

import io
import json
import pathlib
import sys

import av
import datasets
import numpy
import pandas
from PIL import Image

root, frames = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
info = json.loads((root / "meta/info.json").read_text())
stats = json.loads((root / "meta/stats.json").read_text())
tasks = pandas.read_parquet(root / "meta/tasks.parquet")
assert tasks.index.name == "task"
episodes = pandas.read_parquet(root / "meta/episodes/chunk-000/file-000.parquet")
assert episodes["meta/episodes/file_index"].eq(0).all()
data = datasets.Dataset.from_parquet(str(root / info["data_path"].format(chunk_index=0, file_index=0)), cache_dir=str(frames))
cameras = {key: of for key, of in info["features"].items() if of["dtype"] in ("video", "image")}
numeric = [key for key in info["features"] if key not in cameras]
for key in numeric:
    of = info["features"][key]
    found = data.features[key]
    if of["shape"] == [1]:
        assert found.dtype == of["dtype"], (key, found)
    else:
        assert found.feature.dtype == of["dtype"] and [found.length] == of["shape"], (key, found)
    values = numpy.array(data[key][:], dtype="f8").reshape(len(data), -1)
    assert values.shape[1] == of["shape"][0]
    for name, expected in (("min", values.min(0)), ("max", values.max(0)), ("mean", values.mean(0)), ("std", values.std(0)),
                           ("q10", numpy.quantile(values, .1, axis=0)), ("q99", numpy.quantile(values, .99, axis=0))):
        assert numpy.allclose(stats[key][name], expected, atol=1e-9), (key, name)
    for row in episodes.itertuples():
        part = values[row.dataset_from_index : row.dataset_to_index]
        assert len(part) == row.length
        at = episodes.loc[row.Index]
        assert numpy.allclose(at[f"stats/{key}/q50"], numpy.quantile(part, .5, axis=0), atol=1e-9), key
        assert numpy.allclose(at[f"stats/{key}/std"], part.std(0), atol=1e-9), key
        assert at[f"stats/{key}/count"] == [row.length]
index = numpy.array(data["index"][:])
assert (index == numpy.arange(info["total_frames"])).all()
assert numpy.allclose(data["timestamp"][:], numpy.array(data["frame_index"][:]) / info["fps"], atol=1e-6)


def pictures(key):
    """All images of a camera, decoded."""
    if cameras[key]["dtype"] == "image":
        return [numpy.asarray(one.convert("RGB")) for one in data[key][:]]
    path = root / info["video_path"].format(video_key=key, chunk_index=0, file_index=0)
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert stream.average_rate == info["fps"]
        assert stream.codec_context.pix_fmt == "yuv420p"
        of = cameras[key]["info"]
        assert (of["video.codec"], of["video.fps"]) == (stream.codec_context.codec.canonical_name, info["fps"])
        out, keys = [], 0
        for number, frame in enumerate(video.decode(stream)):
            # The tolerance of LeRobot's reader.
            assert abs(frame.time - number / info["fps"]) < 1e-4, (number, frame.time)
            keys += frame.key_frame
            out.append(frame.to_ndarray(format="rgb24"))
        # One at every second image, and wherever the scene changes.
        assert keys >= (len(out) + 1) // 2
        return out


counts = {}
for key, of in cameras.items():
    all_of = pictures(key)
    counts[key] = len(all_of)
    assert all(list(one.shape) == of["shape"] for one in all_of)
    scaled = numpy.stack(all_of) / 255.0
    if of["dtype"] == "image":
        # Another JPEG decoder rounds differently.
        assert numpy.allclose(numpy.ravel(stats[key]["mean"]), scaled.mean((0, 1, 2)), atol=2e-3)
        assert numpy.allclose(numpy.ravel(stats[key]["std"]), scaled.std((0, 1, 2)), atol=2e-3)
    assert numpy.shape(stats[key]["mean"]) == (3, 1, 1)
    for row in episodes.itertuples():
        at = episodes.loc[row.Index]
        assert numpy.shape(at[f"stats/{key}/max"].tolist()[0].tolist()[0]) == (1,)
        if of["dtype"] == "video":
            first = round(at[f"videos/{key}/from_timestamp"] * info["fps"])
            assert round(at[f"videos/{key}/to_timestamp"] * info["fps"]) == first + row.length
        else:
            first = row.dataset_from_index
        name = key.removeprefix("observation.images.")
        for frame in range(row.length):
            (frames / f"{name}-{row.episode_index}-{frame}.rgb").write_bytes(all_of[first + frame].tobytes())

json.dump({
    "info": info,
    "tasks": {task: int(tasks.loc[task]["task_index"]) for task in tasks.index},
    "episodes": [[int(row.length), row.tasks.tolist()] for row in episodes.itertuples()],
    "columns": {key: numpy.array(data[key][:], dtype="f8").ravel().tolist() for key in numeric},
    "pictures": counts,
}, sys.stdout)
