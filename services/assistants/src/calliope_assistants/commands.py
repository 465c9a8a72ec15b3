"""A command with an idempotency key has one effect and one reply, however often it is sent."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import structlog
from pydantic import BaseModel

from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, TransientError
from calliope_assistants.ports import CommandLog

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
    ) -> ReplyT:
        """The reply of `work`, or the one kept of it (`keep` takes out what is shown only once).

        Raises: CommandError: `idempotency_mismatch`, `in_progress`, or what `work` raises, of which nothing is kept.
        When `work` fails in another way its outcome is unknown: the key stays, and a repetition may begin at once.
        """
        if command_id is None:
            return await work()
        key = command_key(organization_id, subject, command_id)
        kept = await self._begin(key, _hash(payload))
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
            if done.request_hash != request_hash:
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


def command_key(organization_id: str, subject: str, command_id: str) -> str:
    """One key per organization, command and client key; of fixed length, so any client key is safe."""
    return hashlib.sha256("\x1f".join((organization_id, subject, command_id)).encode()).hexdigest()


def _hash(payload: BaseModel) -> str:
    """The same for the same request, in whatever order its fields came."""
    return hashlib.sha256(json.dumps(payload.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
