"""Cyclone DDS (PyPI `cyclonedds`), which shares no code with ours, in the role of the manufacturers' nodes on loopback.

    peer.py sawyer|jaco|panda DOMAIN

Prints `ready` when it is, ends at the end of standard input, and then prints what it received as one line of JSON. Services are
laid out as rmw_cyclonedds does: a 64-bit client id and a 64-bit sequence number before the fields.
"""

import json
import os
import sys
import threading
import time
import types

os.environ["CYCLONEDDS_URI"] = """<CycloneDDS><Domain><General>
<Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces><AllowMulticast>false</AllowMulticast></General>
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
from cyclonedds.idl.types import (  # noqa: E402
    array, float32, float64, int32, int64, sequence, uint8, uint16, uint32, uint64,
)
from cyclonedds.pub import DataWriter  # noqa: E402
from cyclonedds.sub import DataReader  # noqa: E402
from cyclonedds.topic import Topic  # noqa: E402
from cyclonedds.util import duration  # noqa: E402

RELIABLE = Qos(Policy.Reliability.Reliable(duration(milliseconds=100)), Policy.History.KeepLast(10))
KINDS = {
    "bool": bool, "string": str, "uint8": uint8, "uint16": uint16, "uint32": uint32, "uint64": uint64,
    "int32": int32, "int64": int64, "float32": float32, "float64": float64,
}


def define(name, fields, folder="msg"):
    """A type by its fields, `type name; type name`."""

    def kind(text):
        if text.endswith("[]"):
            return sequence[KINDS[text[:-2]]]
        if text.endswith("]"):
            inner, length = text[:-1].split("[")
            return array[KINDS[inner], int(length)]
        return KINDS[text]

    pairs = [field.split() for field in fields.split(";")]

    def fill(namespace):
        namespace["__annotations__"] = {field: kind(text) for text, field in pairs}
        namespace["__module__"] = __name__

    package, short = name.split("/")
    options = {"typename": f"{package}::{folder}::dds_::{short}_"}
    KINDS[name] = dataclass(types.new_class(f"{package}_{short}", (IdlStruct,), options, fill))
    return KINDS[name]


Time = define("builtin_interfaces/Time", "int32 sec; uint32 nanosec")
Duration = define("builtin_interfaces/Duration", "int32 sec; uint32 nanosec")
Header = define("std_msgs/Header", "builtin_interfaces/Time stamp; string frame_id")
JointState = define(
    "sensor_msgs/JointState",
    "std_msgs/Header header; string[] name; float64[] position; float64[] velocity; float64[] effort",
)
HEAD = "uint64 client_id; int64 sequence_number; "
EMPTY = "uint8 structure_needs_at_least_one_member"


def header():
    return Header(Time(0, 0), "")


def joint_state(names, positions, velocities):
    return JointState(header(), names, positions, velocities, [0.0] * len(names))


class Peer:
    def __init__(self, domain):
        self.participant = DomainParticipant(domain)
        self.publications = BuiltinDataReader(self.participant, BuiltinTopicDcpsPublication)
        self.subscriptions = BuiltinDataReader(self.participant, BuiltinTopicDcpsSubscription)
        self.writers, self.readers, self.servers = {}, {}, []
        self.seen = {"commands": 0, "calls": []}

    def writer(self, topic, kind):
        return DataWriter(self.participant, Topic(self.participant, f"rt{topic}", kind), qos=RELIABLE)

    def reader(self, topic, kind):
        return DataReader(self.participant, Topic(self.participant, f"rt{topic}", kind), qos=RELIABLE)

    def serve(self, service, name, ask, answer, handle):
        request = define(f"{name}_Request", HEAD + ask, "srv")
        response = define(f"{name}_Response", HEAD + answer, "srv")
        reader = DataReader(self.participant, Topic(self.participant, f"rq{service}Request", request), qos=RELIABLE)
        writer = DataWriter(self.participant, Topic(self.participant, f"rr{service}Reply", response), qos=RELIABLE)
        self.servers.append((service, reader, writer, response, handle))

    def turn(self):
        for builtin, into in ((self.publications, self.writers), (self.subscriptions, self.readers)):
            for sample in builtin.take(256):
                if getattr(sample, "topic_name", None):
                    reliable = isinstance(sample.qos[Policy.Reliability], Policy.Reliability.Reliable)
                    volatile = sample.qos[Policy.Durability] == Policy.Durability.Volatile
                    into[str(sample.key)] = {
                        "topic": sample.topic_name, "type": sample.type_name, "reliable": reliable, "volatile": volatile,
                    }
        for service, reader, writer, response, handle in self.servers:
            for ask in reader.take(10):
                self.seen["calls"].append(service)
                self.wait_for_a_reader(writer)
                writer.write(response(ask.client_id, ask.sequence_number, *handle(ask)))

    @staticmethod
    def wait_for_a_reader(writer):
        """As rmw does: a reply that is written before the client's reader was discovered is lost."""
        give_up = time.monotonic() + 1
        while not writer.get_matched_subscriptions() and time.monotonic() < give_up:
            time.sleep(0.001)

    def end(self, **more):
        self.seen.update(more)
        self.seen["publications"] = list(self.writers.values())
        self.seen["subscriptions"] = list(self.readers.values())
        print(json.dumps(self.seen), flush=True)


