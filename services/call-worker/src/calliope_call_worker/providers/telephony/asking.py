"""Asking a carrier about several numbers, few at a time, and comparing the addresses that it has of us."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from calliope.contracts.checks import CheckedPart
from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.probe import Finding, Findings

AT_ONCE: Final = 4
MOST_NUMBERS: Final = 20
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


async def each(numbers: Sequence[str], ask: Callable[[str], Awaitable[Finding]]) -> Findings:
    """One finding a number, in order, also for one that could not be asked about; what is beyond is not asked."""
    some = asyncio.Semaphore(AT_ONCE)

    async def one(number: str) -> Finding:
        async with some:
            try:
                return await ask(number)
            except ProviderError as exc:
                return Finding(CheckedPart.NUMBER, exc, number=number)

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(one(number), name="check.number") for number in numbers[:MOST_NUMBERS]]
    beyond = f"only the first {MOST_NUMBERS} numbers of a carrier are looked at"
    rest = (Finding(CheckedPart.NUMBER, unchecked=beyond, number=number) for number in numbers[MOST_NUMBERS:])
    return (*(task.result() for task in asked), *rest)


def same_address(given: str, ours: str) -> bool:
    """Whether two URLs lead to the same hook."""
    return _plain(given) == _plain(ours)


def shown(url: str) -> str:
    """An address without what may be secret in it: no user, no query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))[:200] or "none"


def _plain(url: str) -> tuple[str, str, int | None, str, str]:
    parts = urlsplit(url.strip())
    try:
        port = parts.port
    except ValueError:
        port = -1
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), port or _DEFAULT_PORTS.get(scheme), parts.path, parts.query
