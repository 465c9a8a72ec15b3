"""Strangers and tenants beside the calls that the bench measures: what they are called, and what came of them.

with disturbed("unsigned-hooks", stack, line) as seen:
    ...                       # measure
seen.counts, seen.livez_ms    # once the block is left
"""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from calliope_local.bench import load
from calliope_local.bench.strangers import HEAVY_TOOL, STRANGERS
from calliope_local.http import HttpError, quoted, request
from calliope_local.probes import free_ports
from calliope_local.stack import LocalStack

TENANT_LINE: Final = "+15550004444"
TENANT_CALLS: Final = 3
PROBE_S: Final = 0.5
END_S: Final = 10.0
_LAG: Final = re.compile(r'calliope_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')
NAMES: Final = tuple(STRANGERS)


@dataclass(slots=True)
class Seen:
    """What the strangers counted, and how long `/livez` of the gateway took meanwhile; ms."""

    counts: dict[str, int] = field(default_factory=dict)
    livez_ms: list[float] = field(default_factory=list)
    livez_failed: int = 0

    def __str__(self) -> str:
        worst = f"{max(self.livez_ms):.0f} ms at most" if self.livez_ms else "never"
        told = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return f"/livez answered {len(self.livez_ms)} times, {worst}, failed {self.livez_failed} times; {told}"


@contextmanager
def disturbed(name: str | None, stack: LocalStack, line: str, assistant_id: str) -> Iterator[Seen]:
    """Let them work while the block lasts. Without a name nobody does."""
    seen = Seen()
    if name is None:
        yield seen
        return
    port = free_ports(1)[0]
    settings = {
        "gateway": stack.address("gateway"),
        "number": line,
        "api_key": stack.keys.api_key,
        "nats": stack.address("nats", "nats"),
        "account_sid": stack.keys.twilio_account_sid,
        "port": str(port),
    }
    over = threading.Event()
    probe = threading.Thread(target=_probe, args=(stack, seen, over), name="livez")
    child = None
    try:
        command = [sys.executable, "-m", "calliope_local.bench.strangers", name, json.dumps(settings)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
        _prepare(name, stack, assistant_id, port)
        probe.start()
        yield seen
    finally:
        over.set()
        if probe.ident is not None:
            probe.join(END_S)
        if child is not None:
            child.send_signal(signal.SIGTERM)
            out, _ = child.communicate(timeout=END_S)
            if out.strip():  # else they were not let begin
                seen.counts = json.loads(out.splitlines()[-1])


def _prepare(name: str, stack: LocalStack, assistant_id: str, port: int) -> None:
    address = f"http://127.0.0.1:{port}"
    if name == "silent-receiver":
        path = f"{stack.address('gateway')}/api/v1/assistants/{assistant_id}"
        request("PATCH", path, {"webhook_url": f"{address}/hook"}, key=stack.keys.api_key)
    if name == "flooding-model":
        _tenant_calls(stack, load.document("flooded") | _model(address))
    if name == "heavy-arguments":
        tools = {"tools_settings": {"custom_tools": [_heavy_tool(f"{address}/{HEAVY_TOOL}")]}}
        _tenant_calls(stack, load.document("heavy") | _model(address) | tools)


def _model(address: str) -> dict[str, Any]:
    return {
        "llm_provider": "custom",
        "llm_provider_config": {"base_url": f"{address}/v1", "api_key": "stranger", "model": "stranger"},
    }


def _tenant_calls(stack: LocalStack, document: dict[str, Any]) -> None:
    """Another tenant's calls, which go on for as long as the measured ones."""
    gateway, sandbox, keys = stack.address("gateway"), stack.address("sandbox"), stack.keys
    account = {"account_sid": keys.twilio_account_sid, "auth_token": keys.twilio_auth_token}
    settings = {**document["llm_settings"], "system_prompt": f"You are the {document['name']}."}
    body = document | {"twilio_config": account, "llm_settings": settings}
    made = request("POST", f"{gateway}/api/v1/assistants", body, key=keys.api_key)
    spec = {"assistant_id": made["id"], "carrier": "twilio"}
    request("PUT", f"{gateway}/api/v1/phone-numbers/{quoted(TENANT_LINE)}", spec, key=keys.api_key)
    number = account | {"voice_url": f"{gateway}/telephony/twilio/voice"}
    request("PUT", f"{sandbox}/sandbox/twilio/numbers/{quoted(TENANT_LINE)}", number)
    for call in range(TENANT_CALLS):
        script = load.script(8_000 + call, load.TURN_S * 20)
        call_body = {"from": "+15550002222", "to": TENANT_LINE, "script": script, "deaf": True}
        request("POST", f"{sandbox}/sandbox/twilio/calls", call_body, timeout_s=30)


def _heavy_tool(url: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"items": {"type": "array", "uniqueItems": True, "items": {"type": "object"}}},
        "required": ["items"],
    }
    return {"name": HEAVY_TOOL, "description": "Takes many things.", "url": url, "parameters": schema}


def _probe(stack: LocalStack, seen: Seen, over: threading.Event) -> None:
    """Ask the gateway whether it lives, again and again."""
    while not over.wait(PROBE_S):
        began = time.monotonic()
        try:
            request("GET", stack.health("gateway") + "/livez", timeout_s=5.0)
        except (HttpError, ValueError):
            seen.livez_failed += 1
        else:
            seen.livez_ms.append((time.monotonic() - began) * 1_000)


def loop_lag(stack: LocalStack, name: str) -> dict[float, float]:
    """How often a process's event loop was late by at most so many ms, since it started."""
    with urllib.request.urlopen(stack.health(name) + "/metrics", timeout=5.0) as answer:  # noqa: S310 - our stack
        text = answer.read().decode()
    return {float(found[1]) * 1_000: float(found[2]) for found in _LAG.finditer(text)}


def lag_p99_ms(before: dict[float, float], after: dict[float, float]) -> float:
    """The bucket in which the 99th percentile of the time between lies; ms."""
    counts = sorted((limit, after[limit] - before.get(limit, 0.0)) for limit in after)
    return next((limit for limit, count in counts if count >= counts[-1][1] * 0.99), float("nan"))
