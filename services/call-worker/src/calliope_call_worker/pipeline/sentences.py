"""Cuts text that is still being written into pieces to speak: the first clause early, then whole sentences."""

# ruff: noqa: RUF001 - the punctuation of many scripts is the matter here

import re

from calliope_call_worker.pipeline.letters import LETTER, has_speech

FIRST_CHARS = 4
"""The first piece may be one word, "Sure, ": it is heard while the rest is still being written."""
FIRST_LETTERS = 2
"""A number alone is no opening."""
OPENING_CHARS = 20
"""Until so much was given out the next piece must come soon: what was plays for less than a second."""
OPENING_SENTENCE_CHARS = 10
OPENING_CLAUSE_CHARS = 20
SENTENCE_CHARS = 20
"""A shorter sentence is spoken with the next one: tiny requests cost prosody and quota."""
MAX_CHARS = 300
"""A piece without any sentence end is cut here, at a clause or a blank if there is one."""

_ENDS_WORD = ".!?"  # end a sentence before white space only: 3.14, example.com/?q=1
_ENDS_ALWAYS = "。！？｡؟۔।॥။።។։"
_ELLIPSIS = "…"
_CLAUSE = ",;:،؛—–"
_CLAUSE_ALWAYS = "，；：、"
_CLOSERS = "\"')]}”’»」』）】"
_BREAK = re.compile("[" + re.escape(_ENDS_WORD + _ENDS_ALWAYS + _ELLIPSIS + _CLAUSE + _CLAUSE_ALWAYS) + "\n]")
_SENTENCE_END = re.compile(rf"[{_ENDS_WORD}{_ELLIPSIS}][{re.escape(_CLOSERS)}]*\s+|[{_ENDS_ALWAYS}]\s*")
_SOFT = re.compile(r"[,;:،؛—–，；：、]\s*|\s")
_LAST_WORD = re.compile(r"[^\s(\[{\"'“‘«]+$")
_DOTTED = re.compile(rf"(?:{LETTER}\.)+{LETTER}")
_LETTER = re.compile(LETTER)

_TITLE_WORDS = (
    "dr mr mrs ms mx prof st mt rev gen col sgt lt capt gov sen rep pres vs approx ca cf vol pp nr bzw"
    " e.g i.e z.b d.h u.a sr sra srta dra ud mme mlle mgr dott"
)
_TITLES = frozenset(_TITLE_WORDS.split())
"""Come before a name or a number: their full stop never ends a sentence."""
_MAY_END_WORDS = (
    "etc inc ltd co corp jr esq dept est min max tel ext no usw jan feb mar apr jun jul aug sep sept oct nov dec"
)
_MAY_END = frozenset(_MAY_END_WORDS.split())
"""May stand last in a sentence: what follows decides."""


def rest_from_sentence(said: str, heard: str) -> str:
    """What is left of a text of which the caller heard the beginning, from the sentence in which it was cut."""
    ends = [match.end() for match in _SENTENCE_END.finditer(said) if match.end() <= len(heard) + 1]
    return said[ends[-1] if ends else 0 :].strip()


class Splitter:
    """Feed text as it comes; the pieces joined are the text, character for character."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._given = 0

    def feed(self, delta: str) -> list[str]:
        """Pieces that are complete now, each with the blank that follows it."""
        self._text += delta
        pieces: list[str] = []
        while (end := self._next_cut()) is not None:
            pieces.append(self._text[:end])
            self._text, self._at, self._given = self._text[end:], 0, self._given + end
        return pieces

    def finish(self) -> list[str]:
        """What is left; the splitter is as new afterwards."""
        rest, self._text, self._at, self._given = self._text, "", 0, 0
        return [rest] if rest else []

    def _next_cut(self) -> int | None:
        while (found := _BREAK.search(self._text, self._at)) is not None:
            at = found.start()
            end = self._end_after(at)
            if end is None:
                break
            if end and self._long_enough(at, end):
                return end
            self._at = at + 1
        return self._forced_cut() if len(self._text) > MAX_CHARS else None

    def _end_after(self, at: int) -> int | None:
        """Where a piece may end that is closed by this mark; 0: nowhere, None: what follows must be seen first."""
        text, mark = self._text, self._text[at]
        if mark == "\n":
            return at + 1
        if mark in _CLAUSE + _CLAUSE_ALWAYS and self._given >= OPENING_CHARS:
            return 0
        after = at + 1
        while after < len(text) and text[after] in _CLOSERS:
            after += 1
        if after == len(text):
            return None
        spaced = text[after].isspace()
        if not spaced:
            return after if mark in _ENDS_ALWAYS + _CLAUSE_ALWAYS and text[after] not in _ENDS_ALWAYS else 0
        if mark == _ELLIPSIS or text[max(0, at - 1) : at + 1] == "..":
            return self._if_sentence_begins(after + 1)
        if mark == ".":
            return self._after_full_stop(at, after + 1)
        return after + 1

    def _after_full_stop(self, at: int, end: int) -> int | None:
        found = _LAST_WORD.search(self._text[:at])
        word = found.group().casefold() if found else ""
        if word in _TITLES:
            return 0
        if word == "no":  # "No. 5" is a number, "No. Wait." is not
            return None if end == len(self._text) else (0 if self._text[end].isdigit() else end)
        if word in _MAY_END or _DOTTED.fullmatch(word):
            return self._if_sentence_begins(end)
        initial = len(word) == 1 and word.isalpha() and word != "i" and self._text[at - 1].isupper()
        list_number = word.isdigit() and self._text[: at - len(word)].strip() == ""
        return 0 if initial or list_number else end

    def _if_sentence_begins(self, end: int) -> int | None:
        if end >= len(self._text):
            return None
        return 0 if self._text[end].islower() or self._text[end].isdigit() else end

    def _long_enough(self, at: int, end: int) -> bool:
        if self._given == 0:
            if len(_LETTER.findall(self._text, 0, end)) < FIRST_LETTERS:
                return False
            least = FIRST_CHARS
        elif self._text[at] in _CLAUSE + _CLAUSE_ALWAYS:
            least = OPENING_CLAUSE_CHARS
        else:
            least = OPENING_SENTENCE_CHARS if self._given < OPENING_CHARS else SENTENCE_CHARS
        return end >= least and has_speech(self._text[:end])

    def _forced_cut(self) -> int:
        soft = [found.end() for found in _SOFT.finditer(self._text, 0, MAX_CHARS)]
        clauses = [end for end in soft if not self._text[end - 1].isspace() or not self._text[end - 2].isalnum()]
        late = [end for end in clauses if end > MAX_CHARS // 2]
        return (late or soft or [MAX_CHARS])[-1]
