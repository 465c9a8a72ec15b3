"""`make up ENV=.env PUBLIC_URL=https://… LLM=http://…/v1`: what was asked for, and what is said about it at start."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from calliope_local.env_file import EnvFile, read_env_file
from calliope_local.local_models import AUTO, OFF, ModelServer, look_around, model_server
from calliope_local.outside import Outside, decide


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Each as on the command line; None where it was not given there, then the file counts."""

    env_file: Path | None = None
    public_url: str | None = None
    llm: str | None = None
    llm_model: str | None = None
    llm_api_key: str | None = None

    @classmethod
    def add_to(cls, parser: argparse.ArgumentParser) -> None:
        """Declare them."""
        parser.add_argument("--env-file", type=Path, help="a vendor whose key is in this file is real (make: ENV=.env)")
        parser.add_argument("--public-url", help="https://… of a tunnel to this machine, for a real number")
        parser.add_argument("--llm", help=f"http://…/v1 of a model server, `{AUTO}`, or `{OFF}`")
        parser.add_argument("--llm-model", help="its model for assistants that name one it does not have")
        parser.add_argument("--llm-api-key", help="its key, if it wants one")

    @classmethod
    def of(cls, chosen: argparse.Namespace) -> Self:
        """As parsed."""
        return cls(
            env_file=chosen.env_file,
            public_url=chosen.public_url,
            llm=chosen.llm,
            llm_model=chosen.llm_model,
            llm_api_key=chosen.llm_api_key,
        )


def prepare(options: UpOptions) -> tuple[Outside, list[str]]:
    """What is real, and the lines that say so.

    Raises: EnvFileError, PublicUrlError, ModelServerError.
    """
    file = EnvFile() if options.env_file is None else read_env_file(options.env_file)
    llm = options.llm or _of(file, "LLM")
    model = options.llm_model or _of(file, "LLM_MODEL")
    server = model_server(llm, model, options.llm_api_key or _of(file, "LLM_API_KEY"))
    outside = decide(file, public_url=options.public_url or _of(file, "PUBLIC_URL"), models=server)
    found = look_around() if llm is None else None
    return outside, list(_said(outside, server, found))


def _of(file: EnvFile, name: str) -> str | None:
    found = file.get(name)
    return None if found is None else found[1]


def _said(outside: Outside, server: ModelServer | None, found: ModelServer | None) -> Iterator[str]:
    if server is not None or any(choice.is_real for choice in outside.choices) or outside.remarks:
        yield outside.table()
    if server is not None:
        yield (
            f"The model is {server.model} at {server.url}, for every vendor marked local; an assistant that names"
            " one the server has gets that one."
        )
    if found is not None:
        yield (
            f"Found {found.name} with {found.model} on this machine. `make up LLM={AUTO}` answers calls with it;"
            f" until then the models are scripted. LLM={OFF} does not look."
        )
    yield from outside.remarks


def tunnel_hint(outside: Outside, proxy: str) -> list[str]:
    """Where the tunnel has to lead, and what a carrier has to be told."""
    if outside.public_url is None:
        return []
    return [
        f"The tunnel for {outside.public_url} has to lead to {proxy}: one port for hooks, API and audio.",
        f"  Twilio   voice URL of the number          {outside.public_url}/telephony/twilio/voice",
        f"  Telnyx   webhook URL of the application   {outside.public_url}/telephony/telnyx/voice (API version 2)",
    ]
