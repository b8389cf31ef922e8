"""Times on the wire: for each state datagram on loopback, when the command in reply to it passed.

Usage: wire_times.py SECONDS > wire.json      (needs CAP_NET_RAW)

Both timestamps are the kernel's (SO_TIMESTAMPNS), so the difference contains the client's path through the kernel, its wake-up and its work,
and neither client is slowed by it. A state of FCI version 10 has 1377 bytes, a command 371; version 5: 2373
and 370. Both start with the same message id, u64.
"""

import json
import socket
import struct
import sys
import time

STATES, COMMANDS = (1377, 2373), (371, 370)
SO_TIMESTAMPNS = 35
ETH_P_IP = 0x0800


def main():
    seconds = float(sys.argv[1])
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    sniffer.bind(("lo", 0))
    sniffer.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    sniffer.settimeout(0.2)
    asked, answered = {}, []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            packet, extra, _, address = sniffer.recvmsg(4096, 256)
        except TimeoutError:
            continue
        # A tap on one protocol sees packets arrive; on loopback that is the moment they were sent.
        if address[2] != socket.PACKET_HOST or len(packet) < 28 or packet[9] != socket.IPPROTO_UDP:
            continue
        payload = packet[(packet[0] & 15) * 4 + 8 :]
        if len(payload) not in STATES + COMMANDS:
            continue
        stamps = [data for _, kind, data in extra if kind == SO_TIMESTAMPNS]
        if not stamps:
            continue
        s, ns = struct.unpack("qq", stamps[0][:16])
        at, message = s * 1_000_000_000 + ns, struct.unpack_from("<Q", payload)[0]
        if len(payload) in STATES:
            asked[message] = at
        elif message in asked:
            answered.append(at - asked.pop(message))
    json.dump({"answer_ns": answered}, sys.stdout)


if __name__ == "__main__":
    main()
