"""A reply is spoken to its end whatever its voice does: each kind of trouble, each voice turning to each other."""

import itertools
from typing import Any

import pytest

from calliope.contracts.document.tts import TtsProvider
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import SpeakingSettings
from calliope_call_worker.providers.tts.resilient import ResilientTts
from support.spoken_world import CLOSED_PORT, TWINS, Spoken, reply, world

PIECES = (
    "Thank you for calling the Golden Lion. ",
    "Our kitchen is open from noon until ten. ",
    "Shall I book a table for you tonight? ",
)
TEXT = "".join(PIECES)
PATIENCE = SpeakingSettings(first_audio_deadline_s=0.6, stall_deadline_s=0.6)
CHAR_MS = 65
"""The pace that is guessed where a voice does not tell: the seam of an untimed voice is exact to the word then."""
TROUBLE: dict[str, dict[str, Any]] = {
    "accepts, then silent": {"kind": "silent", "after": 0},
    "silent in the middle": {"kind": "silent", "after": 3},
    "error after the start": {"kind": "error", "after": 3},
    "dropped in the middle": {"kind": "drop", "after": 3},
    "garbage": {"kind": "garbage", "after": 2},
    "rate limited": {"kind": "rate_limited"},
    "unavailable": {"kind": "refuse", "status": 503},
    "out of money": {"kind": "refuse", "status": 402},
    "slow drip": {"kind": "slow_drip", "ms": 1.0},
}


async def spoken_by(*voices: Any) -> tuple[Spoken, list[tuple[str, Failure, str]]]:
    """The reply, and what was reported."""
    reports: list[tuple[str, Failure, str]] = []

    def report(error: ProviderError, action: str) -> None:
        reports.append((error.provider, error.failure, action))

    tts = ResilientTts(voices, PATIENCE, report)
    async with tts.connect("call_1") as session, session.speak() as stream:
        return await reply(stream, PIECES), reports


def assert_told(spoken: Spoken, *, seams: int) -> None:
    """Every word is heard, in order; at each seam at most one word was begun twice."""
    assert spoken.text == TEXT
    sound, at = spoken.heard.replace(" ", ""), 0
    for word in TEXT.split():
        found = sound.find(word, at)
        assert found >= 0, f"{word!r} is lost in {spoken.heard!r}"
        at = found + len(word)
    longest = max(len(word) for word in TEXT.split())
    assert len(sound) - len(TEXT.replace(" ", "")) <= seams * longest
    assert [span.start_ms for span in spoken.spans] == sorted(span.start_ms for span in spoken.spans)


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("provider", list(TtsProvider))
async def test_a_voice_in_trouble_still_speaks_the_whole_reply(provider: TtsProvider, trouble: str) -> None:
    other = next(one for one in TtsProvider if one is not provider)
    async with world(char_ms=CHAR_MS, speed=40.0) as twins:
        twins.arm(provider, **TROUBLE[trouble])
        spoken, reports = await spoken_by(twins.voice(provider), twins.voice(other))
    assert_told(spoken, seams=1)
    assert len(reports) == (0 if trouble == "slow drip" else 1)
    if TROUBLE[trouble].get("after", 0) == 0:
        assert spoken.heard == TEXT.strip()


@pytest.mark.parametrize("provider", list(TtsProvider))
async def test_a_voice_that_cannot_be_reached_is_replaced(provider: TtsProvider) -> None:
    other = next(one for one in TtsProvider if one is not provider)
    async with world() as twins:
        spoken, reports = await spoken_by(twins.voice(provider, url=CLOSED_PORT), twins.voice(other))
    assert spoken.heard == TEXT.strip()
    assert [action.split()[0] for _, _, action in reports] == ["speaks", "turns"]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(TtsProvider, 2)))
async def test_each_voice_turns_to_each_other(first: TtsProvider, second: TtsProvider, begun: bool) -> None:
    async with world(char_ms=CHAR_MS, speed=40.0) as twins:
        twins.arm(first, kind="drop", after=3 if begun else 1, times=None)
        spoken, reports = await spoken_by(twins.voice(first), twins.voice(second))
        said = twins.records(second)
    assert [(provider, action.split()[0]) for provider, _, action in reports] == [(first, "speaks"), (first, "turns")]
    assert_told(spoken, seams=2)
    assert said


@pytest.mark.parametrize("provider", list(TtsProvider))
async def test_the_call_stays_with_the_voice_it_turned_to(provider: TtsProvider) -> None:
    other = next(one for one in TtsProvider if one is not provider)
    async with world() as twins:
        twins.arm(provider, kind="refuse", status=402)
        tts = ResilientTts([twins.voice(provider), twins.voice(other)], PATIENCE, lambda *_: None)
        async with tts.connect("call_1") as session:
            for _ in range(2):
                async with session.speak() as stream:
                    assert (await reply(stream, PIECES)).heard == TEXT.strip()
            assert tts.name == other


def test_every_vendor_of_the_contract_has_a_twin() -> None:
    assert set(TWINS) == set(TtsProvider)
