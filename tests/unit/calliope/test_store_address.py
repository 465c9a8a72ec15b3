"""The address of the store: one that is none is said with its setting, without a part of its password."""

import pytest
from pydantic import SecretStr

from calliope.errors import PermanentError
from calliope.settings import MongoSettings
from calliope_assistants.adapters.mongo import MongoStore
from calliope_webhooks.adapters.mongo import connect


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://db:99999999",
        "mongodb://",
        "http://db:27017",
        "mongodb://user:can%ary5d1c@db:27017",
    ],
)
async def test_an_address_that_is_none_is_refused_in_words(url: str) -> None:
    settings = MongoSettings(url=SecretStr(url))
    with pytest.raises(PermanentError, match="CALLIOPE_MONGO__URL is no address of MongoDB") as of_assistants:
        MongoStore(settings)
    with pytest.raises(PermanentError) as of_webhooks:
        async with connect(settings):
            pass
    assert str(of_assistants.value) == str(of_webhooks.value)
    assert "5d1c" not in str(of_assistants.value)
    assert of_assistants.value.__suppress_context__
