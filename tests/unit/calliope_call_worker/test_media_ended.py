"""A call that waited for a worker: what its caller heard ended with its media, not when a worker was found."""

import time
from typing import Final

import pytest

from calliope.contracts.base import Message
from calliope.contracts.calls import CallAnswered, Resumed, TurnKind
from calliope.contracts.carriers import MEDIA_ENDED
from calliope.errors import TransientError
from calliope_call_worker.continuation import MEDIA_COMES_S
from calliope_call_worker.playback import Playback
from support.whole_call import TwinPlaybacks
from unit.calliope_call_worker.test_pinned_revision import OLD, World, at

pytestmark = pytest.mark.promise("P4")
SAID: Final = "one two three four five six seven eight "


def unix_ms(seconds_ago: float) -> int:
    return round((time.time() - seconds_ago) * 1_000)


def a_word_each_second(first_heard_ms: int) -> Playback:
    ends = [index for index, letter in enumerate(SAID) if letter == " "]
    ahead = tuple((end, first_heard_ms + 1_000 * number) for number, end in enumerate(ends))
    return Playback(turn=0, kind=TurnKind.WELCOME, said=SAID, ahead=ahead, complete=True)


async def a_call(*facts: Message, playback: Playback | None = None) -> World:
    world, playbacks = World(), TwinPlaybacks()
    await world.rings()
    world.playbacks = playbacks
    for fact in facts:
        world.happened(fact)
    if playback is not None:
        playbacks.kept.append(playback)
    return world


def resume(world: World, query: str = "") -> str:
    return f"/telephony/twilio/resume/{world.begun[0].call_id}?language=en-US{query}"


async def test_of_a_call_that_waited_seconds_for_a_worker_only_that_was_heard_which_was_played_before() -> None:
    world = await a_call(CallAnswered(stream_id="MZ1"), playback=a_word_each_second(unix_ms(6.5)))
    assert await world.hears(resume(world, f"&{MEDIA_ENDED}={unix_ms(4.0)}"), OLD) == 200
    past = world.begun[1].continuation
    assert past is not None
    assert past.begun is not None
    assert (past.begun.heard, past.begun.rest) == ("one two three", " four five six seven eight ")
    assert past.media_ended_at is not None
    assert abs(past.media_ended_at.timestamp() * 1_000 - unix_ms(4.0)) < 1_000


@pytest.mark.parametrize("nonsense", ["", "x", "-1", "999999999999999", "%D9%A3", "1e12"])
async def test_a_moment_that_is_none_is_now(nonsense: str) -> None:
    world = await a_call(CallAnswered(stream_id="MZ1"), playback=a_word_each_second(unix_ms(6.5)))
    assert await world.hears(resume(world, f"&{MEDIA_ENDED}={nonsense}"), OLD) == 200
    past = world.begun[1].continuation
    assert past is not None
    assert past.begun is not None
    assert past.begun.heard == "one two three four five six seven"


async def test_a_worker_that_took_the_call_and_died_before_its_media_came_is_waited_for_a_moment_only() -> None:
    taken = Resumed(worker_id="w2", previous_worker_id="w1", reason="killed")
    world = await a_call(CallAnswered(stream_id="MZ1"))
    asked_ms = unix_ms(0)
    world.happened(taken, at_s=time.time() + 0.1)
    with pytest.raises(TransientError, match="another worker goes on"):
        await world.hears(resume(world), OLD, asked_at=asked_ms / 1_000)
    assert len(world.begun) == 1

    world.facts[-1] = world.facts[-1].model_copy(update={"time": at(time.time() - MEDIA_COMES_S)})
    assert await world.hears(resume(world), OLD, asked_at=asked_ms / 1_000 - 10) == 200
    assert len(world.begun) == 2
