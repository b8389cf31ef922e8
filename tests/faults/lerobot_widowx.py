"""LeRobot 0.4.4 drives an emulated WidowX 250 over its serial port, to show the effect of the same faults there.

Arguments: the port. The arm is LeRobot's Koch follower with the WidowX's servo list, as a lab would add it; its loop is
`lerobot-teleoperate`'s own `teleop_loop` within the same `try` and `finally`; its camera is LeRobot's OpenCV camera over a
capture that this file makes up. Settings are LeRobot's defaults. The waist sways at 1.1 rad/s. Lines on the standard input
inject a fault: `nan`, `jump`, `slow`, `camera silent`, `camera frozen`.
"""

import logging
import math
import sys
import threading
import time

import cv2
import numpy

from lerobot.cameras.opencv.configuration_opencv import OpenCVCameraConfig
from lerobot.motors import Motor, MotorNormMode
from lerobot.motors.dynamixel import DynamixelMotorsBus, OperatingMode
from lerobot.processor import make_default_processors
from lerobot.robots.koch_follower import KochFollower, KochFollowerConfig
from lerobot.teleoperators.config import TeleoperatorConfig
from lerobot.teleoperators.teleoperator import Teleoperator

try:
    from lerobot.scripts.lerobot_teleoperate import teleop_loop
except ImportError as error:
    sys.exit(f"LeRobot's own loop cannot be imported: {error}")

SPEED = 1.1  # rad/s, as the waist of this project's own rows
FPS = 60  # the script's default
fault = {"policy": None, "camera": None}


def event(what):
    print(f"{time.monotonic():.6f} {what}", flush=True)


def listen():
    for line in sys.stdin:
        kind = line.strip()
        if kind.startswith("camera "):
            fault["camera"] = kind.removeprefix("camera ")
        else:
            fault["policy"] = kind


class Capture(cv2.VideoCapture):
    """A camera of noise at 30 images a second that fails on cue."""

    def __init__(self, *_):
        super().__init__()
        self.noise = numpy.random.default_rng(1)
        self.image = self.noise.integers(0, 255, (480, 640, 3), numpy.uint8)

    def isOpened(self):  # noqa: N802 (OpenCV's name)
        return True

    def set(self, *_):
        return True

    def get(self, what):
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0}.get(what, 0.0)

    def read(self):
        time.sleep(1 / 30)
        while fault["camera"] == "silent":
            time.sleep(0.01)
        if fault["camera"] != "frozen":
            self.image = self.noise.integers(0, 255, (480, 640, 3), numpy.uint8)
        return True, self.image.copy()

    def release(self):
        pass


class WidowX(KochFollower):
    """The Koch follower's class over the WidowX's servos; the second servos of shoulder and elbow follow the first."""

    name = "widowx"

    def __init__(self, config):
        super().__init__(config)
        body = MotorNormMode.DEGREES if config.use_degrees else MotorNormMode.RANGE_M100_100
        servos = {
            "waist": (1, "xm430-w350"),
            "shoulder": (2, "xm430-w350"),
            "elbow": (4, "xm430-w350"),
            "forearm_roll": (6, "xm430-w350"),
            "wrist_angle": (7, "xm430-w350"),
            "wrist_rotate": (8, "xl430-w250"),
            "gripper": (9, "xl430-w250"),
        }
        motors = {name: Motor(number, model, body) for name, (number, model) in servos.items()}
        self.bus = DynamixelMotorsBus(port=config.port, motors=motors, calibration=self.calibration)

    def connect(self, calibrate=True):
        # The manufacturer calibrated the servos: their readings are the calibration.
        self.bus.connect()
        self.bus.calibration = self.calibration = self.bus.read_calibration()
        for camera in self.cameras.values():
            camera.connect()
        self.configure()

    def configure(self):
        with self.bus.torque_disabled():
            self.bus.configure_motors()
            for motor in self.bus.motors:
                self.bus.write("Operating_Mode", motor, OperatingMode.EXTENDED_POSITION.value)


class Sway(Teleoperator):
    """Turns the waist back and forth, half a second one way first, then a second each way, and keeps the other joints."""

    config_class = TeleoperatorConfig
    name = "sway"

    def __init__(self, start):
        self.start = start
        self.step = 0
        self.units = 0.0

    action_features = feedback_features = {}
    is_connected = is_calibrated = True

    def connect(self, calibrate=True):
        pass

    def calibrate(self):
        pass

    def configure(self):
        pass

    def send_feedback(self, feedback):
        pass

    def disconnect(self):
        pass

    def get_action(self):
        if self.step == 0:
            event("moving")
        if fault["policy"] == "slow":
            fault["policy"] = None
            time.sleep(1.2)
        # One step per call: a stall is not made up for.
        direction = 1 if (self.step + FPS // 2) // FPS % 2 == 0 else -1
        self.step += 1
        self.units += direction * SPEED / FPS / math.pi * 100  # of the range -100 .. 100 over a turn
        action = dict(self.start)
        action["waist.pos"] += self.units
        if fault["policy"] == "nan":
            action["waist.pos"] = math.nan
        if fault["policy"] == "jump":
            action["waist.pos"] += 50.0
        return action


def main():
    logging.basicConfig(level=logging.INFO)
    threading.Thread(target=listen, daemon=True).start()
    import lerobot.cameras.opencv.camera_opencv as module

    module.cv2.VideoCapture = Capture
    camera = OpenCVCameraConfig(index_or_path=0, fps=30, width=640, height=480)
    robot = WidowX(KochFollowerConfig(port=sys.argv[1], id="widowx", cameras={"front": camera}))
    teleop_action, robot_action, robot_observation = make_default_processors()
    robot.connect()
    present = {key: value for key, value in robot.get_observation().items() if key.endswith(".pos")}
    teleop = Sway(present)
    try:
        teleop_loop(teleop, robot, FPS, teleop_action, robot_action, robot_observation)
    except KeyboardInterrupt:
        pass
    finally:
        teleop.disconnect()
        robot.disconnect()
        event("left")


if __name__ == "__main__":
    main()
