"""Runs the bench: one load after the other on a stack of its own, and prints a row per load."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from calliope_local.bench import disturbances, load
from calliope_local.bench.connections import Connections, connections_of
from calliope_local.bench.figures import Figures, figures, percentile
from calliope_local.bench.machine import usage
from calliope_local.bench.models_tls import models_over_tls
from calliope_local.http import quoted, request
from calliope_local.stack import LocalStack

CALLS: Final = (1, 10, 20, 40, 80, 100, 120, 160)
SECONDS: Final = 40.0
ARRIVE_S: Final = 10.0
SLOTS: Final = 400
LINE: Final = "+15550003333"
THREADS: Final = 64
OTHERS_CORES: Final = 0.05
"""What others use above this is said: a quiet machine does less."""
AUTOGROUP_EVERY_S: Final = 0.11  # Linux takes no more than one change in 100 ms from whoever is not root
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_MB: Final = os.sysconf("SC_PAGE_SIZE") / 1_048_576


@dataclass(frozen=True, slots=True)
class Row:
    """One load, measured."""

    seen: Figures
    connections: Connections
    cpu_s_per_call_minute: float
    mb_per_call: float
    lag_ms: float
    others_cores: float
    beside: disturbances.Seen

    def cells(self) -> tuple[str, ...]:
        """In the order of `COLUMNS`."""
        seen, added = self.seen, [answer.added_ms for answer in self.seen.answers]
        return (
            str(seen.calls),
            str(len(added)),
            *(f"{percentile(added, share):.1f}" for share in (0.5, 0.99)),
            *(f"{percentile(seen.reactions_ms, share):.1f}" for share in (0.5, 0.99)),
            *(
                f"{number / len(added):.3f}" if added else "-"
                for number in (self.connections.opened, self.connections.waited_for)
            ),
            f"{self.cpu_s_per_call_minute:.2f}",
            f"{self.mb_per_call:.2f}",
            str(len(seen.gaps_ms)),
            str(seen.missed),
            str(len(seen.failed)),
            *(str(seen.late_ms(share)) for share in (0.99, 1.0)),
        )


COLUMNS: Final = (
    "calls",
    "answers",
    "added p50 ms",
    "added p99 ms",
    "barge-in p50 ms",
    "barge-in p99 ms",
    "connects/answer",
    "waited for",
    "CPU s/call-min",
    "MB/call",
    "gaps",
    "missed",
    "failed",
    "load late p99 ms",
    "load late max ms",
)
"""Connects: connections opened to the model. Waited for: those that an answer waited for. Gaps: stutter inside
an answer. Missed: words without an answer. Load late: the callers' own delay.
"""


def table_row(cells: Sequence[str]) -> str:
    """A row of a Markdown table, aligned to the columns."""
    return "| " + " | ".join(cell.rjust(len(name)) for cell, name in zip(cells, COLUMNS, strict=True)) + " |"


def main(arguments: Sequence[str]) -> int:
    """Exit status 0 when every load ran."""
    parser = argparse.ArgumentParser(prog="calliope_local bench", description=__doc__)
    parser.add_argument("--calls", default=",".join(map(str, CALLS)), help="loads, in concurrent calls")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each call talks")
    parser.add_argument("--real", action="store_true", help="first token 300 ms, 15 ms a token, voice 100 ms")
    parser.add_argument("--workers", type=int, default=1, choices=(1, 2), help="two workers share both cores")
    parser.add_argument(
        "--tls",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="ask the model over TLS, as outside (default)",
    )
    parser.add_argument("--beside", choices=disturbances.NAMES, help="what strangers or another tenant do meanwhile")
    chosen = parser.parse_args(arguments)
    waits = load.REAL if chosen.real else load.FIXED
    cores = sorted(os.sched_getaffinity(0))  # before this process keeps to one of them: what it starts inherits that
    _say(
        f"{chosen.workers} worker(s), {len(cores)} cores, {chosen.seconds:g} s of talk a call; waits in ms: {waits}"
        f"; the model over {'TLS' if chosen.tls else 'plain HTTP'}"
    )
    _say(table_row(COLUMNS))
    _say(table_row(["-" * (len(name) - 1) + ":" for name in COLUMNS]))
    for count in (int(text) for text in chosen.calls.split(",")):
        with tempfile.TemporaryDirectory(prefix="calliope-bench-") as folder:
            extra = models_over_tls(Path(folder)) if chosen.tls else {}
            extra["worker"] = extra.get("worker", {}) | {"CALLIOPE_SLOTS": str(SLOTS), "CALLIOPE_LOG__LEVEL": "WARNING"}
            with LocalStack(Path(folder), extra=extra, workers=chosen.workers) as stack:
                _place(stack, chosen.workers, cores)
                row = measure(stack, count, chosen.seconds, waits, chosen.beside)
        _say(table_row(row.cells()))
        if chosen.beside:
            _say(f"    beside {chosen.beside}: {row.beside}")
        _say(f"    the worker's event loop was late by {row.lag_ms:g} ms at p99")
        if row.others_cores > OTHERS_CORES:
            _say(
                f"    other processes kept {row.others_cores:.1f} of {len(cores)} cores busy: the times are theirs, too"
            )
        for why in sorted(set(row.seen.failed))[:3]:
            _say(f"    failed: {why}")
    return 0


def measure(stack: LocalStack, count: int, seconds: float, waits: load.Waits, beside: str | None = None) -> Row:
    """One load: so many callers, each for so long; `beside` names a disturbance."""
    sandbox = stack.address("sandbox")
    assistant_id = _prepare(stack, waits)
    run_calls(stack, 1, load.TURN_S * 2, first=9_000)  # a warm-up: imports, caches, connections
    request("PATCH", f"{sandbox}/sandbox/knobs", waits.knobs())
    idle_mb, _ = _memory_and_cpu(stack)
    connected = _connections(stack)
    before_s, machine, began = _memory_and_cpu(stack)[1], usage(), time.monotonic()
    lag_before = disturbances.loop_lag(stack, "worker")
    with disturbances.disturbed(beside, stack, LINE, assistant_id) as strangers, ThreadPoolExecutor(1) as watcher:
        peak = watcher.submit(_peak_mb, stack, ARRIVE_S + seconds * 0.7)
        calls = run_calls(stack, count, seconds, first=0)
        peak_mb = peak.result()
    cpu_s = _memory_and_cpu(stack)[1] - before_s
    others_cores = usage().others_since(machine, time.monotonic() - began)
    lag_ms = disturbances.lag_p99_ms(lag_before, disturbances.loop_lag(stack, "worker"))
    minutes = sum(_talked_s(call) for call in calls) / 60
    seen = figures(
        calls,
        request("GET", f"{sandbox}/sandbox/records/deepgram", timeout_s=60),
        request("GET", f"{sandbox}/sandbox/records/llm", timeout_s=60),
        request("GET", f"{sandbox}/sandbox/records/elevenlabs", timeout_s=60),
    )
    if time.monotonic() - began < seconds / 2:
        _say("    the calls ended early")
    return Row(
        seen,
        _connections(stack).since(connected),
        cpu_s / minutes if minutes else float("nan"),
        (peak_mb - idle_mb) / count,
        lag_ms,
        others_cores,
        strangers,
    )


def _connections(stack: LocalStack) -> Connections:
    return connections_of([stack.health(name) for name in stack.names() if name.startswith("worker")])


def run_calls(stack: LocalStack, count: int, seconds: float, *, first: int) -> list[dict[str, Any]]:
    """Place the calls and wait for their ends."""
    sandbox = stack.address("sandbox")
    began = time.monotonic()
    sids = []
    for number, at_s in enumerate(load.arrivals(count, min(ARRIVE_S, count * 0.2), seed=count)):
        time.sleep(max(0.0, began + at_s - time.monotonic()))
        call = {"from": "+15550001111", "to": LINE, "script": load.script(first + number, seconds), "deaf": True}
        sids.append(request("POST", f"{sandbox}/sandbox/twilio/calls", call, timeout_s=30)["sid"])
    with ThreadPoolExecutor(THREADS) as pool:
        wait_s = seconds * 3 + 60
        urls = [f"{sandbox}/sandbox/twilio/calls/{sid}?wait_s={wait_s:g}" for sid in sids]
        return list(pool.map(lambda url: request("GET", url, timeout_s=wait_s + 30), urls))


def _prepare(stack: LocalStack, waits: load.Waits) -> str:
    """The assistant's id."""
    gateway, sandbox, keys = stack.address("gateway"), stack.address("sandbox"), stack.keys
    account = {"account_sid": keys.twilio_account_sid, "auth_token": keys.twilio_auth_token}
    document = load.document("bench") | {"twilio_config": account}
    made = request("POST", f"{gateway}/api/v1/assistants", document, key=keys.api_key)
    spec = {"assistant_id": made["id"], "carrier": "twilio"}
    request("PUT", f"{gateway}/api/v1/phone-numbers/{quoted(LINE)}", spec, key=keys.api_key)
    number = account | {"voice_url": f"{gateway}/telephony/twilio/voice"}
    request("PUT", f"{sandbox}/sandbox/twilio/numbers/{quoted(LINE)}", number)
    request("POST", f"{sandbox}/sandbox/llm/scripts", load.answers())
    request("PATCH", f"{sandbox}/sandbox/knobs", waits.knobs())
    return str(made["id"])


