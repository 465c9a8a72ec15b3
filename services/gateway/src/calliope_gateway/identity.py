"""Who is asking: keys are checked with their owner and believed for a second, which bounds revocation."""

from collections import OrderedDict
from typing import Final

from calliope import api_keys
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import Authenticate, Principal, Scope
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope_gateway.ports import Commands

MAX_CACHED: Final = 10_000


class Keys:
    """Checks API keys; only their SHA-256 leaves the gateway."""

    def __init__(self, commands: Commands, *, believe_s: float, timeout_s: float) -> None:
        self._commands = commands
        self._believe_s = believe_s
        self._timeout_s = timeout_s
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    async def principal(self, key: str, scope: Scope, now: float) -> Principal:
        """Raises: CommandError: `unauthorized` for a key that is none, `forbidden` for one that may not."""
        if not api_keys.is_well_formed(key):
            raise CommandError(ErrorCode.UNAUTHORIZED, "this is not an API key: it is mistyped or cut off")
        digest = api_keys.digest(key)
        until, principal = self._known.get(digest, (0.0, None))
        if principal is None or now >= until:
            self._known.pop(digest, None)
            principal = await self._commands.call(
                Command.IDENTITY_AUTHENTICATE,
                Authenticate(key_sha256=digest),
                reply_type=Principal,
                timeout_s=self._timeout_s,
            )
            self._known[digest] = (now + self._believe_s, principal)
            if len(self._known) > MAX_CACHED:
                self._known.popitem(last=False)
        if scope not in principal.scopes:
            raise CommandError(ErrorCode.FORBIDDEN, f"this key may not {scope}; it has {', '.join(principal.scopes)}")
        return principal