stop = threading.Event()


def wait_for_end():
    sys.stdin.read()
    stop.set()


def every(period, turn):
    due = time.monotonic()
    print("ready", flush=True)
    while not stop.is_set():
        turn(time.monotonic() >= due)
        if time.monotonic() >= due:
            due += period
        time.sleep(0.001)


def sawyer(peer):
    command = define(
        "intera_core_msgs/JointCommand",
        "std_msgs/Header header; int32 mode; string[] names; float64[] position; float64[] velocity; "
        "float64[] acceleration; float64[] effort",
    )
    assembly = define(
        "intera_core_msgs/RobotAssemblyState",
        "bool homed; bool ready; bool enabled; bool stopped; bool error; bool lowVoltage; uint8 estop_button; "
        "uint8 estop_source",
    )
    boolean, number = define("std_msgs/Bool", "bool data"), define("std_msgs/Float64", "float64 data")
    limb = "/robot/limb/right"
    commands = peer.reader(f"{limb}/joint_command", command)
    timeouts = peer.reader(f"{limb}/joint_command_timeout", number)
    enables = peer.reader("/robot/set_super_enable", boolean)
    joints = peer.writer("/robot/joint_states", JointState)
    states = peer.writer("/robot/state", assembly)
    names = ["head_pan"] + [f"right_j{i}" for i in range(7)]
    here = [0.0, 0.0, -1.18, 0.0, 2.18, 0.0, 0.57, 3.3161]
    enabled, modes, timeout = False, set(), None

    def turn(due):
        nonlocal enabled, timeout
        peer.turn()
        for ask in enables.take(10):
            enabled = ask.data
        for ask in timeouts.take(10):
            timeout = ask.data
        for ask in commands.take(10):
            peer.seen["commands"] += 1
            modes.add(ask.mode)
            if enabled and ask.mode == 1:
                for name, position in zip(ask.names, ask.position):
                    here[names.index(name)] = position
        if due:
            # In another order than the arm's chain: readers that rely on the order are wrong.
            joints.write(joint_state(names[::-1], here[::-1], [0.0] * 8))
            states.write(assembly(True, True, enabled, False, False, False, 0, 0))

    every(0.01, turn)
    peer.end(here=here[1:], modes=sorted(modes), timeout=timeout)


