"""Failures of the providers of one call: where they are reported, and what it means when a stage cannot be had."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from calliope.contracts.calls import Stage
from calliope_call_worker.providers.errors import ProviderError

MAX_EARLY_FAILURES: Final = 100
OnFailure = Callable[[Stage, ProviderError, str], None]


class Failures:
    """Where the providers of one call report; what comes before somebody listens is kept for them."""

    def __init__(self) -> None:
        self._listener: OnFailure | None = None
        self._early: list[tuple[Stage, ProviderError, str]] = []

    def listen(self, listener: OnFailure) -> None:
        """From now on, and what was reported before."""
        self._listener = listener
        early, self._early = self._early, []
        for report in early:
            listener(*report)

    def of(self, stage: Stage) -> Callable[[ProviderError, str], None]:
        """The callback for one stage."""

        def report(error: ProviderError, action: str) -> None:
            if self._listener is not None:
                self._listener(stage, error, action)
            elif len(self._early) < MAX_EARLY_FAILURES:
                self._early.append((stage, error, action))

        return report


class StageError(ProviderError):
    """A stage of a call cannot be had at all."""

    def __init__(self, stage: Stage, error: ProviderError) -> None:
        super().__init__(error.provider, error.failure, error.detail, retry_after_s=error.retry_after_s)
        self.stage = stage


@contextmanager
def needed(stage: Stage) -> Iterator[None]:
    """Around the making of one stage. Raises: StageError."""
    try:
        yield
    except ProviderError as exc:
        raise StageError(stage, exc) from exc
