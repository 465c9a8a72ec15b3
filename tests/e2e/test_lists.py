"""No list of the API says anything else of a thing than the thing's own answer does."""

import asyncio
from typing import Final

from support.house import House, Json, a_document

WITHOUT_ANSWER_OF_ITS_OWN: Final = {
    "/api/v1/phone-numbers",
    "/api/v1/webhook-deliveries",
    "/api/v1/api-keys",
}
"""Lists that show all there is: their items cannot be asked for one by one."""


def lists_of(openapi: Json) -> dict[str, str | None]:
    """Every path that answers with items, and the path that answers with one of them."""
    found: dict[str, str | None] = {}
    for path, operations in openapi["paths"].items():
        if "get" not in operations or "{" in path:
            continue
        (schema,) = operations["get"]["responses"]["200"]["content"].values()
        model = openapi["components"]["schemas"][schema["schema"]["$ref"].rpartition("/")[2]]
        if "items" in model.get("properties", {}):
            ones = [one for one in openapi["paths"] if one.startswith(f"{path}/{{") and one.endswith("}")]
            found[path] = next((one for one in ones if "get" in openapi["paths"][one]), None)
    return found


async def test_a_list_says_of_each_thing_what_its_own_answer_says(house: House) -> None:
    broken = a_document(llm_provider_config={"api_key": "wrong", "model": "gpt-4o-mini"})
    for document in (a_document(), broken):
        line = await house.phone_line(document)
        await house.call(line, [{"wait_for": "Anna"}, {"say": "hello there"}, {"pause_ms": 2_000}, {"hang_up": True}])

    lists = lists_of((await house.api("GET", "/openapi.json")).body)
    assert {path for path, one in lists.items() if one is None} == WITHOUT_ANSWER_OF_ITS_OWN
    for path, one in lists.items():
        listed, own = await shown(house, path, one)
        assert listed, f"{path} lists nothing"
        for item, alone in zip(listed, own, strict=bool(one)):
            assert {name: alone.get(name, "is not there") for name in item} == item, f"{path} contradicts {one}"


async def shown(house: House, path: str, one: str | None) -> tuple[list[Json], list[Json]]:
    """The first things of a list, and each alone, as they were while nothing of them changed."""
    async with asyncio.timeout(20):
        while True:
            before = (await house.api("GET", f"{path}?limit=5" if one else path)).body["items"]
            own = [(await house.api("GET", f"{path}/{item['id']}")).body for item in (before if one else ())]
            if not one or (await house.api("GET", f"{path}?limit=5")).body["items"] == before:
                return before, own
