"""Calls whose worker is ended in one phase of them, by `kill -9` or by SIGTERM, and what was seen of each."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from calliope_local.stack import LocalStack
from support.chaos import breaking, complete, owner
from support.house import House, Json, a_document, facts, names
from support.phases import (
    ASKED_AGAIN,
    CONNECTING,
    DESK,
    LONG_MS,
    SUMMARISES,
    TOOL,
    UNANALYSED,
    UNHEARD,
    WELCOME,
    Phase,
    Watch,
)
from support.scenes import PACE, VOICE, unique

REACHED_S: Final = 30.0
OVER_S: Final = 60.0
ANALYSED_S: Final = 60.0
"""The bus gives work to another worker 30 s after one fell silent."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A call that is over, the worker that had it, and the tool's requests."""

    call: Json
    record: Json
    worker_id: str
    tool_keys: Sequence[str]

    @property
    def said(self) -> list[str]:
        """The caller's turns in the transcript."""
        return [line["text"] for line in self.record["transcript"] if line["role"] == "user"]

    def heard(self) -> Counter[str]:
        """Every word of the assistant that the caller heard, and how often."""
        return Counter(_plain(" ".join(word["text"] for word in self.call["heard_words"])))

    def doubled(self, owed: Sequence[str]) -> list[str]:
        """Words that were heard more often than they were owed."""
        return sorted((self.heard() - Counter(_plain(" ".join(owed)))).elements())

    def missing(self, owed: Sequence[str]) -> list[str]:
        """Words that were owed and not heard."""
        return sorted((Counter(_plain(" ".join(owed))) - self.heard()).elements())


def _plain(text: str) -> list[str]:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter.isspace()).split()


async def prepare(house: House) -> None:
    """The pace of the voice."""
    await house.sandbox("PATCH", "/sandbox/knobs", {"elevenlabs": {"voice_char_ms": {VOICE[1]: PACE}}})


async def begin(house: House, phase: Phase, carrier: str) -> Watch:
    """Place the call."""
    tag = unique("phase")
    tool = await house.sandbox("PUT", f"/sandbox/tools/{tag}", {"delay_ms": LONG_MS, "body": "booked"})
    document = a_document(
        llm_settings={"system_prompt": f"You are {tag}.", "welcome_message": WELCOME},
        tts_settings={"provider": "elevenlabs", "voice_id": VOICE[0]},
        tools_settings={
            "custom_tools": [{"name": TOOL, "description": "Books a table.", "url": tool["url"]}],
            "end_call": {"enabled": True, "scenarios": ["the caller says goodbye"]},
            "transfer_call": {"enabled": True, "transfer_numbers": [DESK], "custom_message": CONNECTING},
        },
        messages={"ask_to_repeat": ASKED_AGAIN},
    )
    if phase.rules:
        await house.sandbox("POST", "/sandbox/llm/scripts", {"name": tag, "system": tag, "rules": list(phase.rules)})
    line = await house.phone_line(document, carrier)
    sid = await house.place(line, phase.script, char_ms=PACE, **phase.options)
    return Watch(house, line, sid, tag)


async def until_reached(phase: Phase, watch: Watch) -> None:
    """Raises: TimeoutError; AssertionError, when the call failed before."""
    async with asyncio.timeout(REACHED_S):
        while not await phase.reached(watch):
            call = await watch.call()
            assert call["failed"] is None, call["failed"]
            await asyncio.sleep(0.02)


async def break_in(house: House, stack: LocalStack, phase: Phase, carrier: str, *, how: str) -> Broken:
    """A call whose worker is ended in this phase, by `kill` or `terminate`, and started again meanwhile."""
    watch = await begin(house, phase, carrier)
    name, worker_id = await owner(house, stack, watch.line, watch.sid)
    await until_reached(phase, watch)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(breaking(lambda: _replace(stack, name, how)), name="break")
        over = tasks.create_task(_over(watch, worker_id), name="over")
    return over.result()


async def leave_unheard(house: House, stack: LocalStack, carrier: str) -> Broken:
    """A call whose worker is killed while the caller speaks, and that none goes on with before the caller is done.

    Nothing else may run on the stack meanwhile: all other workers stand still.
    """
    watch = await begin(house, UNHEARD, carrier)
    name, worker_id = await owner(house, stack, watch.line, watch.sid)
    others = [other for other in stack.names() if other.startswith("worker") and other != name]
    await until_reached(UNHEARD, watch)
    for other in others:
        stack.pause(other)
    try:
        await breaking(lambda: stack.kill(name))
        async with asyncio.timeout(REACHED_S):
            while (await watch.call())["saying_for_ms"] is not None:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
    finally:
        for other in others:
            stack.resume(other)
    await breaking(lambda: stack.restart(name))
    return await _over(watch, worker_id)


async def leave_unanalysed(house: House, stack: LocalStack, analyst: str, *, how: str) -> tuple[Json, int]:
    """A call that was over when `analyst`, the only worker that summarises, was ended in the middle of that.

    Its record, and how often the model was asked for the summary.
    """
    await house.sandbox("POST", "/sandbox/llm/scripts", {"name": unique("summary"), "rules": SUMMARISES})
    before = await _summary_requests(house)
    watch = await begin(house, UNANALYSED, "twilio")
    await house.heard(watch.sid, within_s=OVER_S)
    async with asyncio.timeout(REACHED_S):
        while await _summary_requests(house) == before:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    assert names(await house.record(watch.line, watch.sid))[-1] == "ended"
    await breaking(lambda: _replace(stack, analyst, how))
    async with asyncio.timeout(ANALYSED_S):
        while (record := await house.record(watch.line, watch.sid))["analysis_status"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return record, await _summary_requests(house) - before


async def _summary_requests(house: House) -> int:
    entries = await house.sandbox("GET", "/sandbox/records/llm")
    asked = [str(entry["request"]) for entry in entries]
    return sum(SUMMARISES[0]["system"] in one and SUMMARISES[0]["match"] in one for one in asked)


def _replace(stack: LocalStack, name: str, how: str) -> None:
    """End a worker process, and begin another one in its place."""
    (stack.kill if how == "kill" else stack.terminate)(name)
    stack.restart(name)


async def _over(watch: Watch, worker_id: str) -> Broken:
    call = await watch.house.heard(watch.sid, within_s=OVER_S)
    return Broken(call, await complete(watch.house, watch.line, watch.sid), worker_id, await watch.tool_keys())


def assert_one_owner(broken: Broken, phase: Phase) -> None:
    """It went on at one other worker, to its one end, with every fact once."""
    record = broken.record
    assert broken.call["failed"] is None, broken.call
    assert [event["sequence"] for event in record["events"]] == list(range(1, len(record["events"]) + 1))
    assert [one["previous_worker_id"] for one in facts(record, "resumed")] == [broken.worker_id], names(record)
    assert names(record).count("ended") == 1, names(record)
    assert record["ended_reason"] == phase.ended_reason, names(record)
