"""How long a voice's first audio takes beyond the vendor's own wait: `python tests/bench/voices.py [replies]`.

Prints the median and the 99th percentile per vendor, over a warm connection and through the resilient layer. The
vendor is its twin on loopback in the same process, so what the twin needs to send counts as ours.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from calliope.contracts.document.tts import TtsProvider
from calliope_call_worker.providers.settings import SpeakingSettings
from calliope_call_worker.providers.tts.base import VoiceSession
from calliope_call_worker.providers.tts.resilient import ResilientTts
from calliope_local.bench.figures import percentile
from support.spoken_world import World, world

REPLIES: Final = 200


async def added_ms(twins: World, provider: TtsProvider, voice: VoiceSession, number: int) -> float:
    """One reply: from its text to its first audio, without what the twin took for itself."""
    text = f"Hello there, this is reply number {number}. "
    async with voice.speak() as stream:
        asked_at_s, first_at_s = time.monotonic(), 0.0
        await stream.say(text)
        await stream.finish()
        async for part in stream.audio():
            if part.audio and not first_at_s:
                first_at_s = time.monotonic()
    texts = [entry for record in twins.records(provider) for entry in record["texts"] if "first_byte_at_s" in entry]
    own = next(entry for entry in reversed(texts) if entry["text"].strip() == text.strip())
    own_s: float = own["first_byte_at_s"] - own["asked_at_s"]
    return (first_at_s - asked_at_s - own_s) * 1_000


async def measure(provider: TtsProvider, replies: int) -> list[float]:
    """Sorted."""
    async with world(first_byte_ms=20.0, first_byte_jitter_ms=10.0, speed=50.0, within_s=600.0) as twins:
        tts = ResilientTts([twins.voice(provider)], SpeakingSettings(), lambda error, action: print(error, action))
        async with tts.connect("call_1") as voice:
            return sorted([await added_ms(twins, provider, voice, number) for number in range(replies)])


def main() -> None:
    """Every vendor of the contract."""
    replies = int(sys.argv[1]) if len(sys.argv) > 1 else REPLIES
    for provider in TtsProvider:
        times = asyncio.run(measure(provider, replies))
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        print(f"{provider:11} {replies} replies  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  most {times[-1]:6.2f} ms")


if __name__ == "__main__":
    main()
