"""What the errors of the MongoDB driver mean."""

from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from calliope.storage.calls import Refused, Unanswered


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
