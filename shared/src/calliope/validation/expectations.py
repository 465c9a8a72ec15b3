"""What a field of a contract takes, as words that follow "must be", with an example. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from calliope.contracts.forms import Form

_BOUNDS: Final = ("ge", "gt", "le", "lt", "min_length", "max_length")
_MAX_NESTING: Final = 4
_MAX_EXAMPLE: Final = 160
_UNIONS: Final = (Union, UnionType)
_MOMENTS: Final = (datetime, AwareDatetime)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a contract: the type that stands there, and what is said about it."""

    annotation: Any
    metadata: tuple[Any, ...] = ()
    examples: tuple[Any, ...] = ()
    default: Any = None

    @classmethod
    def of_field(cls, field: FieldInfo) -> "Slot":
        """A field of a model."""
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        return cls(field.annotation, tuple(field.metadata), tuple(field.examples or ()), default).plain()

    def plain(self) -> "Slot":
        """Without `None`, and with what annotations say among the metadata."""
        slot = self
        while True:
            annotation = getattr(slot.annotation, "__value__", slot.annotation)  # a named type, such as JsonValue
            if get_origin(annotation) is Annotated:
                inner, *more = get_args(annotation)
                slot = slot._said(inner, more)
            elif get_origin(annotation) in _UNIONS and len(kept := _without_none(annotation)) == 1:
                slot = Slot(kept[0], slot.metadata, slot.examples, slot.default)
            else:
                return Slot(annotation, slot.metadata, slot.examples, slot.default)

    def _said(self, annotation: Any, more: Iterable[Any]) -> "Slot":
        metadata, examples = list(self.metadata), self.examples
        for item in more:
            if isinstance(item, FieldInfo):
                metadata.extend(item.metadata)
                examples = examples or tuple(item.examples or ())
            else:
                metadata.append(item)
        return Slot(annotation, tuple(metadata), examples, self.default)

    def step(self, name: str) -> "Slot | None":
        """What stands at a key or position of it; None, when that is not known."""
        if isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel):
            field = self.annotation.model_fields.get(name)
            return Slot.of_field(field) if field else None
        arguments = get_args(self.annotation)
        if get_origin(self.annotation) in {tuple, list} and arguments:
            return Slot(arguments[0]).plain()
        if get_origin(self.annotation) is dict:
            return Slot(arguments[1]).plain()
        return None

    def bound(self, name: str) -> Any:
        """One of `ge gt le lt min_length max_length`, or None."""
        found = [value for item in self.metadata if (value := getattr(item, name, None)) is not None]
        return found[-1] if found else None

    @property
    def form(self) -> Form | None:
        """The form of a text, where it has one."""
        return next((item for item in self.metadata if isinstance(item, Form)), None)


def slot_at(path: Iterable[str], model: type[BaseModel]) -> Slot | None:
    """The place that a path leads to; None, where the contract does not say."""
    slot: Slot | None = Slot(model)
    for name in path:
        slot = slot.step(name) if slot is not None else None
    return slot


def expectation(slot: Slot) -> str:
    """`a whole number from 0 to 50, such as 3`: ends with what is known or with an example."""
    words, such = _words(slot), example(slot)
    if choices(slot):
        return words
    return f"{words}, such as {such if slot.form is not None else shown(such)}"


def choices(slot: Slot) -> tuple[str, ...]:
    """Every value that an enumeration takes; empty for other types."""
    kind = slot.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(member.value) for member in kind)
    return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()


def taken(slot: Slot) -> str:
    """The limits alone, for a table: `from 0 to 50`, `at most 100 characters`; empty without any."""
    kind = slot.annotation
    if slot.form is not None:
        return slot.form.words
    if kind in {int, float}:
        limits = _range(slot, whole=kind is int)
    elif kind in {str, SecretStr}:
        limits = _length(slot, "character")
    elif get_origin(kind) in {tuple, list}:
        limits = _length(slot, "item")
    else:
        limits = _length(slot, "entry") if get_origin(kind) is dict else ""
    return limits.strip().removeprefix("of ")


