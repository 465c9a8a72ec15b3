"""What the errors of the MongoDB driver mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from calliope.errors import PermanentError
from calliope.storage.calls import Refused, Unanswered

_NO_ADDRESS: Final = (
    "CALLIOPE_MONGO__URL is no address of MongoDB: write it such as mongodb://user:password@db.example.com:27017, "
    "with every character of user and password that is no letter, digit, -, ., _ or ~ as its %XX"
)


@contextmanager
def reading_address() -> Iterator[None]:
    """Around making a client. Raises: PermanentError, in words that repeat nothing of the address."""
    try:
        yield
    except (PyMongoError, ValueError):
        raise PermanentError(_NO_ADDRESS) from None  # the driver's own words may hold a part of the password


def fault_of(error: Exception) -> Unanswered | Refused | None:
    """What an error of the driver means. A key that is taken is for who writes it."""
    match error:
        case DuplicateKeyError():
            return None
        case ServerSelectionTimeoutError() | WaitQueueTimeoutError():
            return Unanswered(was_sent=False)
        case ConnectionFailure() | ExecutionTimeout():
            return Unanswered(was_sent=True)
        case OperationFailure():
            return refused(error)
        case PyMongoError():
            return Unanswered(was_sent=False)
        case _:
            return None


def refused(error: OperationFailure) -> Refused:
    """The store's own answer."""
    said = error.details or {}
    labels = tuple(said.get("errorLabels") or ())
    return Refused(error.code, said.get("codeName"), str(said.get("errmsg", "")), labels)
