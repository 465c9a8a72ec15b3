"""Calls in which something breaks: their documents, their script, and what the caller had to endure."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from support.house import House, Json, a_document, said

ENDPOINTING_S: Final = 0.3
FIRST: Final = "Hi, what are your opening hours?"
SECOND: Final = "Can I book a table tomorrow"
LAST: Final = "No thank you, goodbye"
BOOKED: Final = "Your table tomorrow is booked. Is there anything else?"


def keys(tag: str) -> Json:
    """API keys that nobody else uses: a fault that names one strikes this call alone."""
    return {"deepgram": f"ear-{tag}", "openai": f"brain-{tag}", "groq": f"spare-{tag}", "elevenlabs": f"voice-{tag}"}


def a_document_with_keys(tag: str, *, fallbacks: bool = True, **changes: Json) -> Json:
    """An assistant with keys of its own; `fallbacks` are another model and another voice."""
    mine = keys(tag)
    voice: Json = {"provider": "elevenlabs", "voice_id": "rachel", "api_key": mine["elevenlabs"]}
    document = a_document(
        llm_provider_config={"api_key": mine["openai"], "model": "gpt-4o-mini"},
        stt_settings={"api_key": mine["deepgram"]},
        tts_settings=voice,
    )
    if fallbacks:
        spare = {"provider": "groq", "model": "openai/gpt-oss-20b", "api_key": mine["groq"]}
        document["llm_fallback_providers"] = {"enabled": True, "fallbacks": [spare]}
        other = {"provider": "elevenlabs", "voice_id": "adam", "api_key": f"other-{tag}"}
        document["tts_settings"] = voice | {"fallbacks": [other]}
    return document | changes


def a_script(faults: Sequence[Json]) -> list[Json]:
    """Three turns; the faults are armed just before the second."""
    return [
        {"wait_for": "Anna"},
        {"wait_for_silence_ms": 300},
        {"say": FIRST},
        {"wait_for": "Saturday"},
        {"wait_for_silence_ms": 300},
        {"faults": list(faults)},
        {"say": SECOND},
        {"wait_for": "anything else"},
        {"wait_for_silence_ms": 300},
        {"say": LAST},
        {"expect_hang_up": True},
    ]


@dataclass(frozen=True, slots=True)
class Endured:
    """What the caller heard after a turn: the longest silence in it, and the words."""

    silence_s: float
    words: list[str]

    @property
    def whole_words(self) -> list[str]:
        """Without the half of a word in which one voice broke off, when the next voice began with that word."""
        following = [*self.words[1:], ""]
        return [word for word, after in zip(self.words, following, strict=True) if not _is_half(word, after)]


def _is_half(word: str, after: str) -> bool:
    return after != word and after.startswith(word)


def endured(call: Json, *, turn: int = 2) -> Endured:
    """From the end of that turn of the caller to the beginning of the next; endpointing is no silence of ours."""
    own = [line for line in call["lines"] if line["side"] == "caller"]
    begin_ms = own[turn - 1]["end_ms"]
    end_ms = own[turn]["start_ms"] if len(own) > turn else float("inf")
    words = [word for word in call["heard_words"] if begin_ms <= word["start_ms"] < end_ms]
    if not words:
        return Endured(float("inf"), [])
    gaps = [words[0]["start_ms"] - begin_ms - ENDPOINTING_S * 1_000]
    gaps += [after["start_ms"] - before["end_ms"] for before, after in pairwise(words)]
    return Endured(max(gaps) / 1_000, [word["text"] for word in words])


def understood(record: Json) -> bool:
    """Whether the caller's words are in the transcript once each, in order."""
    return said(record, "user") == " ".join((FIRST, SECOND, LAST))


async def level(house: House, name: str = "worker") -> dict[str, float]:
    """Calls, tasks and open sockets of a worker now."""
    async with house.http.get(f"{house.stack.health(name)}/metrics") as answer:
        page = await answer.text()
    found = {
        line.split()[0].removeprefix("calliope_worker_"): float(line.split()[1])
        for line in page.splitlines()
        if line.startswith(("calliope_worker_calls ", "calliope_worker_tasks "))
    }
    return found | {"sockets": float(_sockets(house.stack.pid(name)))}


def _sockets(pid: int | None) -> int:
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # closed meanwhile
    return sum(link.startswith("socket:") for link in links)


async def settled(house: House, *, for_s: float = 1.0, within_s: float = 10.0) -> dict[str, float]:
    """The worker's level once it does not change any more: calls before left their last work."""
    deadline, since, last = time.monotonic() + within_s, time.monotonic(), await level(house)
    while time.monotonic() - since < for_s and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        if (now := await level(house)) != last:
            since, last = time.monotonic(), now
    return last


async def quiet(
    house: House, before: dict[str, float], *, name: str = "worker", within_s: float = 8.0
) -> dict[str, float]:
    """The worker's level once it is back where it was, or after that time."""
    deadline = time.monotonic() + within_s
    while (now := await level(house, name)) != before and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.1)
    return now
