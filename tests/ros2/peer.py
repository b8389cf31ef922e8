"""Cyclone DDS (PyPI `cyclonedds`), which shares no code with ours, in the role of nodes of a ROS 2 graph on loopback.

    peer.py xs_sdk DOMAIN            the node of a WidowX: joint_states at 100 Hz, commands, services
    peer.py echo-state DOMAIN        /ping (sensor_msgs/JointState) back on /pong
    peer.py echo-image DOMAIN        /ping (sensor_msgs/Image) back on /pong
    peer.py ping-state DOMAIN N      N round trips through an echo of another process; prints their seconds as JSON
    peer.py ping-image DOMAIN N
    peer.py malformed DOMAIN         other fields under the name of sensor_msgs/JointState

Prints `ready` when it is, ends at the end of standard input, and then prints what it received as one line of JSON.
Services are laid out as rmw_cyclonedds does: a 64-bit client id and a 64-bit sequence number before the fields.
"""

import json
import os
import sys
import threading
import time
import types

os.environ["CYCLONEDDS_URI"] = """<CycloneDDS><Domain><General>
<Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces><AllowMulticast>false</AllowMulticast>
<MaxMessageSize>65500B</MaxMessageSize></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>10</MaxAutoParticipantIndex>
<Peers><Peer Address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>"""

from dataclasses import dataclass  # noqa: E402

from cyclonedds.builtin import (  # noqa: E402
    BuiltinDataReader,
    BuiltinTopicDcpsPublication,
    BuiltinTopicDcpsSubscription,
)
from cyclonedds.core import Policy, Qos  # noqa: E402
from cyclonedds.domain import DomainParticipant  # noqa: E402
from cyclonedds.idl import IdlStruct  # noqa: E402
from cyclonedds.idl.types import float32, float64, int16, int32, int64, sequence, uint8, uint32, uint64  # noqa: E402
from cyclonedds.pub import DataWriter  # noqa: E402
from cyclonedds.sub import DataReader  # noqa: E402
from cyclonedds.topic import Topic  # noqa: E402
from cyclonedds.util import duration  # noqa: E402


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    stamp: Time
    frame_id: str


@dataclass
class JointState(IdlStruct, typename="sensor_msgs::msg::dds_::JointState_"):
    header: Header
    name: sequence[str]
    position: sequence[float64]
    velocity: sequence[float64]
    effort: sequence[float64]


@dataclass
class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
    header: Header
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


@dataclass
class Malformed(IdlStruct, typename="sensor_msgs::msg::dds_::JointState_"):
    lengths: sequence[uint32]


@dataclass
class JointGroupCommand(IdlStruct, typename="interbotix_xs_msgs::msg::dds_::JointGroupCommand_"):
    name: str
    cmd: sequence[float32]


@dataclass
class JointSingleCommand(IdlStruct, typename="interbotix_xs_msgs::msg::dds_::JointSingleCommand_"):
    name: str
    cmd: float32


RELIABLE = Qos(Policy.Reliability.Reliable(duration(milliseconds=100)), Policy.History.KeepLast(10))
JOINTS = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper"]
WHO = [("cmd_type", str), ("name", str)]
EMPTY = [("structure_needs_at_least_one_member", uint8)]
REGISTER = WHO + [("reg", str), ("value", int32)]
# Name, ROS type, request fields, response fields.
SERVICES = [
    ("torque_enable", "TorqueEnable", WHO + [("enable", bool)], EMPTY),
    ("reboot_motors", "Reboot", WHO + [("enable", bool), ("smart_reboot", bool)], EMPTY),
    (
        "set_operating_modes",
        "OperatingModes",
        WHO + [("mode", str), ("profile_type", str), ("profile_velocity", int32), ("profile_acceleration", int32)],
        EMPTY,
    ),
    ("set_motor_registers", "RegisterValues", REGISTER, [("values", sequence[int32])]),
    ("get_motor_registers", "RegisterValues", REGISTER, [("values", sequence[int32])]),
    (
        "get_robot_info",
        "RobotInfo",
        WHO,
        [
            ("mode", str),
            ("profile_type", str),
            ("joint_names", sequence[str]),
            ("joint_ids", sequence[int16]),
            ("joint_lower_limits", sequence[float32]),
            ("joint_upper_limits", sequence[float32]),
            ("joint_velocity_limits", sequence[float32]),
            ("joint_sleep_positions", sequence[float32]),
            ("joint_state_indices", sequence[int16]),
            ("num_joints", int16),
            ("name", sequence[str]),
        ],
    ),
]

