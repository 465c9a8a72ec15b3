"""A command with an idempotency key has one effect and one reply, however often it is sent."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import orjson
from pydantic import BaseModel

from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError
from calliope_assistants.ports import CommandLog

ReplyT = TypeVar("ReplyT", bound=BaseModel)

LEASE_S: Final = 15.0
WAIT_S: Final = 3.0
POLL_S: Final = 0.05


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
        """
        if command_id is None:
            return await work()
        key = command_key(organization_id, subject, command_id)
        request_hash = hashlib.sha256(orjson.dumps(payload.model_dump(mode="json"))).hexdigest()
        kept = await self._begin(key, request_hash)
        if kept is not None:
            return reply_type.model_validate(kept)
        try:
            reply = await work()
        except CommandError:
            await self._log.forget(key)
            raise
        await self._log.finish(key, keep(reply).model_dump(mode="json"))
        return reply

    async def _begin(self, key: str, request_hash: str) -> dict[str, object] | None:
        """The kept reply, or None when the work is ours."""
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    done = await self._log.begin(key, request_hash, datetime.now(UTC), LEASE_S)
                    if done is None:
                        return None
                    if done.request_hash != request_hash:
                        words = "this Idempotency-Key was used for another request; use a new one"
                        raise CommandError(ErrorCode.IDEMPOTENCY_MISMATCH, words)
                    if done.reply is not None:
                        return done.reply
                    await asyncio.sleep(POLL_S)
        except TimeoutError as exc:
            words = "the same request is still being worked on; ask again"
            raise CommandError(ErrorCode.IN_PROGRESS, words, retry_after_s=1.0) from exc


def command_key(organization_id: str, subject: str, command_id: str) -> str:
    """One key per organization, command and client key; of fixed length, so any client key is safe."""
    return hashlib.sha256("\x1f".join((organization_id, subject, command_id)).encode()).hexdigest()
