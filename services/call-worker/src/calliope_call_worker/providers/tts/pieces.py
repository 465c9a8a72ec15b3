"""Text on its way to a voice: what cannot be heard waits for what can, what is too long is cut. Pure."""

import re
from typing import Final

from calliope_call_worker.pipeline.letters import has_speech

_CUT: Final = re.compile(r"(?<=[.!?;:,…。！？、])\s*|\s+")  # noqa: RUF001 - punctuation of other scripts


class Pieces:
    """What came of `add` and `rest`, joined, is the text given, character for character."""

    def __init__(self, *, most_chars: int) -> None:
        self._most_chars = most_chars
        self._held = ""

    @property
    def rest(self) -> str:
        """What nobody can hear and no later piece took along."""
        return self._held

    def add(self, text: str) -> list[str]:
        """What to send now: pieces with something to speak in each, none above the limit."""
        self._held += text
        ready: list[str] = []
        while has_speech(self._held):
            end = len(self._held) if len(self._held) <= self._most_chars else self._cut()
            piece = self._held[:end]
            if not has_speech(piece):  # more punctuation than a message can hold: it is not heard anyway
                self._held = self._held[end:]
                continue
            ready.append(piece)
            self._held = self._held[end:]
        return ready

    def _cut(self) -> int:
        ends = [found.end() for found in _CUT.finditer(self._held, 0, self._most_chars) if found.end()]
        return ends[-1] if ends else self._most_chars


def sentences_end(text: str) -> bool:
    """Whether a vendor that waits for whole sentences has one when it has this."""
    return text.rstrip().rstrip("\"')]}”’»").endswith((".", "!", "?"))  # noqa: RUF001
