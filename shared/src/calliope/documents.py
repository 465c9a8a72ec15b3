"""Walking a JSON document by path patterns: where its secrets and URLs stand; merge patches."""

from collections.abc import Iterator
from typing import Any

PathPattern = tuple[str, ...]
Place = tuple[tuple[str, ...], Any, str | int]
"""A concrete path, the container and the key in it."""


def places(document: Any, pattern: PathPattern) -> Iterator[Place]:
    """Every place of `document` that matches; `*` stands for each element of a list and each value of an object.

    Missing places are left out.
    """
    yield from _places(document, pattern, ())


def _places(node: Any, pattern: PathPattern, path: tuple[str, ...]) -> Iterator[Place]:
    step, rest = pattern[0], pattern[1:]
    keys: list[str | int]
    if step == "*":
        keys = list(range(len(node))) if isinstance(node, list) else list(node) if isinstance(node, dict) else []
    else:
        keys = [step] if isinstance(node, dict) and step in node else []
    for key in keys:
        here = (*path, str(key))
        if rest:
            yield from _places(node[key], rest, here)
        else:
            yield here, node, key


def replaced(document: Any, path: PathPattern, value: Any) -> Any:
    """The document with another value at a concrete path; what does not lie on the path is shared, nothing changed."""
    if not path:
        return value
    if isinstance(document, list):
        at = int(path[0])
        return [*document[:at], replaced(document[at], path[1:], value), *document[at + 1 :]]
    return {**document, path[0]: replaced(document[path[0]], path[1:], value)}


def copied(node: Any) -> Any:
    """A JSON value with containers of its own."""
    if isinstance(node, dict):
        return {key: copied(value) for key, value in node.items()}
    return [copied(value) for value in node] if isinstance(node, list) else node


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
