"""The manufacturer's SDK in its turn of `cargo bench --bench dynamixel`: one sync read of all servos and one sync write per cycle.

    python dynamixel_peer.py PORT SECONDS
"""

import json
import math
import sys
import time

import dynamixel_sdk as sdk

port = sdk.PortHandler(sys.argv[1])
seconds = float(sys.argv[2])
assert port.openPort() and port.setBaudRate(1_000_000)
handler = sdk.PacketHandler(2.0)
read = sdk.GroupSyncRead(port, handler, 126, 10)
for servo in (1, 2, 4, 6, 7, 8, 9):
    assert read.addParam(servo)
write = sdk.GroupSyncWrite(port, handler, 108, 12)
for servo, angle in zip((1, 2, 4, 6, 7, 8), (0.0, -1.8, 1.55, 0.0, 0.8, 0.0)):
    goal = 2048 + round(angle * 4096 / (2 * math.pi))
    assert write.addParam(servo, [0, 0, 0, 0, 25, 0, 0, 0, *goal.to_bytes(4, "little")])

cycles, repeated, incomplete = [], 0, 0
begin = time.perf_counter()
while time.perf_counter() - begin < seconds:
    started = time.perf_counter()
    for attempt in range(3):
        repeated += attempt > 0
        complete = read.txRxPacket() == sdk.COMM_SUCCESS
        port.is_using = False
        if complete:
            break
    incomplete += not complete
    assert write.txPacket() == sdk.COMM_SUCCESS
    cycles.append(time.perf_counter() - started)
port.closePort()
print(json.dumps({"cycle_seconds": cycles, "repeated": repeated, "incomplete": incomplete}))
