"""Seals the secrets of an assistant document where it arrives, so that nothing behind it sees them in clear.

Who seals says also what is wrong with a secret's form, as nobody after it can look. A secret goes on with a digest: the
same request has the same digests, so a repetition can be told from another request although sealing is random.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from calliope import webhook_secrets
from calliope.contracts.assistants import (
    AssistantRequest,
    NewWebhookSecret,
    SealedSecret,
    SentSecret,
    secret_context,
)
from calliope.contracts.document.headers import value_problem
from calliope.contracts.document.spec import SECRET_PATHS
from calliope.contracts.document.types import MASK
from calliope.contracts.errors import FieldProblem
from calliope.documents import PathPattern, copied, places
from calliope.secrets import Sealer
from calliope.settings import PublicKeySettings
from calliope.validation.expectations import expectation, slot_at
from calliope.validation.problems import MOST_PROBLEMS

MAX_SECRET: Final = 4_096
SECRETS_IN_A_STEP: Final = 8
"""Sealing one takes 0.25 ms, and a document may hold hundreds; other requests go on in between."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose document it is: what its secrets are bound to."""

    organization_id: str
    assistant_id: str

    def context(self, pattern: PathPattern) -> str:
        """What a secret at this place is bound to."""
        return secret_context(self.organization_id, self.assistant_id, pattern)


@dataclass(frozen=True, slots=True)
class DigestKey:
    """Under what digests are made: the API key of the request, which is not on the bus, with its id."""

    id: str
    key: bytes = field(repr=False)

    def digest(self, secret: str, owner: Owner, path: tuple[str, ...]) -> str:
        """64 hex digits; the id of the assistant has no part in it, as that of a new one can change at midnight."""
        said = "\x1f".join(("calliope/secret-digest/v1", owner.organization_id, ".".join(path), secret))
        return hmac.new(self.key, said.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class SealedDocument:
    """A document or merge patch whose secrets are sealed; masks stay as they were sent.

    `made` is the plain signing secret when the client brought none: shown once, if it is taken.
    """

    document: dict[str, Any]
    refused: tuple[FieldProblem, ...]
    webhook_secret: NewWebhookSecret
    digest_key_id: str
    made: str | None = field(repr=False)

    @property
    def beside(self) -> dict[str, Any]:
        """The fields that stand beside the document in a command that writes it."""
        return {
            "refused": self.refused,
            "webhook_secret": self.webhook_secret,
            "digest_key_id": self.digest_key_id,
        }


class DocumentSealer:
    """Seals to call-workers and to webhooks. Holds nothing secret."""

    def __init__(self, calls: Sealer, webhooks: Sealer) -> None:
        self._calls = calls
        self._webhooks = webhooks

    @classmethod
    def of(cls, keys: PublicKeySettings) -> "DocumentSealer":
        """Raises: PermanentError, ValueError, when one is no key."""
        return cls(Sealer(keys.calls_public_key), Sealer(keys.webhooks_public_key))

    async def seal(self, document: Mapping[str, Any], owner: Owner, *, digest_key: DigestKey) -> SealedDocument:
        """The document with every secret sealed; one that cannot be a secret is named in `refused` and goes no further.

        `digest_key`: nobody who reads the result must know it, else short secrets could be guessed from their digests.
        """
        sealed, refused = copied(dict(document)), []
        count = 0
        for pattern in SECRET_PATHS:
            for path, container, key in list(places(sealed, pattern)):
                secret = container[key]
                if secret is None or (isinstance(secret, str) and secret.startswith(MASK)):
                    continue
                problem = secret_problem(secret, pattern)
                if problem is not None:
                    refused.append(FieldProblem(path=".".join(path), message=problem))
                plain = secret if isinstance(secret, str) and problem is None else ""
                container[key] = self._sent(plain, path, pattern, owner, digest_key)
                count += 1
                if count % SECRETS_IN_A_STEP == 0:
                    await asyncio.sleep(0)
        webhook, made = self._webhook_secret(sealed, refused, owner, digest_key)
        return SealedDocument(sealed, tuple(refused[:MOST_PROBLEMS]), webhook, digest_key.id, made)

    def new_webhook_secret(self, owner: Owner) -> tuple[NewWebhookSecret, str]:
        """A signing secret made here: sealed, and in clear."""
        secret = webhook_secrets.new_secret()
        return self.signing_secret(secret, owner), secret

    def _sent(
        self, secret: str, path: tuple[str, ...], pattern: PathPattern, owner: Owner, digest_key: DigestKey
    ) -> dict[str, Any]:
        box = self._calls.seal(secret, context=owner.context(pattern))
        return SentSecret(**box.model_dump(), digest=digest_key.digest(secret, owner, path)).model_dump()

    def _webhook_secret(
        self, sealed: dict[str, Any], refused: list[FieldProblem], owner: Owner, digest_key: DigestKey
    ) -> tuple[NewWebhookSecret, str | None]:
        """Takes the client's own out of the document, unless it is a mask; without one a secret is made."""
        given = sealed.get(webhook_secrets.FIELD)
        if given is not None:
            problem = webhook_secrets.problem_of(given)
            if problem is not None:
                refused.append(FieldProblem(path=webhook_secrets.FIELD, message=problem))
            if problem is not None or not given.startswith(MASK):
                del sealed[webhook_secrets.FIELD]
                if problem is None:
                    digest = digest_key.digest(given, owner, (webhook_secrets.FIELD,))
                    return self.signing_secret(given, owner, digest=digest), None
        return self.new_webhook_secret(owner)

    def signing_secret(self, secret: str, owner: Owner, *, digest: str = "") -> NewWebhookSecret:
        """A signing secret, sealed; with a digest it is the client's own."""
        context = owner.context((webhook_secrets.FIELD,))
        sealed = self._webhooks.seal(secret, context=context)
        fingerprint = webhook_secrets.fingerprint_of(secret, context)
        return NewWebhookSecret(sealed=sealed, fingerprint=fingerprint, brought=bool(digest), digest=digest)


def secret_problem(secret: Any, pattern: PathPattern) -> str | None:
    """Why this can be no secret at its place, in words that do not repeat it."""
    if not isinstance(secret, str):
        slot = slot_at((step if step != "*" else "0" for step in pattern), AssistantRequest)
        return f"must be {expectation(slot)}" if slot is not None else "must be text"
    if pattern[-1] == "*":
        return value_problem(secret)
    if not secret:
        return "is empty; leave it out, or send null to clear it"
    if not secret.isprintable():
        return "holds a line break or another character that no header can carry; was it copied whole?"
    return f"is longer than {MAX_SECRET} characters" if len(secret) > MAX_SECRET else None


def sealed_in(value: Any) -> SealedSecret | None:
    """The sealed secret that stands at a place of a document; None for anything else."""
    return SealedSecret.model_validate(value) if isinstance(value, dict) and "sealed" in value else None


def without_secrets(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The document with nothing in place of each sealed secret, and the digests of these in a fixed order."""
    plain: dict[str, Any] = copied(document)
    digests: list[str] = []
    for pattern in SECRET_PATHS:
        for path, container, key in places(plain, pattern):
            if sealed_in(container[key]) is not None:
                digests.append(f"{'.'.join(path)}={container[key].get('digest')}")
                container[key] = {}
    return plain, sorted(digests)
