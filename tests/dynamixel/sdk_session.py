"""The manufacturer's SDK commands a bus and prints its readings as JSON.

    python sdk_session.py /dev/pts/3
"""

import json
import sys
import time

import dynamixel_sdk as sdk

# Its packet time-out is this plus wire time \[ms\]; a loaded machine needs more than the 16 of an adapter.
sdk.port_handler.LATENCY_TIMER = 250

ARM = [1, 2, 4, 6, 7, 8]
port = sdk.PortHandler(sys.argv[1])
assert port.openPort(), "the port does not open"
assert port.setBaudRate(1_000_000)
handler = sdk.PacketHandler(2.0)
seen = {}


def good(result, error=0):
    assert result == sdk.COMM_SUCCESS, handler.getTxRxResult(result)
    assert error == 0, handler.getRxPacketError(error)


seen["models"] = {}
for servo in range(1, 10):
    model, result, error = handler.ping(port, servo)
    good(result, error)
    seen["models"][servo] = model
_, result, _ = handler.ping(port, 10)
seen["nobody"] = result == sdk.COMM_RX_TIMEOUT
found, result = handler.broadcastPing(port)
good(result)
seen["broadcast"] = {servo: answer[:2] for servo, answer in found.items()}

# Read and write, torque, and the registers it locks.
seen["watchdog"], result, error = handler.read1ByteTxRx(port, 3, 98)
good(result, error)
for servo in range(1, 10):
    good(*handler.write1ByteTxRx(port, servo, 64, 1))
seen["locked"] = handler.write1ByteTxRx(port, 1, 11, 16)[1]
seen["limit"] = handler.write4ByteTxRx(port, 2, 116, 10)[1]
seen["read_only"] = handler.write4ByteTxRx(port, 1, 132, 0)[1]
good(*handler.write2ByteTxRx(port, 1, 84, 640))
seen["gain"], result, error = handler.read2ByteTxRx(port, 1, 84)
good(result, error)

# Goals for all joints in one packet; positions of all joints in one request.
read = sdk.GroupSyncRead(port, handler, 132, 4)
for servo in ARM:
    assert read.addParam(servo)
good(read.txRxPacket())
start = {servo: read.getData(servo, 132, 4) for servo in ARM}
write = sdk.GroupSyncWrite(port, handler, 116, 4)
goals = {servo: start[servo] + 30 for servo in ARM}
for servo, goal in goals.items():
    assert write.addParam(servo, list(goal.to_bytes(4, "little")))
good(write.txPacket())
deadline = time.monotonic() + 20
while True:
    good(read.txRxPacket())
    positions = {servo: read.getData(servo, 132, 4) for servo in ARM}
    if positions == goals or time.monotonic() > deadline:
        break
seen["start"], seen["goals"], seen["positions"] = start, goals, positions
good(read.fastSyncRead())
seen["fast"] = {servo: read.getData(servo, 132, 4) for servo in ARM}
shadow, result, error = handler.read4ByteTxRx(port, 3, 116)
good(result, error)
seen["shadow_goal"] = shadow

# Registered writes wait for the action.
good(*handler.regWriteTxRx(port, 1, 65, 1, [1]))
before, _, _ = handler.read1ByteTxRx(port, 1, 65)
good(handler.action(port, 254))
after, _, _ = handler.read1ByteTxRx(port, 1, 65)
seen["light"] = [before, after]

# A reboot clears RAM and sends no replies for a while.
good(*handler.reboot(port, 1))
deadline = time.monotonic() + 20
while handler.ping(port, 1)[1] != sdk.COMM_SUCCESS and time.monotonic() < deadline:
    pass
seen["after_reboot"] = [handler.read1ByteTxRx(port, 1, 64)[0], handler.read2ByteTxRx(port, 1, 84)[0]]
port.closePort()
print(json.dumps(seen))
