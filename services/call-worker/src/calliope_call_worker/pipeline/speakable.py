"""Turns what a model writes into what a voice can say, while it is being written.

Goes: what is for machines (`machine_text.py`), markdown marks, code blocks, links' addresses, tags, emoji. White space
becomes one blank, or one line break where a line ended (a boundary for the splitter). One character at a time, so a
construct may be cut anywhere; only stretches of plain text pass as a whole. Everything that reaches a voice passes
here, fixed lines of the document too.
"""

import re
from collections.abc import Callable, Iterable

from calliope_call_worker.pipeline.machine_text import CALL_STARTS, GAP, JUDGED, MAX_TAG_CHARS, MachineText
from calliope_call_worker.pipeline.plain_text import PlainText, run_without

MAX_ADDRESS_CHARS = 2_048
_TAG = re.compile(
    r"<(?:/?[A-Za-z][\w:.-]*(?:\s+[\w:.-]+=(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?|!--[^>]*--|!DOCTYPE[^<>]*)>",
    re.I,
)
_TAG_BEGUN = re.compile(
    r"<(?:/?(?:[A-Za-z][\w:.-]*(?:\s+[\w:.-]+=(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*"
    r"(?:\s+(?:[\w:.-]+(?:=(?:\"[^\"<>]*\"?|'[^'<>]*'?|[^\s<>\"']*))?)?|\s*/)?)?|!(?:-(?:-[^>]*)?|D[A-Za-z]*[^<>]*)?)"
)
_LINE_TAGS = ("br", "p", "/p", "li")
_CLOSES_UP = frozenset(".,;:!?)")
"""Stand directly behind what they belong to, even when something between was taken away."""
_RUNS = frozenset("*_`#~-")
_ESCAPABLE = frozenset("\\`*_{}[]()#+-.!|~<>")
_EMOJI = (
    (0x1F000, 0x1FAFF),  # pictographs, flags, skin tones
    (0x2600, 0x27BF),  # symbols and dingbats
    (0x2B00, 0x2BFF),
    (0x231A, 0x231B),
    (0x23E9, 0x23FA),
    (0xFE00, 0xFE0F),  # how the character before is to look
    (0x20E3, 0x20E3),
    (0xE0020, 0xE007F),
)
_JOINER = "\u200d"
_PLAIN_RUN = run_without(
    r"\x00-\x1f\ufeff"
    + re.escape("".join(sorted({*_RUNS, *"<!\\][|>+", *JUDGED})))
    + "".join(f"{chr(low)}-{chr(high)}" for low, high in _EMOJI)
)
"""Without what one of the states below, or `MachineText`, does more with than to give it out."""


def spoken(text: str, tools: Iterable[str] = ()) -> str:
    """What a voice can say of a whole text."""
    speakable = Speakable(tools)
    return speakable.feed(text) + speakable.finish()


def is_emoji(char: str) -> bool:
    """A picture, or a code that only serves pictures."""
    code = ord(char)
    return code >= 0x20E3 and any(low <= code <= high for low, high in _EMOJI)


