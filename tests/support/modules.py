"""The product's own modules as data: name, syntax tree, and what each imports. Nothing is executed."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("gateway", "assistants", "call_worker", "webhooks", "sandbox")


@dataclass(frozen=True, slots=True)
class Imported:
    """One imported name, as dotted as the source tells: `from a import b` is `a.b`."""

    name: str
    line: int

    def is_in(self, *packages: str) -> bool:
        """Whether it is one of these, or inside one."""
        return any(self.name == package or self.name.startswith(f"{package}.") for package in packages)


@dataclass(frozen=True, slots=True)
class Module:
    """One source file. `name` is dotted; a package's `__init__` has the package's name."""

    name: str
    tree: ast.Module
    where: str

    @property
    def package(self) -> str:
        """`calliope_gateway` of `calliope_gateway.http.routes`."""
        return self.name.partition(".")[0]

    @property
    def inside(self) -> str:
        """`http.routes` of `calliope_gateway.http.routes`."""
        return self.name.partition(".")[2]

    def matches(self, *patterns: str) -> bool:
        """Whether the name fits one of the patterns, as file names do."""
        return any(fnmatchcase(self.name, pattern) for pattern in patterns)

    def imports(self) -> Iterator[Imported]:
        """Every import, wherever it stands in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Imported(alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (Imported(f"{node.module}.{alias.name}", node.lineno) for alias in node.names)

    def calls(self) -> Iterator[ast.Call]:
        """Every call."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def at(self, line: int, words: str) -> str:
        """One offence, as a person finds it."""
        return f"{self.where}:{line}: {words}"


def parsed(name: str, source: str, where: str = "example.py") -> Module:
    """A module from its text."""
    return Module(name, ast.parse(source), where)


@cache
def product_modules() -> tuple[Module, ...]:
    """Every module of shared, the services and the local stack."""
    sources = sorted(path for folder in ("shared", "services", "deploy") for path in (ROOT / folder).rglob("*.py"))
    return tuple(_read(path) for path in sources if "src" in path.parts)


def _read(path: Path) -> Module:
    inside = path.parts[path.parts.index("src") + 1 :]
    name = ".".join(inside).removesuffix(".py").removesuffix(".__init__")
    return parsed(name, path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
