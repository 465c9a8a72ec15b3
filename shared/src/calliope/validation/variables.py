"""Variables in the texts of an assistant document: which are not known, and which fill a text beyond its limit. Pure.

Asked when a document is written. A document that was stored before keeps answering calls: there an unknown variable
is left in its text as it stands.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from calliope.contracts.document.spec import TEXT_PATHS
from calliope.contracts.document.types import MAX_LINE, MAX_PROMPT
from calliope.contracts.document.variables import CALL_VARIABLES, MAX_CALL_VARIABLE
from calliope.contracts.errors import FieldProblem
from calliope.documents import places
from calliope.templates import Variable, fill, parts

_NEAR: Final = 0.6
_LITERAL: Final = r"write \{{ for the signs themselves"
_ELSEWHERE: Final = {
    "customernumber": "caller.number", "customerphone": "caller.number", "usernumber": "caller.number",
    "fromnumber": "caller.number", "phonenumber": "caller.number", "from": "caller.number",
    "agentnumber": "called.number", "tonumber": "called.number", "to": "called.number",
    "agentname": "assistant.name", "calltype": "call.direction", "today": "date", "currentdate": "date",
    "currenttime": "now", "datetime": "now", "timezone": "time_zone",
}  # fmt: skip
"""What other systems call them, without case and signs."""


def variable_problems(document: Mapping[str, Any]) -> list[FieldProblem]:
    """What is wrong with the variables of a complete document, as JSON; one problem per text and variable."""
    own: Mapping[str, str] = document["variables"]
    longest = dict.fromkeys(CALL_VARIABLES, "x" * MAX_CALL_VARIABLE) | dict(own)
    found: list[FieldProblem] = []
    for pattern in TEXT_PATHS:
        for path, container, key in places(document, pattern):
            if (text := container[key]) is not None:
                limit = MAX_PROMPT if key == "system_prompt" else MAX_LINE
                found.extend(_problems(".".join(path), text, longest, limit))
    return found


def _problems(path: str, text: str, known: Mapping[str, str], limit: int) -> Iterator[FieldProblem]:
    unknown = dict.fromkeys(
        part if isinstance(part, Variable) else None
        for part in parts(text)
        if not isinstance(part, str) and (not isinstance(part, Variable) or part.name not in known)
    )
    for variable in {each.name if each else None: each for each in unknown}.values():
        if variable is None:
            message = "holds {{ that is not followed by the name of a variable and }}"
            yield FieldProblem(path=path, message=message, hint=f"such as {{{{caller.number}}}}; {_LITERAL}")
        else:
            message = f"holds the variable {{{{{variable.name}}}}}, which is not known"
            yield FieldProblem(path=path, message=message, hint=_hint(variable.name, known))
    if not unknown and "{{" in text and len(fill(text, known)) > limit:
        yield FieldProblem(path=path, message=f"is longer than {limit} characters when its variables are filled in")


def _hint(name: str, known: Mapping[str, str]) -> str:
    bare = {_bare(each): each for each in known}
    nearest = bare.get(_bare(name)) or _ELSEWHERE.get(_bare(name))
    if nearest is None and (close := difflib.get_close_matches(_bare(name), bare, n=1, cutoff=_NEAR)):
        nearest = bare[close[0]]
    if nearest is not None:
        return f"did you mean {{{{{nearest}}}}}?"
    return f"name it in variables, or take one of {', '.join(CALL_VARIABLES)}; {_LITERAL}"


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