class Speakable:
    """Feed what the model writes; get what is to be spoken. White space at either end is dropped."""

    def __init__(self, tools: Iterable[str] = ()) -> None:
        self._machine = MachineText(tools)
        self._plain = PlainText(_PLAIN_RUN, (*CALL_STARTS, *self._machine.tools))
        self._out: list[str] = []
        self._state: Callable[[Speakable, str], None] = Speakable._text
        self._held = ""
        self._space = ""
        self._last = ""  # last character given out
        self._one_letter = False  # whether it is a word of one letter, as in "a<b"
        self._line_start = True
        self._after_emoji = False
        self._gap = False
        self._depth = 0
        self._hidden = ""

    @property
    def call_is_last(self) -> bool:
        """Whether the text ends with a tool call that was written as text: a caller waits for what comes of it."""
        return self._machine.call_is_last

    def feed(self, delta: str) -> str:
        """Speakable text that is certain now."""
        at = 0
        while at < len(delta):
            plain = self._plain.find(delta, at) if self._passes_plain_text else ""
            if plain:
                self._pass(plain)
            else:
                for passed in self._machine.feed(delta[at]):
                    self._take(passed)
            at += len(plain) or 1
        return self._flush()

    def settle(self) -> str:
        """The text breaks off here, and may go on in another hand: what was held back.

        What was never closed (code, a thought, a tag) stays unsaid and hides nothing that follows.
        """
        for char in self._machine.settle():
            self._take(char)
        if self._state is Speakable._run:
            self._end_run("\n")
        elif self._state is Speakable._tag and self._held.startswith("</"):
            self._gap = True
        elif self._state in (Speakable._tag, Speakable._bang, Speakable._escape):
            self._literally(self._held)
        self._held, self._state = "", Speakable._text
        return self._flush()

    def finish(self) -> str:
        """What was held back, as `settle`; as new afterwards."""
        rest, machine = self.settle(), self._machine
        self.__init__(machine.tools)  # type: ignore[misc]
        self._machine.call_is_last = machine.call_is_last
        return rest

    @property
    def _passes_plain_text(self) -> bool:
        """Whether nothing that came before has a say in what follows."""
        return self._state is Speakable._text and not self._gap and self._machine.passes_plain_text

    def _pass(self, text: str) -> None:
        """Give out a stretch of plain text; the same as taking its characters one after the other."""
        self._machine.passed(text)
        if text[0] == " ":
            self._blank(" ")
            text = text[1:]
        before = text[-2] if len(text) > 1 else "" if self._space else self._last
        if self._space and self._last:
            self._out.append(self._space)
        self._space = ""
        self._out.append(text)
        self._last = text[-1]
        self._one_letter = self._last.isalpha() and not before.isalnum()
        self._line_start = False

    def _take(self, char: str) -> None:
        if char == GAP:
            self._gap = self._state is Speakable._text or self._gap
        else:
            self._state(self, char)

    def _flush(self) -> str:
        out, self._out = "".join(self._out), []
        return out

    def _emit(self, char: str) -> None:
        if self._gap:
            self._gap = False
            if char in _CLOSES_UP:
                self._space = self._space.strip(" ")
            elif char.isalnum() and self._last and not self._last.isspace():
                self._space = self._space or " "
        self._one_letter = char.isalpha() and not (self._last.isalnum() and not self._space)
        if self._space and self._last:
            self._out.append(self._space)
        self._space = ""
        self._out.append(char)
        self._last = char
        self._line_start = False

    def _literally(self, held: str) -> None:
        """What looked like the beginning of something, and was not."""
        for char in held:
            self._blank(char) if char.isspace() else self._emit(char)

    def _blank(self, char: str) -> None:
        line_end = char in "\n\r\u2028\u2029"
        self._line_start = self._line_start or line_end
        self._space = "\n" if line_end or self._space == "\n" else " "

    # States: each takes one character

    def _text(self, char: str) -> None:
        after_emoji, self._after_emoji = self._after_emoji, False
        if char.isspace():
            self._blank(char)
        elif char in _RUNS:
            self._held, self._state = char, Speakable._run
        elif char == "<":
            self._held, self._state = char, Speakable._tag
        elif char == "!":
            self._held, self._state = char, Speakable._bang
        elif char == "\\":
            self._held, self._state = char, Speakable._escape
        elif char == "]":
            self._state = Speakable._link_end
        elif char == "|":
            self._blank(" ")
        elif is_emoji(char) or (after_emoji and char == _JOINER):
            self._after_emoji = True
            self._gap, self._space = True, self._space or " "
        elif not (char == "[" or (self._line_start and char in ">+") or (char < " " or char == "\ufeff")):
            self._emit(char)

    def _run(self, char: str) -> None:
        if char == self._held[0]:
            self._held += char
            return
        self._end_run(char)
        self._state(self, char)

    def _end_run(self, after: str) -> None:
        """A run of one mark is over: a fence, something to leave out, or just these characters."""
        run, self._held, self._state = self._held, "", Speakable._text
        mark, length = run[0], len(run)
        if mark == "`":
            if length >= 3:
                self._blank("\n")
                self._hidden, self._state = "", Speakable._fence
            return
        before = " " if self._space or not self._last else self._last
        bullet = self._line_start and after.isspace()
        if mark == "-" and bullet and length == 1:
            return
        if mark == "-" and length >= 3:
            self._blank(" ")
            return
        literal = {
            "*": (not bullet and length == 1 and (before + after).isspace()) or (before + after).isdigit(),
            "_": before.isalnum() and after.isalnum(),
            "#": not bullet,
            "~": length == 1,
            "-": True,
        }
        if literal[mark]:
            for char in run:
                self._emit(char)

    def _fence(self, char: str) -> None:
        self._hidden = (self._hidden + char)[-3:]
        if self._hidden == "```":
            self._blank("\n")
            self._state = Speakable._fence_tail

    def _fence_tail(self, char: str) -> None:
        if char != "`":
            self._state = Speakable._text
            self._text(char)

    def _tag(self, char: str) -> None:
        held = self._held + char
        if char == ">" and _TAG.fullmatch(held):
            name = held[1:-1].strip().casefold()
            if len(name) == 1 and self._one_letter and not self._space:
                return self._not_a_tag(char)  # "a<b>c" compares
            self._held, self._state = "", Speakable._text
            self._blank(" ") if name.startswith(_LINE_TAGS) else None
            return None
        if len(held) > MAX_TAG_CHARS or not _TAG_BEGUN.fullmatch(held):
            return self._not_a_tag(char)
        self._held = held
        return None

    def _not_a_tag(self, char: str) -> None:
        held, self._held, self._state = self._held, "", Speakable._text
        self._literally(held)
        self._text(char)

    def _bang(self, char: str) -> None:
        self._held, self._state = "", Speakable._text
        if char != "[":
            self._emit("!")
        self._text(char)

    def _escape(self, char: str) -> None:
        self._held, self._state = "", Speakable._text
        if char in _ESCAPABLE:
            self._emit(char)
            return
        self._emit("\\")
        self._text(char)

    def _link_end(self, char: str) -> None:
        self._state = Speakable._text
        if char != "(":
            self._text(char)
            return
        self._depth, self._hidden, self._state = MAX_ADDRESS_CHARS, "(", Speakable._address

    def _address(self, char: str) -> None:
        """The address of a link, up to its parenthesis; `_hidden` holds the open ones."""
        self._depth -= 1
        if char == "(":
            self._hidden += char
        elif char == ")":
            self._hidden = self._hidden[1:]
        if not self._hidden or char == "\n" or self._depth <= 0:
            self._state = Speakable._text
            if char == "\n":
                self._text(char)
