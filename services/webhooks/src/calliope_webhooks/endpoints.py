"""What is known of endpoints: asked from their owner, remembered for seconds in memory and for good in the store."""

import time
from collections.abc import Sequence
from typing import Final

from calliope.caches import BoundedCache
from calliope_webhooks.fanout import endpoints_of
from calliope_webhooks.model import Endpoint
from calliope_webhooks.ports import AssistantsApi, EndpointStore

CACHE_BYTES: Final = 16 * 1024 * 1024


class EndpointBook:
    """Endpoints by assistant and by id. When the owner knows an assistant no more, the last known endpoints hold."""

    def __init__(self, assistants: AssistantsApi, store: EndpointStore, *, ttl_s: float) -> None:
        self._assistants = assistants
        self._store = store
        self._ttl_s = ttl_s
        self._cache: BoundedCache[tuple[str, str], tuple[float, Sequence[Endpoint]]] = BoundedCache(CACHE_BYTES)
        self._changes = 0

    async def of_assistant(self, organization_id: str, assistant_id: str) -> Sequence[Endpoint]:
        """Where the events of an assistant go. Raises: TransientError, when nobody can say now."""
        key = (organization_id, assistant_id)
        cached = self._cache.get(key)
        if cached is not None and time.monotonic() < cached[0]:
            return cached[1]
        changes_before = self._changes
        known = await self._assistants.endpoints(organization_id, assistant_id)
        if known is not None:
            await self._store.put(endpoints_of(organization_id, known))
        endpoints = await self._store.of_assistant(organization_id, assistant_id)
        if self._changes == changes_before:  # else an answer from before the change would outlive it
            self._cache.put(key, (time.monotonic() + self._ttl_s, endpoints), sum(map(_size, endpoints)))
        return endpoints

    def forget(self, organization_id: str, assistant_id: str) -> None:
        """The assistant was written: ask again."""
        self._changes += 1
        self._cache.drop((organization_id, assistant_id))

    async def get(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint as it is now. Raises: TransientError."""
        return await self._store.get(endpoint_id)

    async def set_gone(self, endpoint: Endpoint, url: str | None) -> None:
        """`url` answered 410; None: it takes deliveries again. Raises: TransientError."""
        await self._store.set_gone(endpoint.id, url)
        self.forget(endpoint.organization_id, endpoint.assistant_id)


def _size(endpoint: Endpoint) -> int:
    texts = (endpoint.id, endpoint.url or "", endpoint.gone_url or "", *(secret.sealed for secret in endpoint.secrets))
    return sum(map(len, texts))
