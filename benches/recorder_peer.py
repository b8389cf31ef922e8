"""Other recorders that write the same data as ours, to be killed: `write FORMAT FILE JPEG` and `read FORMAT FILE`.

30 steps a second, each two images (the given JPEG) and 64 numbers; "step N" is printed when the library has accepted it.
"""

import struct
import sys
import time

RATE = 30.0


def steps(jpeg):
    began = time.monotonic()
    for index in range(100_000):
        pause = began + index / RATE - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        yield index, jpeg, [index + 0.001 * k for k in range(64)]


def said(index):
    print("step", index, flush=True)


def write_mcap(path, jpeg):
    from mcap.writer import Writer

    with open(path, "wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("step", "jsonschema", b"{}")
        pictures = [writer.register_channel(f"/camera/{c}", "jpeg", schema) for c in range(2)]
        numbers = writer.register_channel("/numbers", "f64", schema)
        for index, picture, values in steps(jpeg):
            for channel in pictures:
                writer.add_message(channel, index, picture, index)
            writer.add_message(numbers, index, struct.pack("<64d", *values), index)
            said(index)


def read_mcap(path):
    from mcap.reader import make_reader

    with open(path, "rb") as file:
        return sum(1 for _, channel, _ in make_reader(file).iter_messages() if channel.topic == "/numbers")


def write_h5py(path, jpeg):
    import h5py
    import numpy as np

    with h5py.File(path, "w") as file:
        numbers = file.create_dataset("numbers", (0, 64), maxshape=(None, 64), chunks=(64, 64), dtype="f8")
        kind = h5py.vlen_dtype(np.uint8)
        pictures = [file.create_dataset(f"camera{c}", (0,), maxshape=(None,), dtype=kind) for c in range(2)]
        for index, picture, values in steps(jpeg):
            for data in pictures:
                data.resize((index + 1,))
                data[index] = np.frombuffer(picture, np.uint8)
            numbers.resize((index + 1, 64))
            numbers[index] = values
            said(index)


def read_h5py(path):
    import h5py

    with h5py.File(path, "r") as file:
        return int(file["numbers"].shape[0])


def write_parquet(path, jpeg):
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("index", pa.int64()), ("camera0", pa.binary()), ("camera1", pa.binary()), ("numbers", pa.list_(pa.float64()))])
    with pq.ParquetWriter(path, schema) as writer:
        for index, picture, values in steps(jpeg):
            row = {"index": [index], "camera0": [picture], "camera1": [picture], "numbers": [values]}
            writer.write_table(pa.table(row, schema=schema))
            said(index)


def read_parquet(path):
    import pyarrow.parquet as pq

    return pq.read_table(path).num_rows


def main():
    action, kind, path = sys.argv[1:4]
    if action == "write":
        with open(sys.argv[4], "rb") as file:
            jpeg = file.read()
        globals()[f"write_{kind}"](path, jpeg)
        return
    try:
        print(globals()[f"read_{kind}"](path))
    except Exception as error:  # Any exception of the library is its result.
        words = str(error).replace(path, "FILE").splitlines() or [""]
        print("cannot be opened:", type(error).__name__, words[0][:120])


main()
