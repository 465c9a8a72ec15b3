"""How many connections to language models the workers opened, as their metrics tell."""

import re
import urllib.request
from dataclasses import dataclass
from typing import Final, Self

_SAMPLE: Final = re.compile(r"^calliope_llm_connections_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Connections:
    """Opened so far: in all, and of those how many while an answer waited for it."""

    opened: int = 0
    waited_for: int = 0

    @classmethod
    def of(cls, page: str) -> Self:
        """From a page of metrics."""
        samples = [(labels, int(float(value))) for labels, value in _SAMPLE.findall(page)]
        waited_for = sum(value for labels, value in samples if 'purpose="answer"' in labels)
        return cls(sum(value for _, value in samples), waited_for)

    def since(self, before: "Connections") -> "Connections":
        """What was opened after `before`."""
        return Connections(self.opened - before.opened, self.waited_for - before.waited_for)


def connections_of(addresses: list[str]) -> Connections:
    """Of the workers at these addresses together."""
    opened = waited_for = 0
    for address in addresses:
        with urllib.request.urlopen(f"{address}/metrics", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - loopback
            found = Connections.of(answer.read().decode())
        opened, waited_for = opened + found.opened, waited_for + found.waited_for
    return Connections(opened, waited_for)
