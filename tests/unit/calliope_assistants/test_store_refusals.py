"""A store that answers and refuses: named with its own words, waited for only when that can heal by itself."""

from typing import Any, cast

import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError, ExecutionTimeout, OperationFailure

from calliope.errors import PermanentError, TransientError
from calliope.settings import MongoSettings
from calliope.storage.calls import StoreCalls, StoreRefusedError, refusal
from calliope.storage.mongo_errors import fault_of as webhooks_fault_of
from calliope_assistants import app
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.settings import AssistantsSettings
from calliope_webhooks import app as webhooks_app
from calliope_webhooks.adapters import mongo as webhooks_mongo

OTHER_OPTIONS = {
    "ok": 0,
    "code": 86,
    "codeName": "IndexKeySpecsConflict",
    "errmsg": "an index of this name has another key",
}
NOT_ALLOWED = {"ok": 0, "code": 13, "codeName": "Unauthorized", "errmsg": "not authorized on calliope"}


def answered(said: dict[str, Any]) -> OperationFailure:
    """What the driver raises when a server answers so."""
    return OperationFailure(said["errmsg"], said["code"], said)


class RefusingDriver:
    """A database, and each of its collections, whose every question ends with this error, then with a marker."""

    name = "rows"

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    def __getattr__(self, name: str) -> Any:
        if name in {"create_index", "command", "count_documents", "find_one", "update_many", "insert_one"}:
            return self._ask
        return self

    __getitem__ = __getattr__

    def find(self, *_: Any, **__: Any) -> "RefusingDriver":
        return self

    def limit(self, *_: Any) -> "RefusingDriver":
        return self

    async def to_list(self, *_: Any) -> Any:
        return await self._ask()

    async def _ask(self, *_: Any, **__: Any) -> Any:
        raise self._errors.pop(0) if len(self._errors) > 1 else self._errors[0]


def a_store(*errors: Exception) -> MongoStore:
    store = MongoStore(MongoSettings())
    store.database = cast("Any", RefusingDriver(*errors))
    return store


@pytest.mark.parametrize("said", [OTHER_OPTIONS, NOT_ALLOWED])
async def test_an_index_that_the_store_refuses_is_named_with_code_name_and_words(said: dict[str, Any]) -> None:
    with pytest.raises(StoreRefusedError) as caught:
        await a_store(answered(said)).prepare()
    assert str(caught.value) == (
        "the store refused to create the index org_id_name_key of rows: "
        f"{said['codeName']} ({said['code']}): {said['errmsg']}"
    )


async def test_a_unique_index_over_rows_that_are_alike_is_refused_without_their_values() -> None:
    words = 'E11000 duplicate key error collection: c.rows index: k dup key: { name_key: "t0ps3cret" }'
    with pytest.raises(StoreRefusedError, match=r"\(11000\): E11000 duplicate key error") as caught:
        await a_store(DuplicateKeyError(words, 11000, {"code": 11000, "errmsg": words})).prepare()
    assert "t0ps3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        answered({"code": 189, "codeName": "PrimarySteppedDown", "errmsg": "stepped down"}),
        answered({"code": 8000, "codeName": "X", "errmsg": "later", "errorLabels": ["RetryableWriteError"]}),
        ExecutionTimeout("operation exceeded time limit", 50, {"code": 50}),
        AutoReconnect("connection closed"),
    ],
)
async def test_what_passes_by_itself_is_no_refusal(error: Exception) -> None:
    with pytest.raises(TransientError) as caught:
        await a_store(error).prepare()
    assert not isinstance(caught.value, StoreRefusedError)


async def test_the_service_ends_when_the_store_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "STORE_PAUSE_S", 0.0)
    away = AutoReconnect("connection closed")
    with pytest.raises(PermanentError, match=r"Unauthorized \(13\): not authorized on calliope"):
        await app._prepare(AssistantsSettings(), a_store(away, away, answered(NOT_ALLOWED)))


async def test_webhooks_ends_when_the_store_refuses() -> None:
    store = webhooks_mongo.MongoStore(
        cast("Any", RefusingDriver(answered(OTHER_OPTIONS))), StoreCalls(1.0, webhooks_fault_of)
    )
    with pytest.raises(PermanentError) as caught:
        await webhooks_app._prepare(store)
    assert str(caught.value) == (
        "the store refused to create indexes: IndexKeySpecsConflict (86): an index of this name has another key. "
        "This does not heal by itself; mend it and start again"
    )


def test_the_words_of_a_store_are_told_without_credentials() -> None:
    error = refusal(18, "AuthenticationFailed", "cannot log in at mongodb://anna:pw@db/x", doing="ping")
    assert str(error) == "the store refused to ping: AuthenticationFailed (18): cannot log in at mongodb://•••@db/x"
