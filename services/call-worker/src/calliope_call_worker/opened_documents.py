"""Documents of assistants as calls use them: secrets opened, each revision once, within a number of bytes."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic import ValidationError

from calliope.caches import BoundedCache
from calliope.contracts.assistants import PinnedAssistant, SealedSecret, secret_context
from calliope.contracts.base import STORED
from calliope.contracts.document.spec import FREE_FORM_PATHS, SECRET_PATHS, AssistantSpec
from calliope.documents import PathPattern, places, replaced
from calliope.errors import PermanentError
from calliope.secrets import Opener

CACHE_BYTES: Final = 64 * 1024 * 1024
OBJECTS_PER_BYTE: Final = 4
"""What a byte of JSON takes in memory as objects; measured on documents of many small values, the worst."""
SECRETS_IN_A_STEP: Final = 8
"""Opening one takes 0.15 ms, and a document may hold hundreds; calls go on in between."""


class OpenedDocuments:
    """Opens documents; what was opened is kept, as all calls of a revision share it."""

    def __init__(self, opener: Opener, *, max_bytes: int = CACHE_BYTES) -> None:
        self._opener = opener
        self._opened: BoundedCache[tuple[str, str, int], AssistantSpec] = BoundedCache(max_bytes)

    def known(self, organization_id: str, assistant_id: str, revision: int) -> AssistantSpec | None:
        """A document that was opened before."""
        return self._opened.get((organization_id, assistant_id, revision))

    async def open(self, pinned: PinnedAssistant) -> AssistantSpec:
        """The document, opened. Raises: PermanentError, when a secret does not open, or rules changed."""
        key = (pinned.organization_id, pinned.id, pinned.revision)
        spec = self._opened.get(key)
        if spec is None:
            spec = await open_spec(pinned, self._opener)
            self._opened.put(key, spec, OBJECTS_PER_BYTE * len(orjson.dumps(pinned.document)))
        return spec


async def open_spec(pinned: PinnedAssistant, opener: Opener) -> AssistantSpec:
    """The document with its secrets opened. Raises: PermanentError, when one does not open, or rules changed.

    Its JSON Schemas are put in unread: they were checked when they were written, and checking one takes a second.
    """
    document: Any = pinned.document
    opened = 0
    for pattern in SECRET_PATHS:
        for path, container, key in places(document, pattern):
            sealed = container[key]
            if isinstance(sealed, Mapping):
                context = secret_context(pinned.organization_id, pinned.id, pattern)
                document = replaced(document, path, opener.open(SealedSecret.model_validate(sealed), context=context))
                opened += 1
                if opened % SECRETS_IN_A_STEP == 0:
                    await asyncio.sleep(0)
    unread: dict[tuple[str, ...], Any] = {}
    for pattern in FREE_FORM_PATHS:
        for path, container, key in places(document, pattern):
            if container[key] is not None:
                unread[path] = container[key]
                document = replaced(document, path, {})
    try:
        spec = AssistantSpec.model_validate(document, context=STORED)
    except ValidationError as exc:  # its words hold the values, secrets among them
        places_to_blame = ", ".join(".".join(map(str, error["loc"])) for error in exc.errors(include_input=False))
        raise PermanentError(f"revision {pinned.revision} of {pinned.id} is refused now: {places_to_blame}") from None
    for path, value in unread.items():
        spec = _with(spec, path, value)
    return spec


def _with(node: Any, path: PathPattern, value: Any) -> Any:
    """A model with another value at a path."""
    if not path:
        return value
    if isinstance(node, tuple):
        at = int(path[0])
        return (*node[:at], _with(node[at], path[1:], value), *node[at + 1 :])
    return node.model_copy(update={path[0]: _with(getattr(node, path[0]), path[1:], value)})
