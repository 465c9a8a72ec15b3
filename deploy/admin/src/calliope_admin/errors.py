"""What ends a command early, in words for the operator."""

from typing import Final

from calliope.errors import CalliopeError, CommandError

FAILED: Final = 1
MISUSED: Final = 2


class AdminError(CalliopeError):
    """One sentence that says what is wrong and what to do; `status` is the exit status."""

    def __init__(self, message: str, *, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def in_words(error: CommandError) -> str:
    """A refused command in one line: the message, and every field that is to blame."""
    fields = "; ".join(
        f"{field.path}: {field.message}" + (f" ({field.hint})" if field.hint else "") for field in error.problem.fields
    )
    return f"{error}: {fields}" if fields else str(error)
