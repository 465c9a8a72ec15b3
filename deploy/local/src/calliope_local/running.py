"""The stack that `make up` runs in this folder, as its `local.json` tells, and the assistants on it."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from calliope_local.folder import owner_of
from calliope_local.http import HttpError, quoted, request

Json = dict[str, Any]

PAGE: Final = 200
MAX_PAGES: Final = 50
NOT_UP: Final = "Calliope is not up here. Start it in another terminal, and wait until it says so:\n\n  make up"


class NotUpError(RuntimeError):
    """No stack runs; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Where it listens, and the key of its API.

    `real_speech` names vendors that its callers cannot talk with; `models` is `scripted` or `real`.
    """

    gateway: str
    sandbox: str
    api_key: str
    real_speech: str = ""
    models: str = ""

    @classmethod
    def of(cls, file: Path) -> "RunningStack":
        """The one that wrote this `local.json`. Raises: NotUpError."""
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            stack = cls(
                told["gateway"], told["sandbox"], told["api_key"], told.get("real_speech", ""), told.get("models", "")
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
            raise NotUpError(NOT_UP) from exc
        if not all(isinstance(value, str) for value in (stack.gateway, stack.sandbox, stack.api_key)):
            raise NotUpError(NOT_UP)
        if owner_of(file.parent) is None:
            raise NotUpError(NOT_UP)
        return stack

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Ask the gateway under /api/v1. Raises: HttpError."""
        return request(method, f"{self.gateway}/api/v1{path}", body, key=self.api_key)

    def box(self, method: str, path: str, body: object = None, *, timeout_s: float = 15.0) -> Any:
        """Ask the sandbox under /sandbox. Raises: HttpError."""
        return request(method, f"{self.sandbox}/sandbox{path}", body, timeout_s=timeout_s)

    def numbers(self) -> list[Json]:
        """Every assigned number. Raises: HttpError."""
        return list(self.api("GET", "/phone-numbers")["items"])

    def assistants(self) -> list[Json]:
        """Every assistant, newest first. Raises: HttpError."""
        found: list[Json] = []
        cursor = ""
        for _ in range(MAX_PAGES):
            page = self.api("GET", f"/assistants?limit={PAGE}{cursor}")
            found += page["items"]
            if not page["next_cursor"]:
                return found
            cursor = f"&cursor={quoted(page['next_cursor'])}"
        raise HttpError(f"there are more than {PAGE * MAX_PAGES} assistants")

    def curl(self, path: str, *, method: str = "", body: object = None, file: Path | None = None) -> str:
        """The same by hand, to paste into a shell."""
        parts = ["curl -s", f"-X {method}" if method else "", f"{self.gateway}/api/v1{path}"]
        parts.append(f'-H "Authorization: Bearer {self.api_key}"')
        if body is not None or file is not None:
            data = json.dumps(body) if file is None else f"@{file}"
            parts.append(f"-H 'Content-Type: application/json' -d {shlex.quote(data)}")
        return " ".join(part for part in parts if part)
