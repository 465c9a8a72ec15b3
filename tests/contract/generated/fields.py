"""`docs/fields.md`: what each field of the assistant document means, and which tests show that it acts."""

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, get_origin

from pydantic import BaseModel, SecretStr

from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.variables import CALL_VARIABLES
from calliope.validation.expectations import Slot, choices, taken
from contract.generated.proofs import NOT_YET, PROOFS

_HEAD: Final = """\
# Fields of the assistant document

<!-- Made by `make snapshots` from the document's model and tests/contract/generated/proofs.py. -->

Every field of what `POST /api/v1/assistants` takes; `[]` stands for each element of a list. `null` means the default.
An assistant needs a `name` and the credentials of a language model; everything else can be left out. Beside these, a
request may bring its own `webhook_secret`.

- **Types are strict**, since this version: `true`, not `"yes"` or `1`; `3`, not `"3"` (`3.0` is as whole as `3`). What
  was stored before, and masks that are written back, are taken as they are. Query parameters are text, as ever.
- **Unknown fields are refused** with the field that was probably meant. It is looked for in the whole document, and
  under the names that Vapi, Retell and LiveKit use; so are query parameters and the fields of phone numbers.
- **A refusal is a sentence**: `errors` of the answer names each field by its path, and says what it must be with an
  example. Of more than 50 problems the rest is counted.
- **Numbers, languages and addresses** as people write them (`+1 (555) 010-0199`, `en_US`, `example.com/hook`) are
  refused with what was meant; nothing is changed silently.
- **`parameters` of a tool** may leave out `type`, `properties` and `items`, since this version: each vendor is sent the
  form that it takes. A schema that can never be an object is refused.
- **Headers of a tool** have every name that HTTP allows, underscores too, since this version, and are sent as written.
  What would not be sent so (`Host`, `Content-Type`, two that differ in case, `Authorization` beside `auth_token`) is
  refused with the reason.
- **Secrets** (`api_key`, `auth_token`, each value of a tool's `headers`) are sealed when they arrive and read as a mask
  such as `••••3f9a`; a mask that is written back keeps the secret. That of a header keeps the value of the header of
  that name, in whatever case; under another name it is refused, so send the value when you rename one. Headers that an
  older version stored readable are shown as masks too, and sealed when the assistant is written next: an empty `PATCH`
  (`{}`) does it.

`/docs` of a running gateway shows the same with examples; [`examples/`](../examples) has whole documents.

## What the model is told, and `{{variables}}`

Behind your system prompt every request to the model has a line of facts: weekday, date, time and time zone at which the
call began, the number of the caller and the one that was called. They stay as they were when the call began: the start
of every request of a call is the same, so that vendors' prompt caches keep it, and a worker that takes a call over says
the same.

`{{name}}` is filled in once, when a call begins, in `llm_settings.system_prompt` and every line that is spoken:
`welcome_message`, `idle_message`, `messages.*`, each `custom_message` and `speak_while_running`. Whitespace inside the
braces means nothing. What `variables` of the document does not name, and is none of these, is refused when it is
written; so are braces without a name. Write `\\{{` for the signs themselves (in JSON `"\\\\{{"`). Braces in a value are
text. Dates and times are those of `time_zone`.

| variable | what is filled in |
| --- | --- |
@CALL_VARIABLES@
"""
_GROUPS: Final = {
    "": "The assistant",
    "llm_provider_config": "Language model",
    "llm_settings": "How the model answers",
    "llm_fallback_providers": "Language models to turn to",
    "messages": "Lines of your own",
    "tts_settings": "Voice",
    "stt_settings": "Hearing",
    "interruption_settings": "Interruptions",
    "tools_settings": "Tools",
    "custom_settings": "Data from a call",
    "twilio_config": "Twilio",
    "telnyx_config": "Telnyx",
    "rag_settings": "Retrieval",
}
_TESTS: Final = """\
## Tests, for maintainers

Every field acts on a call or is refused, and a test shows it (`tests/contract/generated/proofs.py`). *Not yet*:
accepted and kept, without effect.
"""


class Leaf(NamedTuple):
    """A field that holds a value, not further fields."""

    path: str
    kind: str
    default: str
    meaning: str
    allowed: str


def fields(model: type[BaseModel] = AssistantSpec) -> Iterator[tuple[str, str, str]]:
    """Path, default and meaning of every leaf."""
    for leaf in leaves(Slot(model)):
        yield leaf.path, leaf.default, leaf.meaning


def leaves(slot: Slot, prefix: str = "") -> Iterator[Leaf]:
    """Every leaf below a place; `[]` stands for each element of a list."""
    for name, field in slot.annotation.model_fields.items():
        inner = Slot.of_field(field)
        element = inner.step("0")
        if _is_model(inner):
            yield from leaves(inner, f"{prefix}{name}.")
        elif element is not None and _is_model(element):
            yield from leaves(element, f"{prefix}{name}[].")
        else:
            default = "required" if field.is_required() else _text(inner.default)
            meaning = " ".join((field.description or "").split())
            yield Leaf(f"{prefix}{name}", _kind(inner), default, meaning, _allowed(inner))


def _is_model(slot: Slot) -> bool:
    return isinstance(slot.annotation, type) and issubclass(slot.annotation, BaseModel)


def _kind(slot: Slot) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", SecretStr: "secret"}
    if get_origin(slot.annotation) is tuple:
        inner = slot.step("0")
        return f"list of {_kind(inner)}s" if inner is not None else "list"
    if get_origin(slot.annotation) is dict:
        inner = slot.step("*")
        return "object of secrets" if inner is not None and inner.annotation is SecretStr else "object"
    return "choice" if choices(slot) else names[slot.annotation]


def _allowed(slot: Slot) -> str:
    if known := choices(slot):
        return " ".join(f"`{each}`" for each in known)
    inner = slot.step("0") if get_origin(slot.annotation) is tuple else None
    if inner is not None and choices(inner):
        return f"of {_allowed(inner)}"
    limits = [words for each in (slot, inner) if each is not None and (words := taken(each))]
    return "; each ".join(limits)


def _text(value: Any) -> str:
    if value is None or value in ((), {}):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def page() -> str:
    """Fields by group, then the tests."""
    found = list(leaves(Slot(AssistantSpec)))
    rows = "\n".join(f"| `{{{{{name}}}}}` | {meaning} |" for name, meaning in CALL_VARIABLES.items())
    sections = [_HEAD.replace("@CALL_VARIABLES@", rows)]
    for group in dict.fromkeys((*_GROUPS, *map(_group, found))):
        own = [leaf for leaf in found if _group(leaf) == group]
        sections.append("\n".join([f"## {_GROUPS.get(group, group)}\n", *_table(own), ""]))
    shown = [f"| `{leaf.path}` | {_proof(leaf.path)} |" for leaf in found]
    return "\n".join([*sections, _TESTS, "| field | shown by |", "| --- | --- |", *shown, ""])


def _group(leaf: Leaf) -> str:
    return leaf.path.partition(".")[0] if "." in leaf.path else ""


def _table(own: list[Leaf]) -> list[str]:
    rows = [
        f"| `{leaf.path}` | {leaf.kind} | {leaf.default} | {_cell(leaf.meaning)} | {_cell(leaf.allowed)} |"
        for leaf in own
    ]
    return ["| field | type | default | meaning | allowed |", "| --- | --- | --- | --- | --- |", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _proof(path: str) -> str:
    return ", ".join(f"`{test}`" for test in PROOFS.get(path, ())) or ("not yet" if path in NOT_YET else "")
