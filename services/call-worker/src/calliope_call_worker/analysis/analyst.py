"""Makes summary and structured data of one call: asks, checks, has it repaired once, and says what became of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from calliope.contracts.calls import AnalysisStatus, CallAnalyzed
from calliope.contracts.document.spec import AssistantSpec
from calliope.errors import CalliopeError, TransientError
from calliope_call_worker.analysis import answers, questions
from calliope_call_worker.analysis.checking import Check, UnusableSchemaError
from calliope_call_worker.analysis.transcript import Transcript
from calliope_call_worker.pipeline.thoughts import without_thoughts
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import Asked, Finished, LlmRequest, TextDelta
from calliope_call_worker.providers.llm.chain import LlmChain
from calliope_call_worker.settings import AnalysisSettings

MAX_ANSWER: Final = 60_000
"""Characters. The event that carries it has at most 256 KiB."""
MAX_SUMMARY: Final = 8_000
SILENT: Final = "the caller said nothing"

Chains = Callable[[AssistantSpec], LlmChain]
"""The assistant's own models, with patience for long answers. Raises: ProviderError, when none can be had."""
PartT = TypeVar("PartT")


class WrongAnswerError(CalliopeError):
    """The model's answer cannot be used, also after it was told what is wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote. `cut`: it had more to say than it was allowed."""

    text: str
    cut: bool


@dataclass(slots=True)
class Findings:
    """Parts as they come; what could not be had is said in `problems`."""

    last_try: bool
    problems: list[str] = field(default_factory=list)

    async def part(self, what: str, work: Awaitable[PartT]) -> PartT | None:
        """One part, or None and why. Raises: TransientError, when it may work later and there is a later."""
        try:
            return await work
        except ProviderError as exc:
            lasting = exc.fatal or exc.failure in {Failure.REQUEST, Failure.TOO_LONG}  # it would be the same request
            if not lasting and not self.last_try:
                raise TransientError(f"{what}: {exc}", retry_after_s=exc.retry_after_s) from exc
            self.problems.append(f"{what}: {exc}")
        except (WrongAnswerError, UnusableSchemaError) as exc:
            self.problems.append(f"{what}: {exc}")
        return None


class Analyst:
    """One per worker; holds nothing of a call."""

    def __init__(self, chains: Chains, check: Check, settings: AnalysisSettings, time_zone: str) -> None:
        """`time_zone`: of assistants that name none."""
        self._chains = chains
        self._check = check
        self._settings = settings
        self._time_zone = time_zone

    async def analyze(
        self, transcript: Transcript, began_at: datetime, spec: AssistantSpec, *, last_try: bool
    ) -> CallAnalyzed:
        """What the call was about. Raises: TransientError, unless this is the last try."""
        if not transcript.caller_spoke:
            return CallAnalyzed(status=AnalysisStatus.SKIPPED, error=SILENT)
        text = transcript.written()
        found = Findings(last_try)
        began = began_at.astimezone(ZoneInfo(spec.time_zone or self._time_zone))
        summary = await found.part("summary", self._summary(spec, text, began))
        data: JsonValue = None
        wanted = spec.custom_settings
        if wanted.structured_data_schema is not None or wanted.structured_data_prompt:
            data = await found.part("structured_data", self._data(spec, text, began, summary))
        return CallAnalyzed(
            status=AnalysisStatus.FAILED if found.problems else AnalysisStatus.DONE,
            summary=summary,
            structured_data=data,
            error="; ".join(found.problems)[:500] or None,
        )

    async def _summary(self, spec: AssistantSpec, text: str, began: datetime) -> str:
        question = questions.summary_question(text, began, max_tokens=self._settings.answer_tokens)
        for _ in range(2):
            answer = await _ask(self._chains(spec), question)
            if text := answers.words(answer.text):
                return text[:MAX_SUMMARY]
            question = questions.again_in_words(question)
        raise WrongAnswerError("still without a word after it was asked again")

    async def _data(self, spec: AssistantSpec, text: str, began: datetime, summary: str | None) -> JsonValue:
        """Raises: ProviderError, WrongAnswerError, UnusableSchemaError."""
        schema = spec.custom_settings.structured_data_schema
        question = questions.data_question(
            text,
            began,
            prompt=spec.custom_settings.structured_data_prompt,
            schema=questions.ANY_OBJECT if schema is None else schema,
            summary=summary,
            max_tokens=self._settings.answer_tokens,
        )
        answer, enforced = await self._ask_for_json(spec, question)
        value: JsonValue
        value, problems = await self._read(answer, question.schema)
        if problems:
            again = questions.repair_question(question, answer.text, problems)
            answer, _ = await self._ask_for_json(spec, again if enforced else replace(again, schema=None))
            value, problems = await self._read(answer, question.schema)
        if problems:
            raise WrongAnswerError(f"still wrong after one repair: {'; '.join(problems)}")
        return value

    async def _ask_for_json(self, spec: AssistantSpec, question: LlmRequest) -> tuple[Answer, bool]:
        """The answer, and whether the vendor took the schema; some take less of JSON Schema than we do."""
        try:
            return await _ask(self._chains(spec), question), question.schema is not None
        except ProviderError as exc:
            if exc.failure not in {Failure.REFUSED, Failure.REQUEST} or question.schema is None:
                raise
            return await _ask(self._chains(spec), replace(question, schema=None)), False

    async def _read(self, answer: Answer, schema: Any) -> tuple[Any, list[str]]:
        try:
            value = answers.read(answer.text)
        except answers.NotJsonError as exc:
            cut = ["it was too long and was cut off; write less"] if answer.cut else []
            return None, [str(exc), *cut]
        problems = await self._check(schema, value)
        if (packed := answers.inner(value)) is not None and not await self._check(schema, packed):
            return packed, []
        return value, problems


async def _ask(chain: LlmChain, question: LlmRequest) -> Answer:
    """One answer, whole. Raises: ProviderError."""
    text, cut = "", False
    async with chain.stream(question, lambda: text) as events:
        async for event in events:
            match event:
                case Asked():
                    text = without_thoughts(text)  # a model that died in its thoughts, if any was asked before
                case TextDelta(more):
                    text += more
                case Finished(reason):
                    cut = reason in {"length", "max_tokens"}
            if len(text) > MAX_ANSWER:
                cut = True
                break
    return Answer(without_thoughts(text).strip(), cut)
