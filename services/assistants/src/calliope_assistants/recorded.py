"""Which events of a call are recorded: a set of sequences, kept as spans so that ten hours take a few bytes. Pure."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Recorded:
    """Sequences, as ascending spans that neither touch nor overlap; both ends belong to a span."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Recorded":
        """What `str` gave: `1-6,8`. Raises: ValueError, when it is something else."""
        spans = []
        for span in filter(None, text.split(",")):
            first, _, last = span.partition("-")
            spans.append((int(first), int(last or first)))
        return cls(tuple(spans))

    def __str__(self) -> str:
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self.spans)

    def __contains__(self, sequence: int) -> bool:
        at = bisect_right(self.spans, sequence, key=lambda span: span[0])
        return at > 0 and sequence <= self.spans[at - 1][1]

    @property
    def contiguous(self) -> int:
        """The last of 1, 2, 3 … before the first that is missing; 0 when 1 is."""
        return self.spans[0][1] if self.spans and self.spans[0][0] == 1 else 0

    @property
    def last(self) -> int:
        """The greatest; 0 when there is none."""
        return self.spans[-1][1] if self.spans else 0

    def plus(self, sequences: Iterable[int]) -> "Recorded":
        """These too."""
        joined: list[tuple[int, int]] = []
        for first, last in sorted([*self.spans, *((sequence, sequence) for sequence in sequences)]):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
            else:
                joined.append((first, last))
        return Recorded(tuple(joined))

    def after(self, sequence: int, limit: int) -> list[int]:
        """The next ones in order, at most `limit`."""
        spans = (range(max(first, sequence + 1), last + 1) for first, last in self.spans if last > sequence)
        return list(islice((each for span in spans for each in span), limit))
