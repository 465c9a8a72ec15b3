"""Checks values against JSON Schemas, in a process beside the worker: a schema may hold a pattern that never ends.

For every check the worker sends one end of a socket pair over standard input (`SCM_RIGHTS`). On it go frames of four
bytes of length (big endian) and JSON:

    {"schema": …, "value": …, "deadline_s": 3, "formats": true}  ->  {"problems": […], "unusable": null}

and a byte before the answer, when the check begins. Every check is a fork of this small process, so that several go on
side by side. The kernel ends it when it has used so much time of the processor, and at once when the worker closes the
socket. A fork of the worker would hold its loop (25 to 57 ms, measured under uvloop with 100 MB in use). Nothing that a
schema refers to is fetched; there is no environment, and little memory.
"""

import fcntl
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

import orjson
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

LENGTH: Final = struct.Struct(">I")
BEGUN: Final = b"+"
MAX_PROBLEMS: Final = 10
MAX_WORDS: Final = 300
MAX_CHECKS: Final = 16
"""Checks at once; whoever asks for more waits until one is over."""
_MEMORY_BYTES: Final = 512 * 1024 * 1024
_POLITENESS: Final = 10
"""Live calls go first."""
_QUESTION_S: Final = 2.0

Found = dict[str, Any]


def check(schema: Any, value: Any, *, formats: bool = True) -> Found:
    """What is wrong with the value, in words for the model; or why the schema itself cannot be used."""
    kind: type[Validator] = validator_for(schema, default=Draft202012Validator)
    validator = kind(schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER if formats else None)
    problems: list[str] = []
    try:
        for error in validator.iter_errors(value):
            problems.append(_in_words(error))
            if len(problems) == MAX_PROBLEMS:
                break
    except Unresolvable as exc:
        return _unusable(f"the schema refers to {exc.ref[:200]!r}, which is not in it")
    except re.error as exc:
        return _unusable(f"a pattern of the schema is not understood: {exc}")
    except RecursionError:
        return _unusable("the schema refers to itself without end")
    except MemoryError:
        return _unusable("the schema takes too much memory")
    return {"problems": problems, "unusable": None}


def serve(control: socket.socket) -> None:
    """A fork for each socket that comes, until nobody asks any more."""
    checks = 0
    while True:
        asked, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not asked:
            return
        checks = _after_reaping(checks)
        for descriptor in descriptors:
            if os.fork() == 0:
                control.close()
                _leaving(lambda: _answer(socket.socket(fileno=descriptor)))  # noqa: B023 - this process knows no next
            os.close(descriptor)
            checks += 1


def _after_reaping(checks: int) -> int:
    """How many checks go on now: fewer than `MAX_CHECKS`."""
    while checks:
        gone, _ = os.waitpid(-1, os.WNOHANG if checks < MAX_CHECKS else 0)
        if gone == 0:
            break
        checks -= 1
    return checks


def _leaving(work: Callable[[], None]) -> None:
    """Do this and end the process."""
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def _answer(asked: socket.socket) -> None:
    """One check. SIGALRM, SIGPROF and SIGIO end the process, in the middle of a pattern, too."""
    signal.setitimer(signal.ITIMER_REAL, _QUESTION_S)
    (length,) = LENGTH.unpack(_received(asked, LENGTH.size))
    question = orjson.loads(_received(asked, length))
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_PROF, question["deadline_s"])
    fcntl.fcntl(asked, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(asked, fcntl.F_SETFL, fcntl.fcntl(asked, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([asked], [], [], 0)[0]:
        return  # it was closed before
    asked.sendall(BEGUN)
    found = orjson.dumps(check(question["schema"], question["value"], formats=question["formats"]))
    asked.sendall(LENGTH.pack(len(found)) + found)


def _received(asked: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        if not (piece := asked.recv(size - len(received))):
            raise ConnectionError("the worker does not wait any more")
        received += piece
    return bytes(received)


def _in_words(error: ValidationError) -> str:
    where = "/".join(map(str, error.absolute_path)) or "the top"
    return f"at {where[:MAX_WORDS]}: {error.message[:MAX_WORDS]}"


def _unusable(why: str) -> Found:
    return {"problems": [], "unusable": why}


def main() -> int:
    """Serve the worker that started this process; its end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_POLITENESS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    check({"type": "object", "required": ["warm"]}, {})  # what is loaded by the first check is loaded for all
    with socket.socket(fileno=sys.stdin.fileno()) as control:
        serve(control)
    return 0


if __name__ == "__main__":
    sys.exit(main())
