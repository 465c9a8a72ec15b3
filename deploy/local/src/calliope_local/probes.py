"""Ports, and whether something answers there."""

import random
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

TIMEOUT_S: Final = 1.0
# Below the ports that systems give to outgoing connections, so that nobody takes one while its owner restarts.
RANGE: Final = range(20_000, 32_000)
TRIES: Final = 10_000


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now. Raises: OSError, when there are none."""
    found: list[int] = []
    for port in random.sample(RANGE, TRIES):
        if len(found) == count:
            return found
        if is_free(port):
            found.append(port)
    raise OSError(f"no {count} free ports in {RANGE}")


def is_free(port: int) -> bool:
    """Whether we could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers_http(url: str) -> Callable[[], bool]:
    """Ready when a GET is answered with 200."""

    def probe() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own loopback URL
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return probe


def accepts_tcp(port: int) -> Callable[[], bool]:
    """Ready when a connection is accepted."""

    def probe() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S):
                return True
        except OSError:
            return False

    return probe
