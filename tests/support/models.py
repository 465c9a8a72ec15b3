"""In-memory language models: each request plays the next script of events, waits and failures."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import LlmEvent, LlmRequest


@dataclass(frozen=True, slots=True)
class Trickle:
    """An event that takes its time."""

    after_s: float
    event: LlmEvent


Step = LlmEvent | Trickle | Failure | None
"""An event, a failure, or None: nothing comes any more."""


class ScriptedModel:
    """See `LanguageModel`."""

    def __init__(self, name: str, *scripts: Sequence[Step]) -> None:
        self.name = name
        self.model = f"{name}-1"
        self.requests: list[LlmRequest] = []
        self.left = 0
        self.warmed = 0
        self._scripts = list(scripts)

    async def warm(self) -> None:
        """See `LanguageModel`."""
        self.warmed += 1

    def then(self, *scripts: Sequence[Step]) -> None:
        """What it plays behind the scripts it has."""
        self._scripts.extend(scripts)

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """Play the next script; the last one again and again."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: LlmRequest) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        self.requests.append(request)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            if script and isinstance(script[0], Failure):
                raise ProviderError(self.name, script[0], "scripted")
            yield self._play(script)
        finally:
            self.left += 1

    async def _play(self, script: Sequence[Step]) -> AsyncIterator[LlmEvent]:
        for step in script:
            if step is None:
                await asyncio.Event().wait()
            elif isinstance(step, Failure):
                raise ProviderError(self.name, step, "scripted")
            elif isinstance(step, Trickle):
                await asyncio.sleep(step.after_s)
                yield step.event
            else:
                yield step
