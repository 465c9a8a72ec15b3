"""How a model ends a call or hands it over: what the caller hears to its end first, and who is dialled."""

from urllib.parse import quote

import pytest

from calliope_local.stack import LocalStack
from support.house import GREETING, House, Json
from support.scenes import Scene, Seen, call_of, play, played

READY: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 300}]
DESK, BUSY_DESK, NOBODY = "+15557770001", "+15557770002", "+15557770003"
SO = "Certainly it is so."
DROPPED: list[Json] = [{"expect_hang_up": True}]
ANSWERED: list[Json] = [{"wait_for": "it is so"}, {"hang_up": True}]


def transferring(number: str, say: str = "", *, until: list[Json], custom: str | None = None, times: int = 1) -> Scene:
    offer = {"enabled": True, "transfer_numbers": [DESK, BUSY_DESK], "custom_message": custom}
    return Scene(
        [*READY, {"say": "a person please"}, *until],
        [
            {"after_tool": True, "say": SO},
            {"say": say, "tool_calls": [call_of("transfer_call", destination=number)] * times},
        ],
        {"tools_settings": {"transfer_call": offer}},
    )


def ending(say: str, custom: str | None, *more: Json) -> Scene:
    return Scene(
        [*READY, {"say": "that is all"}, {"expect_hang_up": True}],
        [{"say": say, "tool_calls": [call_of("end_call"), *more]}],
        {"tools_settings": {"end_call": {"enabled": True, "custom_message": custom}}},
    )


SCENES = {
    "end with words": ending("Thank you for calling, and good night to you.", None),
    "end with a custom line": ending("", "It was a pleasure to serve you. Goodbye."),
    "end without words": ending("", None),
    "end twice": ending("Good night.", None, call_of("end_call")),
    "transfer": transferring(DESK, until=DROPPED, custom="I will put you through to the front desk."),
    "transfer with words": transferring(DESK, "Please hold the line.", until=DROPPED),
    "transfer twice in one answer": transferring(DESK, until=DROPPED, times=2),
    "transfer to a stranger": transferring(NOBODY, until=ANSWERED),
    "transfer to a busy desk": transferring(BUSY_DESK, until=DROPPED),
}


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> dict[str, Seen]:
    busy: Json = {"outcome": "busy"}
    return played(stack, SCENES, before=[("PUT", f"/sandbox/twilio/dialled/{quote(BUSY_DESK)}", busy)])


def test_every_caller_could_follow_the_script(seen: dict[str, Seen]) -> None:
    failed = {name: (talk.call["failed"], talk.call["problems"], talk.assistant) for name, talk in seen.items()}
    assert {name: what for name, what in failed.items() if what[0] or what[1]} == {}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("end with words", "Thank you for calling, and good night to you."),
        ("end with a custom line", "It was a pleasure to serve you. Goodbye."),
        ("end without words", "Thank you for calling. Goodbye."),
        ("end twice", "Good night."),
    ],
)
def test_the_goodbye_is_heard_to_its_end_before_the_line_drops(seen: dict[str, Seen], name: str, line: str) -> None:
    talk = seen[name]

    assert talk.heard == f"{GREETING} {line}"
    assert talk.assistant == [GREETING, line]
    assert (talk.record["ended_reason"], talk.call["ended_by"]) == ("assistant_ended", "product")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("transfer", "I will put you through to the front desk."),
        ("transfer with words", "Please hold the line."),
        ("transfer twice in one answer", "One moment please, I am connecting you."),
    ],
)
def test_a_transfer_goes_to_the_listed_number_after_its_words_were_heard(
    seen: dict[str, Seen], name: str, line: str
) -> None:
    talk = seen[name]

    assert talk.call["dials"] == [{"number": DESK, "outcome": "completed"}]
    assert talk.heard == f"{GREETING} {line}"
    assert talk.record["ended_reason"] == "transferred"
    assert [started["to_number"] for started in talk.facts("transfer_started")] == [DESK]
    answers = [message for message in talk.facts("turn_committed")[-1]["messages"] if message["role"] == "tool"]
    assert answers[0]["content"] == "the caller is being connected"


def test_a_number_that_is_not_listed_is_never_dialled_whatever_the_model_says(seen: dict[str, Seen]) -> None:
    talk = seen["transfer to a stranger"]

    assert (talk.call["dials"], talk.facts("transfer_started")) == ([], [])
    assert NOBODY in talk.results[0]
    assert talk.assistant[-1].endswith(SO)


def test_a_transfer_that_nobody_takes_is_told_to_the_caller(seen: dict[str, Seen]) -> None:
    talk = seen["transfer to a busy desk"]

    assert talk.call["dials"] == [{"number": BUSY_DESK, "outcome": "busy"}]
    assert talk.heard.endswith("sorry, nobody could take your call. Please call again later.")


async def test_a_transfer_that_the_carrier_refuses_is_told_to_the_model_who_speaks(house: House) -> None:
    fault = {"vendor": "twilio", "kind": "refuse", "status": 500}
    await house.sandbox("POST", "/sandbox/faults", fault)
    scene = transferring(DESK, until=ANSWERED, times=2)

    talk = await play(house, scene)

    assert talk.call["dials"] == []
    assert talk.results[0] == "the transfer failed; nobody could be reached"
    assert talk.assistant[-1].endswith(SO)
    assert [failed["stage"] for failed in talk.facts("provider_failed")] == ["carrier"]
    assert talk.record["ended_reason"] == "caller_hung_up"
