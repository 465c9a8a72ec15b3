"""Checks a value against a JSON Schema, in a process of its own: a schema may hold a pattern that never ends.

    {"schema": …, "value": …} on standard input  ->  {"problems": […], "unusable": null} on standard output

Nothing that a schema refers to is fetched, and the process has no environment, little memory and little time.
"""

import os
import resource
import sys
from typing import Any, Final

import orjson
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

MAX_PROBLEMS: Final = 10
MAX_WORDS: Final = 300
_MEMORY_BYTES: Final = 512 * 1024 * 1024
_CPU_S: Final = 10
_POLITENESS: Final = 10
"""Live calls go first."""


def check(schema: Any, value: Any) -> dict[str, Any]:
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
        return {"problems": [], "unusable": f"the schema refers to {exc.ref[:200]!r}, which is not in it"}
    except RecursionError:
        return {"problems": [], "unusable": "the schema refers to itself without end"}
    return {"problems": problems, "unusable": None}


def _in_words(error: ValidationError) -> str:
    where = "/".join(map(str, error.absolute_path)) or "the top"
    return f"at {where}: {error.message[:MAX_WORDS]}"


def main() -> int:
    """One check."""
    os.nice(_POLITENESS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    asked = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(check(asked["schema"], asked["value"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
