"""Asks the assistants service where calls to a number go; remembers the answer for when it is away.

Every answer was asked for after the question came, so a change counts at once; who comes while a question about the
same number is under way shares the next one. What calls were taken with is also kept in the key-value bucket `routes`,
for workers that start while the service is away.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Final

import structlog
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError

from calliope.caches import BoundedCache
from calliope.contracts.assistants import NumberRoute, PhoneNumberRef
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.messaging.broker import Bus
from calliope.messaging.command_client import CommandClient
from calliope.messaging.streams import ROUTES_BUCKET
from calliope_call_worker.ports import KnownRoute

log = structlog.get_logger(__name__)

ASK_S: Final = 2.0
ASK_REMEMBERED_S: Final = 0.5
"""A service that is slow keeps no caller waiting for what is remembered."""
AWAY_S: Final = 2.0
"""So long a service that did not answer is not asked again about what is remembered."""
BELIEVED_S: Final = 1.0
CACHE_BYTES: Final = 16 * 1024 * 1024
BUCKET_S: Final = 2.0
MAX_WAITING: Final = 1_000
MAX_NUMBER: Final = 32
KEPT_FOR_S: Final = 24 * 60 * 60.0
"""Then a route still in use is written again: the bucket forgets what is old."""
_AWAY: Final = {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{1,14}")


@dataclass(frozen=True, slots=True)
class _Known:
    route: NumberRoute | None
    asked_at: float


@dataclass(slots=True)
class _Questions:
    """About one number, at the moment: how many were begun, and the outcome of the last that was answered."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    begun: int = 0
    answered: int = 0
    outcome: NumberRoute | CommandError | None = None


class BusNumberResolver:
    """See `ports.NumberResolver`."""

    def __init__(self, bus: Bus, commands: CommandClient) -> None:
        self._bus = bus
        self._commands = commands
        self._known: BoundedCache[str, _Known] = BoundedCache(CACHE_BYTES)
        self._questions: dict[str, _Questions] = {}
        self._away_until = 0.0
        self._written: BoundedCache[str, tuple[NumberRoute, float]] = BoundedCache(CACHE_BYTES)
        self._waiting: asyncio.Queue[tuple[str, NumberRoute | None]] = asyncio.Queue(MAX_WAITING)
        self.written = 0
        """Routes that the bus took."""

    def known(self, number: str) -> KnownRoute | None:
        """See `ports.NumberResolver`."""
        known = self._known.get(number[:MAX_NUMBER])
        if known is None or time.monotonic() - known.asked_at > BELIEVED_S:
            return None
        return KnownRoute(known.route)

    async def route(self, number: str) -> NumberRoute | None:
        """See `ports.NumberResolver`. Raises: CommandError."""
        number = number[:MAX_NUMBER]
        questions = self._questions.setdefault(number, _Questions())
        begun_before = questions.begun
        questions.waiting += 1
        try:
            async with questions.lock:
                if questions.answered <= begun_before:
                    await self._answer(number, questions)
                outcome = questions.outcome
        finally:
            questions.waiting -= 1
            if not questions.waiting:
                del self._questions[number]
        if isinstance(outcome, CommandError):
            raise outcome
        return outcome

    async def _answer(self, number: str, questions: _Questions) -> None:
        known = self._known.get(number)
        questions.begun += 1
        this = questions.begun
        try:
            questions.outcome = await self._ask(number, None if known is None else known.route)
        except CommandError as exc:
            questions.outcome = exc
        questions.answered = this

    async def _ask(self, number: str, remembered: NumberRoute | None) -> NumberRoute | None:
        now = time.monotonic()
        away = now < self._away_until
        if away and (remembered := remembered or await self._find(number)) is not None:
            return remembered
        try:
            route = await self._commands.call(
                Command.PHONE_NUMBERS_ROUTE,
                PhoneNumberRef(number=number),
                reply_type=NumberRoute,
                timeout_s=ASK_S if remembered is None else ASK_REMEMBERED_S,
            )
        except CommandError as exc:
            if exc.code is ErrorCode.NOT_FOUND:
                self._remember(number, None, now)
                if remembered is not None:
                    self._write(number, None)
                return None
            if exc.code not in _AWAY:
                raise
            self._away_until = time.monotonic() + AWAY_S
            if not away and (remembered := remembered or await self._find(number)) is not None:
                log.warning("number.remembered", error=exc.code)
                self._remember(number, remembered, now)
                return remembered
            raise
        self._away_until = 0.0
        self._remember(number, route, now)
        return route

    def _remember(self, number: str, route: NumberRoute | None, now: float) -> None:
        self._known.put(number, _Known(route, now), 0 if route is None else _size(route))

    def keep(self, route: NumberRoute) -> None:
        """See `ports.NumberResolver`. Written behind the call's back; what could not be is tried with the next one."""
        written = self._written.get(route.number)
        if written is not None and written[0] == route and time.monotonic() - written[1] < KEPT_FOR_S:
            return
        if self._write(route.number, route):
            self._written.put(route.number, (route, time.monotonic()), _size(route))

    def _write(self, number: str, route: NumberRoute | None) -> bool:
        try:
            self._waiting.put_nowait((number, route))
        except asyncio.QueueFull:  # the bus is away
            log.warning("route.not_kept", reason="too many wait")
            return False
        return True

    async def run(self) -> None:
        """Write what waits, for as long as the worker lives."""
        while True:
            number, route = await self._waiting.get()
            try:
                async with asyncio.timeout(BUCKET_S):
                    bucket = await self._bus.jetstream.key_value(ROUTES_BUCKET)
                    if route is None:
                        await bucket.purge(_key(number))
                    else:
                        await bucket.put(_key(number), route.model_dump_json().encode())
                        self.written += 1
            except (NatsError, OSError, TimeoutError) as exc:
                log.warning("route.not_kept", reason=type(exc).__name__)
                self._written.drop(number)

    async def _find(self, number: str) -> NumberRoute | None:
        """As some worker kept it."""
        if not _NUMBER.fullmatch(number):
            return None
        try:
            async with asyncio.timeout(BUCKET_S):
                bucket = await self._bus.jetstream.key_value(ROUTES_BUCKET)
                found = await bucket.get(_key(number))
        except KeyNotFoundError:
            return None
        except (NatsError, OSError, TimeoutError) as exc:
            log.warning("route.not_found", reason=type(exc).__name__)
            return None
        return NumberRoute.model_validate_json(found.value) if found.value else None


def _key(number: str) -> str:
    return number.removeprefix("+")


def _size(route: NumberRoute) -> int:
    return len(route.model_dump_json())
