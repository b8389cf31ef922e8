"""Makes self-contradictory data sets from a valid one.

Usage: python damage_lerobot.py DATA_SET OUT
Writes OUT/WHAT for every kind of damage.
"""

import os
import shutil
import sys

import pyarrow
import pyarrow.parquet

source, out = sys.argv[1:3]
DATA, EPISODES = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"


def damage(name, file, change):
    root = os.path.join(out, name)
    shutil.copytree(source, root)
    path = os.path.join(root, file)
    table = change(pyarrow.parquet.read_table(path))
    pyarrow.parquet.write_table(table, path)


def replaced(table, key, values):
    return table.set_column(table.column_names.index(key), key, pyarrow.array(values))


def first(table, key, value):
    values = table[key].to_pylist()
    values[0] = value
    return replaced(table, key, values)


damage("no_action", DATA, lambda table: table.drop_columns(["action"]))
damage("no_length", EPISODES, lambda table: table.drop_columns(["length"]))
damage("too_long", EPISODES, lambda table: first(table, "length", 5))
damage("too_short", EPISODES, lambda table: first(table, "length", 3))
damage("endless", EPISODES, lambda table: first(table, "length", 2**60))
damage("negative", EPISODES, lambda table: first(table, "length", -4))
damage("no_episodes", EPISODES, lambda table: table.slice(0, 0))
damage("file_elsewhere", EPISODES, lambda table: first(table, "data/file_index", 7))
damage("short_state", DATA, lambda table: replaced(table, "observation.state", [[0.5] * 6] * len(table)))
damage("text_state", DATA, lambda table: replaced(table, "observation.state", ["far"] * len(table)))
damage("nan_action", DATA, lambda table: replaced(table, "action", [[float("nan")] * 7] * len(table)))
damage("missing_state", DATA, lambda table: first(table, "observation.state", None))
damage("mixed_episodes", DATA, lambda table: replaced(table, "episode_index", [i % 2 for i in range(len(table))]))
damage("no_bytes", DATA, lambda table: first(table, "observation.images.top", {"bytes": None, "path": "/etc/hostname"}))
damage("no_picture", DATA, lambda table: first(table, "observation.images.top", {"bytes": b"words", "path": ""}))
damage("back_in_time", DATA, lambda table: first(table, "timestamp", 1e6))
