"""Workers that die one after the other while an answer or a welcome is said: its words are heard once each, and all."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from calliope.contracts.base import Message
from calliope.contracts.calls import Resumed, TurnCommitted, TurnStarted
from calliope_call_worker.continuation import continuation
from calliope_call_worker.plan import Continuation
from calliope_call_worker.playback import MOST_OWNERS, Playback, begun_reply, owners
from calliope_call_worker.providers.llm.base import AssistantMessage, Finished, LlmEvent, LlmRequest, TextDelta
from calliope_call_worker.providers.llm.seam import INSTRUCTION
from calliope_call_worker.providers.stt.base import Transcript
from support.call_events import journal_of
from support.ears import PlayedMedia, Vocabulary, WordVoice, doubled
from support.virtual_time import in_virtual_time
from support.waiting import until
from support.whole_call import TwinJournal, TwinPlaybacks, a_call

pytestmark = pytest.mark.promise("P4")
WORDS: Final = Vocabulary(
    "You said hello there. The list is alpha bravo charlie delta echo foxtrot golf hotel india juliet lima. "
    "And then come november, oscar, papa and quebec as well."
)
HELLO: Final = Transcript("Hello?", True, True, 0, 900)
STOP: Final = Transcript("Stop!", False, False, 9_000, 9_300)
AT_ONCE: Final = {"interruption_threshold": 1, "min_speaking_time": 0, "interruption_cooldown": 0.1}
NOTICED_S: Final = 12.0
"""After so long it is noticed that a worker took a call and died before its media came."""
GAP_S: Final = 0.3
"""Between the end of one media stream and the beginning of the next."""
ANSWER_S: Final = 60.0
"""Longer than any of these answers takes."""
BEGAN: Final = datetime(2026, 1, 2, tzinfo=UTC)
"""When virtual time begins."""


class GoesOn:
    """See `LanguageModel`. It says a word each `word_s`, and goes on where an answer was cut off."""

    name, model = "model", "model-1"

    def __init__(self, word_s: float) -> None:
        self._word_s = word_s

    async def warm(self) -> None: ...

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        begun = ""
        if getattr(request.messages[-1], "text", "") == INSTRUCTION:
            before = request.messages[-2]
            assert isinstance(before, AssistantMessage)
            begun = before.text
        return self._stream(begun)

    @asynccontextmanager
    async def _stream(self, begun: str) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        yield self._words(begun)

    async def _words(self, begun: str) -> AsyncIterator[LlmEvent]:
        text = " ".join(WORDS.words)
        assert text.startswith(begun), "it was told what the caller heard"
        for word in text.removeprefix(begun).split():
            await asyncio.sleep(self._word_s)
            yield TextDelta(word + " ")
        yield Finished("stop")


@dataclass(slots=True)
class Line:
    """A caller's line over all workers: what is known to the bus, and what was heard."""

    facts: list[Message] = field(default_factory=list)
    kept: dict[int, Playback] = field(default_factory=dict)
    played: list[bytes] = field(default_factory=list)
    asked_ms: float = 0.0
    """When the carrier asked who goes on (unix)."""

    def past(self) -> Continuation | None:
        """What the next worker knows; it has taken the call."""
        if not self.facts:
            return None
        events = journal_of(self.facts, began=BEGAN - timedelta(minutes=1))
        found = next((self.kept[owner] for owner in owners(events) if owner in self.kept), None)
        begun = begun_reply(found, events, self.asked_ms)
        past = continuation(events, time.time(), begun=begun)
        ended_at = datetime.fromtimestamp(self.asked_ms / 1_000, UTC)
        resumed = Resumed(worker_id="w", previous_worker_id="v", reason="killed", media_ended_at=ended_at)
        self.facts.append(resumed)
        return past


class ToldJournal(TwinJournal):
    """Says when a turn is over."""

    def __init__(self, *, before: int) -> None:
        super().__init__(before=before)
        self.committed = asyncio.Event()

    def append(self, fact: Message) -> None:
        """See `Journal`."""
        super().append(fact)
        if isinstance(fact, TurnCommitted):
            self.committed.set()


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast words come: of the model, and of the voice; and whether the voice tells when each is spoken."""

    model_s: float = 0.0
    voice_s: float = 0.0
    times_text: bool = True
    welcome: bool = False
    """Whether the words are the assistant's welcome, and not its answer."""


@dataclass(frozen=True, slots=True)
class Course:
    """What else happens: workers that end politely, and a caller who cuts in, so long after the last media came."""

    drained: bool = False
    cuts_in_s: float | None = None


