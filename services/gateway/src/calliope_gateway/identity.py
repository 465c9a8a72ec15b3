"""Who is asking: keys are checked with their owner and believed for a moment, unless they are heard to be revoked."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from calliope import api_keys
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import Authenticate, Principal, Scope, is_granted
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.rate import RateLimit
from calliope_gateway.ports import Commands

ValueT = TypeVar("ValueT")

MAX_KNOWN: Final = 10_000
"""Keys remembered, of each kind; then those that were not used for longest are forgotten."""
REFUSED_S: Final = 5.0
"""How long a refused key is refused without asking again: a key that is none does not become one."""


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    until: float


class Keys:
    """Checks API keys; only their SHA-256 leaves the gateway.

    Keys that were never seen to be good may be asked about so often per client address (`strangers`), so that
    inventing keys is no way to load their owner. A good one is not counted.
    """

    def __init__(self, commands: Commands, *, believe_s: float, timeout_s: float, strangers: RateLimit) -> None:
        self._commands = commands
        self._believe_s = believe_s
        self._timeout_s = timeout_s
        self._strangers = strangers
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._revoked: OrderedDict[str, None] = OrderedDict()

    async def principal(self, key: str, *, client: str, now: float) -> Principal:
        """Who the key speaks for. `client` is the address it came from, `now` a monotonic clock.

        Raises: CommandError: `unauthorized` for a key that is none, is expired or revoked; `rate_limited` when too
        many such came from this address; or why its owner could not be asked.
        """
        if not api_keys.is_well_formed(key):
            raise CommandError(ErrorCode.UNAUTHORIZED, "this is not an API key: it is mistyped or cut off")
        digest = api_keys.digest(key)
        if now < self._refused.get(digest, 0.0):
            raise _unauthorized()
        known = self._known.get(digest)
        if known is None or now >= known.until:
            known = await self._ask(digest, client, now)
        if known.principal.key_id in self._revoked:
            raise _unauthorized()
        return known.principal

    def revoked(self, key_id: str) -> None:
        """Believe this key no more, also if the answer to a question about it is still on its way."""
        _remember(self._revoked, key_id, None)

    async def _ask(self, digest: str, client: str, now: float) -> _Known:
        stranger = digest not in self._known
        if stranger and (wait_s := self._strangers.wait_s(client, now)):
            words = "too many requests with unknown API keys came from your address"
            raise CommandError(ErrorCode.RATE_LIMITED, words, retry_after_s=max(wait_s, 1.0))
        try:
            principal = await self._commands.call(
                Command.IDENTITY_AUTHENTICATE,
                Authenticate(key_sha256=digest),
                reply_type=Principal,
                timeout_s=self._timeout_s,
            )
        except CommandError as exc:
            if exc.code is not ErrorCode.UNAUTHORIZED:
                raise
            self._known.pop(digest, None)
            _remember(self._refused, digest, now + REFUSED_S)
            raise
        if stranger:
            self._strangers.give_back(client)
        known = _Known(principal, now + min(self._believe_s, _left_s(principal, datetime.now(UTC))))
        _remember(self._known, digest, known)
        return known


def check_scope(principal: Principal, scope: Scope) -> None:
    """Raises: CommandError `forbidden`, when the key may not do this."""
    if is_granted(principal.scopes, scope):
        return
    either = f"`{scope}`" if scope.broader is None else f"`{scope}` or `{scope.broader}`"
    held = ", ".join(f"`{each}`" for each in principal.scopes) or "none"
    raise CommandError(ErrorCode.FORBIDDEN, f"this key may not do this: it needs the scope {either}; it has {held}")


def _remember(of: OrderedDict[str, ValueT], key: str, value: ValueT) -> None:
    of[key] = value
    of.move_to_end(key)
    if len(of) > MAX_KNOWN:
        of.popitem(last=False)


def _left_s(principal: Principal, now: datetime) -> float:
    return float("inf") if principal.expires_at is None else (principal.expires_at - now).total_seconds()


def _unauthorized() -> CommandError:
    return CommandError(ErrorCode.UNAUTHORIZED, "this API key is unknown, expired or revoked")
