"""Takes out of a model's text what is meant for machines, wherever it is cut: marks of its own format, tool calls
written as text, thoughts, and the numbers of sources. Markdown and pictures are the matter of `speakable.py`.

One character at a time: what may be the beginning of something is held until that is certain.
"""

# ruff: noqa: RUF001 - the marks of models are the matter here

import re
from collections.abc import Callable, Iterable
from typing import Final

from calliope_call_worker.pipeline import thoughts
from calliope_call_worker.pipeline.hidden import Balanced, Call, Channel, Header, Hidden, NamedCalls, Until
from calliope_call_worker.pipeline.letters import LETTER

GAP: Final = "\x1f"
"""Given out where something was taken away."""
MAX_TAG_CHARS: Final = 200
MAX_TOKEN_CHARS: Final = 64
_TAIL_CHARS: Final = 32

_CALL_TAGS: Final = (
    r"(?:[\w.-]{1,24}:)?(?:\w{0,16}_?tool[_-]?calls?|tool(?:s|[_-]?(?:use|response|results?|output|code|request))?"
    r"|\w{0,16}_?function[_-]?calls?|functions?(?:[_-]?(?:response|results?))?|invoke|parameters?)"
)
_CALL_TAG: Final = re.compile(rf"<(/?)({_CALL_TAGS})(?:[=\s][^<>]*)?>", re.IGNORECASE)
_SOURCE_TAG: Final = re.compile(r"<(/?)(ref|citations?|sources?)(?:\s[^<>]*)?>", re.IGNORECASE)
_RAISED_TAG: Final = re.compile(r"<sup(?:\s[^<>]*)?>", re.IGNORECASE)
_TAG_NAME: Final = re.compile(r"</?[A-Za-z][\w:.-]{0,40}")
_TAG_BEGUN: Final = re.compile(
    rf"</?(?:[\w.-]{{1,24}}:)?(?:{thoughts.NAMES}|ref|citations?|sources?|sup)(?:\s[^<>]*)?|</?{_CALL_TAGS}(?:[=\s][^<>]*)?",
    re.IGNORECASE,
)
_TOKEN_BEGUN: Final = re.compile(r"<[|｜][\w▁/.-]*[|｜]?")
_HEADERS: Final = frozenset({"im_start", "start", "start_header_id", "start_of_role", "start_of_turn", "header_start"})
_TOKEN_CALL: Final = re.compile(r"(?!/|end)[\w▁]*(?:tool|function|action|python_tag)[\w▁]*", re.IGNORECASE)
_ANSWER_OVER: Final = r"<\|(?:eom_id|eot_id|im_end|return|end)\|>"

_NUMBERS: Final = re.compile(r"\[\^?\d[\d\s,;:–—-]*(?:†[^\]\n]*)?\]|\[\^[\w-]+\]")
_NUMBERS_BEGUN: Final = re.compile(r"\[(?:\^[\w-]*|\^?\d[\d\s,;:–—-]*(?:†[^\]\n]*)?)")
_WORD_BEGUN: Final = re.compile(r"\[/?(?:[A-Za-z_][\w ]{0,40})?")
_DOCUMENT: Final = re.compile(r"\[(?:doc|source|ref|citation)[ _-]?\d+\]", re.IGNORECASE)
_SOURCE: Final = re.compile(r"\[(?:sources?|refs?|references?|citations?):", re.IGNORECASE)
_TEMPLATE: Final = re.compile(r"\[/?(?:INST|ARGS|CALL_ID|BOS|EOS|SYSTEM_PROMPT|TOOL_CALLS|END_TOOL_REQUEST)\]")
_TOOLS_TOLD: Final = re.compile(r"\[(AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CONTENT|TOOL_REQUEST)\]")
_KEY_NAMED: Final = re.compile(
    r"\b(?:press|dial|option|key|number|digit|type|enter|choose|select|say)\s*$", re.IGNORECASE
)