def jaco(peer):
    seven = "; ".join(f"float32 joint{i}" for i in range(1, 8))
    velocity = define("kinova_msgs/JointVelocity", seven)
    angles = define("kinova_msgs/JointAngles", seven)
    space = "/j2s7s300_driver"
    commands = peer.reader(f"{space}/in/joint_velocity", velocity)
    joints = peer.writer(f"{space}/out/joint_state", JointState)
    torques = peer.writer(f"{space}/out/joint_torques", angles)
    told = "string result"
    peer.serve(f"{space}/in/clear_trajectories", "kinova_msgs/ClearTrajectories", EMPTY, told, lambda _: ["cleared"])
    names = [f"j2s7s300_joint_{i}" for i in range(1, 8)]
    here = [4.71, 2.84, 0.0, 0.75, 4.62, 4.48, 4.88]
    fastest = [0.0]

    def turn(due):
        peer.turn()
        for ask in commands.take(20):
            peer.seen["commands"] += 1
            for i in range(7):
                degrees = getattr(ask, f"joint{i + 1}")
                fastest[0] = max(fastest[0], abs(degrees))
                # One message is one step of 10 ms.
                here[i] += degrees * 3.141592653589793 / 180 * 0.01
        if due:
            joints.write(joint_state(names, here, [0.0] * 7))
            torques.write(angles(*[0.0] * 7))

    every(0.05, turn)
    peer.end(here=here, fastest=fastest[0])