async def one_worker(line: Line, lives_s: float | None, pace: Pace, course: Course) -> None:
    """From a worker's taking the call until it dies, so long after its media came; or until the answer is over.

    One that lives for less than nothing dies before its media came, and nobody notices for a while.
    """
    past = line.past()
    journal, playbacks = ToldJournal(before=1 + len(line.facts)), TwinPlaybacks()
    owner, media = journal.sequence, PlayedMedia()
    tts = WordVoice(WORDS, times_text=pace.times_text, word_s=pace.voice_s)
    now = asyncio.get_running_loop().time
    last = False
    async with a_call(
        continuation=past, model=GoesOn(pace.model_s), media=media, tts=tts, journal=journal, playbacks=playbacks,
        answered=False, interruption_settings=AT_ONCE,
        llm_settings={"welcome_message": " ".join(WORDS.words) if pace.welcome else None},
    ) as call:  # fmt: skip
        if lives_s is None or lives_s >= 0:
            call.answer()
            if past is None and not pace.welcome:
                await call.hears(HELLO)
                await until(lambda: call.facts(TurnStarted))
            if lives_s is None:
                lives_s = ANSWER_S if course.cuts_in_s is None else course.cuts_in_s
                last = True
            with suppress(TimeoutError):
                async with asyncio.timeout(lives_s):
                    await journal.committed.wait()
            if last and not journal.committed.is_set():
                await call.hears(STOP)
                await journal.committed.wait()
            elif course.drained:
                await call.call.hand_over(0.0)
        line.facts += call.journal.facts
        line.played.append(media.played(now()))
        if playbacks.kept:
            line.kept[owner] = playbacks.kept[-1]
        line.asked_ms = time.time() * 1_000


USUAL: Final = Course()


@in_virtual_time
async def answered(line: Line, lives_s: Sequence[float], pace: Pace, course: Course = USUAL) -> None:
    """A caller whose workers live so long each, and whose last one lives on."""
    now = asyncio.get_running_loop().time
    with patch.object(time, "time", lambda: BEGAN.timestamp() + now()):
        for each in [*lives_s, None]:
            if not any(isinstance(fact, TurnCommitted) for fact in line.facts):
                await one_worker(line, each, pace, course)
                await asyncio.sleep(NOTICED_S if each is not None and each < 0 else GAP_S)
                if each is not None and each < 0:
                    line.asked_ms = time.time() * 1_000


PACES: Final = st.builds(
    Pace, st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from([0.0, 0.05]), st.booleans(), st.booleans()
)
LIVES: Final = st.lists(st.floats(-0.1, 9.0), min_size=1, max_size=4).filter(
    lambda lives_s: sum(each < 0 for each in lives_s) < MOST_OWNERS
)


@examples(max_examples=60, deadline=None)
@example([3.0, 0.1], Pace())
@example([3.0, -0.1], Pace())
@example([3.0, 0.5, -0.1, 2.0], Pace(welcome=True))
@example([3.0, 0.0, 0.05, -0.1, 2.0], Pace(0.05, 0.05))
@given(LIVES, PACES)
def test_however_often_workers_die_all_words_are_heard_and_none_twice_but_a_cut_one(
    lives_s: Sequence[float], pace: Pace
) -> None:
    line = Line()
    answered(line, lives_s, pace)
    heard = WORDS.heard(line.played)
    assert [word for word in WORDS.words if word not in heard] == []
    assert doubled(heard) <= len(lives_s) * (1 if pace.times_text else 2)
    committed = [fact for fact in line.facts if isinstance(fact, TurnCommitted)]
    assert [fact.assistant_text for fact in committed] == [" ".join(WORDS.words)]


@pytest.mark.promise("P6")
@examples(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 9.0), max_size=3), PACES, st.floats(0.0, 6.0), st.booleans())
def test_however_often_workers_end_the_record_has_the_words_that_were_heard_until_the_caller_cuts_in(
    lives_s: Sequence[float], pace: Pace, cuts_in_s: float, drained: bool
) -> None:
    line = Line()
    answered(line, lives_s, pace, Course(drained=drained, cuts_in_s=cuts_in_s))
    heard = set(WORDS.heard(line.played))
    [written] = [fact.assistant_text.split() for fact in line.facts if isinstance(fact, TurnCommitted)]
    assert written == WORDS.words[: len(written)]
    assert abs(len(written) - len(heard)) <= 1
    assert len(set(WORDS.words[: len(written)]) - heard) <= 1
