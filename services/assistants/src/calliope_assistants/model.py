"""The assistant document as it is stored: validated, secrets sealed, shown masked. Pure."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import SecretStr, ValidationError

from calliope.contracts.assistants import AssistantRequest
from calliope.contracts.document.spec import SECRET_PATHS, URL_PATHS, AssistantSpec
from calliope.contracts.document.types import MASK
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.documents import PathPattern, copied, merge_patch, places, replaced
from calliope.egress import check_url
from calliope.errors import CommandError, invalid
from calliope.sealed_documents import Owner, sealed_in
from calliope.secrets import Sealer
from calliope.settings import EgressSettings
from calliope.validation.problems import field_problems
from calliope.validation.variables import variable_problems
from calliope_assistants import masks

Document = dict[str, Any]
MAX_STORED_BYTES: Final = 240_000
"""Completed and sealed; an answer on the bus is at most 256 KiB, and what is stored must fit one."""
_SEALED: Final = "sealed"
"""Stands in for a sealed secret while the rest of the document is judged."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What validation and sealing need besides the document."""

    egress: EgressSettings
    calls: Sealer

    def sealed(self, secret: Any, owner: Owner, pattern: PathPattern) -> Any:
        """A secret as it is stored: headers of older documents were stored in clear."""
        if not isinstance(secret, str):
            return secret
        return self.calls.seal(secret, context=owner.context(pattern)).model_dump()


def stored_form(
    document: Document,
    owner: Owner,
    rules: Rules,
    *,
    before: Document | None = None,
    refused: Sequence[FieldProblem] = (),
) -> Document:
    """The document to store: complete with defaults, secrets as they came sealed; masks keep the secret of `before`.

    `refused`: what was wrong with secrets where they were sealed. Raises: CommandError `invalid`, with every field that
    is to blame.
    """
    readable, sealed = _without_secrets(document)
    try:
        spec = AssistantSpec.model_validate(readable)
    except ValidationError as exc:
        problems = [*field_problems(exc, AssistantRequest), *refused]
        raise invalid("the assistant document was refused", *problems) from exc
    plain: Document = spec.model_dump(mode="json")
    problems = [*_refused_urls(plain, rules.egress), *variable_problems(plain), *refused]
    for pattern in SECRET_PATHS:
        for path, container, key in places(plain, pattern):
            secret = _reveal(spec, path)
            if secret is None:
                continue
            if path in sealed:
                kept, why = sealed[path], None
            elif secret.startswith(MASK):
                kept, why = masks.stored_secret(before, plain, pattern, path, secret)
            else:
                kept, why = None, "came unsealed: are all services of one version?"
            container[key] = rules.sealed(kept, owner, pattern)
            if why is not None:
                problems.append(FieldProblem(path=".".join(path), message=why))
    if problems:
        raise invalid("the assistant document was refused", *problems)
    _check_size(plain)
    return plain


def fully_sealed(stored: Document, owner: Owner, rules: Rules) -> Document:
    """What leaves this service: also secrets that an older version stored in clear are sealed."""
    shown = stored
    for pattern in SECRET_PATHS:
        for path, container, key in places(stored, pattern):
            if isinstance(container[key], str):
                shown = replaced(shown, path, rules.sealed(container[key], owner, pattern))
    return shown


def patched(before: Document, patch: Document) -> Document:
    """The masked document with a merge patch applied: what `stored_form` then validates."""
    merged: Document = merge_patch(masked(before), patch)
    return merged


def masked(stored: Document) -> Document:
    """What a read shows."""
    shown: Document = copied(stored)
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


def _without_secrets(document: Document) -> tuple[Document, dict[tuple[str, ...], Document]]:
    """The document with a word in place of every sealed secret, and these by their place."""
    readable: Document = copied(document)
    sealed: dict[tuple[str, ...], Document] = {}
    for pattern in SECRET_PATHS:
        for path, container, key in places(readable, pattern):
            if (secret := sealed_in(container[key])) is not None:
                sealed[path], container[key] = secret.model_dump(), _SEALED
    return readable, sealed


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


def _check_size(plain: Document) -> None:
    try:
        size = len(orjson.dumps(plain))
    except TypeError:  # of all that JSON can say, only integers beyond 64 bits
        raise invalid("the assistant document was refused: it holds a number beyond 64 bits") from None
    if size > MAX_STORED_BYTES:
        words = f"the assistant takes {size} bytes when stored, more than {MAX_STORED_BYTES}: shorten its texts"
        raise CommandError(ErrorCode.TOO_LARGE, words)
