"""What code may do at all: domain files know no world, tasks have an owner, events are acknowledged."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from support.modules import Module

PURE: Final = (
    "calliope.contracts.*", "calliope.documents", "calliope.errors",
    "calliope.rate", "calliope_gateway.ports",
    "calliope_assistants.model", "calliope_assistants.records", "calliope_assistants.summaries",
    "calliope_assistants.events", "calliope_assistants.ports",
    "calliope_assistants.repeats", "calliope_assistants.identity.ports",
    "calliope_call_worker.pipeline.*", "calliope_call_worker.conversation", "calliope_call_worker.continuation",
    "calliope_call_worker.analysis.questions", "calliope_call_worker.analysis.transcript",
    "calliope_call_worker.phrases", "calliope_call_worker.ports",
    "calliope_call_worker.tools.arguments", "calliope_call_worker.tools.catalogue",
    "calliope_call_worker.providers.*.base",
    "calliope_call_worker.providers.llm.breaker", "calliope_call_worker.providers.llm.chat_answer",
    "calliope_call_worker.providers.llm.chat_body", "calliope_call_worker.providers.llm.quirks",
    "calliope_call_worker.providers.llm.seam", "calliope_call_worker.providers.llm.sse",
    "calliope_call_worker.providers.llm.toolcalls",
    "calliope_call_worker.providers.stt.continuity",
    "calliope_call_worker.providers.tts.alignment", "calliope_call_worker.providers.tts.elevenlabs_words",
    "calliope_call_worker.providers.tts.progress",
    "calliope_webhooks.model", "calliope_webhooks.fanout", "calliope_webhooks.retry", "calliope_webhooks.signing",
    "calliope_webhooks.breaker", "calliope_webhooks.turnstile", "calliope_webhooks.ports",
)  # fmt: skip
"""Files that take `now` as an argument and return values."""

_WORLD: Final = (
    "asyncio", "aiohttp", "socket", "ssl", "subprocess", "threading", "nats", "faststream", "motor", "pymongo",
    "time", "random", "os", "calliope.messaging",
)  # fmt: skip


def world_in_domain(module: Module) -> Iterator[str]:
    """A domain file that waits, reads a clock or knows the network."""
    if not module.matches(*PURE):
        return
    for each in module.imports():
        if each.is_in(*_WORLD):
            yield module.at(each.line, f"imports {each.name}")
    for call in module.calls():
        if ast.unparse(call.func) in {"datetime.now", "datetime.utcnow", "date.today", "datetime.today"}:
            yield module.at(call.lineno, f"reads the clock with {ast.unparse(call.func)}")


OWNERLESS: Final = {
    "calliope.messaging.connection": "the NATS client keeps its reconnect task and cancels it when it closes",
}
"""Modules that may start a task without a TaskGroup, and why."""


def task_without_owner(module: Module) -> Iterator[str]:
    """A task that no block waits for."""
    return iter(()) if module.name in OWNERLESS else ownerless_tasks(module)


def ownerless_tasks(module: Module) -> Iterator[str]:
    """As above, without exceptions."""
    plain = {each.name.rpartition(".")[2] for each in module.imports() if each.is_in("asyncio")}
    for call in module.calls():
        called = ast.unparse(call.func)
        owner, _, verb = called.rpartition(".")
        if verb not in {"create_task", "ensure_future", "gather", "run_coroutine_threadsafe"}:
            continue
        if owner == "asyncio" or re.search(r"loop(\(\))?$", owner) or (not owner and verb in plain):
            yield module.at(call.lineno, f"calls {called}")


def job_outside_supervisor(module: Module) -> Iterator[str]:
    """A background job of a process that nobody starts again: one failure of it would end all that runs beside it."""
    if module.inside != "app":
        return
    for call in module.calls():
        if ast.unparse(call.func).rpartition(".")[2] == "create_task":
            yield module.at(call.lineno, f"calls {ast.unparse(call.func)}")


UNACKNOWLEDGED: Final = {
    "calliope_call_worker.adapters.lease": "the last lease of a round is acknowledged, and with it those before it",
    "calliope_call_worker.adapters.playbacks": "what is kept is replaced within a second, and of use for seconds only",
}
"""Modules that may publish without an acknowledgement, and why."""


def publish_without_stream(module: Module) -> Iterator[str]:
    """An event that nobody acknowledges."""
    if module.name.startswith("calliope.messaging") or module.name in UNACKNOWLEDGED:
        return
    for call in module.calls():
        owner, _, verb = ast.unparse(call.func).rpartition(".")
        is_bus = re.search(r"(^|[._])(bus|broker|router|connection|jetstream|js|nats)(\(\))?$", owner)
        if verb == "publish" and is_bus and "stream" not in {keyword.arg for keyword in call.keywords}:
            yield module.at(call.lineno, f"calls {owner}.publish without stream=")


def subject_by_hand(module: Module) -> Iterator[str]:
    """A subject made from strings."""
    if module.name == "calliope.contracts.subjects":
        return
    words = {id(each.value) for each in ast.walk(module.tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in words:
            continue
        if re.match(r"calliope\.(cmd|evt|dead|sched|due|replay|replayed|open_call)\.", node.value):
            yield module.at(node.lineno, f"spells the subject {node.value!r}")
