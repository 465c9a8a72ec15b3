"""`python -m calliope_local up | down | assistant | call | demo | demo-soak | try | bench`: what make runs."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from calliope_local import assistant_file, call_tests, demo_soak
from calliope_local.assistant_file import AssistantFileError
from calliope_local.bench import run as bench
from calliope_local.call import command as call
from calliope_local.call.numbers import NumberError
from calliope_local.demo import play
from calliope_local.env_file import EnvFileError
from calliope_local.folder import FolderError, FolderTakenError, owner_of, usable
from calliope_local.http import HttpError
from calliope_local.keys import write_private
from calliope_local.local_models import ModelServerError
from calliope_local.outside import PublicUrlError
from calliope_local.ports import PortError, choose_ports
from calliope_local.processes import ProcessError
from calliope_local.rehearsal import Rehearsal
from calliope_local.revival import Revival
from calliope_local.running import NotUpError
from calliope_local.scenario import EXAMPLE, SANDBOX, ScenarioError, load
from calliope_local.stack import LocalStack
from calliope_local.up_options import UpOptions, prepare, tunnel_hint
from calliope_local.voice_over import VoiceOverError
from calliope_local.welcome import welcome

FOLDER: Final = Path(".calliope")
LOCAL: Final = "local.json"
WAV: Final = FOLDER / "demo.wav"
DOWN_S: Final = 30.0
WATCH_S: Final = 0.5
BROKEN_PIPE: Final = 141
"""As a shell reports that who read our output has gone, `| head` for example."""
_WRONG_INPUT: Final = (
    FolderError,
    ScenarioError,
    VoiceOverError,
    PortError,
    EnvFileError,
    PublicUrlError,
    ModelServerError,
)
_WRONG_CALL: Final = (NotUpError, NumberError, AssistantFileError)
_IN_FOLDER: Final = ("up", "down")
OWN_ARGUMENTS: Final[Mapping[str, Callable[[list[str]], int]]] = {
    "assistant": lambda rest: assistant_file.main(rest, FOLDER / LOCAL),
    "call": lambda rest: call.main(rest, FOLDER / LOCAL),
    "try": call_tests.main,
    "demo-soak": demo_soak.main,
    "bench": bench.main,
}
"""Commands that read their arguments themselves."""


def main(arguments: list[str]) -> int:
    """Exit status 0 when all went well."""
    parser = argparse.ArgumentParser(prog="calliope_local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    started = commands.add_parser("up", help="run the stack in the foreground; data survives in .calliope/")
    UpOptions.add_to(started)
    commands.add_parser("down", help="stop a stack that `up` started")
    demo = commands.add_parser("demo", help="one whole phone call on a stack of its own")
    demo.add_argument("--assistant", type=Path, default=None, help="JSON of the assistant")
    Rehearsal.add_to(demo)
    demo.add_argument("--voice", action="store_true", help="write the call as a WAV with espeak voices")
    commands.add_parser("assistant", help="the assistant of a file on the running stack", add_help=False)
    commands.add_parser("call", help="call an assistant of the running stack", add_help=False)
    commands.add_parser("try", help="play assistant files with their calls, several at once", add_help=False)
    commands.add_parser("demo-soak", help="many demonstrations beside a busy core", add_help=False)
    commands.add_parser("bench", help="concurrent real-time calls on one core", add_help=False)
    chosen, rest = parser.parse_known_args(arguments)
    if rest and chosen.command not in OWN_ARGUMENTS:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        if chosen.command in _IN_FOLDER:
            with usable(FOLDER):
                return up(UpOptions.of(chosen)) if chosen.command == "up" else down()
        if chosen.command in OWN_ARGUMENTS:
            return OWN_ARGUMENTS[chosen.command](rest)
        return run_demo(chosen.assistant, WAV if chosen.voice else None, Rehearsal.of(chosen))
    except (ProcessError, HttpError, *_WRONG_INPUT, *_WRONG_CALL) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter tries again at its end
        return BROKEN_PIPE


def up(options: UpOptions) -> int:
    """Run until Ctrl-C, `down`, or a process that ends again and again."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        _check_alone()
        outside, said = prepare(options)
        for line in said:
            _say(line)
        _say("Starting Calliope …")
        with LocalStack(FOLDER, fixed=_ports(), outside=outside) as stack:
            write_private(stack.folder / LOCAL, stack.describe())
            try:
                told = welcome(stack.describe(), outside.choices, folder=str(FOLDER), local=str(FOLDER / LOCAL))
                _say("\n".join([told, *tunnel_hint(outside, stack.address("proxy"))]))
                return _watch(stack)
            finally:
                (stack.folder / LOCAL).unlink(missing_ok=True)
    except FolderTakenError as exc:
        sys.stderr.write(f"{exc}; `make down` stops it.\n")
        return 1
    except KeyboardInterrupt:
        _say("Stopped.")
        return 0


def _check_alone() -> None:
    """Before ports are chosen: that those of a running stack are taken is not the news. Raises: FolderTakenError."""
    if (owner := owner_of(FOLDER)) is not None:
        raise FolderTakenError(FOLDER, owner)


def _watch(stack: LocalStack) -> int:
    """For ever; what ends is started again, until it ends too often."""
    revival = Revival(stack)
    while True:
        time.sleep(WATCH_S)
        for process in stack.ended():
            try:
                _say(revival.revive(process, time.monotonic()))
            except ProcessError as exc:
                sys.stderr.write(f"{exc}\n")
                return 1


def down() -> int:
    """Stop what `up` started, and wait until it is gone."""
    owner = owner_of(FOLDER)
    if owner is None:
        _say("Nothing is up.")
        return 0
    os.kill(owner, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_S
    while owner_of(FOLDER) is not None:
        if time.monotonic() > deadline:
            sys.stderr.write(f"Process {owner} does not end.\n")
            return 1
        time.sleep(0.1)
    _say("Stopped.")
    return 0


def run_demo(assistant: Path | None, wav: Path | None, rehearsal: Rehearsal) -> int:
    """A stack in a temporary folder, one call, its story, and the call to listen to if wanted."""
    file = assistant or EXAMPLE
    load(file, SANDBOX)  # what cannot be read is said before anything is started
    with tempfile.TemporaryDirectory(prefix="calliope-demo-") as folder:
        _say("Starting Calliope: bus, store, sandbox and four services …")
        with LocalStack(Path(folder)) as stack:
            return play(stack, file, wav, rehearsal=rehearsal)


def _ports() -> dict[str, int]:
    """The usual ones, else those of the last time; each that is taken is replaced, and said. Raises: PortError."""
    chosen, said = choose_ports(FOLDER, os.environ)
    for sentence in said:
        _say(sentence)
    return chosen


def _as_interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
