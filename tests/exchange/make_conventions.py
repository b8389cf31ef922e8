"""Writes LeRobot v3.0 data sets with pyarrow, each with a convention of its own: input for the import's tests.

Usage: python make_conventions.py FOLDER COUNT SEED
FOLDER/NNN is a data set of two episodes of 60 steps at 10 Hz without cameras; FOLDER/NNN.json holds Bridge's states and actions, the
options that state the convention, and the names. A tool moves smoothly; an action is the change that follows it, written in the
convention. Names may hide the convention, but do not contradict what only they can tell (the sense of a gripper that states and
actions share).
"""

import json
import os
import sys

import numpy
import pyarrow
import pyarrow.parquet

root, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
FPS, LENGTH, EPISODES = 10, 60, 2


def euler_matrix(roll, pitch, yaw):
    (cr, sr), (cp, sp), (cy, sy) = [(numpy.cos(a), numpy.sin(a)) for a in (roll, pitch, yaw)]
    x = numpy.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    y = numpy.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    z = numpy.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return z @ y @ x


def matrix_euler(m):
    return numpy.array([numpy.arctan2(m[2, 1], m[2, 2]), -numpy.arcsin(numpy.clip(m[2, 0], -1, 1)), numpy.arctan2(m[1, 0], m[0, 0])])


