"""The document that a call goes by: the number's for a new call, the one it was taken with ever after."""

import structlog

from calliope.contracts.assistants import NumberRoute, PinnedAssistant
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker.opened_documents import OpenedDocuments
from calliope_call_worker.ports import Directory, Pins

log = structlog.get_logger(__name__)


class CallDocuments:
    """Finds revisions: opened before, kept on the bus, or as their owner has them now."""

    def __init__(self, directory: Directory, pins: Pins, opened: OpenedDocuments) -> None:
        self._directory = directory
        self._pins = pins
        self._opened = opened

    async def for_new_call(self, route: NumberRoute) -> tuple[AssistantSpec, int] | None:
        """The document behind a number and its revision, which is kept from now on; None: it was deleted just now.

        Raises: PermanentError, when it cannot be used; CommandError, TransientError, when it cannot be had now.
        """
        key = (route.organization_id, route.assistant_id, route.revision)
        spec = self._opened.known(*key)
        if spec is not None and self._pins.kept(*key):
            return spec, route.revision
        pinned = await self._pins.find(*key) or await self._directory.pin(*key[:2])
        if pinned is None:
            return None
        spec = await self._opened.open(pinned)
        await self._pins.keep(pinned)
        return spec, pinned.revision

    async def pinned(self, organization_id: str, assistant_id: str, revision: int) -> PinnedAssistant | None:
        """The revision that a call was taken with, unopened. Only if nobody kept it: as it is now; None: deleted, too.

        Raises: CommandError, TransientError, when it cannot be had now.
        """
        found = await self._pins.find(organization_id, assistant_id, revision)
        if found is None:
            found = await self._directory.pin(organization_id, assistant_id)
            if found is not None and found.revision != revision:
                log.warning("call.other_revision", assistant_id=assistant_id, taken_with=revision, now=found.revision)
        return found

    async def opened(self, pinned: PinnedAssistant) -> AssistantSpec:
        """That document, opened. Raises: PermanentError, when it cannot be used."""
        return await self._opened.open(pinned)
