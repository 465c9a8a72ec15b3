"""Errors of this service that others of its files catch."""

from calliope.errors import CalliopeError


class OwnershipError(CalliopeError):
    """Another worker owns the call; this one must not touch it."""


class JournalFullError(CalliopeError):
    """So many facts wait for the bus that no more can be kept; the call cannot go on truthfully."""
