"""A minimal loop around the same policy, as one would write it in Python: PyTorch, Cyclone DDS, no safety.

    peer.py MODULE DOMAIN IMAGE_TOPIC

Loads the module, waits for the arm's joint states and then for an image taken after that, runs one inference, publishes
one command, and prints how long each part took as one line of JSON.
"""

import os
import time


def age():
    """Age of this process [s]."""
    with open("/proc/self/stat") as stat:
        started = int(stat.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/uptime") as uptime:
        return float(uptime.read().split()[0]) - started / os.sysconf("SC_CLK_TCK")


parts = {"program": age()}
since = time.monotonic()


def mark(part):
    global since
    now = time.monotonic()
    parts[part] = now - since
    since = now


import json  # noqa: E402
import sys  # noqa: E402
from dataclasses import dataclass  # noqa: E402

os.environ["CYCLONEDDS_URI"] = """<CycloneDDS><Domain><General>
<Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces><AllowMulticast>false</AllowMulticast></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>10</MaxAutoParticipantIndex>
<Peers><Peer Address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>"""

import numpy  # noqa: E402
import torch  # noqa: E402
from cyclonedds.core import Policy, Qos  # noqa: E402
from cyclonedds.domain import DomainParticipant  # noqa: E402
from cyclonedds.idl import IdlStruct  # noqa: E402
from cyclonedds.idl.types import float64, int32, sequence, uint8, uint32  # noqa: E402
from cyclonedds.pub import DataWriter  # noqa: E402
from cyclonedds.sub import DataReader  # noqa: E402
from cyclonedds.topic import Topic  # noqa: E402

mark("imports")


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
class JointCommand(IdlStruct, typename="intera_core_msgs::msg::dds_::JointCommand_"):
    header: Header
    mode: int32
    names: sequence[str]
    position: sequence[float64]
    velocity: sequence[float64]
    acceleration: sequence[float64]
    effort: sequence[float64]


def newest(reader, fits):
    """Waits for a matching sample."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        for sample in reader.take(16):
            if fits(sample):
                return sample
        time.sleep(0.001)
    sys.exit("no message came within 30 s")


module, domain, image_topic = sys.argv[1], int(sys.argv[2]), sys.argv[3]
policy = torch.jit.load(module).eval()
mark("weights")

participant = DomainParticipant(domain)
newest_only = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(1))
joints = DataReader(participant, Topic(participant, "rt/robot/joint_states", JointState), qos=newest_only)
images = DataReader(participant, Topic(participant, f"rt{image_topic}", Image), qos=newest_only)
commands = DataWriter(participant, Topic(participant, "rt/robot/limb/right/joint_command", JointCommand))
names = [f"right_j{i}" for i in range(7)]
state = newest(joints, lambda sample: names[0] in sample.name)
mark("link")

asked = time.time()
image = newest(images, lambda sample: sample.header.stamp.sec + 1e-9 * sample.header.stamp.nanosec > asked)
mark("cameras")

with torch.no_grad():
    pixels = torch.from_numpy(numpy.array(image.data, dtype=numpy.uint8).reshape(1, image.height, image.width, 3))
    pixels = pixels.permute(0, 3, 1, 2).float().div(255)
    pixels = torch.nn.functional.interpolate(pixels, (224, 224), mode="bilinear", antialias=True, align_corners=False)
    here = [state.position[state.name.index(name)] for name in names]
    action = policy(pixels, torch.tensor([here], dtype=torch.float32))
    action = action[0].tolist()
mark("first decision")

# The pose change is not turned into joints here: that takes a kinematic chain.
commands.write(JointCommand(Header(Time(0, 0), ""), 1, names, here, [], [], []))
mark("first command")

print(json.dumps({"parts": parts, "threads": torch.get_num_threads(), "torch": torch.__version__, "action": action}), flush=True)
# Leaves the graph explicitly: the next `run` refuses an arm that another program still commands.
del commands, joints, images
del participant
