"""Which known field an unknown one could have meant: the nearest name in the whole contract. Pure.

First a slip of the pen at the same level, then the same name or another system's name for it elsewhere, then what is
only similar, and when nothing is, the names that are known at that level.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from calliope.validation.expectations import Slot, slot_at
from calliope.validation.synonyms import ELSEWHERE, QUERY, SYNONYMS, VALUES, Ours

_SLIP: Final = 0.88
_NEAR: Final = 0.75
_SIMILAR: Final = 0.7
_SIMILAR_ELSEWHERE: Final = 0.8
_SHORTEST_PART: Final = 5
_MOST_NAMED: Final = 3
_MOST_PARTS: Final = 12
_MOST_LOOKED_AT: Final = 24
_LONGEST_NAME: Final = 80

_KNOWN_HERE: Final = "known here: "
_NO_SUCH_FIELD: Final = "Calliope has no such field: leave it out"

Path = tuple[str, ...]


class _Found(NamedTuple):
    path: Path
    note: str = ""


def known_fields(path: Iterable[str], model: type[BaseModel]) -> tuple[str, ...]:
    """The field names at a place of a contract; empty where it has none or is not known."""
    slot = slot_at(path, model)
    return _names(slot) if slot is not None else ()


def hint(path: Path, model: type[BaseModel], value: Any = None) -> str:
    """What to write instead of an unknown field. Of `value`, which stands there, only the names of fields are used."""
    *parent, name = path
    known = known_fields(parent, model)
    if len(name) > _LONGEST_NAME:
        return _known_here(known)
    if advice := _advice(path, model):
        return advice
    found = _nearest(path, known, model)
    slip = any(each.path[:-1] == path[:-1] and _most_alike(name, [each.path])[0] >= _SLIP for each in found)
    if not slip and (parts := tuple(_parts(path, model, value))):
        return f"its parts belong elsewhere: {'; '.join(parts)}"
    return f"did you mean {_either(_shown(each, path) for each in found)}?" if found else _known_here(known)


def named_once(hints: Iterable[str | None]) -> Iterator[str | None]:
    """The hints of one document: names that are known at a place are listed the first time only."""
    told: set[str] = set()
    for each in hints:
        again = each is not None and each.startswith(_KNOWN_HERE) and each in told
        told.add(each or "")
        yield _NO_SUCH_FIELD if again else each


def query_hint(name: str, known: Iterable[str]) -> str:
    """The same for a parameter of a query, of which `known` are the names."""
    known = tuple(known)
    bare = {_bare(each): each for each in known}
    if (meant := _by_bare_name(QUERY).get(_bare(name))) in known:
        return f"did you mean '{meant}'?"
    nearest = difflib.get_close_matches(_bare(name[:_LONGEST_NAME]), bare, n=1, cutoff=_SIMILAR)
    return f"did you mean '{bare[nearest[0]]}'?" if nearest else _known_here(known)


def choice_hint(value: Any, choices: Iterable[str]) -> str | None:
    """The choice that a wrong value resembles; None, when it resembles none. Never shows the value."""
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        return None
    bare = {_bare(each): each for each in choices}
    synonym = _by_bare_name(VALUES).get(_bare(value))
    if synonym is not None and synonym.path in bare.values():
        return f"did you mean '{synonym.path}'{f' ({synonym.note})' if synonym.note else ''}?"
    nearest = difflib.get_close_matches(_bare(value), bare, n=1, cutoff=_NEAR)
    return f"did you mean '{bare[nearest[0]]}'?" if nearest else None


def _nearest(path: Path, known: tuple[str, ...], model: type[BaseModel]) -> list[_Found]:
    *parent, name = path
    likeness, nearest = _most_alike(name, [(*parent, each) for each in known])
    synonym = _synonym(path, model)
    if likeness >= _SLIP:
        return [found for found in synonym if found.path == nearest] or [_Found(nearest)]
    namesakes = _namesakes(path, model)
    if beside := [found for found in (*synonym, *namesakes) if parent and _shared(found.path, path)]:
        return beside[:1]
    if parent and likeness >= _NEAR:
        return [_Found(nearest)]
    if named := synonym or namesakes:
        return named[:_MOST_NAMED]
    best, resembling = _most_alike(name, _paths(model))
    if best >= _SIMILAR_ELSEWHERE and best > likeness:
        return [_Found(resembling)]
    return [_Found(nearest)] if likeness >= _SIMILAR else []


def _most_alike(name: str, paths: Iterable[Path]) -> tuple[float, Path]:
    """The path whose last name is most like this one, and how much, from 0 to 1; a part of ours is near."""
    bare, best, found = _bare(name), 0.0, Path()
    matcher = difflib.SequenceMatcher(None, "", bare)  # what it learns about its second text is kept
    for path in paths:
        ours = _bare(path[-1])
        if len(bare) >= _SHORTEST_PART and bare in ours and best < _NEAR:
            best, found = _NEAR, path
        matcher.set_seq1(ours)
        least = max(best, _SIMILAR - 0.001)  # most names are told apart by their length and letters alone
        if matcher.real_quick_ratio() > least and matcher.quick_ratio() > least and (ratio := matcher.ratio()) > least:
            best, found = ratio, path
    return best, found


def _advice(path: Path, model: type[BaseModel]) -> str | None:
    """What is said of a name that no field of ours has."""
    advice: str | None = _elsewhere(model).get(".".join(_bare(step) for step in path if not step.isdigit()))
    return advice


def _namesakes(path: Path, model: type[BaseModel]) -> list[_Found]:
    """The same name elsewhere, the nearest place first."""
    same = _by_last_name(model).get(_bare(path[-1]), ())
    plain = [each for each in same if "[]" not in each] or same
    nearest_first = sorted(plain, key=lambda each: (-_shared(each, path), len(each)))
    return [_Found(each) for each in nearest_first]


def _synonym(path: Path, model: type[BaseModel]) -> list[_Found]:
    """Our field, when another system calls it so; the longest name that the path ends with decides."""
    table = _synonyms(model)
    steps = [_bare(step) for step in path if not step.isdigit()]
    ours = next((ours for at in range(len(steps)) if (ours := table.get(".".join(steps[at:])))), None)
    return [_Found(_split(ours.path), ours.note)] if ours is not None else []


def _parts(path: Path, model: type[BaseModel], value: Any) -> Iterator[str]:
    """Where the fields of an unknown object belong, for those that are known elsewhere."""
    told = 0
    for inner in islice(_inner_paths(path, value), _MOST_LOOKED_AT):
        parent = path[:-1]
        beside = [each for each in known_fields(parent, model) if _bare(each) == _bare(inner[-1])]
        found = [_Found((*parent, beside[0]))] if beside and parent else []
        found = found or _synonym(inner, model) or _namesakes(inner, model)
        if advice := _advice(inner, model):
            told += 1
            yield f"{'.'.join(inner)}: {advice}"
        elif found:
            told += 1
            yield f"{'.'.join(inner)} is {_shown(found[0], inner)}"
        if told == _MOST_PARTS:
            return


def _inner_paths(path: Path, value: Any, nesting: int = 1) -> Iterator[Path]:
    for name, inner in list(value.items())[:_MOST_PARTS] if isinstance(value, dict) else ():
        if len(name) > _LONGEST_NAME:
            continue
        yield (*path, name)
        if nesting:
            yield from _inner_paths((*path, name), inner, nesting - 1)


@cache
def _paths(model: type[BaseModel]) -> tuple[Path, ...]:
    """Every path of a contract, objects and their fields; `[]` stands for each element of a list."""
    return tuple(_paths_below(Slot(model), ()))


@cache
def _by_last_name(model: type[BaseModel]) -> dict[str, tuple[Path, ...]]:
    found: dict[str, tuple[Path, ...]] = {}
    for path in _paths(model):
        found[_bare(path[-1])] = (*found.get(_bare(path[-1]), ()), path)
    return found


@cache
def _synonyms(model: type[BaseModel]) -> dict[str, Ours]:
    return _by_bare_name(_said_of(model, SYNONYMS))


@cache
def _elsewhere(model: type[BaseModel]) -> dict[str, str]:
    return _by_bare_name(_said_of(model, ELSEWHERE))


def _paths_below(slot: Slot, path: Path) -> Iterator[Path]:
    for name in _names(slot):
        here = (*path, name)
        yield here
        inner = slot.step(name)
        element = inner.step("0") if inner is not None and not _names(inner) else None
        if element is not None and _names(element):
            yield from _paths_below(element, (*here, "[]"))
        elif inner is not None:
            yield from _paths_below(inner, here)


def _names(slot: Slot) -> tuple[str, ...]:
    kind = slot.annotation
    return tuple(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else ()


def _bare(name: str) -> str:
    """Without case and signs. What clients send may be long, and is remembered only when it is not."""
    return _remembered_bare(name) if len(name) <= _LONGEST_NAME else _made_bare(name)


@lru_cache(4_096)
def _remembered_bare(name: str) -> str:
    return _made_bare(name)


def _made_bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _said_of(model: type[BaseModel], tables: Mapping[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    """What is said of a contract, or of the one that it extends."""
    return next((tables[each] for each in model.__mro__ if each in tables), {})


def _by_bare_name(table: dict[str, Any]) -> dict[str, Any]:
    return {".".join(map(_bare, name.split("."))): ours for name, ours in table.items()}


def _shared(found: Path, path: Path) -> int:
    """How many steps two places have in common; positions in a list count as the list's elements."""
    count = 0
    for ours, theirs in zip(found, path, strict=False):
        if ours != theirs and not (ours == "[]" and theirs.isdigit()):
            break
        count += 1
    return count


def _split(path: str) -> Path:
    return tuple(path.replace("[]", ".[]").split("."))


def _shown(found: _Found, path: Path) -> str:
    """`tools_settings.custom_tools.0.url` beside the same element, `tools_settings.custom_tools[].url` elsewhere."""
    shared = _shared(found.path, path)
    steps = [*path[:shared], *found.path[shared:]]
    name = ".".join(steps).replace(".[]", "[]")
    return f"'{name}'" + (f" ({found.note})" if found.note else "")


def _either(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _known_here(known: Iterable[str]) -> str:
    return f"{_KNOWN_HERE}{', '.join(sorted(known))}"
