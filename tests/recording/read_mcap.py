"""Reads a recorded episode with the `mcap` and `mcap-ros2-support` packages and prints its contents as JSON.

An implementation that shares no code with ours: every ROS message is decoded from the schema text in the file.
Usage: python read_mcap.py EPISODE.mcap
"""

import json
import struct
import sys

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory


def jpeg_size(data):
    """Width and height from the JPEG's start-of-frame marker."""
    at = 2
    while at + 9 < len(data):
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if data[at] == 0xFF and 0xC0 <= marker <= 0xC2:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return [width, height]
        at += 2 + length
    raise ValueError("no size in the JPEG")


def stamp(header):
    return header.stamp.sec * 10**9 + header.stamp.nanosec


out = {"counts": {}, "joints": [], "observed": [], "images": [], "poses": [], "actions": [], "embeddings": [], "json": []}
with open(sys.argv[1], "rb") as file:
    reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
    out["profile"] = reader.get_header().profile
    out["attachments"] = {a.name: a.data.decode() for a in reader.iter_attachments()}
    out["metadata"] = {m.name: m.metadata for m in reader.iter_metadata()}
    out["messages_in_summary"] = reader.get_summary().statistics.message_count
    for schema, channel, message in reader.iter_messages(log_time_order=False):
        out["counts"][channel.topic] = out["counts"].get(channel.topic, 0) + 1
        if channel.message_encoding == "json":
            assert schema.encoding == "jsonschema" and json.loads(schema.data)["type"] == "object"
            out["json"].append([channel.topic, json.loads(message.data)])
            continue
        assert schema.encoding == "ros2msg"
        ros = DecoderFactory().decoder_for(channel.message_encoding, schema)(message.data)
        if channel.topic == "/joint_states":
            out["joints"].append([stamp(ros.header), list(ros.name), list(ros.position)])
        elif channel.topic == "/observed_joint_states":
            out["observed"].append([stamp(ros.header), list(ros.position), list(ros.velocity), list(ros.effort)])
        elif channel.topic.endswith("/compressed"):
            assert ros.format == "jpeg"
            out["images"].append([stamp(ros.header), ros.header.frame_id, *jpeg_size(bytes(ros.data))])
        elif channel.topic == "/tool_pose":
            p, q = ros.pose.position, ros.pose.orientation
            out["poses"].append([ros.header.frame_id, p.x, p.y, p.z, q.x, q.y, q.z, q.w])
        elif channel.topic == "/action":
            out["actions"].append([ros.layout.dim[0].label, ros.layout.dim[0].size, *ros.data])
        elif channel.topic == "/embedding":
            out["embeddings"].append([ros.layout.dim[0].label, *ros.data])
json.dump(out, sys.stdout)
