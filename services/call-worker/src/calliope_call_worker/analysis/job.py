"""One ended call becomes an analysed one: read its journal, do the work, append the result; twice appends once."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import ValidationError

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.base import Event
from calliope.contracts.calls import AnalysisStatus, CallAnalyzed, CallStarted
from calliope.contracts.document.spec import AssistantSpec
from calliope.errors import CalliopeError, CommandError, PermanentError, TransientError
from calliope.observability import metrics
from calliope.secrets import Opener
from calliope_call_worker.analysis.analyst import Analyst
from calliope_call_worker.analysis.transcript import Transcript
from calliope_call_worker.errors import ASSISTANTS, OwnershipError
from calliope_call_worker.opened_documents import open_spec
from calliope_call_worker.ports import Directory, Journals, Pins
from calliope_call_worker.settings import AnalysisSettings

log = structlog.get_logger(__name__)

APPEND_TRIES: Final = 5
_INVALID: Final = "the call's journal is not valid for this version"

_SECONDS: Final = metrics.histogram(
    "calliope_analysis_seconds",
    "Work after a call.",
    "status",
    buckets=(0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)


@dataclass(slots=True)
class ReadCall:
    """What was read of a call's journal; of a call of ten hours no more is kept than of one of a few minutes."""

    transcript: Transcript
    first: Event | None = None
    last: Event | None = None
    position: int = 0
    analyzed: bool = False
    invalid: bool = False

    @property
    def ends(self) -> tuple[Event, ...]:
        """Its first and its last fact."""
        return tuple(fact for fact in (self.first, self.last) if fact is not None)

    def take(self, fact: Event) -> None:
        """The next fact."""
        self.first, self.last = self.first or fact, fact
        self.analyzed = self.analyzed or fact.name == "analyzed"
        try:
            self.transcript.add(fact)
        except ValidationError:  # its words would quote the call
            self.invalid = True


class AnalysisJob:
    """The use case; see the package."""

    def __init__(
        self,
        *,
        journals: Journals,
        directory: Directory,
        pins: Pins,
        opener: Opener,
        analyst: Analyst,
        settings: AnalysisSettings,
    ) -> None:
        self._journals = journals
        self._directory = directory
        self._pins = pins
        self._opener = opener
        self._analyst = analyst
        self._settings = settings

    async def run(self, ended: Event, *, tries: int, max_tries: int) -> None:
        """Analyse the call of this event, unless that is done.

        Raises: TransientError, when it may work later, also on the last try where it names a dependency of ours;
        PermanentError, when the journal is gone.
        """
        began = time.perf_counter()
        call = await self._read(ended.entity_id)
        if call.first is None or call.first.name != "started":
            raise PermanentError("the call's journal does not begin with its start")
        if call.analyzed:
            return
        if call.invalid:
            found = _failed(_INVALID)
        elif tries > max_tries:
            found = _failed(f"begun {tries - 1} times and never finished")
        else:
            found = await self._found(call.first, call.transcript, last_try=tries == max_tries)
        await self._append(call, found)
        seconds = time.perf_counter() - began
        _SECONDS.labels(str(found.status)).observe(seconds)
        log.info("call.analyzed", status=str(found.status), tries=tries, duration_ms=round(seconds * 1_000, 1))

    async def _read(self, call_id: str) -> ReadCall:
        """What the work needs of a journal. Raises: TransientError."""
        call = ReadCall(Transcript(max_characters=self._settings.transcript_characters))
        call.position = await self._journals.scan(call_id, call.take)
        return call

    async def _found(self, started: Event, transcript: Transcript, *, last_try: bool) -> CallAnalyzed:
        """The result; what cannot be had is a result too."""
        try:
            async with asyncio.timeout(self._settings.job_deadline_s):
                spec = await self._spec(started)
                return await self._analyst.analyze(transcript, started.time, spec, last_try=last_try)
        except PermanentError as exc:
            return _failed(str(exc))
        except ValidationError:  # its words would quote the call
            return _failed(_INVALID)
        except TimeoutError as exc:
            late = f"not finished within {self._settings.job_deadline_s:g} s"
            if not last_try:
                raise TransientError(late) from exc
            return _failed(late)
        except Exception as exc:
            ours_is_away = isinstance(exc, TransientError) and exc.dependency is not None  # and will be back
            if ours_is_away or not last_try:
                raise
            log.exception("analysis.given_up")
            return _failed(str(exc) if isinstance(exc, CalliopeError) else "an error of our own, which is in the log")

    async def _spec(self, started: Event) -> AssistantSpec:
        """The assistant that took the call, with its secrets opened. Raises: PermanentError, TransientError."""
        call = CallStarted.model_validate(started.data)
        pinned = await self._pins.find(started.organization, call.assistant_id, call.assistant_revision)
        try:
            pinned = pinned or await self._directory.pin(started.organization, call.assistant_id)
        except CommandError as exc:
            raise TransientError(f"the assistant cannot be read now: {exc.code}", dependency=ASSISTANTS) from exc
        if pinned is None:
            raise PermanentError("the assistant was deleted, and the revision that took the call is not kept")
        if pinned.revision != call.assistant_revision:
            log.info("analysis.newer_assistant", took_call=call.assistant_revision, now=pinned.revision)
        return await _opened(pinned, self._opener)

    async def _append(self, call: ReadCall, found: CallAnalyzed) -> None:
        """Store the result behind the last fact. Raises: TransientError."""
        for _ in range(APPEND_TRIES):
            try:
                await self._journals.reopen(call.ends, call.position, found)
            except OwnershipError:  # somebody wrote since: a late fact of the call, or this very result
                call = await self._read(call.ends[0].entity_id)
                if call.analyzed:
                    return
            else:
                return
        raise TransientError("the call's journal does not come to rest")


async def _opened(pinned: PinnedAssistant, opener: Opener) -> AssistantSpec:
    try:
        return await open_spec(pinned, opener)
    except ValidationError as exc:  # its words would quote the document
        raise PermanentError("the assistant's document is not valid for this version") from exc


def _failed(why: str) -> CallAnalyzed:
    return CallAnalyzed(status=AnalysisStatus.FAILED, error=why[:500])
