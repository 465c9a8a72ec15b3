"""Which stored secret a mask stands for that a client writes back. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from calliope.contracts.assistants import SealedSecret
from calliope.documents import PathPattern, places
from calliope.secrets import mask, mask_of_plain

_IDENTITY: Final = ("name", "provider")
"""What tells the elements of a list with secrets apart."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A stored secret: where it stands, what its element is, what its key in an object of values is."""

    path: tuple[str, ...]
    identity: tuple[Any, ...]
    key: str | None
    value: Any


def shown(secret: Any) -> str | None:
    """What a read shows of a stored secret; None without one. Headers of older documents were stored in clear."""
    if isinstance(secret, dict):
        return mask(SealedSecret.model_validate(secret))
    return mask_of_plain(secret) if isinstance(secret, str) else None


def stored_secret(
    before: dict[str, Any] | None, after: dict[str, Any], pattern: PathPattern, path: tuple[str, ...], written: str
) -> tuple[Any, str | None]:
    """The stored secret that the mask at `path` of `after` stands for, or None and why there is none.

    Short secrets look alike behind their masks. So among those that do, the element's own name or provider decides
    first and its position second; a secret is never handed to a neighbour by guessing. The value of a header belongs
    to its name, in whatever case that is written.
    """
    key = _key(pattern, path)
    alike = [kept for kept in _kept(before or {}, pattern) if shown(kept.value) == written]
    if not alike:
        return None, "this mask stands for no stored secret; send the secret itself"
    named = [kept for kept in alike if kept.key == key]
    if not named:
        return None, f"{path[-1]!r} has no stored value behind this mask, which belongs to another name; send the value"
    namesakes = [kept for kept in named if kept.identity == _identity(after, pattern, path)] or named
    here = [kept for kept in namesakes if _place(pattern, kept.path) == _place(pattern, path)] or namesakes
    if len(here) > 1:
        return None, "this mask could stand for several stored secrets; send the secret itself"
    return here[0].value, None


def _kept(document: dict[str, Any], pattern: PathPattern) -> Iterator[_Kept]:
    for path, container, key in places(document, pattern):
        yield _Kept(path, _identity(document, pattern, path), _key(pattern, path), container[key])


def _key(pattern: PathPattern, path: tuple[str, ...]) -> str | None:
    """The name of a header without its case; None for a secret that has a field of its own."""
    return path[-1].lower() if pattern[-1] == "*" else None


def _place(pattern: PathPattern, path: tuple[str, ...]) -> tuple[str, ...]:
    return path[:-1] if pattern[-1] == "*" else path


def _identity(document: dict[str, Any], pattern: PathPattern, path: tuple[str, ...]) -> tuple[Any, ...]:
    """Names of the element of a list that a secret is a part of, else of the object that it stands in."""
    end = pattern.index("*") + 1 if "*" in pattern else len(path) - 1
    node: Any = document
    for step in path[:end]:
        node = node[int(step)] if isinstance(node, list) else node[step]
    return tuple(node.get(name) for name in _IDENTITY)
