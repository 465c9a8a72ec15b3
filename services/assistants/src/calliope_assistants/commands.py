"""A command with an idempotency key has one effect and one reply, however often it is sent."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import structlog
from pydantic import BaseModel

from calliope.contracts.assistants import (
    CreateAssistantV2,
    ReplaceAssistantV2,
    RotateWebhookSecretV2,
    UpdateAssistantV2,
)
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, TransientError
from calliope.idempotency import command_key
from calliope.sealed_documents import without_secrets
from calliope_assistants.ports import CommandLog, may_be_the_same

ReplyT = TypeVar("ReplyT", bound=BaseModel)

LEASE_S: Final = 15.0
WAIT_S: Final = 3.0
POLL_S: Final = 0.05
LONGEST_POLL_S: Final = 0.4

log = structlog.get_logger(__name__)


class Once:
    """Runs commands at most once per key, within an organization and a subject."""

    def __init__(self, log: CommandLog) -> None:
        self._log = log

    async def run(
        self,
        *,
        organization_id: str,
        subject: str,
        command_id: str | None,
        payload: BaseModel,
        reply_type: type[ReplyT],
        work: Callable[[], Awaitable[ReplyT]],
        keep: Callable[[ReplyT], ReplyT] = lambda reply: reply,
        mark: str | None = None,
    ) -> ReplyT:
        """The reply of `work`, or the one kept of it (`keep` takes out what is shown only once).

        `payload`: what makes a repeated request the same, or already its `mark` (`ports.may_be_the_same`).
        Raises: CommandError: `idempotency_mismatch`, `in_progress`, or what `work` raises, of which nothing is kept.
        When `work` fails in another way its outcome is unknown: the key stays, and a repetition may begin at once.
        """
        if command_id is None:
            return await work()
        key = command_key(organization_id, subject, command_id)
        kept = await self._begin(key, mark or hash_of(payload.model_dump(mode="json")))
        if kept is not None:
            return reply_type.model_validate(kept)
        try:
            reply = await work()
        except CommandError:
            await self._noted(self._log.forget(key))
            raise
        except Exception:
            await self._noted(self._log.release(key))
            raise
        await self._noted(self._log.finish(key, keep(reply).model_dump(mode="json")))
        return reply

    async def _begin(self, key: str, request_hash: str) -> dict[str, object] | None:
        """The kept reply, or None when the work is ours."""
        clock = asyncio.get_running_loop().time
        give_up, pause_s = clock() + WAIT_S, POLL_S
        while True:
            done = await self._log.begin(key, request_hash, datetime.now(UTC), LEASE_S)
            if done is None:
                return None
            if not may_be_the_same(done.request_hash, request_hash):
                words = "this Idempotency-Key was used for another request; use a new one"
                raise CommandError(ErrorCode.IDEMPOTENCY_MISMATCH, words)
            if done.reply is not None:
                return done.reply
            if clock() >= give_up:
                words = "the same request is still being worked on; ask again"
                raise CommandError(ErrorCode.IN_PROGRESS, words, retry_after_s=1.0)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_POLL_S)

    async def _noted(self, note: Awaitable[None]) -> None:
        """What was done stands, noted or not: without the note its lease ends, and its row knows the command."""
        try:
            await note
        except TransientError as exc:
            log.warning("command.not_noted", error=str(exc))


def mark_of_write(payload: CreateAssistantV2 | UpdateAssistantV2 | ReplaceAssistantV2 | RotateWebhookSecretV2) -> str:
    """The mark of a request whose secrets are sealed, at random each time: they are known by their digests.

    What is made for each sending is left out: the id of a new assistant, and a signing secret that nobody brought.
    """
    said = payload.model_dump(mode="json", exclude={"webhook_secret", "digest_key_id"})
    key_id, digests = "", list[str]()
    if isinstance(payload, CreateAssistantV2):
        said.pop("assistant_id")
    if not isinstance(payload, RotateWebhookSecretV2):
        key_id = payload.digest_key_id
        name = "patch" if isinstance(payload, UpdateAssistantV2) else "document"
        said[name], digests = without_secrets(said[name])
        if payload.webhook_secret.brought:
            digests.append(payload.webhook_secret.digest)
    secrets = hashlib.sha256("\x1f".join(digests).encode()).hexdigest()
    return ":".join(("v2", hash_of(said), key_id, secrets))


def hash_of(said: dict[str, Any]) -> str:
    """The same for the same request, in whatever order its fields came."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
