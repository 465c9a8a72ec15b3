"""Runs the tools that a model called: checked first, journalled around the effect, never cancelled once begun."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from calliope.contracts.base import Message
from calliope.contracts.calls import ProviderFailed, Stage, ToolFinished, ToolStarted
from calliope.contracts.document.tools import CustomTool, ToolsSettings
from calliope.errors import TransientError
from calliope.ids import derived_id
from calliope_call_worker.analysis.checking import Check, UnusableSchemaError
from calliope_call_worker.errors import JournalFullError
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import ToolCall, ToolResult
from calliope_call_worker.tools.arguments import read_object
from calliope_call_worker.tools.catalogue import (
    BUILT_IN,
    DESTINATION,
    END_CALL,
    TRANSFER_CALL,
    custom_tool,
    offered,
    refused_by_built_in,
)
from calliope_call_worker.tools.http import HttpTools, ToolAnswer

log = structlog.get_logger(__name__)

CHECK_S: Final = 0.25  # of the processor, for one call's arguments; most take some milliseconds
JOURNAL_S: Final = 0.5  # how long an effect waits for its fact; the bus away must not be dead air
UNKNOWN: Final = "it has begun; what came of it is not known"
UNUSABLE: Final = "not called: this tool's parameters cannot be checked, so it cannot be used in this call"
UNCHECKED: Final = "not called: its arguments could not be checked just now; it may be tried once more"
NOT_JOURNALLED: Final = "not called: the call's events cannot be stored now"
Spawn = Callable[[Coroutine[Any, Any, ToolAnswer], str], "asyncio.Task[ToolAnswer]"]
Effect = Callable[[], Coroutine[Any, Any, ToolAnswer]]


@dataclass(frozen=True, slots=True)
class CheckedCall:
    """A tool call, and its arguments when they are as the tool's schema says.

    Else `wrong` is for the model, and `problem` for the developer, when there is something to look into.
    """

    call: ToolCall
    arguments: dict[str, Any] | None = None
    wrong: str = ""
    problem: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A valid call of a built-in tool: what the conversation has to do itself."""

    checked: CheckedCall
    destination: str | None = None

    @property
    def call(self) -> ToolCall:
        """As the model wrote it."""
        return self.checked.call

    @property
    def ends(self) -> bool:
        """Whether it ends the call; else it transfers it."""
        return self.call.name == END_CALL


