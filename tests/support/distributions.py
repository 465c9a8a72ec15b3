"""The distributions of the house and what their `pyproject.toml` declares."""

import re
import tomllib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from support.modules import ROOT


@dataclass(frozen=True, slots=True)
class Distribution:
    """One folder with a `pyproject.toml`."""

    folder: str
    package: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return ROOT / self.folder

    def declared(self) -> frozenset[str]:
        """Names of its dependencies, those of its extras too, normalised, without versions and extras of theirs."""
        lines = [*self._project["dependencies"], *chain.from_iterable(self._optional.values())]
        return frozenset(normalised(re.split(r"[\[<>=!~ ;]", line, maxsplit=1)[0]) for line in lines)

    @property
    def requirement(self) -> str:
        """What installs all of it: its folder, with its extras."""
        return f"{self.path}[{','.join(self._optional)}]" if self._optional else str(self.path)

    @property
    def _project(self) -> dict[str, Any]:
        project: dict[str, Any] = tomllib.loads((self.path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return project

    @property
    def _optional(self) -> dict[str, list[str]]:
        return dict(self._project.get("optional-dependencies", {}))


def normalised(name: str) -> str:
    """As the package index compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


ALONE: Final = (
    Distribution("shared", "calliope"),
    Distribution("services/gateway", "calliope_gateway"),
    Distribution("services/assistants", "calliope_assistants"),
    Distribution("services/call-worker", "calliope_call_worker"),
    Distribution("services/webhooks", "calliope_webhooks"),
    Distribution("services/sandbox", "calliope_sandbox"),
    Distribution("deploy/admin", "calliope_admin"),
)
"""Each of these has to work in an image of its own."""
LOCAL: Final = Distribution("deploy/local", "calliope_local")
