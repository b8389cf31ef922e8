"""Runs PyPI's franka-sim (an FR3 that speaks FCI version 10, MuJoCo behind it) until standard input closes.

Usage: serve_franka_sim.py --port N [options of run-franka-sim-server]

Needs, in a separate environment (franka-sim pins numpy 1 and mujoco 3.2):
    pip install franka-sim==1.1.7 pylibfranka==0.21.3
    pip install --no-deps franky-sim==1.0.4
The arm's meshes ship in franky-sim, under another folder name than its model expects.
"""

import importlib.util
import os
import sys
import tempfile
import threading


def model(folder):
    """The FR3's model file, with its meshes in the expected folder."""
    found = importlib.util.find_spec("franky_sim")
    if found is None or not found.submodule_search_locations:
        sys.exit("franky-sim is missing: pip install --no-deps franky-sim==1.0.4")
    assets = os.path.join(list(found.submodule_search_locations)[0], "assets")
    os.symlink(os.path.join(assets, "fr3.xml"), os.path.join(folder, "fr3.xml"))
    os.symlink(os.path.join(assets, "meshes"), os.path.join(folder, "assets"))
    return os.path.join(folder, "fr3.xml")


def leave_with(stream):
    """Ends this process when its parent has ended."""
    while stream.read(1):
        pass
    os._exit(0)


def main():
    threading.Thread(target=leave_with, args=(sys.stdin.buffer,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FR3_MJCF"] = model(folder)
        from franka_sim.run_server import main as serve

        sys.argv = ["run-franka-sim-server", "--physics", "mujoco", *sys.argv[1:]]
        serve()


if __name__ == "__main__":
    main()
