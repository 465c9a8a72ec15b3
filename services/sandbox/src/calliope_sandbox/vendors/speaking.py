"""What the twins of speaking vendors share: chunks at the pace of a vendor, and a record of who was asked what when."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from calliope_sandbox.knobs import VoiceKnobs
from calliope_sandbox.tone_speech import speak
from calliope_sandbox.voicing import BYTES_PER_MS, VoiceChunk, chunks

_Json = dict[str, Any]


def said(text: str, *, context: str = "") -> _Json:
    """The record of a text that is to be spoken now; `first_byte_at_s` comes with its first audio."""
    return {"context": context, "text": text, "asked_at_s": time.monotonic(), "first_byte_at_s": None}


async def spoken(entry: _Json, knobs: VoiceKnobs) -> AsyncIterator[VoiceChunk]:
    """The tone speech of a recorded text, each chunk when its time has come."""
    speech = speak(entry["text"], char_ms=knobs.char_ms)
    jitter_ms = random.uniform(0, knobs.first_byte_jitter_ms)  # noqa: S311 - a pace, no secret
    await asyncio.sleep((knobs.first_byte_ms + jitter_ms) / 1_000)
    cut = chunks(speech.audio, speech.chars, first_ms=knobs.first_chunk_ms, chunk_ms=knobs.chunk_ms)
    async for chunk in _paced(cut, knobs.speed):
        entry["first_byte_at_s"] = entry["first_byte_at_s"] or time.monotonic()
        yield chunk


async def _paced(cut: Iterable[VoiceChunk], speed: float) -> AsyncIterator[VoiceChunk]:
    begin_s, played_ms = time.monotonic(), 0.0
    for chunk in cut:
        wait_s = begin_s + played_ms / 1_000 / speed - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        yield chunk
        played_ms += len(chunk.audio) / BYTES_PER_MS
