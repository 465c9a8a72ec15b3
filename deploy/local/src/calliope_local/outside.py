"""Decides what of the outside world is real and what the sandbox emulates, and says so in a table. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from calliope_local.env_file import WORKER_PREFIXES, EnvFile
from calliope_local.local_models import ModelServer
from calliope_local.vendors import CARRIER, KINDS, RECOGNISER, VENDORS, VOICE, Vendor

PATIENCE: Final = {
    "CALLIOPE_PROVIDERS__THINKING__FIRST_TOKEN_DEADLINE_S": "20",
    "CALLIOPE_PROVIDERS__THINKING__INTER_TOKEN_DEADLINE_S": "10",
}
"""A model on this machine may have to be loaded first, and thinks slower than a vendor's."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class PublicUrlError(ValueError):
    """A PUBLIC_URL that no carrier could use; the message says what one looks like."""


class Here(StrEnum):
    """Who answers."""

    REAL = "real"
    EMULATED = "emulated"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Choice:
    """What stands behind one vendor's name."""

    vendor: Vendor
    here: Here
    why: str

    @property
    def is_real(self) -> bool:
        """Whether the vendor itself is asked."""
        return self.here is Here.REAL


@dataclass(frozen=True, slots=True)
class Outside:
    """`variables` are the worker's; those that begin with one of `real` are not the sandbox's any more."""

    variables: Mapping[str, str] = field(default_factory=dict)
    real: tuple[str, ...] = ()
    public_url: str | None = None
    choices: tuple[Choice, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def media_url(self) -> str | None:
        """Where carriers bring audio: the same address, as a websocket."""
        return None if self.public_url is None else "ws" + self.public_url.removeprefix("http") + "/media"

    @property
    def real_speech(self) -> tuple[str, ...]:
        """Real recognisers and voices; they and the sandbox's callers do not understand each other."""
        return tuple(one.vendor.name for one in self.choices if one.is_real and one.vendor.does in {RECOGNISER, VOICE})

    def worker(self, emulated: Mapping[str, str]) -> dict[str, str]:
        """The worker's variables, given those of an emulated world."""
        kept = {name: value for name, value in emulated.items() if not name.startswith(self.real)}
        return kept | dict(self.variables)

    def table(self) -> str:
        """One line a vendor."""
        rows = [("vendor", "for", "here", "why"), *(_row(choice) for choice in self.choices)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows)
        return "\n".join(f"  {line.rstrip()}" for line in lines)


def decide(file: EnvFile, *, public_url: str | None = None, models: ModelServer | None = None) -> Outside:
    """Real is each vendor whose account is in the file; a model server answers for the other vendors of models.

    Raises: PublicUrlError.
    """
    choices = tuple(_choice(vendor, file, models) for vendor in VENDORS)
    real = tuple(choice.vendor.prefix for choice in choices if choice.is_real)
    given = {name: value for name, value in (file.values or {}).items() if name.startswith(WORKER_PREFIXES)}
    emulated = tuple(choice.vendor.prefix for choice in choices if not choice.is_real)
    variables: dict[str, str] = dict(PATIENCE) if models is not None else {}
    # An address or half an account of an emulated vendor would lead the worker, or its secrets, astray.
    variables |= {name: value for name, value in given.items() if not name.startswith(emulated)}
    for choice in choices:
        if choice.is_real:
            variables |= _account(choice.vendor, file)
        elif models is not None and choice.vendor.is_model:
            variables |= models.variables(choice.vendor.prefix)
    url = None if public_url is None else checked_public_url(public_url)
    remarks = (*file.remarks, *_advice(choices, url))
    return Outside(variables, real, url, choices, remarks)


def checked_public_url(text: str) -> str:
    """Without a slash at the end. Raises: PublicUrlError."""
    example = "PUBLIC_URL is the address that a tunnel or proxy gives this machine, such as https://calls.example.com"
    try:
        parts = urlsplit(text.rstrip("/"))
        _ = parts.port
    except ValueError as exc:
        raise PublicUrlError(f"{text} is no address: {example}") from exc
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise PublicUrlError(f"{text} cannot be used: {example}, with nothing after the host")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise PublicUrlError(f"{text} cannot be used: carriers bring audio over TLS only; {example}")
    return text.rstrip("/")


def _choice(vendor: Vendor, file: EnvFile, models: ModelServer | None) -> Choice:
    found = {setting: file.get(*_names_of(vendor, setting)) for setting in vendor.needed}
    if all(found.values()):
        names = ", ".join(one[0] for one in found.values() if one)
        return Choice(vendor, Here.REAL, f"{names} in {file.name}")
    if (address := file.get(vendor.url)) and not any(found.values()):
        return Choice(vendor, Here.REAL, f"{address[0]} in {file.name}; each assistant brings its own key")
    missing = [_names_of(vendor, setting)[-1] for setting, one in found.items() if one is None]
    if any(found.values()):
        return Choice(vendor, Here.EMULATED, f"{', '.join(missing)} missing in {file.name}")
    if models is not None and vendor.is_model:
        return Choice(vendor, Here.LOCAL, f"{models.name} on this machine answers ({models.model})")
    where = f"{'is empty' if missing[0] in file.empty else 'is not'} in {file.name}" if file.name else "is not given"
    return Choice(vendor, Here.EMULATED, f"{missing[0]} {where}")


def _names_of(vendor: Vendor, setting: str) -> tuple[str, ...]:
    """Ours first: who wrote the longer name meant it."""
    shared = (f"{vendor.shares}{setting}",) if vendor.shares else ()
    return (f"{vendor.prefix}{setting}", *shared, *reversed(vendor.usual[setting]))


def _account(vendor: Vendor, file: EnvFile) -> dict[str, str]:
    found = {setting: file.get(*_names_of(vendor, setting)) for setting in vendor.usual}
    return {f"{vendor.prefix}{setting}": one[1] for setting, one in found.items() if one is not None}


def _advice(choices: tuple[Choice, ...], public_url: str | None) -> Iterator[str]:
    real = {kind: [each.vendor.name for each in choices if each.is_real and each.vendor.does == kind] for kind in KINDS}
    carriers = real[CARRIER]
    if public_url is not None and not carriers:
        yield "PUBLIC_URL is set, but no carrier is real: a real number rings once its account is in ENV."
    if carriers and public_url is None:
        yield f"{' and '.join(carriers)}: a real number cannot reach this machine without PUBLIC_URL=https://…"
    if carriers:
        yield f"{' and '.join(carriers)}: a real telephone rings these numbers; `make call` is for emulated carriers."
    if carriers and not real[RECOGNISER]:
        yield "A person on a real number is not understood: an emulated recogniser hears the sandbox's callers only."
    if carriers and not real[VOICE]:
        yield "A person on a real number hears tones: every voice is emulated. Add the key of one, such as ElevenLabs'."
    if not carriers and (odd := real[RECOGNISER] + real[VOICE]):
        yield (
            f"{', '.join(odd)}: the sandbox's callers speak in tones, which real vendors do not understand, and hear"
            " nothing else; real ears and voices need a real number."
        )
    if any(choice.is_real for choice in choices):
        yield (
            "An assistant's own api_key goes to the real vendor; one that begins with `sandbox-`, as in examples/,"
            " is replaced by yours."
        )


def _row(choice: Choice) -> tuple[str, str, str, str]:
    return choice.vendor.name, choice.vendor.does, choice.here.value, choice.why
