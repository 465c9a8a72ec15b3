"""`calliope-admin dead-letters …` against a real bus."""

import json
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client

from calliope.contracts import subjects
from calliope.messaging.streams import WEBHOOKS_FANOUT
from calliope.settings import NatsSettings
from support.admin import Said, admin_here
from support.nats import bus_settings

__all__ = ["bus_settings"]

BODY = json.dumps(
    {
        "subject": "call/call_9",
        "data": {"from_number": "+15550001111", "api_key": "sk-live-1", "text": "my\u202e words"},
    }
).encode()


class Letters:
    """Lets messages die, and asks the operator's command about them."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url

    async def die(
        self, call: str, *, reason: str = "permanent", durable: str = "webhooks-fanout", body: bytes = BODY
    ) -> int:
        """The number of a new letter, whose message lies in EVENTS."""
        jetstream = self._client.jetstream()
        subject = f"calliope.evt.org_1.call.{call}.started"
        place = (await jetstream.publish(subject, body, headers={"Nats-Msg-Id": f"evt_{call}"})).seq
        headers = {
            "Calliope-Message-Id": f"evt_{call}",
            "Calliope-Reason": reason,
            "Calliope-Error": "PermanentError",
            "Calliope-Detail": "the endpoint is unknown",
            "Calliope-Subject": subject,
            "Calliope-Stream": "EVENTS",
            "Calliope-Stream-Sequence": str(place),
            "Calliope-Deliveries": "3",
        }
        return (await jetstream.publish(subjects.dead_letter(durable, reason), body, headers=headers)).seq

    async def handed(self, durable: str = "webhooks-fanout") -> list[bytes]:
        """What its reader was given by replays."""
        reading = await self._client.jetstream().pull_subscribe_bind(durable=durable, stream="EVENTS")
        info = await reading.consumer_info()
        found = [*await reading.fetch(info.num_pending or 1, timeout=2)]
        await reading.unsubscribe()
        return [each.data for each in found if each.subject.startswith("calliope.replay.")]

    async def say(self, *words: str) -> Said:
        return await admin_here("dead-letters", *words, "--nats", self._url)


@pytest.fixture
async def letters(bus_settings: NatsSettings) -> AsyncIterator[Letters]:
    client = await nats.connect(bus_settings.url)
    yield Letters(client, bus_settings.url)
    await client.close()


async def test_what_was_given_up_is_a_table_with_what_to_do(letters: Letters) -> None:
    first, second = await letters.die("call_1"), await letters.die("call_2", reason="exhausted")
    said = await letters.say("list")
    head, *rows = said.out.splitlines()
    assert (said.status, said.err) == (0, "")
    assert head.split("  ")[0] == "ID"
    assert [row.split()[0] for row in rows[:2]] == [str(first), str(second)]
    assert "webhooks-fanout  permanent  calliope.evt.*.call.*.started  mend, replay" in rows[0]
    assert "permanent: a handler said that it can never work. Mend what its detail says, then replay." in rows
    assert "call_1" not in said.out


async def test_nothing_given_up_is_one_sentence(letters: Letters) -> None:
    assert (await letters.say("list")).out == "No message was given up.\n"
    assert (await letters.say("replay", "--all")).out.startswith("Nothing to replay")


async def test_pages_filters_and_scripts(letters: Letters) -> None:
    ids = [await letters.die(f"call_{n}") for n in (1, 2)]
    other = await letters.die("call_3", durable="assistants-projection")
    page = (await letters.say("list", "--limit", "1", "--json")).json
    assert ([each["id"] for each in page["items"]], page["next_after"]) == ([ids[0]], ids[0])
    rest = (await letters.say("list", "--after", str(ids[0]), "--json")).json
    assert [each["id"] for each in rest["items"]] == [ids[1], other]
    assert rest["items"][0]["to_do"] == "Mend what its detail says, then replay."
    mine = (await letters.say("list", "--durable", "assistants-projection", "--since", "1h", "--json")).json
    assert [each["id"] for each in mine["items"]] == [other]
    assert "There are more: --after" in (await letters.say("list", "--limit", "2")).out


async def test_a_letter_is_shown_without_its_message_unless_asked_for(letters: Letters) -> None:
    number = await letters.die("call_1")
    plain = await letters.say("show", str(number))
    whole = await letters.say("show", str(number), "--payload")
    scripts = (await letters.say("show", str(number), "--json")).json
    assert "PermanentError: the endpoint is unknown" in plain.out
    assert "calliope.evt.org_1.call.call_1.started" in plain.out
    assert "evt_call_1" in plain.out
    assert "--payload shows it" in plain.out
    assert "+1555" not in plain.out
    assert "payload" not in scripts
    assert '"from_number": "+15550001111"' in whole.out
    assert "sk-live-1" not in whole.out
    assert "my\\u202e words" in whole.out


async def test_a_message_that_is_no_json_is_shown_in_base64(letters: Letters) -> None:
    number = await letters.die("call_1", reason="malformed", body=b"\x1b[2Jsecret")
    said = await letters.say("show", str(number), "--payload")
    assert "\x1b" not in said.out
    assert "G1sySnNlY3JldA==" in said.out


async def test_named_letters_are_replayed_each_once(letters: Letters) -> None:
    number = await letters.die("call_1")
    first = await letters.say("replay", str(number))
    again = await letters.say("replay", str(number))
    assert (first.status, again.status) == (0, 0)
    assert first.out.startswith("Replayed 1 message to webhooks-fanout.\n")
    assert again.out == f"Skipped {number}: it was replayed before.\n"
    assert await letters.handed() == [BODY]
    assert (await letters.say("list")).out == "No message was given up.\n"
    assert "replayed 20" in (await letters.say("list", "--replayed")).out
    assert "Nothing: it was replayed." in (await letters.say("show", str(number))).out


async def test_many_are_replayed_only_after_a_yes(letters: Letters) -> None:
    for n in range(3):
        await letters.die(f"call_{n}")
    other = await letters.die("call_9", durable="assistants-projection")
    unasked = await letters.say("replay", "--durable", "webhooks-fanout")
    assert (unasked.status, unasked.out) == (2, "")
    assert "3 messages would be given to their durable consumers again (webhooks-fanout, permanent: 3)" in unasked.err
    assert "say --yes" in unasked.err
    some = await letters.say("replay", "--all", "--limit", "2", "--yes", "--json")
    assert (len(some.json["items"]), some.json["more"]) == (2, True)
    rest = await letters.say("replay", "--since", "1d", "--yes")
    assert "Replayed 1 message to assistants-projection.\nReplayed 1 message to webhooks-fanout.\n" in rest.out
    assert len(await letters.handed(WEBHOOKS_FANOUT.name)) == 3
    assert str(other) in (await letters.say("list", "--replayed")).out


async def test_what_cannot_be_replayed_is_said_and_the_rest_is_done(letters: Letters) -> None:
    number, old = await letters.die("call_1"), await letters.die("call_2", durable="webhooks-old")
    said = await letters.say("replay", str(number), str(old), "99")
    assert said.status == 1
    assert "Replayed 1 message to webhooks-fanout." in said.out
    assert f"Skipped {old}: it belongs to a durable consumer that this version does not have." in said.out
    assert "Skipped 99: there is no such dead letter" in said.out


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("show", "seven"), 2, "argument ID: 'seven' is no whole number above 0, such as 7"),
        (("show", "0"), 2, "argument ID: '0' is no whole number"),
        (("show", "7"), 1, "There is no dead letter 7: list them"),
        (("list", "--durable", "webhook-fanout"), 2, "argument --durable: there is no durable consumer"),
        (("list", "--durable", "webhook-fanout"), 2, "did you mean webhooks-fanout?"),
        (("list", "--durable", "x"), 2, "take one of webhooks-fanout, webhooks-wake"),
        (("list", "--since", "tomorrow"), 2, "argument --since: 'tomorrow' is neither how long ago, such as 30m"),
        (("list", "--since", "2999-01-01T00:00:00Z"), 2, "is still to come"),
        (("list", "--limit", "501"), 2, "--limit can be 500 at most"),
        (("replay",), 2, "Say which"),
        (("replay", "7", "--all"), 2, "Say which"),
    ],
)
async def test_a_refusal_names_what_is_wrong(
    letters: Letters, words: tuple[str, ...], status: int, expected: str
) -> None:
    said = await letters.say(*words)
    assert (said.status, said.out) == (status, "")
    assert expected in said.err
