"""Walking a JSON document by path patterns: where its secrets and URLs stand, and which field was misspelt."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from calliope.contracts.document.spec import known_fields
from calliope.contracts.errors import FieldProblem

PathPattern = tuple[str, ...]
Place = tuple[tuple[str, ...], Any, str | int]
"""A concrete path, the container and the key in it."""


def places(document: Any, pattern: PathPattern) -> Iterator[Place]:
    """Every place of `document` that matches; `*` stands for each element of a list. Missing places are left out."""
    yield from _places(document, pattern, ())


def _places(node: Any, pattern: PathPattern, path: tuple[str, ...]) -> Iterator[Place]:
    step, rest = pattern[0], pattern[1:]
    keys: list[str | int]
    if step == "*":
        keys = list(range(len(node))) if isinstance(node, list) else []
    else:
        keys = [step] if isinstance(node, dict) and step in node else []
    for key in keys:
        here = (*path, str(key))
        if rest:
            yield from _places(node[key], rest, here)
        else:
            yield here, node, key


def merge_patch(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396); the arguments are left as they are."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def field_problems(error: ValidationError, model: type[BaseModel]) -> Sequence[FieldProblem]:
    """What was wrong, field by field, with the nearest known name beside an unknown one. Never shows a value."""
    found = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        path = tuple(str(step) for step in item["loc"])
        message, hint = item["msg"], None
        if item["type"] == "extra_forbidden":
            message = "unknown field"
            names = known_fields(path[:-1], model)
            nearest = difflib.get_close_matches(path[-1], names, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known here: {', '.join(sorted(names))}"
        elif item["type"] == "value_error":
            message = message.removeprefix("Value error, ")
            message, path = _path_in_message(message, path)
        found.append(FieldProblem(path=".".join(path), message=message, hint=hint))
    return found


def _path_in_message(message: str, path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Rules over several fields name the one to blame first: `llm_provider_config.base_url: required …`."""
    field, colon, rest = message.partition(": ")
    if colon and " " not in field and "," not in field:
        return rest, (*path, *field.split("."))
    return message, path
