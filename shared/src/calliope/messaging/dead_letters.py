"""Dead letters: what durables gave up on, listed, shown and replayed.

    letters = DeadLetters(bus)
    page = await letters.list(durable="webhooks-fanout", since=yesterday)      # page.next_after: the page behind it
    content = await letters.show(page.letters[0].id)                           # headers and body as they arrived
    await letters.replay(content.letter.id)                                    # ReplayOutcome, stored when it returns
    async for result in letters.replay_all(durable="webhooks-fanout"): ...     # those that lie there now, once each

A letter is stored in DEAD. Replaying puts its message, as it was, into the stream that its durable reads, under a
subject that this durable alone filters: other readers of the stream never see it twice. The subject follows from the
place of the failed message and may be used once, so a replay that is repeated, or was cut short, has one effect. Then
the letter moves from `calliope.dead.…` to `calliope.replayed.…`. A message that fails again becomes a new letter.

Raises everywhere: TransientError, when the bus does not answer or has no room: repeat it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from nats.errors import Error as NatsError
from nats.js.api import Header, RawStreamMsg
from nats.js.errors import BadRequestError, NotFoundError, ServerError

from calliope.contracts import subjects
from calliope.errors import PermanentError, TransientError
from calliope.messaging.dead_letter_form import (
    DROPPED,
    REFUSED,
    DeadLetter,
    as_published,
    completed,
    filed_headers,
    filters_of,
    letter_headers,
    letter_of,
    replay_headers,
    waiting_key,
)
from calliope.messaging.publish import BUDGET_S, EXPECTED_LAST, TIMEOUT_S, WRONG_LAST_SEQUENCE, stored
from calliope.messaging.stream_positions import first_since
from calliope.messaging.streams import DEAD, DURABLES, Durable, durable_named

if TYPE_CHECKING:
    from calliope.messaging.broker import Bus

PAGE: Final = 50
LARGEST_PAGE: Final = 500

__all__ = [
    "DeadLetter", "DeadLetterContent", "DeadLetterNotFound", "DeadLetterPage", "DeadLetters", "Replay", "ReplayOutcome",
]  # fmt: skip


class DeadLetterNotFound(PermanentError):  # noqa: N818 - what was asked for, not what broke
    """There is no dead letter with this number, or no longer."""


class ReplayOutcome(StrEnum):
    """What came of replaying one letter."""

    REPLAYED = "replayed"
    ALREADY = "already_replayed"
    GONE = "message_gone"
    """The server dropped it without a letter of ours, and its stream has forgotten it since."""
    UNREAD = "no_such_durable"
    """No durable of this version has the letter's name."""


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """Letters, oldest first; `next_after` is the `after` of the next page, None when this is the last."""

    letters: tuple[DeadLetter, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class DeadLetterContent:
    """A letter with its message: the headers and bytes as they were published."""

    letter: DeadLetter
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of one letter."""

    letter: DeadLetter
    outcome: ReplayOutcome


class DeadLetters:
    """The dead letters of one bus. Several may work at once; each letter is replayed once."""

    def __init__(self, bus: "Bus", *, timeout_s: float = TIMEOUT_S, budget_s: float = BUDGET_S) -> None:
        self._bus = bus
        self._timeout_s = timeout_s
        self._budget_s = budget_s

    async def counts(self) -> dict[tuple[str, str], int]:
        """How many letters wait to be looked at, by durable and reason."""
        async with self._asked():
            try:
                info = await self._bus.jetstream.stream_info(DEAD.name, subjects_filter=">")
            except NotFoundError:
                return {}
        found: dict[tuple[str, str], int] = {}
        for subject, count in (info.state.subjects or {}).items():
            if (key := waiting_key(subject)) is not None:
                found[key] = found.get(key, 0) + count
        return found

    async def list(
        self,
        *,
        durable: str | None = None,
        since: datetime | None = None,
        replayed: bool = False,
        after: int = 0,
        limit: int = PAGE,
    ) -> DeadLetterPage:
        """At most `limit` (up to 500) letters beyond number `after`, which died at `since` or later.

        `replayed`: those that were replayed, instead of those that wait. Raises: PermanentError for an unknown durable.
        """
        limit = max(1, min(limit, LARGEST_PAGE))
        filters = _filters(durable, replayed=replayed)
        begin = after + 1 if since is None else max(after + 1, await self._first_since(since))
        heads = {each: await self._next(begin, each) for each in filters}
        letters: list[DeadLetter] = []
        last = after
        while (first := _earliest(heads)) is not None and len(letters) < limit:
            filter_, message = first
            last = int(message.seq or 0)
            if (letter := letter_of(message)) is not None:
                letters.append(letter)
            heads[filter_] = await self._next(last + 1, filter_)
        return DeadLetterPage(tuple(letters), None if first is None else last)

    async def show(self, letter_id: int) -> DeadLetterContent:
        """One letter with its message, replayed or not. Raises: DeadLetterNotFound."""
        message = await self._at(letter_id)
        letter = None if message is None else letter_of(message)
        if message is None or letter is None:
            raise DeadLetterNotFound(f"there is no dead letter {letter_id}: list them, they are kept for 30 days")
        if letter.reason != DROPPED or letter.replayed_at is not None:
            return DeadLetterContent(letter, as_published(message.headers or {}), message.data or b"")
        original = await self._get(letter.stream, letter.stream_sequence)
        if original is None:
            raise DeadLetterNotFound(f"the message of dead letter {letter_id} is no longer kept in {letter.stream}")
        return DeadLetterContent(
            completed(letter, original), as_published(original.headers or {}), original.data or b""
        )

    async def replay(self, letter_id: int) -> Replay:
        """Give one letter's message to its durable again; returns when that is stored. Repeating it changes nothing.

        Raises: DeadLetterNotFound.
        """
        message = await self._at(letter_id)
        letter = None if message is None else letter_of(message)
        if letter is None:
            raise DeadLetterNotFound(f"there is no dead letter {letter_id}: list them, they are kept for 30 days")
        return await self._replay(letter)

    async def replay_all(self, *, durable: str | None = None, since: datetime | None = None) -> AsyncIterator[Replay]:
        """Replay the letters that wait now, oldest first, and tell of each; what dies again meanwhile is left."""
        async with self._asked():
            try:
                last = (await self._bus.jetstream.stream_info(DEAD.name)).state.last_seq
            except NotFoundError:
                return
        after: int | None = 0
        while after is not None:
            page = await self.list(durable=durable, since=since, after=after)
            for letter in page.letters:
                if letter.id > last:
                    return
                yield await self._replay(letter)
            after = page.next_after

    async def add(self, durable: Durable, *, subject: str, body: bytes, message_id: str, error: PermanentError) -> None:
        """Keep a message that `subject` refused in the first place; a replay is read by `durable`.

        Twice the same message within ten minutes is one letter. Raises: PermanentError, when it is too large for that.
        """
        headers = letter_headers(
            {"content-type": "application/json", Header.MSG_ID.value: message_id},
            subject=subject,
            stream=durable.stream,
            sequence=0,
            deliveries=0,
            durable=durable.name,
            reason=REFUSED,
            error=error,
            detail=str(error),
        )
        headers[Header.MSG_ID.value] = f"{durable.name}.{message_id}"
        place = subjects.dead_letter(durable.name, REFUSED)
        try:
            await stored(self._bus, DEAD.name, place, body, headers, timeout_s=self._timeout_s, budget_s=self._budget_s)
        except BadRequestError as exc:
            raise PermanentError(f"{DEAD.name} refuses {place}: {exc.description}") from exc

    async def _replay(self, letter: DeadLetter) -> Replay:
        if letter.replayed_at is not None:
            return Replay(letter, ReplayOutcome.ALREADY)
        durable = durable_named(letter.durable)
        if durable is None or durable.stream != letter.stream:
            return Replay(letter, ReplayOutcome.UNREAD)
        try:
            content = await self.show(letter.id)
        except DeadLetterNotFound:
            return Replay(letter, ReplayOutcome.GONE)
        if content.letter.replayed_at is not None:  # somebody else was quicker
            return Replay(content.letter, ReplayOutcome.ALREADY)
        fresh = await self._send(content, durable)
        await self._file_away(content)
        return Replay(content.letter, ReplayOutcome.REPLAYED if fresh else ReplayOutcome.ALREADY)

    async def _send(self, content: DeadLetterContent, durable: Durable) -> bool:
        """Put the message before its durable; False when that was done before."""
        letter = content.letter
        headers = replay_headers(letter, content.headers)
        return await self._once(
            durable.stream,
            subjects.replay(durable.stream, durable.name, letter.stream_sequence or f"letter_{letter.id}"),
            content.body,
            headers,
        )

    async def _file_away(self, content: DeadLetterContent) -> None:
        """Move the letter to those that were replayed. Cut short, the next replay does it."""
        letter = content.letter
        headers = filed_headers(letter, content.headers, datetime.now(UTC))
        subject = subjects.replayed_letter(letter.durable, letter.reason, letter.id)
        await self._once(DEAD.name, subject, content.body, headers)
        async with self._asked():
            try:
                await self._bus.jetstream.delete_msg(DEAD.name, letter.id)
            except (NotFoundError, ServerError):
                if await self._get(DEAD.name, letter.id) is not None:  # else somebody else has moved it
                    raise

    async def _once(self, stream: str, subject: str, body: bytes, headers: dict[str, str]) -> bool:
        """Store it unless something stands under `subject`; whether it was stored now."""
        only_first = {**headers, EXPECTED_LAST: "0", Header.MSG_ID.value: subject}
        try:
            ack = await stored(
                self._bus, stream, subject, body, only_first, timeout_s=self._timeout_s, budget_s=self._budget_s
            )
        except BadRequestError as exc:
            if exc.err_code in WRONG_LAST_SEQUENCE:
                return False
            raise PermanentError(f"{stream} refuses {subject}: {exc.description}") from exc
        return not ack.duplicate

    async def _at(self, letter_id: int) -> RawStreamMsg | None:
        """The message of a letter by its number, where it waits or where it was filed away."""
        found = await self._get(DEAD.name, letter_id) if letter_id > 0 else None
        if found is not None and waiting_key(found.subject or "") is not None:
            return found
        return await self._next(1, subjects.replayed_letter("*", "*", letter_id)) if letter_id > 0 else None

    async def _get(self, stream: str, sequence: int) -> RawStreamMsg | None:
        async with self._asked():
            try:
                return await self._bus.jetstream.get_msg(stream, seq=sequence)
            except NotFoundError:
                return None

    async def _next(self, sequence: int, filter_: str) -> RawStreamMsg | None:
        async with self._asked():
            try:
                return await self._bus.jetstream.get_msg(DEAD.name, seq=sequence, subject=filter_, next=True)
            except NotFoundError:
                return None

    async def _first_since(self, since: datetime) -> int:
        async with self._asked():
            return await first_since(self._bus.jetstream, DEAD.name, since)

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        """Around one question to the bus."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError(f"the dead letters cannot be reached: {str(exc) or type(exc).__name__}") from exc


def _filters(durable: str | None, *, replayed: bool) -> tuple[str, ...]:
    if durable is not None and durable_named(durable) is None:
        known = ", ".join(each.name for each in DURABLES)
        raise PermanentError(f"there is no durable consumer {durable!r}: take one of {known}")
    return filters_of(durable, replayed=replayed)


def _earliest(heads: Mapping[str, RawStreamMsg | None]) -> tuple[str, RawStreamMsg] | None:
    there = [(filter_, message) for filter_, message in heads.items() if message is not None]
    return min(there, key=lambda each: each[1].seq or 0, default=None)
