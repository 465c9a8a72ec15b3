"""The fallback chain: asks one model after another until one answers in time; what was passed on is not repeated."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from calliope_call_worker.providers.errors import OF_ONE_REQUEST, EndlessAnswerError, Failure, ProviderError
from calliope_call_worker.providers.llm.base import (
    Asked,
    Finished,
    LanguageModel,
    LlmEvent,
    LlmRequest,
    Progress,
    TextDelta,
    ToolCall,
)
from calliope_call_worker.providers.llm.breaker import Breaker
from calliope_call_worker.providers.llm.history import newer_half
from calliope_call_worker.providers.llm.in_time import OnLate, Patience, in_time
from calliope_call_worker.providers.llm.seam import Seam, continuing
from calliope_call_worker.providers.llm.worth import Worth, owed
from calliope_call_worker.providers.settings import ThinkingSettings

OnFailure = Callable[[ProviderError, str], None]
"""Told of every failure and what is done about it."""
MAX_CHARACTERS_PER_TOKEN: Final = 10  # twice what long words need; a server may not know of max_tokens
_AGAIN: Final = OF_ONE_REQUEST | {Failure.DROPPED, Failure.ERROR, Failure.MALFORMED}


@dataclass(slots=True, eq=False)
class Link:
    """A model of the chain and its health, which is shared by all calls of the worker."""

    model: LanguageModel
    breaker: Breaker
    hopeless: bool = False


@dataclass(slots=True)
class _Answer:
    """What was passed on of one answer."""

    worth: Worth
    useful: bool = False
    tools: bool = False
    over: Finished | None = None


class LlmChain:
    """The models of one call, in order. One answer at a time, or several: each has its own state."""

    def __init__(self, links: Sequence[Link], settings: ThinkingSettings, on_failure: OnFailure) -> None:
        self._links = tuple(links)
        self._settings = settings
        self._on_failure = on_failure
        self._used = links[0]
        self._now = asyncio.get_running_loop().time

    @property
    def used(self) -> tuple[str, str]:
        """Provider and model that were asked last."""
        return self._used.model.name, self._used.model.model

    @property
    def hopeless(self) -> bool:
        """Whether every model refused for good: wrong key, no credit, no such model."""
        return all(link.hopeless for link in self._links)

    async def warm(self) -> None:
        """Have an idle connection to the model that is asked first."""
        for link in self._healthy()[:1]:
            await link.model.warm()

    def stream(
        self, request: LlmRequest, spoken: Callable[[], str], late: OnLate = lambda: None
    ) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """Ask. `spoken` tells what the voice was given of this answer; it is used to report how far a failure came.

        `late` is told once, when nobody else could be asked and nothing useful has come in time, or nothing more.
        When a model dies in the middle the next one continues behind the text already passed on.
        Raises: ProviderError of the last model while iterating, when none is left.
        """
        return self._stream(request, spoken, late)

    @asynccontextmanager
    async def _stream(
        self, request: LlmRequest, spoken: Callable[[], str], late: OnLate
    ) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        async with aclosing(self._events(request, spoken, late)) as events:
            yield events

    async def _events(
        self, request: LlmRequest, spoken: Callable[[], str], late: OnLate
    ) -> AsyncGenerator[LlmEvent, None]:
        answer, tried = _Answer(Worth(request)), list[Link]()
        if request.begun.strip():
            answer.worth.feed(request.begun)
            answer.worth.settle()
            answer.useful = True
        link = self._first()
        while True:
            tried.append(link)
            yield Asked()
            try:
                patience = self._patience(request, tried, answer, spoken, late)
                async with aclosing(self._attempt(link, request, answer, patience)) as events:
                    async for event in events:
                        yield event
            except ProviderError as exc:
                self._note(link, exc)
                if answer.tools:  # its tools are known: that is an answer
                    yield Finished("tool_calls")
                    return
                if isinstance(exc, EndlessAnswerError) and answer.useful:
                    self._on_failure(exc, "cuts the answer there")
                    yield Finished("length")
                    return
                following = self._next(tried, exc)
                if following is None:
                    self._on_failure(exc, "gives up")
                    if answer.over is None or not answer.useful:
                        raise
                    yield answer.over  # a call as text behind words: the words stand
                    return
                if exc.failure is Failure.TOO_LONG:
                    request = replace(request, messages=newer_half(request.messages))
                said = f" after {len(spoken())} characters were said" if answer.useful else ""
                self._on_failure(exc, f"asks {following.model.name} {following.model.model}{said}")
                answer.worth.settle()
                link = following
            else:
                return

    async def _attempt(
        self, link: Link, request: LlmRequest, answer: _Answer, patience: Patience
    ) -> AsyncGenerator[LlmEvent, None]:
        """One model's answer, or its continuation of an answer. Raises: ProviderError, also when it is late."""
        self._used = link
        seam: Seam | None = None
        worth, answer.over = Worth(request), None
        if (passed := answer.worth.passed).strip():
            seam = Seam(passed)
            request = replace(request, messages=continuing(request.messages, passed))
        useful = decided = False
        written, most = 0, request.max_tokens * MAX_CHARACTERS_PER_TOKEN
        try:
            async with aclosing(
                in_time(link.model, request, lambda: useful, patience, self._settings.answer_deadline_s)
            ) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        worth.feed(event.text)
                        written += len(event.text)
                        if written > most:
                            said = (
                                f"the answer went on beyond {most} characters, with max_tokens at {request.max_tokens}"
                            )
                            raise EndlessAnswerError(link.model.name, said)
                    if not useful and _is_useful(event, worth):
                        useful = decided = True
                        link.breaker.succeeded()
                    match event:
                        case Progress():
                            continue
                        case TextDelta(text):
                            text = seam.feed(text) if seam is not None else text
                            if text:
                                answer.worth.feed(text)
                                answer.useful = answer.useful or useful
                                yield event if seam is None else TextDelta(text)
                            continue
                        case ToolCall():
                            answer.tools = True
                        case Finished():
                            answer.over = event
                            self._check_answered(link, request, answer, worth)
                            rest = seam.finish() if seam is not None else ""
                            if rest:
                                yield TextDelta(rest)
                    yield event
        except ProviderError:
            decided = True
            raise
        finally:
            if not decided:
                link.breaker.undecided()

    def _patience(
        self, request: LlmRequest, tried: list[Link], answer: _Answer, spoken: Callable[[], str], late: OnLate
    ) -> Patience:
        """A caller is kept waiting for a model only when no other could be asked.

        Words that trickle in are too slow while nothing can be said of them, when another model could be asked.
        """
        settings = self._settings
        first_s, pause_s = settings.first_token_deadline_s, settings.inter_token_deadline_s
        if request.schema is not None:
            first_s = settings.analysis_deadline_s
            return Patience(first_s, first_s, pause_s, pause_s, late, lambda: False)
        if any(link not in tried for link in self._healthy()):
            return Patience(first_s, first_s, pause_s, pause_s, late, lambda: not answer.tools and not spoken())
        last_s = settings.last_model_deadline_s
        return Patience(first_s, max(first_s, last_s), pause_s, max(pause_s, last_s), late, lambda: False)

    def _healthy(self) -> list[Link]:
        """Who would be asked now, in order."""
        now = self._now()
        return [link for link in self._links if not link.hopeless and link.breaker.allows_now(now)]

    def _check_answered(self, link: Link, request: LlmRequest, answer: _Answer, worth: Worth) -> None:
        """Raises: ProviderError, when that was no answer. Nothing to say is one only if the caller was told something.

        A tool call that was written as text is never one: the caller would wait for what comes of it.
        """
        worth.settle()
        if answer.tools:
            return
        if worth.call_is_last:
            raise ProviderError(link.model.name, Failure.MALFORMED, "a tool call written as text")
        if answer.useful:
            return
        if not worth.useful and owed(request.messages):
            what = "an empty answer" if worth.empty else "nothing in the answer can be said"
            raise ProviderError(link.model.name, Failure.MALFORMED, what)
        link.breaker.succeeded()

    def _first(self) -> Link:
        """Who is asked first: not one that is known to fail, unless all are. Raises: ProviderError."""
        hopeful = [link for link in self._links if not link.hopeless]
        if not hopeful:
            name, model = self.used
            detail = f"every model of the chain refused for good, {model} too"
            raise ProviderError(name, Failure.REFUSED, detail)
        now = self._now()
        return next((link for link in hopeful if link.breaker.allows(now)), hopeful[0])

    def _next(self, tried: list[Link], exc: ProviderError) -> Link | None:
        """Who is asked after that failure; the last one once more if it failed quickly or refused only this request."""
        now = self._now()
        for link in self._links:
            if link not in tried and not link.hopeless and link.breaker.allows(now):
                return link
        last = tried[-1]
        return last if exc.failure in _AGAIN and last not in tried[:-1] else None

    def _note(self, link: Link, exc: ProviderError) -> None:
        link.hopeless = link.hopeless or exc.fatal
        if exc.failure is Failure.REFUSED or exc.failure in OF_ONE_REQUEST:
            link.breaker.undecided()  # what was asked is refused; others may be fine
        else:
            link.breaker.failed(self._now(), retry_after_s=exc.retry_after_s)


def _is_useful(event: LlmEvent, worth: Worth) -> bool:
    match event:
        case TextDelta():
            return worth.useful
        case Progress() | ToolCall():
            return True
        case Finished() | Asked():
            return False
