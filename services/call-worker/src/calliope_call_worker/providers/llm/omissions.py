"""Remembers which parameters a server refused by name for a model; they are left out from then on. Pure.

Names of models decide what is sent first (`quirks`); deployments are named freely, so what a server says counts too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from calliope.caches import BoundedCache
from calliope_call_worker.providers.errors import Failure, ProviderError

CACHE_BYTES: Final = 4 * 1024 * 1024
_LASTING: Final = re.compile(
    r"unsupported|(not|n.t|only.{1,40}) (be )?support|unrecogni[sz]ed|unknown|unexpected|extra (inputs?|fields?)"
    r"|not (permitted|allowed|enabled|available)|deprecated|cannot find field|only works",
    re.IGNORECASE,
)
"""Whatever its value is: the parameter is refused. Otherwise only this value was."""


_MISSED: Final = re.compile(
    r"\b(required|missing|missed)\b|must (be (set|given|specified)|provide|specify)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Option:
    """A parameter that a request can do without: where it stands, how it is named, what it may be called instead."""

    path: tuple[str, ...]
    named: re.Pattern[str]
    instead: str | None = None


def _option(*path: str, instead: str | None = None, bare: bool = True, also: str = "") -> _Option:
    """`bare`: its name is no word of the language, so it counts without quotation marks."""
    name = path[-1]
    snake = re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name)
    names = f"(?:{re.escape(name)}|{re.escape(snake)})"
    marked = rf"[`'\"\u2018\u201c.]{names}(?![\w])|^{names}(?=[:.]|$)"
    loose = rf"|(?<![\w]){names}(?![\w])" if bare else ""
    return _Option(path, re.compile(marked + loose + (f"|{also}" if also else ""), re.IGNORECASE), instead)


_OPTIONS: Final = (
    _option("max_tokens", instead="max_completion_tokens"),
    _option("max_completion_tokens", instead="max_tokens"),
    _option("temperature"),
    _option("top_p"),
    _option("frequency_penalty"),
    _option("presence_penalty"),
    _option("reasoning_effort"),
    _option("stream_options", "include_obfuscation"),
    _option("stream_options"),
    _option("stop_sequences"),
    _option("stop", bare=False),
    _option("thinking", bare=False),
    _option("output_config"),
    _option(
        "generationConfig", "thinkingConfig", also="thinking (level|budget|config)|thinking_?(level|budget)|budget 0"
    ),
    _option("generationConfig", "temperature"),
    _option("generationConfig", "topP"),
    _option("generationConfig", "stopSequences"),
)
_BY_PATH: Final = {option.path: option for option in _OPTIONS}
Path = tuple[str, ...]


class Omissions:
    """What was learnt, by server and model; of too many the ones not needed for the longest time are forgotten."""

    def __init__(self) -> None:
        self._left_out: BoundedCache[tuple[str, str], frozenset[Path]] = BoundedCache(CACHE_BYTES)

    def known(self, url: str, model: str) -> frozenset[Path]:
        """What this model at this address takes not."""
        return self._left_out.get((url, model)) or frozenset()

    def learn(self, url: str, model: str, path: Path) -> None:
        """It refused this."""
        self._keep(url, model, self.known(url, model) | {path})

    def unlearn(self, url: str, model: str, path: Path) -> None:
        """It asks for this."""
        self._keep(url, model, self.known(url, model) - {path})

    def _keep(self, url: str, model: str, left_out: frozenset[Path]) -> None:
        size = len(url) + len(model) + sum(len(step) for each in left_out for step in each)
        self._left_out.put((url, model), left_out, size)


def demanded_option(parameter: str, words: str, left_out: frozenset[Path]) -> Path | None:
    """The parameter that a refusal misses, of those that were left out: what was learnt of it was wrong."""
    if not _MISSED.search(words):
        return None
    named = (path for path in sorted(left_out) for text in (parameter, words) if _BY_PATH[path].named.search(text))
    return next(named, None)


def refused_option(error: ProviderError, parameter: str, words: str, body: Mapping[str, Any]) -> Path | None:
    """The parameter of this body that a refusal names, when the request can do without it."""
    if error.failure is not Failure.REQUEST:
        return None
    for text in (parameter, words if _LASTING.search(words) else ""):
        found = [
            (-len(option.path), match.start(), number, option.path)
            for number, option in enumerate(_OPTIONS)
            if text and (match := option.named.search(text)) and _holds(body, option.path)
        ]
        if found:
            return min(found)[3]
    return None


def is_lasting(codes: tuple[str, ...], words: str) -> bool:
    """Whether the parameter is refused as such, and not only its value."""
    return any("unsupported" in code.lower() or "unknown" in code.lower() for code in codes) or bool(
        _LASTING.search(words)
    )


def without_options(body: Mapping[str, Any], paths: frozenset[Path]) -> dict[str, Any]:
    """The body with these left out, or under the name that was not refused."""
    changed = dict(body)
    for path in sorted(paths):
        *above, name = path
        place = changed
        for step in above:
            if not isinstance(place.get(step), dict):
                break
            place[step] = dict(place[step])
            place = place[step]
        else:
            value = place.pop(name, None)
            instead = _BY_PATH[path].instead
            if value is not None and instead is not None and (instead,) not in paths:
                place.setdefault(instead, value)
    return changed


def _holds(body: Mapping[str, Any], path: Path) -> bool:
    place: Any = body
    for step in path:
        if not isinstance(place, Mapping) or step not in place:
            return False
        place = place[step]
    return True
