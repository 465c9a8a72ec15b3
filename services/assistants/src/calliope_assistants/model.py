"""The assistant document as it is stored: validated, secrets sealed, shown masked. Pure."""

import unicodedata
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import SecretStr, ValidationError

from calliope.contracts.assistants import AssistantRequest, secret_context
from calliope.contracts.document.spec import SECRET_PATHS, URL_PATHS, AssistantSpec
from calliope.contracts.document.types import MASK
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.documents import PathPattern, merge_patch, places
from calliope.egress import check_url
from calliope.errors import CommandError, invalid
from calliope.secrets import Sealer
from calliope.settings import EgressSettings
from calliope.validation.problems import field_problems
from calliope.validation.variables import variable_problems
from calliope_assistants import masks

Document = dict[str, Any]
MAX_STORED_BYTES: Final = 240_000
"""Completed and sealed; an answer on the bus is at most 256 KiB, and what is stored must fit one."""
MAX_SECRET: Final = 4_096


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose document it is: part of what its secrets are bound to."""

    organization_id: str
    assistant_id: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What validation and sealing need besides the document."""

    egress: EgressSettings
    calls: Sealer


def stored_form(document: Document, owner: Owner, rules: Rules, *, before: Document | None = None) -> Document:
    """The document to store: complete with defaults, every secret sealed; masks keep the secret of `before`.

    Raises: CommandError `invalid`, with every field that is to blame.
    """
    try:
        spec = AssistantSpec.model_validate(document)
    except ValidationError as exc:
        problems = field_problems(exc, AssistantRequest)
        raise invalid("the assistant document was refused", *problems) from exc
    plain: Document = spec.model_dump(mode="json")
    problems = [*_refused_urls(plain, rules.egress), *variable_problems(plain)]
    for pattern in SECRET_PATHS:
        for path, container, key in places(plain, pattern):
            secret = _reveal(spec, path)
            if secret is None:
                continue
            if secret.startswith(MASK):
                kept, why = masks.stored_secret(before, plain, pattern, path, secret)
            else:
                kept, why = secret, _refused_secret(secret, pattern)
            if isinstance(kept, str):
                context = secret_context(owner.organization_id, owner.assistant_id, pattern)
                kept = rules.calls.seal(kept, context=context).model_dump()
            container[key] = kept
            if why is not None:
                problems.append(FieldProblem(path=".".join(path), message=why))
    if problems:
        raise invalid("the assistant document was refused", *problems)
    _check_size(plain)
    return plain


def patched(before: Document, patch: Document) -> Document:
    """The masked document with a merge patch applied: what `stored_form` then validates."""
    merged: Document = merge_patch(masked(before), patch)
    return merged


def masked(stored: Document) -> Document:
    """What a read shows."""
    shown: Document = _copy(stored)
    for pattern in SECRET_PATHS:
        for _, container, key in places(shown, pattern):
            container[key] = masks.shown(container[key])
    return shown


def changed_fields(before: Document, after: Document) -> list[str]:
    """Top-level fields that differ; a secret sealed anew counts as changed."""
    return sorted(name for name in after if before.get(name) != after[name])


def name_key(name: str) -> str:
    """Names that a person would call the same are the same."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def wants_webhooks(stored: Document) -> bool:
    """Whether something will be signed."""
    return bool(stored.get("webhook_url") or stored.get("sms_webhook_url"))


def _refused_urls(plain: Document, egress: EgressSettings) -> list[FieldProblem]:
    return [
        FieldProblem(path=".".join(path), message=why)
        for pattern in URL_PATHS
        for path, container, key in places(plain, pattern)
        if container[key] is not None and (why := check_url(container[key], egress)) is not None
    ]


def _reveal(spec: AssistantSpec, path: tuple[str, ...]) -> str | None:
    node: Any = spec
    for step in path:
        if isinstance(node, tuple):
            node = node[int(step)]
        else:
            node = node[step] if isinstance(node, dict) else getattr(node, step, None)
        if node is None:
            return None
    return node.get_secret_value() if isinstance(node, SecretStr) else None


def _refused_secret(secret: str, pattern: PathPattern) -> str | None:
    if pattern[-1] == "*":
        return None  # a header's value, whose form the document's own rules have judged
    if not secret:
        return "is empty; leave it out, or send null to clear it"
    if not secret.isprintable():
        return "holds a line break or another character that no header can carry; was it copied whole?"
    return f"is longer than {MAX_SECRET} characters" if len(secret) > MAX_SECRET else None


def _check_size(plain: Document) -> None:
    try:
        size = len(orjson.dumps(plain))
    except TypeError:  # of all that JSON can say, only integers beyond 64 bits
        raise invalid("the assistant document was refused: it holds a number beyond 64 bits") from None
    if size > MAX_STORED_BYTES:
        words = f"the assistant takes {size} bytes when stored, more than {MAX_STORED_BYTES}: shorten its texts"
        raise CommandError(ErrorCode.TOO_LARGE, words)


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node
