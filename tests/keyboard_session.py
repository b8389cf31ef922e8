"""The operator at a terminal: drives the program through a pseudo-terminal and prints its output as JSON.

    keyboard_session.py PROGRAM ARGUMENT...

Each line of standard input is one step: `type TEXT`, `hold KEY SECONDS`, `await TEXT`.
"""

import json
import os
import pty
import select
import sys
import time

LONG = 60.0

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
at = 0


def pump(seconds):
    global shown
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([terminal], [], [], min(left, 0.05))
        if ready:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                return  # It ended.


for line in sys.stdin:
    verb, _, rest = line.rstrip("\n").partition(" ")
    if verb == "type":
        os.write(terminal, rest.encode().decode("unicode_escape").encode())
    elif verb == "hold":
        key, seconds = rest.split()
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            os.write(terminal, key.encode())
            pump(0.03)
    elif verb == "await":
        end = time.monotonic() + LONG
        while (found := shown.find(rest.encode(), at)) < 0 and time.monotonic() < end:
            pump(0.1)
        if found < 0:
            print(json.dumps({"missing": rest, "shown": shown.decode(errors="replace")}))
            sys.exit(1)
        at = found + len(rest)
# The terminal closes when the program ends.
pump(LONG)
os.kill(pid, 0)
_, status = os.waitpid(pid, 0)
print(json.dumps({"shown": shown.decode(errors="replace"), "status": os.waitstatus_to_exitcode(status)}))
