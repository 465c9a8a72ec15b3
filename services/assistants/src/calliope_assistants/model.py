"""The assistant document as it is stored: validated, secrets sealed, shown masked. Pure."""

import base64
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from calliope.contracts.assistants import (
    SECRET_PATHS,
    URL_PATHS,
    AssistantSpec,
    SealedSecret,
    secret_context,
)
from calliope.contracts.errors import FieldProblem
from calliope.documents import PathPattern, field_problems, merge_patch, places
from calliope.egress import check_url
from calliope.errors import invalid
from calliope.secrets import MASK, Sealer, mask
from calliope.settings import EgressSettings

Document = dict[str, Any]
WEBHOOK_SECRET: Final = ("webhook_secret",)


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
        problems = field_problems(exc, AssistantSpec)
        raise invalid("the assistant document was refused", *problems) from exc
    plain: Document = spec.model_dump(mode="json")
    problems = _refused_urls(plain, rules.egress)
    for pattern in SECRET_PATHS:
        for path, container, key in places(plain, pattern):
            secret = _reveal(spec, path)
            if secret is None:
                continue
            if not secret.startswith(MASK):
                context = secret_context(owner.organization_id, owner.assistant_id, pattern)
                container[key] = rules.calls.seal(secret, context=context).model_dump()
            elif (kept := _stored_secret(before, pattern, path, secret)) is not None:
                container[key] = kept
            else:
                words = "this mask stands for no stored secret; send the secret itself"
                problems.append(FieldProblem(path=".".join(path), message=words))
    if problems:
        raise invalid("the assistant document was refused", *problems)
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
            if isinstance(container[key], dict):
                container[key] = mask(SealedSecret.model_validate(container[key]))
    return shown


def changed_fields(before: Document, after: Document) -> list[str]:
    """Top-level fields that differ; a secret sealed anew counts as changed."""
    return sorted(name for name in after if before.get(name) != after[name])


def name_key(name: str) -> str:
    """Names that a person would call the same are the same."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def new_webhook_secret() -> str:
    """A Standard Webhooks secret: `whsec_` and base64 of 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


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
        node = node[int(step)] if step.isdigit() else getattr(node, step, None)
        if node is None:
            return None
    return node.get_secret_value() if isinstance(node, SecretStr) else None


def _stored_secret(before: Document | None, pattern: PathPattern, path: tuple[str, ...], shown: str) -> Any:
    """The sealed secret that a mask stands for: at the same place, else anywhere in the same list."""
    if before is None:
        return None
    found = [(where, container[key]) for where, container, key in places(before, pattern)]
    same = [sealed for where, sealed in found if where == path] + [sealed for _, sealed in found]
    return next(
        (sealed for sealed in same if isinstance(sealed, dict) and mask(SealedSecret.model_validate(sealed)) == shown),
        None,
    )


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node