stop = threading.Event()


def wait_for_end():
    sys.stdin.read()
    stop.set()


def typed(ros, kind, fields):
    header = [("client_id", uint64), ("sequence_number", int64)]

    def fill(namespace):
        namespace["__annotations__"].update(dict(header + fields))
        namespace["__module__"] = __name__

    options = {"typename": f"interbotix_xs_msgs::srv::dds_::{ros}_{kind}_"}
    return dataclass(types.new_class(f"{ros}_{kind}_", (IdlStruct,), options, fill))


def endpoints(reader, into):
    for sample in reader.take(256):
        name = getattr(sample, "topic_name", None)
        if name:
            reliability = sample.qos[Policy.Reliability]
            durability = sample.qos[Policy.Durability]
            into[str(sample.key)] = {
                "topic": name,
                "type": sample.type_name,
                "reliable": isinstance(reliability, Policy.Reliability.Reliable),
                "volatile": durability == Policy.Durability.Volatile,
            }


def xs_sdk(domain):
    dp = DomainParticipant(domain)
    publications = BuiltinDataReader(dp, BuiltinTopicDcpsPublication)
    subscriptions = BuiltinDataReader(dp, BuiltinTopicDcpsSubscription)
    states = DataWriter(dp, Topic(dp, "rt/wx250s/joint_states", JointState), qos=RELIABLE)
    group = DataReader(dp, Topic(dp, "rt/wx250s/commands/joint_group", JointGroupCommand), qos=RELIABLE)
    single = DataReader(dp, Topic(dp, "rt/wx250s/commands/joint_single", JointSingleCommand), qos=RELIABLE)
    servers = []
    for name, ros, ask, answer in SERVICES:
        request, response = typed(ros, "Request", ask), typed(ros, "Response", answer)
        reader = DataReader(dp, Topic(dp, f"rq/wx250s/{name}Request", request), qos=RELIABLE)
        writer = DataWriter(dp, Topic(dp, f"rr/wx250s/{name}Reply", response), qos=RELIABLE)
        servers.append((name, reader, writer, response))
    here = [0.0, -0.9, 0.9, 0.0, 0.3, 0.0]
    finger, pwm = 0.03, 0.0
    modes = {"arm": "position", "gripper": "pwm"}
    registers = {"Torque_Enable": [0] * 7, "Hardware_Error_Status": [0] * 7, "Bus_Watchdog": [0] * 7}
    registers.update({"Profile_Velocity": [2000] * 7, "Profile_Acceleration": [300] * 7})
    seen = {"group": 0, "single": 0, "calls": {}, "mangled": 0}
    writers, readers = {}, {}

    def those(ask):
        return {"all": range(7), "arm": range(6), "gripper": range(6, 7)}.get(ask.name, range(0))

    def serve(name, ask):
        seen["calls"][name] = seen["calls"].get(name, 0) + 1
        if name == "torque_enable":
            for i in those(ask):
                registers["Torque_Enable"][i] = int(ask.enable)
        elif name == "set_operating_modes":
            modes[ask.name] = ask.mode
        elif name == "set_motor_registers":
            for i in those(ask):
                registers[ask.reg][i] = ask.value
            return [[]]
        elif name == "get_motor_registers":
            return [[registers.get(ask.reg, [0] * 7)[i] for i in those(ask)]]
        elif name == "get_robot_info":
            n = len(those(ask))
            names = [JOINTS[i] for i in those(ask)]
            low = [-3.14158, -1.88496, -2.14675, -3.14158, -1.74533, -3.14158][:n]
            high = [3.14158, 1.98968, 1.60570, 3.14158, 2.14675, 3.14158][:n]
            turn, ids = [3.14159] * n, list(range(n))
            return [modes[ask.name], "time", names, ids, low, high, turn, [0.0] * n, ids, n, [ask.name]]
        return [0]

    print("ready", flush=True)
    due = time.monotonic()
    while not stop.is_set():
        endpoints(publications, writers)
        endpoints(subscriptions, readers)
        for command in group.take(20):
            seen["group"] += 1
            if command.name != "arm" or len(command.cmd) != 6:
                seen["mangled"] += 1
            elif registers["Torque_Enable"][0]:
                here = list(command.cmd)
        for command in single.take(20):
            seen["single"] += 1
            pwm = command.cmd
        for name, reader, writer, response in servers:
            for ask in reader.take(10):
                writer.write(response(ask.client_id, ask.sequence_number, *serve(name, ask)))
        finger = min(0.037, max(0.015, finger + 1e-6 * pwm))
        if time.monotonic() >= due:
            due += 0.01
            now = time.time_ns()
            stamp = Time(now // 10**9, now % 10**9)
            position = here + [0.5, finger, -finger]
            states.write(
                JointState(Header(stamp, ""), JOINTS + ["left_finger", "right_finger"], position, [0.0] * 9, [0.0] * 9)
            )
        time.sleep(0.001)
    seen["publications"] = list(writers.values())
    seen["subscriptions"] = list(readers.values())
    seen["modes"] = modes
    seen["registers"] = registers
    seen["here"] = here
    print(json.dumps(seen), flush=True)


def state(i):
    return JointState(Header(Time(i, 0), "base"), [f"joint_{k}" for k in range(7)], [0.1 * i] * 7, [0.0] * 7, [0.0] * 7)


def image(i):
    return Image(Header(Time(i, 0), "camera"), 480, 640, "rgb8", 0, 1920, PIXELS)


# A list: the fastest type of a sequence of octets here (bytes and bytearray are converted).
PIXELS = [i % 251 for i in range(640 * 480 * 3)] if "image" in sys.argv[1] else []


def ends(domain, kind, there, back):
    dp = DomainParticipant(domain)
    return dp, DataWriter(dp, Topic(dp, there, kind), qos=RELIABLE), DataReader(dp, Topic(dp, back, kind), qos=RELIABLE)


def echo(domain, kind):
    _dp, writer, reader = ends(domain, kind, "rt/pong", "rt/ping")
    print("ready", flush=True)
    while not stop.is_set():
        for message in reader.take_iter(timeout=duration(milliseconds=50)):
            writer.write(message)
            if stop.is_set():
                break


def ping(domain, kind, make, count):
    _dp, writer, reader = ends(domain, kind, "rt/ping", "rt/pong")
    print("ready", flush=True)
    seconds, lost, i = [], 0, 0
    deadline = time.monotonic() + 60
    # The first ones warm up; before the other side is found they are lost.
    warm = 20
    while len(seconds) < count + warm and time.monotonic() < deadline:
        i += 1
        message = make(i)
        started = time.perf_counter()
        writer.write(message)
        answered = False
        while time.perf_counter() - started < 1.0 and not answered:
            for back in reader.take(4):
                answered = answered or back.header.stamp.sec == i
        if answered:
            seconds.append(time.perf_counter() - started)
        elif seconds:
            lost += 1
        time.sleep(0.002)
    print(json.dumps({"seconds": seconds[warm:], "lost": lost}), flush=True)


def malformed(domain):
    dp = DomainParticipant(domain)
    writer = DataWriter(dp, Topic(dp, "rt/joint_states", Malformed), qos=RELIABLE)
    print("ready", flush=True)
    while not stop.is_set():
        writer.write(Malformed([2**31, 2**32 - 1, 7]))
        time.sleep(0.005)


def main():
    role, domain = sys.argv[1], int(sys.argv[2])
    kinds = {"state": (JointState, state), "image": (Image, image)}
    if role.startswith("ping-"):
        kind, make = kinds[role[5:]]
        ping(domain, kind, make, int(sys.argv[3]))
        return
    threading.Thread(target=wait_for_end, daemon=True).start()
    if role == "xs_sdk":
        xs_sdk(domain)
    elif role == "malformed":
        malformed(domain)
    else:
        echo(domain, kinds[role[5:]][0])


main()
