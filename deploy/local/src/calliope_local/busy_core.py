"""Keeps one core busy until its time is up or its parent is gone: run by path, standard library only."""

import os
import sys
import time

ROUNDS = 200_000


def main(seconds: float) -> int:
    """Exit status 0, always."""
    parent, deadline = os.getppid(), time.monotonic() + seconds
    while time.monotonic() < deadline and os.getppid() == parent:
        for _ in range(ROUNDS):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
