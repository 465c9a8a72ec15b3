"""Everything in the repository that is made from code: `make snapshots` writes it, `test_snapshots.py` compares it."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import promises
from calliope_local import call_file
from contract.generated import catalogue, env_example, fields, schemas, settings
from support.modules import ROOT

FOLDER: Final = ROOT / "tests" / "contract" / "snapshots"
PARTS: Final[dict[tuple[str, str], Callable[[], str]]] = {
    ("shared/README.md", "commands"): catalogue.commands,
    ("shared/README.md", "events"): catalogue.events,
    ("shared/README.md", "streams"): catalogue.kept,
    ("docs/delivery.md", "retries"): catalogue.retries,
    ("docs/delivery.md", "streams"): catalogue.kept,
    ("README.md", "promises"): promises.table,
}
"""Parts of pages written by hand, by file and the name in `<!-- made: name -->` … `<!-- end -->`."""


def documents() -> dict[Path, str]:
    """Every generated file with its content; pages with generated parts as they ought to be."""
    made = {FOLDER / name: _json(content) for name, content in schemas.snapshots()}
    made[ROOT / "docs" / "settings.md"] = settings.page()
    made[ROOT / "docs" / "fields.md"] = fields.page()
    made[ROOT / "docs" / "call.schema.json"] = _json(call_file.schema())
    made[ROOT / ".env.example"] = env_example.text()
    for (name, part), render in PARTS.items():
        path = ROOT / name
        made[path] = with_part(made.get(path) or path.read_text(encoding="utf-8"), part, render())
    return made


def with_part(page: str, part: str, content: str) -> str:
    """The page with one part replaced. Raises: LookupError, when it has no such part."""
    pattern = re.compile(rf"(<!-- made: {part} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise LookupError(f"no `<!-- made: {part} -->` … `<!-- end -->` on the page")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", page, count=1)


def left_over() -> list[Path]:
    """Snapshots of what does not exist any more."""
    return sorted(set(FOLDER.rglob("*.json")) - documents().keys())


def _json(content: object) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write what differs."""
    for path in left_over():
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")
    for path, content in documents().items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
