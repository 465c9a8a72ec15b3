"""`python -m calliope_call_worker replay <file>`: decides a recorded call again and says whether anything changed."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calliope_call_worker.pipeline.codec import to_json
from calliope_call_worker.pipeline.replay import Difference, replay

SAME, DIFFERENT, UNREADABLE = 0, 1, 2


def replay_command(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status: 0 the same, 1 different, 2 not a recording."""
    parser = argparse.ArgumentParser(prog="calliope_call_worker replay", description="Decide a recorded call again.")
    parser.add_argument("file", type=Path, help="JSON lines, as recorded with journal_inputs")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="with another setting")
    options = parser.parse_args(arguments)
    try:
        overrides = dict(_override(text) for text in options.set)
        with options.file.open(encoding="utf-8") as lines:
            result = replay(lines, overrides)
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"{options.file}: {exc}\n")
        return UNREADABLE
    if result.difference is None:
        sys.stdout.write(f"{result.inputs} inputs, decided the same\n")
        return SAME
    sys.stdout.write(_describe(result.difference))
    return DIFFERENT


def _override(text: str) -> tuple[str, Any]:
    name, given, value = text.partition("=")
    if not given:
        raise ValueError(f"--set {text}: NAME=VALUE expected")
    return name.strip(), json.loads(value)


def _describe(difference: Difference) -> str:
    def lines(title: str, values: Sequence[Any]) -> list[str]:
        return [f"  {title}:"] + [f"    {json.dumps(to_json(value))}" for value in values or ()]

    said = [f"line {difference.line}, at {difference.now:.3f} s: {json.dumps(to_json(difference.event))}"]
    said += lines("recorded", difference.recorded) + lines("now", difference.decided)
    return "\n".join(said) + "\n"
