"""Makes tests/golden/ruckig.json: random motions computed by the original Ruckig (PyPI `ruckig`, C++).

    pip install ruckig==0.19.4
    python tests/golden/ruckig_oracle.py

Each case has a state, a goal at rest, limits and optionally a minimum duration; the result is the duration and the state at
five fractions of it. Phase synchronization where the input allows it, time synchronization elsewhere, as
src/station/control/trajectory.rs requests. tests/motion/ruckig_oracle.rs reads the file.
"""

import json
import random
from pathlib import Path

import ruckig
from ruckig import InputParameter, Result, Ruckig, Synchronization, Trajectory

JOINTS = 7
CASES = 150
FRACTIONS = [0.1, 0.3, 0.5, 0.7, 0.9]


def rounded(values):
    return [round(value, 12) for value in values]


def short(values):
    return [round(value, 10) for value in values]


def case(rng, kind):
    limits = {
        "velocity": rounded(rng.uniform(0.5, 3.0) for _ in range(JOINTS)),
        "acceleration": rounded(rng.uniform(2.0, 25.0) for _ in range(JOINTS)),
        "jerk": rounded(rng.uniform(100.0, 8000.0) for _ in range(JOINTS)),
    }
    moving = kind != "rest"
    start = rounded(rng.uniform(-2.5, 2.5) for _ in range(JOINTS))
    near = 0.3 if kind == "near" else 4.0
    goal = rounded(p + rng.uniform(-near, near) for p in start)
    velocity = rounded(rng.uniform(-0.9, 0.9) * v if moving else 0.0 for v in limits["velocity"])
    acceleration = rounded(rng.uniform(-0.7, 0.7) * a if moving else 0.0 for a in limits["acceleration"])
    minimum = round(rng.uniform(0.05, 3.0), 6) if rng.random() < 0.5 else None

    parameter = InputParameter(JOINTS)
    parameter.synchronization = Synchronization.Phase
    parameter.current_position = start
    parameter.current_velocity = velocity
    parameter.current_acceleration = acceleration
    parameter.target_position = goal
    parameter.target_velocity = [0.0] * JOINTS
    parameter.target_acceleration = [0.0] * JOINTS
    parameter.max_velocity = limits["velocity"]
    parameter.max_acceleration = limits["acceleration"]
    parameter.max_jerk = limits["jerk"]
    if minimum is not None:
        parameter.minimum_duration = minimum
    trajectory = Trajectory(JOINTS)
    result = Ruckig(JOINTS).calculate(parameter, trajectory)
    if result not in (Result.Working, Result.Finished):
        raise SystemExit(f"the original failed: {result}")
    samples = []
    for fraction in FRACTIONS:
        position, speed, acc = trajectory.at_time(fraction * trajectory.duration)
        samples.append({"position": short(position), "velocity": short(speed), "acceleration": short(acc)})
    return {
        "kind": kind,
        "start": start,
        "velocity": velocity,
        "acceleration": acceleration,
        "goal": goal,
        "limits": limits,
        "minimum": minimum,
        "duration": trajectory.duration,
        "samples": samples,
    }


def main():
    rng = random.Random(20260101)
    kinds = ["rest", "moving", "near"]
    cases = [case(rng, kinds[i % len(kinds)]) for i in range(CASES)]
    out = {"ruckig": ruckig.__version__ if hasattr(ruckig, "__version__") else "0.19.4", "fractions": FRACTIONS, "case": cases}
    Path(__file__).with_name("ruckig.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")


main()
