"""Instruction packets as the manufacturer's SDK writes them -> dynamixel.json.

    cargo xtask setup
    .deps/python/bin/python tests/golden/make_dynamixel.py > tests/golden/dynamixel.json

The SDK writes to a port; this one keeps what is written and sends no replies.
"""

import json

import dynamixel_sdk as sdk


class Port:
    """The part of a port that PacketHandler needs."""

    is_using = False
    baudrate = 1_000_000

    def __init__(self):
        self.written = []

    def clearPort(self):
        pass

    def getBaudRate(self):
        return self.baudrate

    def writePort(self, packet):
        self.written.append(list(packet))
        self.is_using = False
        return len(packet)

    def readPort(self, _length):
        return []

    def setPacketTimeout(self, _length):
        pass

    def setPacketTimeoutMillis(self, _milliseconds):
        pass

    def isPacketTimeout(self):
        return True


port = Port()
handler = sdk.PacketHandler(2.0)
cases = []


def case(name, call, **about):
    port.written.clear()
    port.is_using = False
    call()
    assert len(port.written) == 1, (name, port.written)
    cases.append({"name": name, "bytes": port.written[0], **about})


for servo in (1, 9, 252):
    case("ping", lambda: handler.ping(port, servo), id=servo)
    case("reboot", lambda: handler.reboot(port, servo), id=servo)
for servo, address, length in ((1, 132, 4), (3, 64, 83), (8, 0, 64), (5, 98, 1)):
    case("read", lambda: handler.readTx(port, servo, address, length), id=servo, address=address, length=length)
for servo, address, data in (
    (1, 116, [0x00, 0x02, 0x00, 0x00]),
    (2, 64, [1]),
    (4, 116, [0xFF, 0xFF, 0xFD, 0x00]),
    (4, 116, [0xFF, 0xFF, 0xFD, 0xFD]),
    (6, 108, [0xFD, 0xFF, 0xFF, 0xFD, 0xFF, 0xFF, 0xFD, 0xFD, 0xFF, 0xFF, 0xFF, 0xFD]),
):
    case(
        "write",
        lambda: handler.writeTxRx(port, servo, address, len(data), data),
        id=servo,
        address=address,
        data=data,
    )
    case("reg_write", lambda: handler.regWriteTxOnly(port, servo, address, len(data), data), id=servo, address=address, data=data)
case("action", lambda: handler.action(port, 254), id=254)
for fast in (False, True):
    ids = [1, 2, 4, 6, 7, 8, 9]
    case(
        "sync_read",
        lambda: handler.syncReadTx(port, 126, 10, ids, len(ids), fast),
        fast=fast,
        address=126,
        length=10,
        ids=ids,
    )
blocks = []
for servo, goal in ((1, 2048), (2, 0x00FDFFFF), (4, 3094), (6, 65535), (7, 1), (8, 4095)):
    blocks += [servo] + list((10).to_bytes(4, "little")) + list((25).to_bytes(4, "little")) + list(goal.to_bytes(4, "little"))
case(
    "sync_write",
    lambda: handler.syncWriteTxOnly(port, 108, 12, blocks, len(blocks)),
    address=108,
    length=12,
    blocks=blocks,
)

print(json.dumps({"sdk": "dynamixel-sdk 4.1.0", "cases": cases}, separators=(",", ":")))