def panda(peer):
    names = [f"panda_joint{i}" for i in range(1, 8)]
    define("std_msgs/MultiArrayDimension", "string label; uint32 size; uint32 stride")
    define("std_msgs/MultiArrayLayout", "std_msgs/MultiArrayDimension[] dim; uint32 data_offset")
    numbers = define("std_msgs/Float64MultiArray", "std_msgs/MultiArrayLayout layout; float64[] data")
    vector = define("geometry_msgs/Vector3", "float64 x; float64 y; float64 z")
    point = define("geometry_msgs/Point", "float64 x; float64 y; float64 z")
    quaternion = define("geometry_msgs/Quaternion", "float64 x; float64 y; float64 z; float64 w")
    pose = define("geometry_msgs/Pose", "geometry_msgs/Point position; geometry_msgs/Quaternion orientation")
    twist = define("geometry_msgs/Twist", "geometry_msgs/Vector3 linear; geometry_msgs/Vector3 angular")
    accel = define("geometry_msgs/Accel", "geometry_msgs/Vector3 linear; geometry_msgs/Vector3 angular")
    wrench = define("geometry_msgs/Wrench", "geometry_msgs/Vector3 force; geometry_msgs/Vector3 torque")
    inertia = define(
        "geometry_msgs/Inertia",
        "float64 m; geometry_msgs/Vector3 com; float64 ixx; float64 ixy; float64 ixz; float64 iyy; float64 iyz; float64 izz",
    )
    stamped = {
        short: define(f"geometry_msgs/{short}Stamped", f"std_msgs/Header header; geometry_msgs/{short} {field}")
        for short, field in (
            ("Pose", "pose"), ("Twist", "twist"), ("Accel", "accel"), ("Wrench", "wrench"), ("Inertia", "inertia"),
        )
    }
    collision = define(
        "franka_msgs/CollisionIndicators",
        "; ".join(f"geometry_msgs/Vector3 {k}_{w}" for w in ("collision", "contact") for k in ("linear", "angular"))
        + "; float64[7] joint_collision; float64[7] joint_contact",
    )
    elbow = define("franka_msgs/Elbow", "; ".join(f"float64[2] part{i}" for i in range(5)))
    errors = define("franka_msgs/Errors", "; ".join(f"bool error{i}" for i in range(36)))
    state = define(
        "franka_msgs/FrankaRobotState",
        "std_msgs/Header header; franka_msgs/CollisionIndicators collision_indicators; sensor_msgs/JointState a; "
        "sensor_msgs/JointState b; sensor_msgs/JointState c; float64[7] ddq_d; float64[7] dtau_j; "
        "sensor_msgs/JointState tau; franka_msgs/Elbow elbow; geometry_msgs/WrenchStamped k_f; "
        "geometry_msgs/WrenchStamped o_f; geometry_msgs/InertiaStamped ee; geometry_msgs/InertiaStamped load; "
        "geometry_msgs/InertiaStamped total; geometry_msgs/PoseStamped p1; geometry_msgs/PoseStamped p2; "
        "geometry_msgs/PoseStamped p3; geometry_msgs/PoseStamped p4; geometry_msgs/PoseStamped p5; "
        "geometry_msgs/TwistStamped t1; geometry_msgs/TwistStamped t2; geometry_msgs/AccelStamped a1; float64 time; "
        "float64 control_command_success_rate; uint8 robot_mode; franka_msgs/Errors now; franka_msgs/Errors last",
    )

    def zero():
        v = lambda: vector(0.0, 0.0, 0.0)  # noqa: E731
        joints = lambda: JointState(header(), [], [], [], [])  # noqa: E731
        p = lambda: stamped["Pose"](header(), pose(point(0.0, 0.0, 0.0), quaternion(0.0, 0.0, 0.0, 1.0)))  # noqa: E731
        t = lambda: stamped["Twist"](header(), twist(v(), v()))  # noqa: E731
        w = lambda: stamped["Wrench"](header(), wrench(v(), v()))  # noqa: E731
        m = lambda: stamped["Inertia"](header(), inertia(0.0, v(), *[0.0] * 6))  # noqa: E731
        none = errors(*[False] * 36)
        hit = collision(v(), v(), v(), v(), [0.0] * 7, [0.0] * 7)
        bent = elbow(*[[0.0, 0.0] for _ in range(5)])
        a = stamped["Accel"](header(), accel(v(), v()))
        return state(
            header(), hit, joints(), joints(), joints(), [0.0] * 7, [0.0] * 7, joints(), bent, w(), w(), m(), m(), m(),
            p(), p(), p(), p(), p(), t(), t(), a, 1.0, 0.99, 1, none, none,
        )

    define("controller_manager_msgs/ChainConnection", "string name; string[] reference_interfaces")
    controller = define(
        "controller_manager_msgs/ControllerState",
        "string name; string state; string type; bool is_async; uint16 update_rate; string[] claimed_interfaces; "
        "string[] required_command_interfaces; string[] required_state_interfaces; bool is_chainable; bool is_chained; "
        "string[] exported_state_interfaces; string[] reference_interfaces; "
        "controller_manager_msgs/ChainConnection[] chain_connections",
    )
    modes = {"position": "inactive", "velocity": "inactive", "effort": "inactive"}

    def listed(_):
        return [[
            controller(
                f"forward_{mode}_controller", active, "forward_command_controller/ForwardCommandController", False, 1000,
                [], [f"{name}/{mode}" for name in names], [], False, False, [], [], [],
            )
            for mode, active in modes.items()
        ]]

    def switch(ask):
        for mode in modes:
            if f"forward_{mode}_controller" in ask.deactivate_controllers:
                modes[mode] = "inactive"
            if f"forward_{mode}_controller" in ask.activate_controllers:
                modes[mode] = "active"
        return [True, ""]

    peer.serve(
        "/controller_manager/list_controllers", "controller_manager_msgs/ListControllers", EMPTY,
        "controller_manager_msgs/ControllerState[] controller", listed,
    )
    peer.serve(
        "/controller_manager/switch_controller", "controller_manager_msgs/SwitchController",
        "string[] activate_controllers; string[] deactivate_controllers; int32 strictness; bool activate_asap; "
        "builtin_interfaces/Duration timeout", "bool ok; string message", switch,
    )
    commands = {mode: peer.reader(f"/forward_{mode}_controller/commands", numbers) for mode in modes}
    joints = peer.writer("/franka/joint_states", JointState)
    states = peer.writer("/franka_robot_state_broadcaster/robot_state", state)
    here = [0.0, -0.785398, 0.0, -2.356194, 0.0, 1.570796, 0.785398]
    robot_state = zero()

    def turn(due):
        peer.turn()
        for mode, reader in commands.items():
            for ask in reader.take(20):
                peer.seen["commands"] += 1
                if mode == "position" and modes[mode] == "active" and len(ask.data) == 7:
                    here[:] = ask.data
        if due:
            joints.write(joint_state(names, here, [0.0] * 7))
            states.write(robot_state)

    every(0.01, turn)
    peer.end(here=here, modes=modes)


def main():
    threading.Thread(target=wait_for_end, daemon=True).start()
    {"sawyer": sawyer, "jaco": jaco, "panda": panda}[sys.argv[1]](Peer(int(sys.argv[2])))


main()
