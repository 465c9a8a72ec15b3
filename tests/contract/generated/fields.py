"""`docs/fields.md`: every field of the assistant document and the tests that prove that it acts."""

from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from calliope.contracts.document.spec import AssistantSpec
from contract.generated.proofs import NOT_YET, PROOFS

_HEAD: Final = """\
# Fields

<!-- Made by `make snapshots` from the document's model and tests/contract/generated/proofs.py. -->

Every field of the assistant document, its default, and the test that shows that it acts on a call or is refused.
"""


def fields(model: type[BaseModel] = AssistantSpec, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Path, default and meaning of every leaf; `[]` stands for each element of a list."""
    for name, field in model.model_fields.items():
        inner, many = _inside(field.annotation)
        if inner is not None:
            yield from fields(inner, f"{prefix}{name}{'[]' if many else ''}.")
        else:
            default = "required" if field.is_required() else _text(field.get_default(call_default_factory=True))
            yield f"{prefix}{name}", default, " ".join((field.description or "").split())


def _inside(annotation: Any, *, many: bool = False) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, many
    for argument in get_args(annotation):
        inner, more = _inside(argument, many=many or get_origin(annotation) is tuple)
        if inner is not None:
            return inner, more
    return None, many


def _text(value: object) -> str:
    if value is None or value in ((), {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def page() -> str:
    """The table."""
    rows = ["| field | default | meaning | shown by |", "| --- | --- | --- | --- |"]
    for path, default, meaning in fields():
        shown = ", ".join(f"`{test}`" for test in PROOFS.get(path, ())) or ("not yet" if path in NOT_YET else "")
        rows.append(f"| `{path}` | {default} | {meaning.replace('|', chr(92) + '|')} | {shown} |")
    return "\n".join([_HEAD, *rows, ""])
