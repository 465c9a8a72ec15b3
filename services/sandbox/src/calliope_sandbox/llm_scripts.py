"""Scripted answers of the language models: which rule speaks, for which conversation. Knows no vendor's wire format."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from calliope_sandbox import receptionist
from calliope_sandbox.answers import SHAPES, Answer, CallTool, Fail
from calliope_sandbox.conversations import Conversation, Json

MAX_SCRIPTS = 1_000
"""Scripts kept; the oldest is forgotten beyond it."""


class ScriptError(ValueError):
    """A script that cannot be understood; the text says where."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions, all of which must hold, and the answer. A rule without conditions always holds."""

    answer: Answer
    match: re.Pattern[str] | None = None
    system: re.Pattern[str] | None = None
    after_tool: str | None = None
    turn: int | None = None
    times: int | None = None

    def holds(self, talk: Conversation, used: int) -> bool:
        """Whether this rule answers, having been used `used` times before."""
        answered = [answer.name for answer in talk.tool_answers]
        if self.after_tool is None and answered and (self.match or self.turn is not None):
            return False  # what the caller said was dealt with when the tool was called
        return (
            (self.times is None or used < self.times)
            and (self.match is None or self.match.search(talk.last_user_text) is not None)
            and (self.system is None or self.system.search(talk.system) is not None)
            and (self.after_tool is None or (bool(answered) and self.after_tool in ("*", *answered)))
            and (self.turn is None or talk.user_turns == self.turn)
        )


@dataclass(slots=True)
class Script:
    """Rules for the requests of one key, model, call or system prompt; what is not named fits all."""

    name: str
    rules: tuple[Rule, ...]
    key: str | None = None
    model: str | None = None
    call: str | None = None
    system: re.Pattern[str] | None = None
    used: Counter[int] = field(default_factory=Counter)

    def fits(self, talk: Conversation) -> bool:
        """Whether this script is meant for the request at all."""
        return (
            self.key in (None, talk.key)
            and self.model in (None, talk.model)
            and self.call in (None, talk.call)
            and (self.system is None or self.system.search(talk.system) is not None)
        )

    def answer(self, talk: Conversation) -> Answer | None:
        """The answer of the first rule that holds; counts its use."""
        for number, rule in enumerate(self.rules):
            if rule.holds(talk, self.used[number]):
                self.used[number] += 1
                return rule.answer.about(talk)
        return None


class ScriptStore:
    """The scripts by name. The newest that fits and has a rule answers; at last the built-in receptionist."""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}

    def put(self, document: Json) -> Script:
        """Add or replace a script. Raises: ScriptError."""
        script = parse_script(document, default_name=f"script-{len(self._scripts) + 1}")
        self._scripts.pop(script.name, None)
        if len(self._scripts) >= MAX_SCRIPTS:
            self._scripts.pop(next(iter(self._scripts)))
        self._scripts[script.name] = script
        return script

    def remove(self, name: str) -> bool:
        """Forget one script; False when there was none."""
        return self._scripts.pop(name, None) is not None

    def clear(self) -> None:
        """Forget all; the receptionist answers again."""
        self._scripts.clear()

    def names(self) -> dict[str, int]:
        """Each script, oldest first, with how often it answered."""
        return {name: script.used.total() for name, script in self._scripts.items()}

    def answer(self, talk: Conversation) -> Answer:
        """What the model says to this conversation; of an answer that was cut off, what is missing."""
        if (cut := talk.cut_off) is not None:
            before, begun = cut
            whole = self.answer(before)
            return replace(whole, say=whole.say.removeprefix(begun)) if whole.say.startswith(begun) else whole
        for script in reversed(self._scripts.values()):
            if script.fits(talk) and (answer := script.answer(talk)) is not None:
                return answer
        return receptionist.answer(talk)


def parse_script(document: Json, *, default_name: str) -> Script:
    """A script as it is posted. Raises: ScriptError."""
    _only(document, {"name", "key", "model", "call", "system", "rules"}, "script")
    rules = document.get("rules")
    if not isinstance(rules, Sequence) or isinstance(rules, str) or not rules:
        raise ScriptError("rules: a list with at least one rule is needed")
    return Script(
        name=str(document.get("name") or default_name),
        rules=tuple(_rule(rule, f"rules[{number}]") for number, rule in enumerate(rules)),
        key=document.get("key"),
        model=document.get("model"),
        call=document.get("call"),
        system=_pattern(document.get("system"), "system"),
    )


_CONDITIONS = {"match", "system", "after_tool", "turn", "times", "any"}
_ANSWERS = {
    "say",
    "tool_calls",
    "fail",
    "json",
    "wait_ms",
    "first_token_ms",
    "per_token_ms",
    "stall_after",
    "finish",
    "variants",
}


def _rule(raw: Any, where: str) -> Rule:
    if not isinstance(raw, Mapping):
        raise ScriptError(f"{where}: an object is needed")
    _only(raw, _CONDITIONS | _ANSWERS, where)
    if not any(kind in raw for kind in ("say", "tool_calls", "fail", "json", "stall_after")):
        raise ScriptError(f"{where}: one of say, tool_calls, json, fail, stall_after is needed")
    after_tool = raw.get("after_tool")
    return Rule(
        answer=_answer(raw, where),
        match=_pattern(raw.get("match"), f"{where}.match"),
        system=_pattern(raw.get("system"), f"{where}.system"),
        after_tool="*" if after_tool is True else after_tool,
        turn=raw.get("turn"),
        times=raw.get("times"),
    )


def _answer(raw: Mapping[str, Any], where: str) -> Answer:
    calls = raw.get("tool_calls") or []
    if not all(isinstance(call, Mapping) and "name" in call for call in calls):
        raise ScriptError(f"{where}.tool_calls: each needs a name")
    fail = raw.get("fail")
    if fail is not None:
        known = {"status", "code", "message", "type", "after_tokens", "retry_after_s", "param", "shape"}
        _only(fail, known, f"{where}.fail")
        if fail.get("shape") not in {None, *SHAPES}:
            raise ScriptError(f"{where}.fail.shape: one of {', '.join(sorted(SHAPES))} is needed")
    return Answer(
        say=str(raw["say"]) if "say" in raw else json.dumps(raw["json"]) if "json" in raw else "",
        tool_calls=tuple(CallTool(call["name"], _arguments(call.get("arguments", {}))) for call in calls),
        fail=Fail(**fail) if fail is not None else None,
        first_token_ms=raw.get("first_token_ms"),
        per_token_ms=raw.get("per_token_ms"),
        wait_ms=float(raw.get("wait_ms", 0)),
        stall_after=raw.get("stall_after"),
        finish=raw.get("finish"),
        variants=frozenset(raw.get("variants") or ()),
    )


def _arguments(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _pattern(text: Any, where: str) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(str(text), re.IGNORECASE)
    except re.error as exc:
        raise ScriptError(f"{where}: not a regular expression: {exc}") from exc


def _only(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(raw) - known):
        raise ScriptError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