_JSON_BEGUN: Final = re.compile(r"(?:\[\s{0,8})?(?:\{\s{0,8})?")
_JSON: Final = re.compile(r"(?:\[\s*)?\{\s*[\"']")
_KEYWORD: Final = r"\((?:\)|[\"'{\[]|[A-Za-z_]\w*\s?[=:])"
_PYTHON_LIST: Final = re.compile(rf"\[[A-Za-z_][\w.]*{_KEYWORD}")
_PYTHON_LIST_BEGUN: Final = re.compile(r"\[[A-Za-z_][\w.]{0,60}\((?:[A-Za-z_]\w*\s?)?")
_SPACES: Final = ("functions.", "default_api.", "multi_tool_use.")
CALL_STARTS: Final = (*_SPACES, *(f"to={space}" for space in _SPACES))
"""What a call that is written as in a program begins with, whatever the tools are."""
_CALLED: Final = re.compile(
    rf"(?:to=)?(?:{'|'.join(map(re.escape, _SPACES))})[A-Za-z_][\w.]*(?::\d+)?\s*(?:json)?\s*[({{]"
)
_CALLED_BEGUN: Final = re.compile(
    rf"(?:to=)?(?:{'|'.join(map(re.escape, _SPACES))})"
    r"(?:[A-Za-z_][\w.]{0,60}(?::\d*)?\s{0,2}(?:j|js|jso|json)?\s{0,2})?"
)
_ARGUMENTS: Final = re.compile(rf"{_KEYWORD}|:?\s?\{{\s*[\"'}}]")
_ARGUMENTS_BEGUN: Final = re.compile(r"\((?:[A-Za-z_]\w{0,40}\s?)?|:?\s?(?:\{\s{0,8})?")

_RAISED: Final = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹")
_MEASURES: Final = "[cdkmnµμ]m|ft|in|mi|yd"
_WORD_OR_END: Final = re.compile(
    rf"(?:{LETTER}{{3,}}|(?<!{LETTER})(?!(?:{_MEASURES})$){LETTER}{{2}}|[.,;:!?\"'”’»])$", re.IGNORECASE
)
"""What the number of a source stands behind; "m²", "km²" and "10³" are spoken."""

_Verdict = Hidden | str | None
"""Of what is held: hidden from here on; "" taken away, else a part to read again; None: more must be seen first."""
_TEXT: Final = "\x00"
"""The verdict that it is text after all."""


def without_machine_text(text: str) -> str:
    """What is meant for people of a whole text, markdown and pictures as they are."""
    machine = MachineText()
    kept = "".join(map(machine.feed, text)) + machine.settle()
    return kept.replace(GAP, "")


