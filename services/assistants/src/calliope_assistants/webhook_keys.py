"""Signing secrets of an assistant's webhooks: which ones sign, and how one is replaced. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from calliope.contracts.assistants import NewWebhookSecret, SealedSecret
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.errors import CommandError
from calliope.secrets import mask
from calliope.webhook_secrets import FIELD

REPLACED_SIGNS: Final = timedelta(hours=24)
"""How long a secret signs after it was replaced."""
MOST_SIGNING: Final = 3


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


def key_of(secret: NewWebhookSecret) -> WebhookKey:
    """The secret as it is stored."""
    return WebhookKey(secret.sealed.model_dump(), fingerprint=secret.fingerprint)


def shown(keys: WebhookKeys | None) -> str | None:
    """What a read shows: the masked current secret; None without one."""
    return None if keys is None else mask(SealedSecret.model_validate(keys.current.sealed))


def without_mask(document: dict[str, Any], keys: WebhookKeys | None) -> tuple[dict[str, Any], FieldProblem | None]:
    """The document without its `webhook_secret`, which can only be null or a mask here; what is wrong with that.

    Null and the mask that a read shows keep the stored secrets.
    """
    rest = {name: value for name, value in document.items() if name != FIELD}
    given = document.get(FIELD)
    if given is None or (keys is not None and given == shown(keys)):
        return rest, None
    message = "this mask stands for no stored secret; send the secret itself, or leave the field out to keep it"
    return rest, FieldProblem(path=FIELD, message=message)


def _same(one: WebhookKey, other: WebhookKey) -> bool:
    return one.fingerprint is not None and one.fingerprint == other.fingerprint


def _too_many(free_at: datetime) -> CommandError:
    words = (
        f"{MOST_SIGNING} webhook secrets of this assistant sign already: the current one and those it replaced within"
        f" {REPLACED_SIGNS.total_seconds() / 3_600:g} hours. The next can be set at {free_at:%Y-%m-%dT%H:%M:%SZ},"
        " when the oldest stops signing"
    )
    return CommandError(ErrorCode.CONFLICT, words)
