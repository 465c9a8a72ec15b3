"""What `make up` says when the stack is ready: where it is, who answers, and the shortest way to a call."""

from collections.abc import Mapping, Sequence
from typing import Final

from calliope_local.call.numbers import EXAMPLE_NUMBER
from calliope_local.outside import Choice

SCRIPTED: Final = (
    "The language models are scripted: a receptionist who knows opening hours and bookings, whatever your prompt says."
)
REAL: Final = "A real one: `make up LLM=http://localhost:11434/v1`, or `make up ENV=.env` with a vendor's key in it."
SCRIPTED_BRIEFLY: Final = (
    "what the language model says is scripted here; a real one answers after `make up LLM=…` or ENV=.env"
)
"""For the story of a call, in one line."""
_SHOWN: Final = ("gateway", "api_key", "sandbox", "nats", "nats_reader", "mongo", "media")


def are_scripted(choices: Sequence[Choice]) -> bool:
    """Whether the sandbox answers for every vendor of language models."""
    return all(choice.here == "emulated" for choice in choices if choice.vendor.is_model)


def welcome(addresses: Mapping[str, str], choices: Sequence[Choice], *, folder: str, local: str) -> str:
    """`addresses` as `local.json` has them."""
    gateway, sandbox, key = addresses["gateway"], addresses["sandbox"], addresses["api_key"]
    rows = [f"  {name:<12} {addresses[name]}" for name in _SHOWN if name in addresses]
    pages = [f"  {'docs':<12} {gateway}/docs", f"  {'switches':<12} {sandbox}/"]
    models = ["", SCRIPTED, REAL] if are_scripted(choices) else []
    return "\n".join(
        [
            "Calliope is up.",
            "",
            *rows,
            *pages,
            *models,
            "",
            "The shortest way to a call, in another terminal:",
            "",
            f"  make assistant FILE=examples/reception.json NUMBER={EXAMPLE_NUMBER}",
            f"  make call NUMBER={EXAMPLE_NUMBER}",
            "",
            f'By hand:  curl -s {gateway}/api/v1/assistants -H "Authorization: Bearer {key}"',
            f"Addresses are in {local}, logs in {folder}/logs/. Ctrl-C or `make down` stops everything.",
        ]
    )
