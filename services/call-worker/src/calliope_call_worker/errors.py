"""Errors of this service that others of its files catch."""

from typing import Final

from calliope.errors import CalliopeError

ASK_SOON_S: Final = 0.1
"""When to ask again about a call that another worker has, or can have: a caller waits for the answer."""
JOURNALS: Final = "journals"
ASSISTANTS: Final = "assistants"
"""What `TransientError.dependency` calls them: the streams of the bus with calls and revisions, and their owner."""


class OwnershipError(CalliopeError):
    """Another worker owns the call; this one must not touch it."""


class JournalFullError(CalliopeError):
    """So many facts wait for the bus that no more can be kept; the call cannot go on truthfully."""
