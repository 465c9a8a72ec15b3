"""`make try`: plays assistant files with their calls on one stack, several at once; one line a file, and JUnit."""

import argparse
import glob
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from calliope_local import checks, junit
from calliope_local.call_report import live_line, say
from calliope_local.http import HttpError
from calliope_local.played_call import PlayedCall
from calliope_local.rehearsal import USUAL, Rehearsal
from calliope_local.scenario import SANDBOX, Scenario, ScenarioError, load
from calliope_local.stack import LocalStack

AT_ONCE: Final = 4
MOST_AT_ONCE: Final = 32
JUNIT: Final = Path(".calliope/try.xml")
EXAMPLES: Final = "examples/*.json"
FIRST_NUMBER: Final = 15_550_100_000
NAME_CHARS: Final = 100
_CALL: Final = ".call.json"


@dataclass(frozen=True, slots=True)
class Result:
    """How one file went. `failures` is empty when all was as expected; `talk` is what both sides said."""

    file: Path
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    talk: tuple[str, ...] = ()


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, when every file was played and lacked nothing."""
    parser = argparse.ArgumentParser(prog="calliope_local try", description=__doc__)
    parser.add_argument("files", nargs="*", default=[EXAMPLES], help=f"files or patterns, {EXAMPLES} unless given")
    parser.add_argument("--at-once", type=_at_once, default=AT_ONCE, help=f"calls at a time, {AT_ONCE} unless given")
    parser.add_argument("--junit", type=Path, default=JUNIT, help=f"the report for CI systems, {JUNIT} unless given")
    Rehearsal.add_to(parser)
    chosen = parser.parse_args(arguments)
    files = list(assistants(chosen.files))
    if not files:
        say(f"No assistant matches {' '.join(chosen.files)}; name files such as {EXAMPLES}.")
        return 1
    rehearsal = Rehearsal.of(chosen)
    results = run(files, at_once=chosen.at_once, tell=lambda result: _tell(result, files), rehearsal=rehearsal)
    write_report(results, chosen.junit)
    return _summary(results, chosen.junit)


def assistants(patterns: Sequence[str]) -> Iterator[Path]:
    """The assistant files that patterns name, each once. Calls and schemas beside them are none; a plain name stays."""
    named = (
        Path(name)
        for text in patterns
        for pattern in ([text] if Path(text).exists() else text.split())
        for name in (sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern])  # noqa: PTH207 - absolute ones too
    )
    for file in dict.fromkeys(named):
        if not file.name.endswith((_CALL, ".schema.json")):
            yield file


def run(
    files: Sequence[Path], *, at_once: int, tell: Callable[[Result], None], rehearsal: Rehearsal = USUAL
) -> list[Result]:
    """Play every file on one stack of its own; files that cannot be read are told before it is started."""
    unreadable = [result for file in files if (result := _unreadable(file)) is not None]
    for result in unreadable:
        tell(result)
    left = [file for file in files if file not in {result.file for result in unreadable}]
    played: list[Result] = []
    if left:
        say(f"Playing {len(left)} {'call' if len(left) == 1 else 'calls'} on a stack of their own …")
        with tempfile.TemporaryDirectory(prefix="calliope-try-") as folder, LocalStack(Path(folder)) as stack:
            played = play_all(stack, left, at_once=at_once, tell=tell, rehearsal=rehearsal)
            if (told := rehearsal.told(stack.address("sandbox"))) is not None:
                say(told)
    found = {result.file: result for result in (*unreadable, *played)}
    return [found[file] for file in files]


def play_all(
    stack: LocalStack,
    files: Sequence[Path],
    *,
    at_once: int,
    tell: Callable[[Result], None] = lambda _: None,
    rehearsal: Rehearsal = USUAL,
) -> list[Result]:
    """Play readable files on a running stack; those that break things are played alone, after all others."""
    sandbox = stack.address("sandbox")
    rehearsal.set_up(sandbox)
    calls = [
        (file, PlayedCall(stack, rehearsal.applied(scenario, sandbox), f"+{number}"))
        for number, (file, scenario) in zip(itertools.count(FIRST_NUMBER), _named_apart(files, sandbox), strict=False)
    ]
    together = [call for call in calls if not call[1].scenario.breaks_things]
    alone = [call for call in calls if call[1].scenario.breaks_things]
    results: list[Result] = []

    def one(call: tuple[Path, PlayedCall]) -> Result:
        result = play(*call)
        tell(result)
        return result

    for group, width in ((together, at_once), (alone, 1)):
        with ThreadPoolExecutor(max_workers=width, thread_name_prefix="try") as threads:
            results += threads.map(one, group)
    return results


def play(file: Path, played: PlayedCall) -> Result:
    """Play one call and check it. Raises nothing: what goes wrong is a failure of the file."""
    began = time.monotonic()
    failures, call = list[str](), None
    try:
        assistant_id = played.create(played.register())["id"]
        played.assign(assistant_id)
        sid = played.place()
        call = played.seen(sid)
        record = played.record(assistant_id, sid)
        failures += checks.failures(call, record, played.scenario)
        if record is not None:
            failures += [f"{event}: webhook {why}" for event, why in played.webhook_problems(record).items()]
        played.remove(assistant_id)
    except HttpError as exc:
        failures += exc.sentences().splitlines()
    talk = [] if call is None else sorted(call["lines"], key=lambda line: line["start_ms"])
    said = tuple(text for line in talk if (text := live_line(line)) is not None)
    return Result(file, time.monotonic() - began, tuple(failures), said)


def write_report(results: Sequence[Result], file: Path) -> None:
    """Write the JUnit XML of these results."""
    cases = [
        junit.Case(one.file.stem, str(one.file.parent), one.seconds, one.failures, "\n".join(one.talk))
        for one in results
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(junit.document(cases))


def _unreadable(file: Path) -> Result | None:
    try:
        load(file, SANDBOX)
    except ScenarioError as exc:
        return Result(file, failures=tuple(str(exc).splitlines()))
    return None


def _named_apart(files: Sequence[Path], sandbox: str) -> Iterator[tuple[Path, Scenario]]:
    """The scenarios; names of assistants are unique, so one that was there before gets its file's name, too."""
    names: set[str] = set()
    for file in files:
        scenario = load(file, sandbox)
        name: Any = scenario.assistant.get("name")
        if isinstance(name, str) and name.strip().casefold() in names:
            apart = f"{name[: NAME_CHARS // 2]} ({str(file)[-NAME_CHARS // 2 + 3 :]})"
            scenario = replace(scenario, assistant=scenario.assistant | {"name": apart})
        names.add(str(scenario.assistant.get("name")).strip().casefold())
        yield file, scenario


def _tell(result: Result, files: Sequence[Path]) -> None:
    width = max(len(str(file)) for file in files)
    told = "FAILED" if result.failures else "ok"
    say(f"{told:<6}  {result.file!s:<{width}}  {result.seconds:5.1f} s" + _first(result))
    for failure in result.failures[1:]:
        say(f"{'':8}{'':<{width}}           {failure}")


def _first(result: Result) -> str:
    return f"  {result.failures[0]}" if result.failures else ""


def _summary(results: Sequence[Result], report: Path) -> int:
    failed = sum(bool(result.failures) for result in results)
    say(f"\n{len(results) - failed} of {len(results)} calls were as expected; report for CI systems: {report}")
    return 1 if failed else 0


def _at_once(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST_AT_ONCE}, such as {AT_ONCE}")
    return int(text)