def _place(stack: LocalStack, workers: int, cores: Sequence[int]) -> None:
    """The worker on a core of its own, everything else on the other.

    There the sandbox goes before the services: the outside world does not speak later because they are busy, and what
    it would be late by would be counted as the worker's.
    """
    apart = len(cores) > 1 and workers == 1
    for name in stack.names():
        if not name.startswith(("sandbox", "worker")):
            _stand_back(stack, name)
        its = {cores[1] if name.startswith("worker") else cores[0]} if apart else set(cores)
        for thread in _threads(stack, name):
            os.sched_setaffinity(thread, its)
    os.sched_setaffinity(0, {cores[0]})


def _stand_back(stack: LocalStack, name: str) -> None:
    """Run when nobody else wants to; where Linux groups by session (sched(7), autogroup), by the group's niceness."""
    for thread in _threads(stack, name):
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    group = Path(f"/proc/{stack.pid(name)}/autogroup")
    if group.exists():
        time.sleep(AUTOGROUP_EVERY_S)
        group.write_text("19")


def _threads(stack: LocalStack, name: str) -> list[int]:
    return [int(thread.name) for thread in Path(f"/proc/{stack.pid(name)}/task").iterdir()]


def _memory_and_cpu(stack: LocalStack) -> tuple[float, float]:
    """MB in memory and CPU seconds so far, of all workers."""
    megabytes = seconds = 0.0
    for name in stack.names():
        if name.startswith("worker"):
            process = Path(f"/proc/{stack.pid(name)}")
            megabytes += int((process / "statm").read_text().split()[1]) * _PAGE_MB
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / _TICKS
    return megabytes, seconds


def _peak_mb(stack: LocalStack, within_s: float) -> float:
    deadline, peak = time.monotonic() + within_s, 0.0
    while time.monotonic() < deadline:
        peak = max(peak, _memory_and_cpu(stack)[0])
        time.sleep(0.25)
    return peak


def _talked_s(call: dict[str, Any]) -> float:
    return 0.0 if call["answered_at_s"] is None else call["ended_at_s"] - call["answered_at_s"]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
