"""Drives an FR3 at 127.0.0.1 by the manufacturer's own client, libfranka (PyPI's pylibfranka), and prints the result.

Needs pylibfranka==0.21.3, which `serve_franka_sim.py` needs too. libfranka supports only port 1337.
"""

import math

import pylibfranka
from pylibfranka import ControllerMode, JointPositions, JointVelocities, RealtimeConfig, Torques

SECONDS = 0.5

# Cycles at rest first: the robot waits for late replies only once it has had one, and a computer may stall before that.
AT_REST = 50


def move(start, command):
    """Runs one motion to its end: `command` is given the time since rest [s] and the first desired positions [rad].

    Time is counted in commands, so that a stall before the first reply makes no jump.
    """
    motion = start()
    state, _ = motion.readOnce()
    first, cycle = list(state.q_d), 0
    while True:
        time = max(0, cycle - AT_REST) * 1e-3
        wanted = command(time, first)
        wanted.motion_finished = time >= SECONDS
        motion.writeOnce(wanted)
        if time >= SECONDS:
            return
        motion.readOnce()
        cycle += 1


def main():
    robot = pylibfranka.Robot("127.0.0.1", RealtimeConfig.kIgnore)
    robot.set_collision_behavior([20.0] * 7, [40.0] * 7, [20.0] * 6, [40.0] * 6)
    robot.set_joint_impedance([3000.0, 3000.0, 3000.0, 2500.0, 2500.0, 2000.0, 2000.0])
    robot.set_load(0.5, [0.0, 0.0, 0.05], [0.001, 0.0, 0.0, 0.0, 0.001, 0.0, 0.0, 0.0, 0.001])
    robot.load_model()
    print("connected", robot.read_once().robot_mode.name)

    own = ControllerMode.JointImpedance
    turn = 2 * math.pi / SECONDS
    move(
        lambda: robot.start_joint_position_control(own),
        lambda t, q: JointPositions(q[:6] + [q[6] + 0.01 * (1 - math.cos(turn * min(t, SECONDS) / 2))]),
    )
    move(
        lambda: robot.start_joint_velocity_control(own),
        lambda t, q: JointVelocities([0.0] * 6 + [0.05 * (1 - math.cos(turn * min(t, SECONDS)))]),
    )
    move(lambda: robot.start_torque_control(), lambda t, q: Torques([0.0] * 6 + [0.05 * math.sin(turn * t)]))
    print("moved", robot.read_once().robot_mode.name)

    motion = robot.start_joint_position_control(own)
    state, _ = motion.readOnce()
    wanted = list(state.q_d)
    try:
        for step in AT_REST * [0.0] + AT_REST * [0.01]:
            motion.writeOnce(JointPositions([wanted[0] + step] + wanted[1:]))
            motion.readOnce()
        print("a jump was taken")
    except pylibfranka.ControlException as error:
        print("refused", "joint_motion_generator_velocity_limits_violation" in str(error))
    del motion
    print("then", robot.read_once().robot_mode.name)
    robot.automatic_error_recovery()
    print("recovered", robot.read_once().robot_mode.name)


if __name__ == "__main__":
    main()
