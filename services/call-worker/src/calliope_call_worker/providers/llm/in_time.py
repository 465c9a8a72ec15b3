"""One model's answer, each wait of which has a deadline."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import Finished, LanguageModel, LlmEvent, LlmRequest

OnLate = Callable[[], None]
"""Told when the last model that can be asked is late, and is waited for."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one attempt may take until it brings something useful, in seconds: then `late` is told, then it is over.

    While `hurried`, words alone do not count as something useful. Between two events it may pause for `pause_s`; longer
    than `usual_pause_s` it is late, too.
    """

    first_s: float
    last_s: float
    usual_pause_s: float
    pause_s: float
    late: OnLate
    hurried: Callable[[], bool]


async def in_time(
    model: LanguageModel,
    request: LlmRequest,
    useful: Callable[[], bool],
    patience: Patience,
    answer_s: float,
) -> AsyncGenerator[LlmEvent, None]:
    """The model's events; waiting for one ends at its deadline, which the first useful one moves. All in `answer_s`.

    Raises: ProviderError, while iterating.
    """
    now, last_s = asyncio.get_running_loop().time, patience.last_s
    started = now()
    last = started + max(answer_s, last_s)
    entered = model.stream(request)
    late = _Late(patience)
    try:
        with late.told_at(started + patience.first_s):
            async with asyncio.timeout_at(started + last_s):
                events = await entered.__aenter__()
    except TimeoutError as exc:
        raise ProviderError(model.name, Failure.DEADLINE, f"no answer within {last_s:g} s") from exc
    try:
        while True:
            at, late_at = min(last, now() + patience.pause_s), now() + patience.usual_pause_s
            if not useful() or patience.hurried():
                at, late_at = min(last, started + last_s), started + patience.first_s
            try:
                with late.told_at(late_at):
                    async with asyncio.timeout_at(at):
                        event = await anext(events)
            except StopAsyncIteration:
                raise ProviderError(model.name, Failure.DROPPED, "the answer has no end") from None
            except TimeoutError as exc:
                what = "stopped in the middle" if useful() else f"nothing useful within {last_s:g} s"
                raise ProviderError(model.name, Failure.DEADLINE, what) from exc
            yield event
            if isinstance(event, Finished):
                return
    finally:
        await entered.__aexit__(None, None, None)


class _Late:
    """Tells once that the model is late, if it is waited for longer than usual."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._waited_for = patience.last_s > patience.first_s

    @contextmanager
    def told_at(self, at: float) -> Iterator[None]:
        """Tell it then, unless the block is over."""
        timer = asyncio.get_running_loop().call_at(at, self._tell) if self._waited_for else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    def _tell(self) -> None:
        if self._waited_for:
            self._waited_for = False
            self._patience.late()
