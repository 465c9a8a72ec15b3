"""`calliope-admin organizations …` and `keys …` against a running service."""

from pathlib import Path

import pytest

from calliope import api_keys
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import Authenticate, Principal, Scope
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.ids import new_id
from support.admin import Said, admin, admin_here
from support.assistants import Asking
from support.nats import NatsServer

EVERYTHING = [scope.value for scope in Scope]


class Operator:
    """Says things to one bus."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def say(self, *words: str) -> Said:
        return await admin_here(*words, "--nats", self._url)


@pytest.fixture
def operator(asking: Asking, nats_server: NatsServer) -> Operator:
    """While the service runs."""
    return Operator(nats_server.url)


async def whose(asking: Asking, key: str) -> Principal:
    payload = Authenticate(key_sha256=api_keys.digest(key))
    return await asking.commands.call(Command.IDENTITY_AUTHENTICATE, payload, reply_type=Principal)


async def test_one_command_gives_a_production_its_first_key(
    operator: Operator, asking: Asking, nats_server: NatsServer, tmp_path: Path
) -> None:
    create = ("organizations", "create", name := new_id("Acme"), "--key", "--json")
    said = await admin(*create, "--nats", nats_server.url, cwd=tmp_path)
    assert (said.status, said.err) == (0, "")
    made = said.json
    principal = await whose(asking, made["key"]["key"])
    assert (principal.organization_id, list(principal.scopes)) == (made["organization"]["id"], EVERYTHING)
    listed = await operator.say("organizations", "list")
    assert [line.split()[:2] for line in listed.out.splitlines() if name in line] == [[principal.organization_id, name]]


async def test_a_name_that_is_taken_is_one_line(operator: Operator) -> None:
    name = new_id("Acme")
    first = await operator.say("organizations", "create", name)
    assert "keys create" in first.out
    again = await operator.say("organizations", "create", name, "--key")
    assert (again.status, again.out, again.err.count("\n")) == (1, "", 1)
    assert "already: choose another name" in again.err


async def test_a_key_is_shown_once_listed_and_revoked(operator: Operator, asking: Asking) -> None:
    made = (await operator.say("organizations", "create", new_id("Acme"), "--json")).json
    of = ("--organization", made["organization"]["id"])
    shown = await operator.say("keys", "create", "CI", "--scope", "calls:read,assistants:read", "--expires", "90d", *of)
    (key,) = [word for word in shown.out.split() if word.startswith(api_keys.PREFIX)]
    principal = await whose(asking, key)
    assert principal.scopes == ("assistants:read", "calls:read")
    assert principal.expires_at is not None
    listed = await operator.say("keys", "list", *of)
    assert listed.out.splitlines()[1].split()[:4] == [principal.key_id, "CI", f"…{key[-4:]}", "active"]
    assert key not in listed.out
    revoked = await operator.say("keys", "revoke", principal.key_id, *of)
    assert revoked.out == f"{principal.key_id} (CI) is revoked.\n"
    with pytest.raises(CommandError) as caught:
        await whose(asking, key)
    assert caught.value.code is ErrorCode.UNAUTHORIZED
    assert (await operator.say("keys", "list", *of, "--json")).json == {"items": []}
    (item,) = (await operator.say("keys", "list", "--all", *of, "--json")).json["items"]
    assert (item["state"], item["revoked_by"]) == ("revoked", None)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("keys", "create", "CI", "--scope", "call:read", "--organization", "org_local"), "did you mean 'calls:read'?"),
        (("keys", "create", "x" * 101, "--all-scopes", "--organization", "org_local"), "1 to 100 characters"),
        (("keys", "create", "CI", "--all-scopes", "--organization", "org_typo"), "there is no organization 'org_typo'"),
        (("keys", "list", "--organization", "org_typo"), "there is no organization 'org_typo'"),
        (("keys", "revoke", "key_unknown", "--organization", "org_local"), "there is no API key 'key_unknown'"),
        (("keys", "revoke", "x" * 200, "--organization", "org_local"), "128"),
        (("organizations", "create", " "), "name: must be text"),
    ],
)
async def test_a_refusal_is_one_line_of_words(operator: Operator, words: tuple[str, ...], expected: str) -> None:
    said = await operator.say(*words)
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert expected in said.err
