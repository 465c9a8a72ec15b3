"""Calls played side by side on one stack: what a caller does and a model answers, and afterwards what both saw."""

import asyncio
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from calliope_local.stack import LocalStack
from support.house import House, Json, PhoneLine, a_document, facts, visiting

_NUMBERS: Final = itertools.count(1)
PACE: Final = 40
"""Milliseconds a character, on both sides: as fast as every word is still clearly heard."""
VOICE: Final = ("josh", "TxGEqnHWrfWFTfGW9XjX")
"""Who speaks at this pace, so that no line of it is kept for anybody else."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A call to come. `rules` are the model's; Names in `tools` are the sandbox's."""

    script: Sequence[Json]
    rules: Sequence[Json] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    tools: Mapping[str, Json] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    carrier: str = "twilio"


@dataclass(frozen=True, slots=True)
class Seen:
    """A call that is over: as its caller saw it, as the API tells it, and what the model and the tools were asked."""

    call: Json
    record: Json
    asked: list[list[Json]]
    tools: list[Json]

    @property
    def users(self) -> list[str]:
        """The caller's turns in the transcript."""
        return [line["text"] for line in self.record["transcript"] if line["role"] == "user"]

    @property
    def assistant(self) -> list[str]:
        """The assistant's lines in the transcript."""
        return [line["text"] for line in self.record["transcript"] if line["role"] == "assistant"]

    @property
    def heard(self) -> str:
        """Every word that reached the caller's ear."""
        return " ".join(word["text"] for word in self.call["heard_words"])

    @property
    def lines(self) -> list[Json]:
        """What the caller heard, line by line."""
        return [line for line in self.call["lines"] if line["side"] == "assistant"]

    @property
    def results(self) -> list[str]:
        """What tools answered, as the model was told in the last request."""
        return [message["content"] for message in self.asked[-1] if message["role"] == "tool"]

    def facts(self, name: str) -> list[Json]:
        """Data of the call's events of that name."""
        return facts(self.record, name)


def call_of(tool: str, **arguments: object) -> Json:
    """A tool call of a scripted model."""
    return {"name": tool, "arguments": arguments}


async def play(house: House, scene: Scene) -> Seen:
    """One call, with a model and tools of its own."""
    line, tag = await prepared(house, scene)
    sid = await place(house, line, scene)
    return await seen(house, line, sid, tag, scene.tools)


async def prepared(house: House, scene: Scene) -> tuple[PhoneLine, str]:
    """The line that is called, and the name by which its model's requests are known."""
    tag = f"{unique('actor')}-x"
    document = {"tts_settings": {"provider": "elevenlabs", "voice_id": VOICE[0]}, **a_document(**scene.document)}
    document["llm_settings"] = {**document["llm_settings"], "system_prompt": f"You are {tag}."}
    if scene.rules:
        script = {"name": tag, "system": tag, "rules": list(scene.rules)}
        await house.sandbox("POST", "/sandbox/llm/scripts", script)
    for name, answer in scene.tools.items():
        await house.sandbox("PUT", f"/sandbox/tools/{name}", answer)
    return await house.phone_line(document, scene.carrier), tag


async def place(house: House, line: PhoneLine, scene: Scene) -> str:
    """Ring; the carrier's id of the call."""
    return await house.place(line, scene.script, **{"char_ms": PACE, **scene.options})


async def seen(house: House, line: PhoneLine, sid: str, tag: str, tools: Iterable[str] = ()) -> Seen:
    """The call, once it is over."""
    call, record = await house.finished(line, sid)
    requests = [entry["request"] for entry in await house.sandbox("GET", "/sandbox/records/llm")]
    used = [entry for name in tools for entry in await house.sandbox("GET", f"/sandbox/records/tools?name={name}")]
    talks = [request["messages"] for request in requests if "messages" in request]  # of this scene's vendor and others
    asked = [talk for talk in talks if tag in str(talk[0])]
    return Seen(call, record, asked, sorted(used, key=lambda entry: float(entry["at_monotonic_s"])))


def unique(name: str) -> str:
    """A name that no other scene has."""
    return f"{name}-{os.getpid()}-{next(_NUMBERS)}"


def played(
    stack: LocalStack, scenes: Mapping[str, Scene], *, before: Sequence[tuple[str, str, Json]] = ()
) -> dict[str, Seen]:
    """All of them at the same time; `before` are requests that set the sandbox up."""

    async def play_all() -> dict[str, Seen]:
        async with visiting(stack) as house:
            await house.sandbox("PATCH", "/sandbox/knobs", {"elevenlabs": {"voice_char_ms": {VOICE[1]: PACE}}})
            for method, path, body in before:
                await house.sandbox(method, path, body)
            try:
                async with asyncio.TaskGroup() as tasks:
                    running = {name: tasks.create_task(play(house, scene)) for name, scene in scenes.items()}
            finally:
                await house.sandbox("POST", "/sandbox/reset")
            return {name: task.result() for name, task in running.items()}

    return asyncio.run(play_all())
