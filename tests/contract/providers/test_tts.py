"""What every voice keeps, each against its twin over a real socket."""

# ruff: noqa: RUF001 - other scripts are spoken, too

import asyncio
from collections.abc import AsyncIterator

import pytest

from calliope.contracts.document.tts import TtsProvider
from calliope_call_worker.pipeline.playout import Playout
from calliope_call_worker.providers.errors import Failure, ProviderError
from support.spoken_world import CLOSED_PORT, Spoken, World, alive, heard, listen, reply, words_of, world
from support.waiting import until

PIECES = ("Hello there, ", "your table is booked. ", "Is there anything else, perhaps? ")
TEXT = "".join(PIECES)
LONG = "The quick brown fox jumps over the lazy dog, again and again. " * 50


@pytest.fixture(params=list(TtsProvider))
def provider(request: pytest.FixtureRequest) -> TtsProvider:
    assert isinstance(request.param, TtsProvider)
    return request.param


@pytest.fixture
async def twins() -> AsyncIterator[World]:
    async with world() as opened:
        yield opened


async def test_a_reply_is_heard_word_for_word_and_its_spans_are_its_text(twins: World, provider: TtsProvider) -> None:
    async with twins.voice(provider).connect("call_1") as voice:
        for _ in range(3):
            async with voice.speak() as stream:
                spoken = await reply(stream, PIECES)
            assert spoken.heard == words_of(TEXT)
            assert spoken.text == TEXT
            assert spoken.spans[-1].end_ms <= spoken.audio_ms + 1
    assert len(twins.records(provider)) == 1


async def test_spans_are_where_their_words_are_in_the_audio(twins: World, provider: TtsProvider) -> None:
    """Exact with times; without them a flush's words are spread over its audio, which tone speech fits exactly."""
    async with twins.voice(provider).connect("call_1") as voice, voice.speak() as stream:
        spoken = await reply(stream, PIECES)
    starts = [span.start_ms for span in spoken.spans]
    expected = [40.0 * TEXT.index(span.text) for span in spoken.spans]
    assert starts == pytest.approx(expected, abs=2.0)


async def test_what_counts_as_heard_is_what_an_ear_heard(twins: World, provider: TtsProvider) -> None:
    """Cut anywhere, to the word that is being said then."""
    playout, spoken = Playout(), Spoken()
    playout.said("r1", TEXT)
    async with twins.voice(provider).connect("call_1") as voice, voice.speak() as stream:
        await stream.say(TEXT)
        await stream.finish()
        async for part in stream.audio():
            playout.timed("r1", part.spans)
            playout.sent("r1", len(part.audio), 0.0)
            spoken.audio += part.audio
    for cut_ms in range(0, int(spoken.audio_ms), 170):
        counted = playout.heard("r1", cut_ms / 1_000).text
        assert TEXT.startswith(counted)
        assert abs(len(counted.split()) - len(heard(bytes(spoken.audio[: cut_ms * 8])).split())) <= 1


async def test_a_reply_that_is_left_leaves_nothing_for_the_next(twins: World, provider: TtsProvider) -> None:
    twins.turn(provider, speed=8.0)
    async with twins.voice(provider).connect("call_1") as voice:
        for _ in range(7):
            async with voice.speak() as stream:
                await stream.say(LONG[:300])
                assert (await anext(aiter(stream.audio()))).audio
            async with voice.speak() as stream:
                assert (await reply(stream, ("Next one. ",))).heard == "Next one."


async def test_a_cancelled_reply_leaves_nothing_for_the_next(twins: World, provider: TtsProvider) -> None:
    twins.turn(provider, speed=8.0)
    async with twins.voice(provider).connect("call_1") as voice:
        begun = asyncio.Event()

        async def interrupted() -> None:
            async with voice.speak() as stream:
                await stream.say(LONG[:300])
                await anext(aiter(stream.audio()))
                begun.set()
                await listen(stream)

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(interrupted(), name="interrupted")
            await begun.wait()
            task.cancel()
        async with voice.speak() as stream:
            assert (await reply(stream, ("Next one. ",))).heard == "Next one."


