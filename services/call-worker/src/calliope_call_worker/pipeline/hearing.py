"""The caller's words that no turn holds yet: interims replace, finals append, none is lost or doubled."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

WINDOW_SLACK_MS = 50.0
"""Recognisers round window edges; windows sharing less than this are neighbours."""
REMEMBERED_PIECES = 32

# Scripts written without blanks: Thai to Khmer, kana, CJK ideographs. A character is a token, two count as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


@dataclass(frozen=True, slots=True)
class Token:
    """A word as compared (folded, without punctuation) and where it begins and ends in its text."""

    key: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Words of a text; what is only punctuation is none."""
    found = (Token(_EDGES.sub("", m.group()).casefold(), m.start(), m.end()) for m in _TOKEN.finditer(text))
    return [token for token in found if token.key]


def keys(text: str) -> list[str]:
    """Words of a text as compared."""
    return [token.key for token in tokens(text)]


def count_words(text: str) -> int:
    """Words a caller would count."""
    unspaced = len(re.findall(rf"[{_UNSPACED}]", text))
    return len(keys(text)) - unspaced + (unspaced + 1) // 2


def same_words(one: str, other: str) -> bool:
    """Whether two texts differ in punctuation and case at most."""
    return keys(one) == keys(other)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words and the window of caller audio they were heard in; `promoted`: an interim that no final confirmed."""

    text: str
    start_ms: float | None = None
    end_ms: float | None = None
    promoted: bool = False

    def overlaps(self, other: "Piece") -> bool:
        """Whether both may be about the same words. Without windows only a promoted piece may be."""
        if self.start_ms is None or self.end_ms is None or other.start_ms is None or other.end_ms is None:
            return self.promoted or other.promoted
        if (self.start_ms, self.end_ms) == (other.start_ms, other.end_ms):
            return True
        shared = min(self.end_ms, other.end_ms) - max(self.start_ms, other.start_ms)
        return shared > WINDOW_SLACK_MS

    def covers(self, other: "Piece") -> bool:
        """Whether this window reaches the end of the other one; unknown windows do."""
        if self.end_ms is None or other.end_ms is None:
            return True
        return self.end_ms >= other.end_ms - WINDOW_SLACK_MS


def join(pieces: Sequence[Piece]) -> str:
    """The pieces as one text."""
    return " ".join(piece.text for piece in pieces if piece.text)


def unheard(new: Piece, known: Sequence[Piece]) -> str:
    """What of `new` is not in the known pieces of the same audio. In doubt it is kept: better twice than never."""
    same_audio = [piece for piece in known if piece.overlaps(new)]
    if not same_audio:
        return new.text
    old, found = keys(join(same_audio)), tokens(new.text)
    fresh = [token.key for token in found]
    if any(piece.covers(new) for piece in same_audio) and _contains(old, fresh):
        return ""
    cut = next((n for n in range(min(len(old), len(fresh)), 0, -1) if old[-n:] == fresh[:n]), 0)
    if cut == 0 and _begins_as_promoted(new, same_audio):
        cut = min(len(old), len(fresh))
    return new.text if cut == 0 else new.text[found[cut - 1].end :].strip()


def _contains(old: list[str], fresh: list[str]) -> bool:
    return any(old[at : at + len(fresh)] == fresh for at in range(len(old) - len(fresh) + 1))


def _begins_as_promoted(new: Piece, same_audio: Sequence[Piece]) -> bool:
    """A final may spell a promoted interim otherwise: its first words then stand for the promoted ones."""
    first = same_audio[0]
    if not first.promoted or new.start_ms is None or first.start_ms is None:
        return False
    return abs(new.start_ms - first.start_ms) <= WINDOW_SLACK_MS


def remainder(standing: Piece, final: Piece) -> Piece | None:
    """What of an interim stays standing beside a final: nothing, unless its window goes on after the final's."""
    unknown = final.end_ms is None or standing.end_ms is None
    if unknown or final.covers(standing):
        return standing if unknown and not final.text else None
    if not final.overlaps(standing):
        return standing
    said, found = keys(final.text), tokens(standing.text)
    if len(said) >= len(found):
        return None
    rest = standing.text[found[len(said)].start :]
    return replace(standing, text=rest, start_ms=final.end_ms)


class Ear:
    """Collects what the recogniser says into pieces not yet taken by a turn."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._interim: Piece | None = None
        self._recent: deque[Piece] = deque(maxlen=REMEMBERED_PIECES)
        self._touched = 0

    @property
    def touched(self) -> int:
        """The number of the first piece that the last final changed or added."""
        return self._touched

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Finals (and promoted interims) in order."""
        return tuple(self._pieces)

    @property
    def interim(self) -> Piece | None:
        """What stands unconfirmed after the pieces."""
        return self._interim

    @property
    def text(self) -> str:
        """Everything heard that no turn holds."""
        return join([*self._pieces, *([self._interim] if self._interim else [])])

    def hear_interim(self, heard: Piece) -> bool:
        """Replace what stands; True when other words stand now. Empty interims say nothing."""
        rest = unheard(heard, self._recent).strip()
        if not keys(rest):
            return False
        before, self._interim = self._interim, replace(heard, text=rest)
        return before is None or not same_words(before.text, rest)

    def hear_final(self, heard: Piece) -> tuple[str, bool]:
        """Add the words not heard before, at their place; returns them, and whether other words stand than before."""
        before = self.text
        if self._interim is not None:
            self._interim = remainder(self._interim, heard)
        place = self._confirm_promoted(heard) if keys(heard.text) else None
        self._touched = len(self._pieces) if place is None else place
        added = unheard(heard, self._recent).strip()
        if keys(heard.text):
            self._settle_unplaced()
        if keys(added):
            self._append(replace(heard, text=added), place)
        else:
            added = ""
        return added, not same_words(before, self.text)

    def add(self, text: str) -> None:
        """Append words that did not come from the recogniser."""
        self._pieces.append(Piece(text))

    def promote(self) -> str:
        """Make what stands a piece: nobody is going to confirm it. Returns its text."""
        if self._interim is None:
            return ""
        promoted, self._interim = replace(self._interim, promoted=True), None
        self._append(promoted)
        return promoted.text

    def take(self) -> tuple[Piece, ...]:
        """Hand the pieces over to a turn; what stands unconfirmed stays."""
        taken, self._pieces = tuple(self._pieces), []
        return taken

    def put_back(self, pieces: Sequence[Piece]) -> None:
        """Undo a take: these words come first again."""
        self._pieces[:0] = pieces

    def _append(self, piece: Piece, place: int | None = None) -> None:
        self._pieces.insert(len(self._pieces) if place is None else place, piece)
        self._recent.append(piece)

    def _settle_unplaced(self) -> None:
        """Without windows, only the first final after a promotion may be about the promoted words."""
        for at, piece in enumerate(self._recent):
            if piece.promoted and piece.end_ms is None:
                self._recent[at] = replace(piece, promoted=False)

    def _confirm_promoted(self, final: Piece) -> int | None:
        """Let the final speak for interims that were promoted in its window and that no turn has taken.

        Returns where the first of them stood: what was said after it may stand behind it.
        """
        place: int | None = None
        for piece in [piece for piece in self._pieces if piece.promoted and piece.overlaps(final)]:
            rest = remainder(piece, final)
            at, seen = self._pieces.index(piece), self._recent.index(piece) if piece in self._recent else None
            self._pieces[at : at + 1] = [rest] if rest else []
            place = at if place is None else place
            if seen is not None:
                del self._recent[seen]
                if rest:
                    self._recent.insert(seen, rest)
        return place
