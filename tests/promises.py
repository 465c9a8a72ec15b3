"""What the README promises, by id; `@pytest.mark.promise("P3")` ties tests to it, both ways."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parent

PROMISES: Final = {
    "P1": "one whole call on a fresh machine, no key, no account",
    "P2": "every documented field acts on a call, or is refused in words",
    "P3": "nothing acknowledged is lost; a repeated command has one effect; a receiver can check both",
    "P4": "a live call has one owner; another worker can go on with it from its journal",
    "P5": "no failure of a provider is a long silence: the next one, a second try, or an apology",
    "P6": "what the record says was said is what was heard",
    "P7": "little time is added between the caller's last word and the first audio",
    "P8": "one tenant never sees another's data; a secret never leaves",
}
"""Each in a sentence that a test can prove."""

COMMANDS: Final = {"P1": "make demo", "P7": "make bench"}
"""Promises that a command shows, besides or instead of tests."""


@cache
def tied() -> dict[str, tuple[str, ...]]:
    """Test files by the promise that their markers name."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for promise in sorted(set(_marks(ast.parse(path.read_text(encoding="utf-8"))))):
            found.setdefault(promise, []).append(str(path.relative_to(TESTS.parent)))
    return {promise: tuple(files) for promise, files in found.items()}


def _marks(tree: ast.Module) -> Iterator[str]:
    """Every `pytest.mark.promise("…")` of a file; one whose id is not a plain string counts as an unknown promise."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
            yield ast.literal_eval(node.args[0]) if isinstance(node.args[0], ast.Constant) else ast.unparse(node)


def table() -> str:
    """The README's table."""
    rows = []
    for promise, sentence in PROMISES.items():
        shown = [COMMANDS[promise]] if promise in COMMANDS else []
        rows.append(f"| {promise} | {sentence} | {', '.join(f'`{each}`' for each in [*shown, *_folders(promise)])} |")
    return "\n".join(["| id | promise | shown by |", "| --- | --- | --- |", *rows])


def _folders(promise: str) -> list[str]:
    """The folders of its tests, which move less than their files."""
    return sorted({str(Path(file).parent) for file in tied().get(promise, ())})