def _words(slot: Slot) -> str:
    kind, origin = slot.annotation, get_origin(slot.annotation)
    if known := choices(slot):
        return f"one of {', '.join(known)}" if len(known) > 1 else known[0]
    if slot.form is not None:
        return slot.form.words
    if kind is bool:
        return "true or false, without quotes"
    if kind is int:
        return f"a whole number{_range(slot, whole=True)}"
    if kind is float:
        return f"a number{_range(slot, whole=False)}"
    if kind in {str, SecretStr}:
        return f"text{_length(slot, 'character')}"
    if origin in {tuple, list}:
        return f"a list{_length(slot, 'item')}"
    if isinstance(kind, type) and issubclass(kind, _MOMENTS):
        return "a date and time with its zone"
    if origin is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return f"an object{_length(slot, 'entry')}"
    return "a JSON value"


def _range(slot: Slot, *, whole: bool) -> str:
    least, most = slot.bound("ge"), slot.bound("le")
    if whole and least is None and (above := slot.bound("gt")) is not None:
        least = above + 1
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}" if not whole else f" from {least} to {most}"
    told = [
        f"{words} {value:g}" if not whole else f"{words} {value}"
        for words, value in (
            ("of at least", least),
            ("above", None if whole else slot.bound("gt")),
            ("of at most", most),
            ("below", slot.bound("lt")),
        )
        if value is not None
    ]
    return f" {' and '.join(told)}" if told else ""


def _length(slot: Slot, unit: str) -> str:
    least, most = slot.bound("min_length"), slot.bound("max_length")
    many = f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
    if most is not None:
        return f" of {least or 0} to {most} {many}" if least else f" of at most {most} {many}"
    return f" of at least {least} {unit if least == 1 else many}" if least else ""


def example(slot: Slot, nesting: int = 0) -> Any:
    """A value that is taken there, as JSON would say it."""
    kind, origin = slot.annotation, get_origin(slot.annotation)
    if slot.examples:
        return slot.examples[0]
    if slot.form is not None:
        return slot.form.example
    if known := choices(slot):
        return known[0]
    if kind is bool:
        return slot.default if isinstance(slot.default, bool) else True
    if kind in {int, float}:
        return _number(slot)
    if kind is str:
        return slot.default if isinstance(slot.default, str) and slot.default else "text"
    if kind is SecretStr:
        return "your-key"
    if isinstance(kind, type) and issubclass(kind, _MOMENTS):
        return "2026-01-31T12:00:00Z"
    inner = None if nesting >= _MAX_NESTING else slot.step("0")
    if origin in {tuple, list}:
        return [example(inner, nesting + 1)] if inner is not None else []
    if origin is dict:
        return slot.default or {"name": "value"}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _object(kind, nesting)
    return "text"


def _number(slot: Slot) -> Any:
    if isinstance(slot.default, int | float) and slot.default:
        return slot.default
    least, most = slot.bound("ge") or 0, slot.bound("le")
    middle = least + 3 if most is None else (least + most) / 2
    return int(middle) if slot.annotation is int else round(middle, 2)


def _object(model: type[BaseModel], nesting: int) -> Mapping[str, Any]:
    """Its required fields, or the first one when none is."""
    fields = model.model_fields
    names = [name for name, field in fields.items() if field.is_required()] or list(fields)[:1]
    if nesting >= _MAX_NESTING:
        return {}
    return {name: example(Slot.of_field(fields[name]), nesting + 1) for name in names}


def whole_example(model: type[BaseModel], nesting: int = 0) -> dict[str, Any]:
    """An object with every field that is required or says what it looks like: how an answer may look."""
    shown: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        slot = Slot.of_field(field)
        inner = slot.step("0")
        if slot.examples or (field.is_required() and not _is_model(slot) and inner is None):
            shown[name] = example(slot)
        elif _is_model(slot):
            shown[name] = whole_example(slot.annotation, nesting + 1)
        elif inner is not None and _is_model(inner):
            shown[name] = [whole_example(inner.annotation, nesting + 1)] if nesting < _MAX_NESTING else []
        elif field.is_required():
            shown[name] = example(slot)
        elif isinstance(slot.default, str | int | float) and slot.default != "":
            shown[name] = slot.default
    return shown


def _is_model(slot: Slot) -> bool:
    return isinstance(slot.annotation, type) and issubclass(slot.annotation, BaseModel)


def shown(value: Any) -> str:
    """An example as it would stand in a JSON body, of bearable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_EXAMPLE else f"{text[:_MAX_EXAMPLE]}…"


def _without_none(union: Any) -> list[Any]:
    return [part for part in get_args(union) if part is not NoneType]
