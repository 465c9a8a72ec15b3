"""The phone numbers of one carrier's emulator: those that were registered, and whose all others are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

MAX_NUMBERS: Final = 10_000
"""Registered numbers kept; the oldest is forgotten beyond it."""
MOST_EARLY: Final = 1_000
"""Frames that a number may have sent before `start`."""


class NumberError(ValueError):
    """An account that a number cannot belong to; the text says what is missing."""


class OwnedNumber(Protocol):
    """What every carrier's number has; the secret that signs its hooks is not shown."""

    @property
    def account(self) -> str:
        """What hooks name the account by."""

    @property
    def hook(self) -> str:
        """Where its calls are announced."""


OneNumber = TypeVar("OneNumber", bound=OwnedNumber)


@dataclass(slots=True)
class Numbers(Generic[OneNumber]):
    """`read` makes a number from an account's document. `default` is the account of numbers that were not registered.

    Raises: NumberError, when the default account is incomplete.
    """

    read: Callable[[str, Mapping[str, Any]], OneNumber]
    default: Mapping[str, Any] | None = None
    _registered: dict[str, OneNumber] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.default is not None:
            self.read("", self.default)

    def register(self, number: str, document: Mapping[str, Any]) -> None:
        """This number belongs to that account from now on. Raises: NumberError."""
        owned = self.read(number, document)
        self._registered.pop(number, None)
        if len(self._registered) >= MAX_NUMBERS:
            self._registered.pop(next(iter(self._registered)))
        self._registered[number] = owned

    def of(self, number: str) -> OneNumber | None:
        """The number; None, when it belongs to nobody."""
        if number not in self._registered and self.default is not None:
            return self.read(number, self.default)
        return self._registered.get(number)

    def accounts(self) -> list[OneNumber]:
        """A number of every account there is, some several times."""
        others = [] if self.default is None else [self.read("", self.default)]
        return [*self._registered.values(), *others]

    def listing(self) -> dict[str, Any]:
        """Each registered number with account and hook, and those of all others."""
        numbers = {number: _shown(owned) for number, owned in self._registered.items()}
        return {"numbers": numbers, "others": None if self.default is None else _shown(self.read("", self.default))}


def needed(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """These fields as text. Raises: NumberError."""
    if missing := [name for name in names if not document.get(name)]:
        raise NumberError(f"{', '.join(missing)} needed")
    return {name: str(document[name]) for name in names}


def whole(document: Mapping[str, Any], name: str, *, most: int) -> int:
    """This field as a whole number; without it 0. Raises: NumberError."""
    value = document.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise NumberError(f"{name} must be a whole number from 0 to {most}")
    return value


def _shown(owned: OwnedNumber) -> dict[str, str]:
    return {"account": owned.account, "hook": owned.hook}
