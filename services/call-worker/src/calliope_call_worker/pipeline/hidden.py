"""Stretches of a model's text that only machines are to read: each is told its characters until it is over. Pure."""

import re
from dataclasses import dataclass, field
from typing import Final, Protocol

MAX_MARK_CHARS: Final = 80
"""No closing mark is longer."""
_ROLES: Final = frozenset({"assistant", "model", "user", "system", "developer", "tool", "ipython", "environment"})
_MESSAGE: Final = "<|message|>"
_MESSAGE_OVER: Final = re.compile(r"<\|(?:end|return|call|start)\|>\Z")


class Hidden(Protocol):
    """Something that is not spoken. `is_call`: a tool call, so that the caller is owed an answer."""

    is_call: bool

    def feed(self, char: str) -> str | None:
        """None while it goes on; else what of the text is to be read again: mostly nothing."""


@dataclass(slots=True)
class Until:
    """Everything up to a mark."""

    end: re.Pattern[str]
    is_call: bool = False
    _recent: str = ""

    def feed(self, char: str) -> str | None:
        """See `Hidden`."""
        self._recent = (self._recent + char)[-MAX_MARK_CHARS:]
        return "" if not char.isalnum() and self.end.search(self._recent) else None


@dataclass(slots=True)
class Balanced:
    """JSON, or the arguments of a call, up to the bracket that closes the first one."""

    is_call: bool = True
    _depth: int = 0
    _quote: str = ""
    _escaped: bool = False

    def feed(self, char: str) -> str | None:
        """See `Hidden`."""
        if self._quote:
            if not self._escaped and char == self._quote:
                self._quote = ""
            self._escaped = char == "\\" and not self._escaped
        elif char in "\"'":
            self._quote = char
        elif char in "([{":
            self._depth += 1
        elif char in ")]}":
            self._depth -= 1
        return "" if self._depth <= 0 and not self._quote else None


@dataclass(slots=True)
class Call:
    """A tool call between marks that name it: its JSON, or whatever stands before its closing mark."""

    end: re.Pattern[str]
    is_call: bool = True
    _inside: Balanced | Until | None = None

    def feed(self, char: str) -> str | None:
        """See `Hidden`."""
        if self._inside is None:
            if char.isspace():
                return None
            self._inside = Balanced() if char in "{[" else Until(self.end)
        return self._inside.feed(char)


@dataclass(slots=True)
class NamedCalls:
    """What follows `[TOOL_CALLS]`: a list of calls, or names each with its arguments. Over with the first JSON."""

    is_call: bool = True
    _seen: str = ""
    _json: Balanced | None = None

    def feed(self, char: str) -> str | None:
        """See `Hidden`."""
        if self._json is not None:
            return self._json.feed(char)
        self._seen = (self._seen + char)[-MAX_MARK_CHARS:]
        if char == "{":
            self._json = Balanced()
            if self._seen.lstrip()[:-1].strip() == "[":
                self._json.feed("[")
            return self._json.feed(char)
        return None


@dataclass(slots=True)
class Header:
    """The role behind a mark that begins a message, up to the end of its line or the next mark."""

    is_call: bool = False
    _seen: str = ""

    def feed(self, char: str) -> str | None:
        """See `Hidden`."""
        if (char.isalnum() or char in "_-=. ") and len(self._seen) < MAX_MARK_CHARS:
            self._seen += char
            return None
        role, _, rest = self._seen.strip().partition(" ")
        if role and role.casefold() not in _ROLES:
            return self._seen + char
        rest = "" if rest.startswith("to=") else rest
        return rest + ("" if char in "\r\n" else char)


@dataclass(slots=True)
class Channel:
    """What follows `<|channel|>`: only the channel `final`, and comments for the caller, are speech."""

    is_call: bool = False
    _seen: str = field(default="")
    _secret: bool = False

    def feed(self, char: str) -> str | None:
        """See `Hidden`."""
        self._seen += char
        if not self._secret:
            if not self._seen.endswith(_MESSAGE):
                return None
            name = self._seen.strip().casefold()
            self.is_call = "to=" in name
            self._secret = self.is_call or not name.startswith(("final", "commentary"))
            return None if self._secret else ""
        self._seen = self._seen[-MAX_MARK_CHARS:]
        found = _MESSAGE_OVER.search(self._seen)
        return None if found is None else found.group() if found.group() == "<|start|>" else ""
