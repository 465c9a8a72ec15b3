"""The error taxonomy: what may be tried again, what never, and what a command tells its caller."""

from collections.abc import Sequence

from calliope.contracts.errors import ErrorCode, FieldProblem, Problem


class CalliopeError(Exception):
    """Base of every error that Calliope raises on purpose."""


class TransientError(CalliopeError):
    """May work later: timeout, 429, 5xx, lost connection.

    `retry_after_s`: the other side's wish, if it had one; nobody asks again earlier. `dependency`: which part of ours
    was away, by the name that the service gives it; while it is, messages wait (`messaging/dependencies.py`).
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, dependency: str | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.dependency = dependency


class PermanentError(CalliopeError):
    """Will never work as it is: refused key, malformed message, unknown id."""


class NotReadyError(CalliopeError):
    """A part of a process does not work now; its words are shown by health, so they hold nothing private."""


class CommandError(CalliopeError):
    """A command refused in words. Raised by use cases, carried over the bus, raised again at the caller."""

    def __init__(
        self,
        code: ErrorCode | str,
        message: str,
        *,
        fields: Sequence[FieldProblem] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.problem = Problem(code=code, message=message, fields=tuple(fields), retry_after_s=retry_after_s)

    @property
    def code(self) -> ErrorCode | str:
        """The stable code, see `ErrorCode`; a text, when a newer service than this one sent it."""
        return self.problem.code


def invalid(message: str, *fields: FieldProblem) -> CommandError:
    """The request is well formed but says something that cannot be."""
    return CommandError(ErrorCode.INVALID, message, fields=fields)


def wrong_cursor() -> CommandError:
    """A page was asked for with a cursor that no page gave."""
    message = "must be the next_cursor of the page before, as it was; leave it out for the first page"
    return invalid("the query is wrong", FieldProblem(path="cursor", message=message))


def not_found(what: str, id_: str) -> CommandError:
    """`what` is a noun; also used for ids of other organizations, which must look the same."""
    return CommandError(ErrorCode.NOT_FOUND, f"there is no {what} {id_!r} in this organization")


def unavailable(message: str, *, retry_after_s: float = 1.0) -> CommandError:
    """A part that is needed is away; nothing was changed."""
    return CommandError(ErrorCode.UNAVAILABLE, message, retry_after_s=retry_after_s)
