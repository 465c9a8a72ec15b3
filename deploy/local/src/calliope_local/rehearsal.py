"""`MODEL=anthropic SLOPPY=4`: which emulator of a model answers a played call, and whether vendors misbehave in it."""

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from calliope_local.http import request
from calliope_local.scenario import Scenario

Json = dict[str, Any]

SHARE: Final = 0.1
"""Of the requests to a sloppy vendor, those that misbehave."""
MODELS: Final[Mapping[str, Mapping[str, str]]] = {
    "openai": {"model": "gpt-4o-mini"},
    "anthropic": {"model": "claude-haiku-5-5"},
    "gemini": {"model": "gemini-3.5-flash-lite"},
    "groq": {"model": "openai/gpt-oss-20b"},
    "xai": {"model": "grok-4.20-non-reasoning"},
    "custom": {"model": "my-model", "base_url": "{sandbox}/openai/v1"},
}
"""By `llm_provider`: what the document then says of the model. The sandbox emulates them all."""
NAME_CHARS: Final = 80
_KEY: Final = "sandbox-key"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """As on the command line. `seed`: a share of all requests misbehaves, as this seed draws it; None: none does."""

    model: str | None = None
    seed: int | None = None
    share: float = SHARE

    @classmethod
    def add_to(cls, parser: argparse.ArgumentParser) -> None:
        """Declare them."""
        parser.add_argument(
            "--model", choices=MODELS, help="this emulator answers instead of the assistant's own model"
        )
        parser.add_argument(
            "--sloppy", type=_seed, help="a whole number: one request in ten misbehaves, as this seed draws it"
        )

    @classmethod
    def of(cls, chosen: argparse.Namespace) -> Self:
        """As parsed."""
        return cls(chosen.model, chosen.sloppy)

    def applied(self, scenario: Scenario, sandbox: str) -> Scenario:
        """The call with the model that was chosen, which the assistant's name tells."""
        if self.model is None:
            return scenario
        before = scenario.assistant.get("llm_provider_config")
        key = before.get("api_key", _KEY) if isinstance(before, dict) else _KEY
        config = {name: value.format(sandbox=sandbox) for name, value in MODELS[self.model].items()}
        name = f"{str(scenario.assistant.get('name', ''))[:NAME_CHARS]} ({self.model})"
        changed = {"name": name, "llm_provider": self.model, "llm_provider_config": {"api_key": key} | config}
        return replace(scenario, assistant=scenario.assistant | changed)

    def set_up(self, sandbox: str) -> None:
        """Have the vendors of this sandbox misbehave, if they are to. Raises: HttpError."""
        if self.seed is not None:
            knobs = {"sloppy": {"everybody": True, "share": self.share, "seed": self.seed}}
            request("PATCH", f"{sandbox}/sandbox/knobs", knobs)

    def told(self, sandbox: str) -> str | None:
        """What misbehaved in the calls so far, as a sentence; None, when nothing was to. Raises: HttpError."""
        if self.seed is None:
            return None
        entries: list[Json] = request("GET", f"{sandbox}/sandbox/records/llm")
        kinds = Counter(entry["sloppy"] for entry in entries if "sloppy" in entry)
        what = ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in kinds.most_common())
        head = f"{kinds.total()} of {len(entries)} requests to models misbehaved (SLOPPY={self.seed})"
        return f"{head}: {what}" if what else head


USUAL: Final = Rehearsal()
"""The assistant's own model, and vendors that behave."""


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, such as 7; another number misbehaves otherwise")
    return int(text)