class Toolbox:
    """The tools of one call."""

    def __init__(
        self,
        call_id: str,
        tools: ToolsSettings,
        http: HttpTools,
        journal: Journal,
        spawn: Spawn,
        check: Check,
        *,
        begun: Sequence[ToolStarted] = (),
        unknown: Sequence[ToolStarted] = (),
    ) -> None:
        """`begun`: effects that an owner before began in the turn on its way; `unknown`: those without an outcome."""
        self._call_id = call_id
        self._tools = tools
        self._http = http
        self._journal = journal
        self._spawn = spawn
        self._matches = check
        self._begun_before = frozenset((one.turn, one.tool_call_id) for one in begun)
        self._unknown = list(unknown)
        self._schemas = {spec.name: spec.parameters for spec in offered(tools)}
        self._running: set[asyncio.Task[ToolAnswer]] = set()
        self._outcomes: dict[int, dict[str, str]] = {}  # by turn and id; of the turn of the last effect and later ones

    def outcome(self, turn: int, tool_call_id: str) -> str | None:
        """What came of an effect; None when it was never begun.

        Of the turn that is answered now. Earlier ones are over and their outcomes forgotten once a tool of a later one
        begins.
        """
        return self._outcomes.get(turn, {}).get(tool_call_id)

    def begun(self, turn: int, tool_call_id: str) -> bool:
        """Whether an effect of this id has begun in this turn, in whatever reply, here or at an owner before."""
        return (turn, tool_call_id) in self._begun_before or self.outcome(turn, tool_call_id) is not None

    async def check(self, calls: Sequence[ToolCall]) -> list[CheckedCall]:
        """Each call with its arguments, or with what is wrong: in words, whatever became of the checking itself."""
        async with asyncio.TaskGroup() as tasks:
            checks = [tasks.create_task(self._checked(call), name="tool.check") for call in calls]
        return [check.result() for check in checks]

    def wish(self, checked: CheckedCall) -> Wish | None:
        """What a valid call of a built-in tool asks for."""
        if checked.arguments is None:
            return None
        if checked.call.name == END_CALL:
            return Wish(checked)
        if checked.call.name == TRANSFER_CALL:
            return Wish(checked, str(checked.arguments[DESTINATION]))
        return None

    def custom(self, checked: CheckedCall) -> CustomTool | None:
        """The HTTP tool that a valid call names."""
        return custom_tool(self._tools, checked.call.name) if checked.arguments is not None else None

    async def run(self, turn: int, calls: Sequence[CheckedCall]) -> list[ToolResult]:
        """Run custom tools side by side; every call gets its result, refused ones too."""
        running = [self._begin(partial(self._one, turn, checked), checked.call) for checked in calls]
        return [
            ToolResult(checked.call.id, checked.call.name, (await asyncio.shield(task)).text)
            for checked, task in zip(calls, running, strict=True)
        ]

    async def finish(self, timeout_s: float) -> None:
        """Let effects that have begun come to their end."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)

    async def grant(
        self, turn: int, wish: Wish, effect: Callable[[str], Coroutine[Any, Any, ToolAnswer]]
    ) -> ToolAnswer:
        """Do what a built-in tool asks; once begun it comes to its end, whatever becomes of the reply.

        `effect` is given the key of this call of the tool.
        """
        key = self._key(turn, wish.checked)
        around = partial(self._around, turn, wish.checked, key, partial(effect, key))
        return await asyncio.shield(self._begin(around, wish.call))

    async def _checked(self, call: ToolCall) -> CheckedCall:
        if (schema := self._schemas.get(call.name)) is None:
            return CheckedCall(call, wrong=f"there is no tool named {call.name}")
        try:
            arguments = read_object(call.arguments)
        except ValueError as exc:
            return CheckedCall(call, wrong=str(exc))
        if call.name in BUILT_IN:
            wrong = refused_by_built_in(self._tools, call.name, arguments)
            return CheckedCall(call, wrong=wrong) if wrong else CheckedCall(call, arguments)
        try:
            problems = await self._matches(schema, arguments)
        except UnusableSchemaError as exc:
            problem = ProviderError(call.name, Failure.REFUSED, f"not called: its parameters cannot be checked, {exc}")
            return CheckedCall(call, wrong=UNUSABLE, problem=problem)
        except TransientError as exc:
            problem = ProviderError(call.name, Failure.ERROR, f"not called: its arguments {exc}")
            return CheckedCall(call, wrong=UNCHECKED, problem=problem)
        return CheckedCall(call, wrong="; ".join(problems)) if problems else CheckedCall(call, arguments)

    def _key(self, turn: int, checked: CheckedCall) -> str:
        """One effect, one key: that of the owner before, for what it had begun and the model asks for again."""
        again = [one for one in self._unknown if (one.turn, one.name) == (turn, checked.call.name)]
        if not again:
            return derived_id("tool", self._call_id, str(turn), checked.call.id)
        one = next((one for one in again if one.arguments == checked.arguments), again[0])
        self._unknown.remove(one)
        return one.idempotency_key

    async def _around(self, turn: int, checked: CheckedCall, key: str, effect: Effect) -> ToolAnswer:
        """Journal, effect, journal. What cannot be journalled any more is not begun."""
        call = checked.call
        started = ToolStarted(
            turn=turn,
            tool_call_id=call.id,
            name=call.name,
            arguments=checked.arguments or {},
            idempotency_key=key,
        )
        if not self._written(call, started):
            return ToolAnswer(False, NOT_JOURNALLED)
        outcomes = self._outcomes_of(turn)
        outcomes[call.id] = UNKNOWN
        await self._journal.flush(JOURNAL_S)
        if self._journal.lost:
            return ToolAnswer(False, NOT_JOURNALLED)
        began = time.perf_counter()
        try:
            answer = await effect()
        except Exception:
            answer = self._crashed(call)
        outcomes[call.id] = answer.text
        finished = ToolFinished(
            turn=turn,
            tool_call_id=call.id,
            name=call.name,
            ok=answer.ok,
            result=answer.text,
            duration_ms=round((time.perf_counter() - began) * 1_000, 1),
        )
        problems = [_failed(turn, answer, answer.problem)] if answer.problem is not None else []
        self._written(call, *problems, finished)
        return answer

    def _outcomes_of(self, turn: int) -> dict[str, str]:
        """Where the outcomes of this turn are kept. There is one reply at a time, so every earlier one is committed."""
        for earlier in [other for other in self._outcomes if other < turn]:
            del self._outcomes[earlier]
        return self._outcomes.setdefault(turn, {})

    def _written(self, call: ToolCall, *facts: Message) -> bool:
        """Journal these. False: it takes no more, which ends the call as soon as the conversation goes on."""
        try:
            for fact in facts:
                self._journal.append(fact)
        except JournalFullError as exc:
            log.error("tool.not_journalled", tool=call.name, call_id=self._call_id, reason=str(exc))  # noqa: TRY400
            return False
        return True

    def _begin(self, work: Effect, call: ToolCall) -> "asyncio.Task[ToolAnswer]":
        task = self._spawn(self._answered(work, call), f"tool.{call.name}"[:60])
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _answered(self, work: Effect, call: ToolCall) -> ToolAnswer:
        """The edge of a tool's task: a bug of ours is an answer, too."""
        try:
            return await work()
        except Exception:
            return self._crashed(call)

    def _crashed(self, call: ToolCall) -> ToolAnswer:
        log.exception("tool.crashed", tool=call.name, call_id=self._call_id)
        problem = ProviderError(call.name, Failure.ERROR, "an error inside Calliope; its log says more")
        return ToolAnswer(False, "the tool failed", problem)

    async def _one(self, turn: int, checked: CheckedCall) -> ToolAnswer:
        tool = self.custom(checked)
        if checked.arguments is None or tool is None:
            answer = ToolAnswer(False, checked.wrong or f"{checked.call.name} cannot be used now", checked.problem)
            if checked.problem is not None:
                self._written(checked.call, _failed(turn, answer, checked.problem))
            return answer
        key = self._key(turn, checked)
        return await self._around(
            turn, checked, key, partial(self._http.run, tool, checked.arguments, idempotency_key=key)
        )


def _failed(turn: int, answer: ToolAnswer, problem: ProviderError) -> ProviderFailed:
    """For the developer; the model reads the result."""
    return ProviderFailed(
        stage=Stage.TOOL,
        provider=problem.provider,
        reason=problem.reason,
        detail=problem.detail,
        action="passed on as text" if answer.ok else "the model was told",
        turn=turn,
    )