def matrix_quaternion(m):
    """x y z w"""
    values, vectors = numpy.linalg.eigh(numpy.array([
        [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
        [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
        [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
        [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
    ]))
    q = vectors[:, -1]
    return q if q[3] >= 0 else -q


def matrix_vector(m):
    q = matrix_quaternion(m)
    length = numpy.linalg.norm(q[:3])
    return numpy.zeros(3) if length < 1e-12 else q[:3] / length * 2 * numpy.arctan2(length, q[3])


ROTATIONS = {
    "euler-xyz": matrix_euler,
    "rotvec": matrix_vector,
    "quat-xyzw": matrix_quaternion,
    "quat-wxyz": lambda m: matrix_quaternion(m)[[3, 0, 1, 2]],
    "rot6d": lambda m: m[:, :2].T.reshape(-1),
}
GRIPPERS = {
    "open-1": lambda g: g,
    "open-0": lambda g: 1 - g,
    "0..100": lambda g: 100 * g,
    "-1..1": lambda g: 2 * g - 1,
    "1..-1": lambda g: 1 - 2 * g,
    "meters=0.08": lambda g: 0.08 * g,
}
THREE = {
    "bridge": "x y z roll pitch yaw gripper",
    "ee": "ee.x ee.y ee.z ee.wx ee.wy ee.wz ee.gripper_pos",
    "three": "x y z rx ry rz gripper",
    "delta": "dx dy dz droll dpitch dyaw gripper",
    "plain": None,
}
FOUR = {"quaternion": "x y z qx qy qz qw gripper", "delta_quaternion": "dx dy dz qx qy qz qw gripper_open"}


def make(number):
    random = numpy.random.default_rng([seed, number])
    pick = lambda options: options[random.integers(len(options))]
    robot = pick(["widowx", "widowx", "widowx", "panda", "so100"])
    kind, frame = pick(["delta", "delta", "absolute"]), "base"
    if kind == "delta" and random.random() < 0.25:
        frame = "tool"
    scale = pick([1.0, 1.0, 0.05, 0.001, 20.0]) if kind == "delta" else 1.0
    rotation = pick(["euler-xyz", "euler-xyz", "rotvec", "quat-xyzw", "quat-wxyz", "rot6d"])
    style = {3: pick(list(THREE)), 4: pick(list(FOUR)), 6: "plain"}[{"euler-xyz": 3, "rotvec": 3, "rot6d": 6}.get(rotation, 4)]
    state_gripper = pick(list(GRIPPERS))
    action_gripper = state_gripper if random.random() < 0.6 else pick(list(GRIPPERS))
    is_bridge = style == "bridge" and robot == "widowx"
    if is_bridge and state_gripper == action_gripper == "open-0":
        # Nothing in such data tells them from their opposite, and their names say Bridge's.
        state_gripper = action_gripper = "open-1"
    if style == "delta_quaternion":
        # `gripper_open` and `qw` in its place are no guesses.
        state_gripper = action_gripper = "open-1"
    names = dict(THREE, **FOUR)[style]
    if names and " qx " in names:
        rotation = "quat-xyzw"
    states, actions, state_numbers, action_numbers = [], [], [], []
    for _ in range(EPISODES):
        phase = random.uniform(0, 6, 12)
        t = numpy.arange(LENGTH + 1)
        p = numpy.stack([0.3 + 0.1 * numpy.sin(0.21 * t + phase[0]), 0.15 * numpy.sin(0.13 * t + phase[1]), 0.15 + 0.06 * numpy.sin(0.27 * t + phase[2])], 1)
        e = numpy.stack([0.6 * numpy.sin(0.11 * t + phase[3]) + 0.8, 0.5 * numpy.sin(0.17 * t + phase[4]) + 0.3, 0.9 * numpy.sin(0.12 * t + phase[5]) - 0.7], 1)
        m = [euler_matrix(*angles) for angles in e]
        target = (numpy.sin(0.3 * t + phase[6]) > 0).astype(float)
        g = numpy.zeros(LENGTH + 1)
        g[0] = target[0]
        for i in range(LENGTH):
            g[i + 1] = g[i] + 0.7 * (target[i] - g[i])
        for i in range(LENGTH):
            dp, dm = p[i + 1] - p[i], m[i + 1] @ m[i].T
            states.append([*p[i], *matrix_euler(m[i]), g[i]])
            actions.append([*dp, *matrix_euler(dm), target[i]])
            write = ROTATIONS[rotation]
            if kind == "absolute":
                position, turn = p[i + 1], write(m[i + 1])
            elif frame == "tool":
                position, turn = m[i].T @ dp / scale, write(m[i].T @ dm @ m[i])
            else:
                position, turn = dp / scale, write(dm)
            state_numbers.append([*p[i], *write(m[i]), GRIPPERS[state_gripper](g[i])])
            action_numbers.append([*position, *turn, GRIPPERS[action_gripper](target[i])])
    state_names, action_names = names, names
    if style in ("delta", "delta_quaternion"):
        state_names = names.replace("dx dy dz", "x y z").replace("droll dpitch dyaw", "roll pitch yaw")
    width = len(state_numbers[0])
    folder = os.path.join(root, f"{number:03}")
    features = {}
    for key, of in (("observation.state", state_names), ("action", action_names)):
        features[key] = {"dtype": "float32", "shape": [width], "names": of.split() if of else None}
    for key in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        features[key] = {"dtype": "float32" if key == "timestamp" else "int64", "shape": [1], "names": None}
    total = EPISODES * LENGTH
    info = {
        "codebase_version": "v3.0", "robot_type": robot, "total_episodes": EPISODES, "total_frames": total, "total_tasks": 1,
        "fps": FPS, "splits": {"train": f"0:{EPISODES}"}, "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None, "features": features,
    }
    for part in ("meta/episodes/chunk-000", "data/chunk-000"):
        os.makedirs(os.path.join(folder, part))
    with open(os.path.join(folder, "meta/info.json"), "w") as file:
        json.dump(info, file)
    lists = lambda rows: pyarrow.array([[float(v) for v in row] for row in rows], pyarrow.list_(pyarrow.float32()))
    frame_index = numpy.tile(numpy.arange(LENGTH), EPISODES)
    table = {
        "observation.state": lists(state_numbers), "action": lists(action_numbers), "timestamp": (frame_index / FPS).astype("f4"),
        "frame_index": frame_index, "episode_index": numpy.repeat(numpy.arange(EPISODES), LENGTH), "index": numpy.arange(total),
        "task_index": numpy.zeros(total, "i8"),
    }
    pyarrow.parquet.write_table(pyarrow.table(table), os.path.join(folder, "data/chunk-000/file-000.parquet"))
    rows = [
        {"episode_index": n, "tasks": ["move"], "length": LENGTH, "data/chunk_index": 0, "data/file_index": 0}
        for n in range(EPISODES)
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), os.path.join(folder, "meta/episodes/chunk-000/file-000.parquet"))
    truth = {
        "robot": robot, "style": style, "kind": kind, "frame": frame, "scale": scale, "rotation": rotation, "width": width,
        "gripper": state_gripper, "action_gripper": action_gripper, "states": states, "actions": actions,
    }
    with open(folder + ".json", "w") as file:
        json.dump(truth, file)


for number in range(count):
    make(number)
