"""Plays the demonstration many times beside a busy core: how many succeeded, and why any failed."""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calliope_local import busy_core
from calliope_local.call_report import say

COUNT: Final = 100
DEMO_S: Final = 240.0
"""How long one demonstration may take on a loaded machine."""
STOP_S: Final = 30.0
LOGS: Final = Path(".calliope/demo-soak")
DEMO: Final = (sys.executable, "-m", "calliope_local", "demo")
_REASON: Final = re.compile(r"\b(?:MISSING|FAILED): (.*)")
_LAST_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one demonstration went. `reasons` is empty when it succeeded."""

    seconds: float
    reasons: tuple[str, ...] = ()


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, when every demonstration succeeded."""
    parser = argparse.ArgumentParser(prog="calliope_local demo-soak", description=__doc__)
    parser.add_argument("--count", type=_positive, default=COUNT, help=f"demonstrations, {COUNT} unless given")
    chosen = parser.parse_args(arguments)
    return soak(chosen.count, LOGS)


def soak(count: int, logs: Path, command: Sequence[str] = DEMO) -> int:
    """Play `count` demonstrations one after another; the output of those that fail is kept in `logs`."""
    say(f"Playing {count} demonstrations beside a busy core …")
    outcomes = []
    with busy(count * DEMO_S):
        for number in range(1, count + 1):
            outcome = play(command, logs / f"{number:03d}.log")
            outcomes.append(outcome)
            say(f"   {number:>3}/{count}  {'FAILED' if outcome.reasons else 'ok':<6}  {outcome.seconds:5.1f} s")
            for reason in outcome.reasons:
                say(f"              {reason}")
    return _summary(outcomes, logs)


def play(command: Sequence[str], log: Path) -> Outcome:
    """Play one demonstration; its output stays in `log` only when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)  # noqa: S603 - our own command
        try:
            status: int | None = child.wait(timeout=DEMO_S)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(child)
    seconds, text = time.monotonic() - began, log.read_text(encoding="utf-8", errors="replace")
    if status == 0:
        log.unlink()
        return Outcome(seconds)
    return Outcome(seconds, why(text, status))


def why(text: str, status: int | None) -> tuple[str, ...]:
    """Reasons of a failure: what the demonstration says is wrong; else its exit status and its last lines."""
    if status is not None and (said := tuple(dict.fromkeys(_REASON.findall(text)))):
        return said
    ended = f"did not end within {DEMO_S:g} s" if status is None else f"ended with status {status}"
    return (f"{ended}; its last lines:", *text.splitlines()[-_LAST_LINES:])


@contextmanager
def busy(seconds: float) -> Iterator[None]:
    """One core is busy while the block runs, at most so long."""
    loop = subprocess.Popen([sys.executable, "-I", "-S", str(busy_core.__file__), str(seconds)])  # noqa: S603 - our own file
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Also what it started; a demonstration stops its own processes when it is interrupted."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _summary(outcomes: Sequence[Outcome], logs: Path) -> int:
    failed = sum(bool(outcome.reasons) for outcome in outcomes)
    times = [outcome.seconds for outcome in outcomes]
    say(
        f"\n{len(outcomes) - failed} of {len(outcomes)} demonstrations succeeded beside a busy core;"
        f" {statistics.median(times):.1f} s each at the median, {max(times):.1f} s at most."
    )
    if failed:
        say(f"What the others printed is in {logs}/.")
    return 1 if failed else 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, such as {COUNT}; not {text}")
    return int(text)
