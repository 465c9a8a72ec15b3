"""What the gateway needs of the rest of the house."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

ReplyT = TypeVar("ReplyT", bound=BaseModel)


class Commands(Protocol):
    """Sends commands to their owners; `subject` is one of `contracts.subjects.Command`."""

    async def call(
        self,
        subject: str,
        payload: BaseModel | Mapping[str, Any],
        *,
        reply_type: type[ReplyT],
        organization: str | None = None,
        command_id: str | None = None,
        timeout_s: float = 5.0,
    ) -> ReplyT:
        """The typed reply.

        Raises: CommandError: the owner's refusal, `unavailable` when nobody listens, `timeout` without an answer.
        """
