"""Places a call on the running stack, tells it while it goes on, and what became of it."""

import argparse
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from calliope_local import voice_over
from calliope_local.call import typed
from calliope_local.call.numbers import Line, check_account, choose
from calliope_local.call.report import broke, find_record, print_answered, print_unanswered
from calliope_local.call_report import print_live, say
from calliope_local.checks import failures
from calliope_local.http import HttpError, lines, quoted
from calliope_local.running import Json, RunningStack
from calliope_local.scenario import Scenario, load_call
from calliope_local.welcome import SCRIPTED_BRIEFLY

CALLER: Final = "+15550001111"
WAV: Final = "call.wav"
IDLE_S: Final = 300.0
"""A caller whom nobody tells what to do hangs up after so long: also when this process was killed."""
QUIET_S: Final = IDLE_S * 2
"""Longest time in which a live call tells nothing."""
LONGEST_S: Final = 4 * 3_600.0
REAL_SPEECH: Final = (
    "{} here: the vendor itself, not the sandbox. Callers of the sandbox speak in tones that only the sandbox"
    " understands, so expect silence; call with a telephone, or start the stack without that key."
)
RETRY_S: Final = 0.5
HANG_UP_S: Final = 10.0
FULL: Final = 409


@dataclass(slots=True)
class LiveCall:
    """One call while it goes on; `over` is set when its last line was told."""

    stack: RunningStack
    carrier: str
    sid: str
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def path(self) -> str:
        """Of the call, in the sandbox."""
        return f"/{self.carrier}/calls/{quoted(self.sid)}"

    def tell(self) -> None:
        """Print the talk until it ends; for a thread."""
        try:
            print_live(_announced(lines(f"{self.stack.sandbox}/sandbox{self.path}/live", timeout_s=QUIET_S)))
        except BrokenPipeError:
            return  # nobody reads what is printed; whoever prints next, notices
        except OSError as exc:
            say(f"   The sandbox tells no more of this call: {exc}")
        finally:
            self.over.set()

    def add(self, steps: Sequence[typed.Step]) -> None:
        """More for the caller to do; waits while too much waits already. Raises: HttpError."""
        while not self.over.is_set():
            try:
                self.stack.box("POST", f"{self.path}/steps", {"script": list(steps)})
            except HttpError as exc:
                if exc.status != FULL:
                    raise
                self.over.wait(RETRY_S)
            else:
                return

    def hang_up(self) -> None:
        """Now, whatever the caller still wanted to do. Raises: HttpError."""
        self.stack.box("DELETE", self.path)

    def seen(self) -> Json:
        """What was seen of it. Raises: HttpError."""
        return dict(self.stack.box("GET", self.path))


def _announced(events: Iterable[Json]) -> Iterator[Json]:
    """Says when the assistant picks up: its first words are printed only when it has said them."""
    answered = False
    for event in events:
        if event.get("type") == "stream" and not answered:
            answered = True
            say("   answered; the line is open")
        yield event


def main(arguments: list[str], file: Path) -> int:
    """Exit status 0 when somebody answered, nothing broke, and nothing that the script expects is missing.

    `file` is the `local.json` of the stack. Raises: HttpError, ScenarioError, VoiceOverError, NotUpError, NumberError.
    """
    parser = argparse.ArgumentParser(prog="make call", description=__doc__)
    parser.add_argument("--number", help="which assigned number; absent: the only one")
    parser.add_argument("--script", type=Path, help="a *.call.json: what the caller does, what has to be heard")
    parser.add_argument("--text", help="one sentence; the caller hears the answer and hangs up")
    parser.add_argument("--voice", action="store_true", help=f"write the call to {file.parent / WAV}, with voices")
    chosen = parser.parse_args(arguments)
    stack = RunningStack.of(file)
    line = choose(stack, chosen.number or None)
    check_account(stack, line)
    if stack.real_speech:
        say(REAL_SPEECH.format(stack.real_speech))
    scenario = None if chosen.script is None else load_call(chosen.script, stack.sandbox, line.assistant)
    with _Prepared(stack, line, scenario):
        call, record = _play(stack, line, scenario, chosen.text or None)
        if not call["streams"]:
            print_unanswered(stack, line.assistant, call, record)
            return 1
        print_answered(stack, call, record)
    if chosen.voice:
        wav = file.parent / WAV
        say(f"   To listen to: {wav}, {voice_over.write(call['lines'], wav):.1f} s; caller left, assistant right")
    if scenario is None:
        return 1 if broke(record) else 0
    found = failures(call, record, scenario)
    for failure in found:
        say(f"FAILED: {failure}")
    return 1 if found else 0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Models and receivers answer as the script says while this is open."""

    stack: RunningStack
    line: Line
    scenario: Scenario | None

    @property
    def _name(self) -> str:
        return f"call-{self.line.number.removeprefix('+')}"

    def __enter__(self) -> None:
        if self.scenario is None:
            return
        for hook, programme in self.scenario.hooks.items():
            self.stack.box("PUT", f"/hooks/{quoted(hook)}", programme)
        if self.scenario.model is not None:
            self.stack.box("POST", "/llm/scripts", self.scenario.model | {"name": self._name})

    def __exit__(self, *_: object) -> None:
        if self.scenario is not None and self.scenario.model is not None:
            self.stack.box("DELETE", f"/llm/scripts/{self._name}")


def _play(stack: RunningStack, line: Line, scenario: Scenario | None, text: str | None) -> tuple[Json, Json | None]:
    """The call as its caller saw it, and its record."""
    document: Json = {"from": CALLER, "to": line.number, "idle_s": IDLE_S}
    if scenario is not None:
        document["script"] = scenario.caller
    else:
        first = () if text is None else (*typed.politely(text), *typed.goodbye())
        document["script"] = list(first)
    placed = stack.box("POST", f"/{line.carrier}/calls", document)
    say(f"{CALLER} calls {line.number} at {line.carrier.capitalize()}: “{line.assistant['name']}”.")
    if stack.models == "scripted":
        say(f"   {SCRIPTED_BRIEFLY}")
    live = LiveCall(stack, line.carrier, str(placed["sid"]))
    threading.Thread(target=live.tell, name="call.live", daemon=True).start()
    try:
        if scenario is None and text is None:
            _talk(live)
        live.over.wait(LONGEST_S)
    except KeyboardInterrupt:
        live.hang_up()
        live.over.wait(HANG_UP_S)
    call = live.seen()
    analyzed = scenario is not None and scenario.analyzed
    return call, find_record(stack, live.sid, answered=bool(call["streams"]), analyzed=analyzed)


def _talk(live: LiveCall) -> None:
    """What is typed is said. Of a pipe each line waits for the answer to the one before; its end ends the call."""
    person = sys.stdin.isatty()
    if person:
        say(typed.HELP)
    for text in typed.lines(sys.stdin.fileno(), live.over.is_set):
        wish = typed.understand(text, person=person)
        if wish.told:
            say(wish.told)
        if wish.hangs_up:
            break
        if wish.steps:
            live.add(wish.steps)
    if live.over.is_set():
        return
    if person:
        live.hang_up()
    else:
        live.add(typed.goodbye())