class MachineText:
    """Feed characters; get those that are meant for people. `tools` are the names of tools that the model may call."""

    def __init__(self, tools: Iterable[str] = ()) -> None:
        self.tools = tuple(tools)
        self._held = ""
        self._hidden: Hidden | None = None
        self._tail = ""
        self.call_is_last = False
        """Whether the last thing that was written is a tool call as text."""

    def feed(self, char: str) -> str:
        """What is certain now, with `GAP` where something was taken away."""
        out = ""
        waiting = char
        while waiting:
            char, waiting = waiting[0], waiting[1:]
            if self._hidden is not None:
                again = self._hidden.feed(char)
                if again is None:
                    continue
                self.call_is_last = self.call_is_last or self._hidden.is_call
                self._hidden, waiting = None, again + waiting
                out += GAP
                continue
            self._held += char
            out += self._sift()
        return out

    @property
    def passes_plain_text(self) -> bool:
        """Whether nothing that came before has a say in what follows."""
        return not self._held and self._hidden is None and not self.call_is_last

    def passed(self, text: str) -> None:
        """Plain text went by: the same as feeding it."""
        self._tail = (self._tail + text)[-_TAIL_CHARS:]

    def settle(self) -> str:
        """The text ends here, or is broken off: what was held is text, unless it can only be a machine's."""
        held, self._held = self._held, ""
        was_hidden, self._hidden = self._hidden, None
        if was_hidden is not None:
            self.call_is_last = self.call_is_last or was_hidden.is_call
            return GAP
        if _TOKEN_BEGUN.fullmatch(held) or _NUMBERS.fullmatch(held) or held.startswith("</") or _JSON.match(held):
            return GAP
        return "".join(self._given(char) for char in held)

    def _sift(self) -> str:
        out = ""
        while self._held:
            verdict = self._judged(self._held)
            if verdict is None:
                break
            if verdict is _TEXT:
                out += self._given(self._held[0])
                self._held = self._held[1:]
            elif isinstance(verdict, str):
                self._held = verdict
                out += GAP
            else:
                self._held, self._hidden = "", verdict
                break
        return out

    def _given(self, char: str) -> str:
        if char == GAP or (char < " " and not char.isspace()):
            return ""
        self._tail = (self._tail + char)[-_TAIL_CHARS:]
        self.call_is_last = self.call_is_last and not char.isalnum()
        return char

    def _judged(self, held: str) -> _Verdict:
        judge = _JUDGES.get(held[0])
        if judge is not None:
            return judge(self, held)
        return self._word(held) if held[0].isalpha() or held[0] == "_" else _TEXT

    def _angle(self, held: str) -> _Verdict:
        if held[1:2] and held[1] in "|｜":
            return self._token(held)
        if thoughts.OPEN.fullmatch(held):
            return "" if held.endswith("/>") else Until(thoughts.CLOSED)
        if thoughts.CLOSE.fullmatch(held):
            return ""
        if (call := _CALL_TAG.fullmatch(held)) is not None:
            self.call_is_last = True
            closes = bool(call[1]) or held.endswith("/>")
            return "" if closes else Call(re.compile(rf"</{re.escape(call[2])}\s*>\Z", re.IGNORECASE))
        if (source := _SOURCE_TAG.fullmatch(held)) is not None:
            return "" if source[1] else Until(re.compile(rf"</{source[2]}\s*>\Z", re.IGNORECASE))
        if _RAISED_TAG.fullmatch(held) and _WORD_OR_END.search(self._tail):
            return Until(re.compile(r"</sup\s*>\Z", re.IGNORECASE))
        begun = held in ("<", "</") or _TAG_NAME.fullmatch(held) or _TAG_BEGUN.fullmatch(held)
        return None if begun and len(held) < MAX_TAG_CHARS else _TEXT

    def _token(self, held: str) -> _Verdict:
        """A mark of the model's own format."""
        if not (len(held) > 3 and held[-1] == ">" and held[-2] in "|｜"):
            if held[-1] not in "<>\r\n" and len(held) <= MAX_TOKEN_CHARS:
                return None
            return held[-1] if _TOKEN_BEGUN.fullmatch(held[:-1]) and len(held) > 3 else _TEXT
        name = held[2:-2].strip().casefold().replace("▁", "_")
        if thoughts.OPEN.fullmatch(held):
            return Until(thoughts.CLOSED)
        if name in _HEADERS:
            return Header()
        if name == "channel":
            return Channel()
        if _TOKEN_CALL.fullmatch(name) and "sep" not in name and "_end" not in name and "argument" not in name:
            self.call_is_last = True
            return _call_of_token(name)
        return ""

    def _bracket(self, held: str) -> _Verdict:
        if _JSON.fullmatch(held) or _PYTHON_LIST.fullmatch(held):
            return self._begun(held)
        if (numbers := _NUMBERS.match(held)) is not None:
            return self._numbers(held, numbers.end())
        if held[-1] == "]":
            return self._named(held)
        if _SOURCE.fullmatch(held):
            return Until(re.compile(r"\]\Z"))
        begun = (_JSON_BEGUN, _NUMBERS_BEGUN, _WORD_BEGUN, _PYTHON_LIST_BEGUN)
        return None if any(one.fullmatch(held) for one in begun) and len(held) < MAX_TAG_CHARS else _TEXT

    def _numbers(self, held: str, end: int) -> _Verdict:
        """The number of a source: what follows tells whether it has an address, or is the note itself."""
        if _KEY_NAMED.search(self._tail):
            return _TEXT
        if end == len(held):
            return None
        if held[end] == "(":
            return Until(re.compile(r"[)\n]\Z"))
        if held[end] == ":" and self._tail.rstrip(" \t")[-1:] in ("", "\n"):
            return Until(re.compile(r"\n\Z"))
        return held[end:]

    def _named(self, held: str) -> _Verdict:
        """A word in brackets."""
        if thoughts.OPEN.fullmatch(held):
            return Until(thoughts.CLOSED)
        if held == "[TOOL_CALLS]":
            return NamedCalls()
        if (told := _TOOLS_TOLD.fullmatch(held)) is not None:
            return Until(re.compile(rf"\[(?:/|END_){told[1]}\]\Z"), is_call=True)
        if "_" in held and held[1:-1] in self.tools:
            self.call_is_last = True
            return ""
        return "" if any(one.fullmatch(held) for one in (thoughts.CLOSE, _DOCUMENT, _TEMPLATE)) else _TEXT

    def _brace(self, held: str) -> _Verdict:
        if _JSON.fullmatch(held):
            return self._begun(held)
        return None if _JSON_BEGUN.fullmatch(held) else _TEXT

    def _triangle(self, held: str) -> _Verdict:
        if held[-1] != "▷":
            return None if len(held) < MAX_TOKEN_CHARS and held[-1] != "\n" else _TEXT
        return Until(thoughts.CLOSED) if thoughts.OPEN.fullmatch(held) else ""

    def _lenticular(self, held: str) -> _Verdict:
        if held[-1] == "】":
            return "" if "†" in held or not any(char.isalpha() for char in held) else _TEXT
        numbered = len(held) == 1 or held[1].isdigit()
        return None if numbered and len(held) < MAX_TOKEN_CHARS and held[-1] != "\n" else _TEXT

    def _raised(self, held: str) -> _Verdict:
        """A small number above the line, or a dagger."""
        return "" if _WORD_OR_END.search(self._tail) or not self._tail.strip() else _TEXT

    def _private(self, held: str) -> _Verdict:
        """A code without a meaning of its own; some vendors put their citations between two of them."""
        return Until(re.compile("\ue201\\Z")) if held == "\ue200" else ""

    def _begun(self, begun: str) -> _Verdict:
        """A call or JSON that begins with these brackets."""
        self.call_is_last = True
        balanced = Balanced()
        over = [balanced.feed(char) for char in begun][-1]
        return balanced if over is None else ""

    def _word(self, held: str) -> _Verdict:
        """A call written as in a program, by a name that only programs have, or by that of an offered tool."""
        if self._tail[-1:].isalnum() or self._tail[-1:] in ("_", "."):
            return _TEXT
        if _CALLED.fullmatch(held):
            return self._begun(held[-1])
        begun = any(start.startswith(held) for start in CALL_STARTS) or _CALLED_BEGUN.fullmatch(held) is not None
        for tool in self.tools:
            rest = held[len(tool) :] if held.startswith(tool) else None
            if rest is not None and _ARGUMENTS.fullmatch(rest):
                return self._begun(rest.lstrip(": "))
            begun = (
                begun or tool.startswith(held) or (rest is not None and _ARGUMENTS_BEGUN.fullmatch(rest) is not None)
            )
        return None if begun else _TEXT


_JUDGES: Final[dict[str, Callable[[MachineText, str], _Verdict]]] = {
    "<": MachineText._angle,
    "[": MachineText._bracket,
    "{": MachineText._brace,
    "◁": MachineText._triangle,
    "【": MachineText._lenticular,
    **dict.fromkeys((*_RAISED, "†", "‡"), MachineText._raised),
    **dict.fromkeys(map(chr, range(0xE000, 0xF900)), MachineText._private),
}

JUDGED: Final = frozenset(_JUDGES)
"""Characters that may begin something for machines; so may letters, of a name."""


def _call_of_token(name: str) -> Hidden:
    """What a mark of a tool call begins: up to its counterpart, or up to the end of its JSON."""
    if "python_tag" in name:
        return Until(re.compile(rf"{_ANSWER_OVER}\Z"), is_call=True)
    if "begin" in name or "start" in name:
        ends = re.sub("begin|start", "end", name).replace("_", "[_▁]")
        return Until(re.compile(rf"(?:<[|｜]{ends}[|｜]>|{_ANSWER_OVER})\Z", re.IGNORECASE), is_call=True)
    return Call(re.compile(rf"(?:<\|/{re.escape(name)}\|>|{_ANSWER_OVER})\Z", re.IGNORECASE))
