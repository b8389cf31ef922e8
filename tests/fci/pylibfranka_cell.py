"""One cell of the comparison: Franka's own libfranka (PyPI pylibfranka) holds an FR3 by zero torques for some seconds.

Usage: pylibfranka_cell.py HOST SECONDS > cell.json

Measured as in benches/fci.rs: from readOnce having returned to writeOnce having returned, and from one return of readOnce
to the next, with the same monotonic clock. libfranka has no port option: the robot must listen on 1337.
"""

import gc
import json
import sys
import time

import pylibfranka


def main():
    host, seconds = sys.argv[1], float(sys.argv[2])
    robot = pylibfranka.Robot(host, pylibfranka.RealtimeConfig.kIgnore)
    control = robot.start_torque_control()
    turnarounds, intervals, rates = [], [], []
    # Pauses of Python's garbage collector would be counted as libfranka's.
    gc.disable()
    torques = pylibfranka.Torques([0.0] * 7)
    clock = time.perf_counter_ns
    before = None
    end = clock() + int(seconds * 1e9)
    lost = 0
    while True:
        state, passed = control.readOnce()
        received = clock()
        control.writeOnce(torques)
        sent = clock()
        turnarounds.append(sent - received)
        if before is not None:
            intervals.append(received - before)
            lost += max(0, round(passed.to_sec() * 1000) - 1)
        before = received
        rates.append(state.control_command_success_rate)
        if sent > end:
            break
    last = pylibfranka.Torques([0.0] * 7)
    last.motion_finished = True
    control.writeOnce(last)
    json.dump(
        {
            "client": "pylibfranka",
            "version": pylibfranka._version.__version__,
            "turnaround_ns": turnarounds,
            "interval_ns": intervals,
            "success_rate": rates,
            "lost_states": lost,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
