"""Runs the tools that a model called: checked first, journalled around the effect, never cancelled once begun."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from calliope.contracts.calls import ProviderFailed, Stage, ToolFinished, ToolStarted
from calliope.contracts.document.tools import CustomTool, ToolsSettings
from calliope.ids import derived_id
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import ToolCall, ToolResult
from calliope_call_worker.tools.arguments import parse
from calliope_call_worker.tools.catalogue import END_CALL, TRANSFER_CALL, custom_tool, offered
from calliope_call_worker.tools.http import HttpTools, ToolAnswer

log = structlog.get_logger(__name__)

JOURNAL_S: Final = 0.5  # how long an effect waits for its fact; the bus away must not be dead air
UNKNOWN: Final = "it has begun; what came of it is not known"
Spawn = Callable[[Coroutine[Any, Any, ToolAnswer], str], "asyncio.Task[ToolAnswer]"]


@dataclass(frozen=True, slots=True)
class Wish:
    """A checked call of a built-in tool: what the conversation has to do itself."""

    call: ToolCall
    destination: str | None = None

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
        *,
        unknown: Mapping[tuple[int, str], str] | None = None,
    ) -> None:
        """`unknown`: by turn and name the keys of tools that an owner before began, and whose outcome nobody knows."""
        self._call_id = call_id
        self._tools = tools
        self._http = http
        self._journal = journal
        self._spawn = spawn
        self._unknown = dict(unknown or {})
        self._schemas = {spec.name: spec.parameters for spec in offered(tools)}
        self._running: set[asyncio.Task[ToolAnswer]] = set()
        self._outcomes: dict[tuple[int, str], str] = {}

    def outcome(self, turn: int, tool_call_id: str) -> str | None:
        """What came of an effect; None when it was never begun."""
        return self._outcomes.get((turn, tool_call_id))

    def check(self, call: ToolCall) -> tuple[dict[str, Any], None] | tuple[None, str]:
        """The arguments, or what is wrong with the call in words for the model."""
        schema = self._schemas.get(call.name)
        if schema is None:
            return None, f"there is no tool named {call.name}"
        try:
            return parse(call.arguments, schema), None
        except ValueError as exc:
            return None, str(exc)

    def wish(self, call: ToolCall) -> Wish | None:
        """A valid call of end_call or transfer_call; a number that is not listed is none, whatever the model says."""
        arguments, _ = self.check(call)
        if arguments is None:
            return None
        if call.name == END_CALL:
            return Wish(call)
        if call.name == TRANSFER_CALL and arguments["destination"] in self._tools.transfer_call.transfer_numbers:
            return Wish(call, str(arguments["destination"]))
        return None

    def custom(self, call: ToolCall) -> CustomTool | None:
        """The HTTP tool that a valid call names."""
        return custom_tool(self._tools, call.name) if self.check(call)[0] is not None else None

    async def run(self, turn: int, calls: list[ToolCall]) -> list[ToolResult]:
        """Run custom tools side by side; every call gets its result, refused ones too."""
        running = [self._start(turn, call) for call in calls]
        return [
            ToolResult(call.id, call.name, (await asyncio.shield(task)).text)
            for call, task in zip(calls, running, strict=True)
        ]

    async def finish(self, timeout_s: float) -> None:
        """Let effects that have begun come to their end."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)

    async def grant(self, turn: int, call: ToolCall, effect: Coroutine[Any, Any, ToolAnswer]) -> ToolAnswer:
        """Do what a built-in tool asks; once begun it comes to its end, whatever becomes of the reply."""
        return await asyncio.shield(self._track(self._around(turn, call, self._key(turn, call), effect), call.name))

    def _key(self, turn: int, call: ToolCall) -> str:
        """One effect, one key."""
        return self._unknown.pop((turn, call.name), None) or derived_id("tool", self._call_id, str(turn), call.id)

    async def _around(self, turn: int, call: ToolCall, key: str, effect: Coroutine[Any, Any, ToolAnswer]) -> ToolAnswer:
        """Journal, effect, journal."""
        arguments, _ = self.check(call)
        self._journal.append(
            ToolStarted(turn=turn, tool_call_id=call.id, name=call.name, arguments=arguments or {}, idempotency_key=key)
        )
        self._outcomes[turn, call.id] = UNKNOWN
        await self._journal.flush(JOURNAL_S)
        began = time.perf_counter()
        try:
            answer = await effect
        except Exception:
            log.exception("tool.crashed", tool=call.name, call_id=self._call_id)
            problem = ProviderError(call.name, Failure.ERROR, "an error inside Calliope; its log says more")
            answer = ToolAnswer(False, "the tool failed", problem)
        self._outcomes[turn, call.id] = answer.text
        if answer.problem is not None:
            self._journal.append(_failed(turn, answer, answer.problem))
        self._journal.append(
            ToolFinished(
                turn=turn,
                tool_call_id=call.id,
                name=call.name,
                ok=answer.ok,
                result=answer.text,
                duration_ms=round((time.perf_counter() - began) * 1_000, 1),
            )
        )
        return answer

    def _start(self, turn: int, call: ToolCall) -> "asyncio.Task[ToolAnswer]":
        return self._track(self._one(turn, call), call.name)

    def _track(self, work: Coroutine[Any, Any, ToolAnswer], name: str) -> "asyncio.Task[ToolAnswer]":
        task = self._spawn(work, f"tool.{name}"[:60])
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _one(self, turn: int, call: ToolCall) -> ToolAnswer:
        arguments, wrong = self.check(call)
        tool = custom_tool(self._tools, call.name)
        if arguments is None or tool is None:
            return ToolAnswer(ok=False, text=wrong or f"{call.name} cannot be used now")
        key = self._key(turn, call)
        return await self._around(turn, call, key, self._http.run(tool, arguments, idempotency_key=key))


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
