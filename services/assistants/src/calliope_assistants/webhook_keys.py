"""Signing secrets of an assistant's webhooks: which ones sign, how one is replaced, what a client may bring. Pure."""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from calliope.contracts.assistants import SealedSecret, secret_context
from calliope.contracts.document.types import MASK
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.errors import CommandError
from calliope.secrets import Sealer, mask

FIELD: Final = "webhook_secret"
REPLACED_SIGNS: Final = timedelta(hours=24)
"""How long a secret signs after it was replaced."""
MOST_SIGNING: Final = 3
PREFIX: Final = "whsec_"
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64
_NEEDED: Final = (
    f'send "{PREFIX}" and the base64 of {LEAST_BYTES} to {MOST_BYTES} random bytes, such as'
    f' "{PREFIX}MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" (make your own: openssl rand -base64 32)'
)


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """One sealed secret. `until`: when it stops signing, None while it is the current one.

    `fingerprint` recognises the same secret when it is sent again; None in rows that are older than this field.
    """

    sealed: dict[str, Any]
    until: datetime | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookKeys:
    """Secrets of one assistant: the current one, and those it replaced, newest first."""

    current: WebhookKey
    replaced: tuple[WebhookKey, ...] = ()

    def signing(self, now: datetime) -> tuple[WebhookKey, ...]:
        """The secrets that sign now, newest first."""
        return (self.current, *(key for key in self.replaced if key.until is not None and now < key.until))

    def with_current(self, key: WebhookKey, now: datetime) -> "WebhookKeys":
        """These secrets with another current one; nothing changes when it is the current one already.

        Raises: CommandError `conflict`, when more than `MOST_SIGNING` secrets would sign.
        """
        if _same(key, self.current):
            return self
        _, *replaced = self.signing(now)
        replaced = [old for old in replaced if not _same(key, old)]
        if len(replaced) + 2 > MOST_SIGNING:
            raise _too_many(min(old.until for old in replaced if old.until is not None))
        return WebhookKeys(key, (replace(self.current, until=now + REPLACED_SIGNS), *replaced))


@dataclass(frozen=True, slots=True)
class KeyMaker:
    """Seals secrets of one assistant so that only the webhooks service opens them."""

    organization_id: str
    assistant_id: str
    sealer: Sealer

    def key(self, secret: str) -> WebhookKey:
        """`secret` sealed, with its fingerprint."""
        context = secret_context(self.organization_id, self.assistant_id, (FIELD,))
        fingerprint = hashlib.sha256(f"{context}|{secret}".encode()).hexdigest()
        return WebhookKey(self.sealer.seal(secret, context=context).model_dump(), fingerprint=fingerprint)


def new_secret() -> str:
    """A Standard Webhooks secret: `whsec_` and base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def shown(keys: WebhookKeys | None) -> str | None:
    """What a read shows: the masked current secret; None without one."""
    return None if keys is None else mask(SealedSecret.model_validate(keys.current.sealed))


def taken_from(
    document: dict[str, Any], keys: WebhookKeys | None
) -> tuple[dict[str, Any], str | None, FieldProblem | None]:
    """The document without its `webhook_secret`; the secret, if one was brought; what is wrong with it.

    Null and the mask that a read shows bring none: the stored secrets stay.
    """
    rest = {name: value for name, value in document.items() if name != FIELD}
    given = document.get(FIELD)
    if given is None or (given == shown(keys) and keys is not None):
        return rest, None, None
    problem = _wrong(given)
    if problem is not None:
        return rest, None, FieldProblem(path=FIELD, message=problem)
    return rest, given, None


def _wrong(given: Any) -> str | None:
    """Why this is no secret to sign with, in words that never repeat it."""
    if not isinstance(given, str):
        return f"must be text; {_NEEDED}"
    if given.startswith(MASK):
        return "this mask stands for no stored secret; send the secret itself, or leave the field out to keep it"
    if not given.startswith(PREFIX):
        return f'does not begin with "{PREFIX}"; {_NEEDED}'
    try:
        size = len(base64.b64decode(given.removeprefix(PREFIX), validate=True))
    except (binascii.Error, ValueError):
        return f'is not base64 after "{PREFIX}"; {_NEEDED}'
    if not LEAST_BYTES <= size <= MOST_BYTES:
        return f"holds {size} bytes; {_NEEDED}"
    return None


def _same(one: WebhookKey, other: WebhookKey) -> bool:
    return one.fingerprint is not None and one.fingerprint == other.fingerprint


def _too_many(free_at: datetime) -> CommandError:
    words = (
        f"{MOST_SIGNING} webhook secrets of this assistant sign already: the current one and those it replaced within"
        f" {REPLACED_SIGNS.total_seconds() / 3_600:g} hours. The next can be set at {free_at:%Y-%m-%dT%H:%M:%SZ},"
        " when the oldest stops signing"
    )
    return CommandError(ErrorCode.CONFLICT, words)
