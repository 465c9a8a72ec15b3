"""Ends process groups when the process that started them is gone, however it went: run by path, standard library only.

It reads `+<group>` and `-<group>` lines from standard input. End of input means that the launcher has ended, killed or
not: what is still registered gets SIGKILL. Unlike PR_SET_PDEATHSIG this works on every POSIX system, from every thread,
and reaches grandchildren.
"""

import os
import signal
import sys
import time

WAIT_S = 2.0
POLL_S = 0.02


def main() -> int:
    """Exit status 0, always: nobody is left to read it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        _kill(group, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_S
    while any(_kill(group, 0) for group in groups) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return 0


def _kill(group: int, number: int) -> bool:
    """Whether the group is still there."""
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
