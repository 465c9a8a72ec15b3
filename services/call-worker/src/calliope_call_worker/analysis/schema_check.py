"""Checks values against JSON Schemas, in a process beside the worker: a schema may hold a pattern that never ends.

Frames of four bytes of length (big endian) and JSON, on standard input and output:

    {"schema": …, "value": …, "deadline_s": 3}  ->  {"problems": […], "unusable": null}

Every check is a fork of this small process, which is left when it takes too long. The worker starts nothing itself:
that would hold its loop (25 to 57 ms, measured under uvloop with 100 MB in use). A fork here holds up nobody's call.
Nothing that a schema refers to is fetched; there is no environment, and little memory and time.
"""

import os
import re
import resource
import select
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import orjson
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

LENGTH: Final = struct.Struct(">I")
MAX_PROBLEMS: Final = 10
MAX_WORDS: Final = 300
_MEMORY_BYTES: Final = 512 * 1024 * 1024
_POLITENESS: Final = 10
"""Live calls go first."""

Found = dict[str, Any]


def check(schema: Any, value: Any) -> Found:
    """What is wrong with the value, in words for the model; or why the schema itself cannot be used."""
    kind: type[Validator] = validator_for(schema, default=Draft202012Validator)
    validator = kind(schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER)
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
    return {"problems": problems, "unusable": None}


def in_a_fork(work: Callable[[], Found], deadline_s: float) -> Found:
    """What `work` finds, in a process that is ended at the deadline."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as out:
                out.write(orjson.dumps(work()))
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as answer:
            in_time = bool(select.select([answer], [], [], deadline_s)[0])
            said = answer.read() if in_time else b""
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if said:
        found: Found = orjson.loads(said)
        return found
    return _unusable(
        "the schema takes too much memory" if in_time else f"the schema takes over {deadline_s:g} s to check"
    )


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """One check after another, until nobody asks any more."""
    while len(head := asked.read(LENGTH.size)) == LENGTH.size:
        question = orjson.loads(asked.read(LENGTH.unpack(head)[0]))
        found = in_a_fork(lambda: check(question["schema"], question["value"]), question["deadline_s"])  # noqa: B023
        said = orjson.dumps(found)
        answers.write(LENGTH.pack(len(said)) + said)
        answers.flush()


def _in_words(error: ValidationError) -> str:
    where = "/".join(map(str, error.absolute_path)) or "the top"
    return f"at {where}: {error.message[:MAX_WORDS]}"


def _unusable(why: str) -> Found:
    return {"problems": [], "unusable": why}


def main() -> int:
    """Serve the worker that started this process; its end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_POLITENESS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