async def test_two_replies_at_once_do_not_mix(twins: World, provider: TtsProvider) -> None:
    """A fixed line is prepared while a reply is spoken."""
    async with (
        twins.voice(provider).connect("call_1") as voice,
        voice.speak() as one,
        voice.speak() as other,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(reply(one, PIECES), name="one")
        second = tasks.create_task(reply(other, ("Sorry, say that again. ",)), name="other")
    assert (first.result().heard, second.result().heard) == (words_of(TEXT), "Sorry, say that again.")


@pytest.mark.parametrize("pieces", [(), ("... ",), ("  ", "- ", "!")])
async def test_a_reply_without_words_ends(twins: World, provider: TtsProvider, pieces: tuple[str, ...]) -> None:
    async with twins.voice(provider).connect("call_1") as voice, voice.speak() as stream:
        spoken = await reply(stream, pieces)
    assert spoken.text == "".join(pieces)


async def test_a_piece_of_punctuation_between_words_does_not_hang(twins: World, provider: TtsProvider) -> None:
    async with twins.voice(provider).connect("call_1") as voice, voice.speak() as stream:
        spoken = await reply(stream, ("Well. ", "... ", "Yes. ", "- "))
    assert spoken.text == "Well. ... Yes. - "
    assert spoken.heard.startswith("Well. ... Yes.")


async def test_a_huge_reply_is_heard_whole(twins: World, provider: TtsProvider) -> None:
    async with twins.voice(provider).connect("call_1") as voice, voice.speak() as stream:
        pieces = [LONG[: 2_300 if provider is TtsProvider.DEEPGRAM else None], "And this is all. "]
        spoken = await reply(stream, pieces)
    assert spoken.text == "".join(pieces)
    assert spoken.heard == words_of("".join(pieces))


@pytest.mark.parametrize(
    "text", ["お電話ありがとうございます。 ご予約ですか？ ", "Grüße aus Köln, schöne Straße! ", "مرحبا، كيف حالك؟ "]
)
async def test_other_scripts_are_heard(twins: World, provider: TtsProvider, text: str) -> None:
    async with twins.voice(provider).connect("call_1") as voice, voice.speak() as stream:
        spoken = await reply(stream, (text,))
    assert (spoken.heard, spoken.text) == (words_of(text), text)


async def test_a_wrong_key_is_known_as_that(twins: World, provider: TtsProvider) -> None:
    with pytest.raises(ProviderError) as caught:
        async with twins.voice(provider, key="bad").connect("call_1"):
            pass
    assert (caught.value.provider, caught.value.failure) == (provider, Failure.KEY)
    assert "bad" not in str(caught.value)


@pytest.mark.parametrize(("status", "failure"), [(402, Failure.QUOTA), (429, Failure.RATE_LIMITED)])
async def test_a_refusal_has_its_class(twins: World, provider: TtsProvider, status: int, failure: Failure) -> None:
    twins.arm(provider, kind="refuse", status=status, headers={"retry-after": "3"})
    with pytest.raises(ProviderError) as caught:
        async with twins.voice(provider).connect("call_1"):
            pass
    assert caught.value.failure is failure


async def test_a_vendor_that_cannot_be_reached_is_a_dropped_connection(twins: World, provider: TtsProvider) -> None:
    with pytest.raises(ProviderError) as caught:
        async with twins.voice(provider, url=CLOSED_PORT).connect("call_1"):
            pass
    assert caught.value.failure is Failure.DROPPED


async def test_an_idle_socket_that_died_is_replaced_at_the_next_reply(twins: World, provider: TtsProvider) -> None:
    async with twins.voice(provider).connect("call_1") as voice:
        async with voice.speak() as stream:
            await reply(stream, PIECES)
        twins.hang_up()
        await until(lambda: not alive(voice))
        async with voice.speak() as stream:
            assert (await reply(stream, PIECES)).heard == words_of(TEXT)
    assert len(twins.records(provider)) == 2


@pytest.mark.parametrize(
    ("kind", "failure"),
    [("error", Failure.ERROR), ("drop", Failure.DROPPED), ("garbage", Failure.MALFORMED), ("close", Failure.DROPPED)],
)
async def test_trouble_in_the_middle_fails_the_reply_and_the_next_is_spoken(
    twins: World, provider: TtsProvider, kind: str, failure: Failure
) -> None:
    async with twins.voice(provider).connect("call_1") as voice:
        twins.arm(provider, kind=kind, after=3)
        async with voice.speak() as stream:
            with pytest.raises(ProviderError) as caught:
                await reply(stream, (LONG[:300],))
        assert caught.value.failure is failure
        async with voice.speak() as stream:
            assert (await reply(stream, PIECES)).heard == words_of(TEXT)


async def test_leaving_the_call_closes_every_socket(twins: World, provider: TtsProvider) -> None:
    async with twins.voice(provider).connect("call_1") as voice, voice.speak() as stream:
        await stream.say(LONG[:300])
        await anext(aiter(stream.audio()))
    handler = twins.server.handler
    assert handler is not None
    await until(lambda: not handler.connections)
