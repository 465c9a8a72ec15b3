"""Secrets of a new installation, as the environment variables that each service wants; and files that keep them."""

import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calliope.secrets import generate_key, public_key_of
from calliope_admin.errors import AdminError

USER: Final = "calliope"
_PRIVATE: Final = 0o600
_ASSIGNED: Final = re.compile(r"^\s*(?:export\s+)?([A-Z0-9_]+)=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EnvironmentFile:
    """What one service reads, under the name that `deploy/systemd` gives it."""

    name: str
    read_by: str
    variables: Mapping[str, str]

    def text(self) -> str:
        """As systemd, a shell and Compose read it: a value that holds quotes stands in single ones."""
        lines = [f"{name}='{value}'" if '"' in value else f"{name}={value}" for name, value in self.variables.items()]
        return "\n".join(lines) + "\n"


def new_installation() -> tuple[EnvironmentFile, ...]:
    """Fresh pairs to seal secrets to call-workers and to webhooks, and passwords of the bus."""
    calls, webhooks, password = generate_key(), generate_key(), _password()
    public = {
        "CALLIOPE_SEALING__CALLS_PUBLIC_KEY": public_key_of(calls),
        "CALLIOPE_SEALING__WEBHOOKS_PUBLIC_KEY": public_key_of(webhooks),
    }
    return (
        EnvironmentFile(
            "common.env", "every service", {"CALLIOPE_NATS__USER": USER, "CALLIOPE_NATS__PASSWORD": password}
        ),
        EnvironmentFile("gateway.env", "the gateway, which seals and cannot open", public),
        EnvironmentFile("assistants.env", "assistants, which cannot open either", public),
        EnvironmentFile("call_worker.env", "call-workers alone", {"CALLIOPE_SEALING__PRIVATE_KEYS": f'["{calls}"]'}),
        EnvironmentFile("webhooks.env", "webhooks alone", {"CALLIOPE_SEALING__PRIVATE_KEYS": f'["{webhooks}"]'}),
        EnvironmentFile(
            "nats.env",
            "the bus itself (deploy/nats/nats.conf)",
            {"CALLIOPE_NATS__PASSWORD": password, "CALLIOPE_NATS_READER_PASSWORD": _password()},
        ),
    )


def write(files: tuple[EnvironmentFile, ...], folder: Path) -> list[Path]:
    """Add the variables to the files of a folder, readable by their owner only; nothing that is set is replaced.

    Raises: AdminError, before anything is written.
    """
    try:
        for file in files:
            _check(folder / file.name, file)
        folder.mkdir(parents=True, exist_ok=True)
        return [_append(folder / file.name, file) for file in files]
    except OSError as exc:
        raise AdminError(f"{exc.filename or folder} cannot be written: {exc.strerror}.") from exc


def _check(path: Path, file: EnvironmentFile) -> None:
    if not path.exists():
        return
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise AdminError(f"{path} can be read by others, so no secret goes in: chmod 600 {path}")
    taken = sorted(set(_ASSIGNED.findall(path.read_text(encoding="utf-8"))) & set(file.variables))
    if taken:
        raise AdminError(
            f"{path} sets {', '.join(taken)} already, so nothing was written: what is sealed would be lost."
        )


def _append(path: Path, file: EnvironmentFile) -> Path:
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    gap = "\n" if before and not before.endswith("\n") else ""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        output.write(gap + file.text())
    return path


def _password() -> str:
    """Begins with a letter: NATS reads what looks like a number as a number."""
    return "n" + secrets.token_hex(24)
