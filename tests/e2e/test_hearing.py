"""Whole calls through other recognisers, a recording that replays, and a key that is refused."""

import asyncio

import pytest

from calliope_call_worker.replay_command import replay_command
from support.house import GREETING, House, Json, a_document, facts, heard_text, said

CALLER: list[Json] = [
    {"wait_for": "Anna"},
    {"wait_for_silence_ms": 300},
    {"say": "Hi, what are your opening hours?"},
    {"interrupt": {"after_words": 4, "say": "Sorry, I meant can I book a table tomorrow"}},
    {"wait_for": "anything else"},
    {"wait_for_silence_ms": 300},
    {"say": "No thank you, goodbye"},
    {"expect_hang_up": True},
]
TURNS: Json = {"model": "flux-general-en", "eager_eot_threshold": 0.4, "keyterms": ["Anna"]}
WORDS: Json = {"model": "nova-2-phonecall", "keywords": [{"keyword": "Anna", "intensifier": 2}], "numerals": True}


@pytest.mark.parametrize("stt", [TURNS, WORDS], ids=["flux", "nova-2"])
async def test_a_call_is_heard_answered_recorded_and_decided_the_same_again(
    house: House, stt: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    line = await house.phone_line(a_document(stt_settings=stt, journal_inputs=True))

    call, record = await house.call(line, CALLER)

    assert call["failed"] is None
    assert said(record, "user") == " ".join(step["say"] for step in (CALLER[2], CALLER[3]["interrupt"], CALLER[6]))
    assert record["ended_reason"] == "assistant_ended"
    assert record["problems"] == []
    assert len(facts(record, "interrupted")) == 1
    file = house.stack.folder / "recordings" / f"{record['id']}.jsonl"
    async with asyncio.timeout(10):
        while '"end_call"' not in (file.read_text() if file.exists() else ""):  # noqa: ASYNC110 - not our process writes
            await asyncio.sleep(0.05)
    assert replay_command([str(file)]) == 0
    assert replay_command([str(file), "--set", "interruption_threshold=50"]) == 1
    assert "interrupt" in capsys.readouterr().out


async def test_a_refused_key_ends_the_call_with_an_apology_and_tells_the_developer(house: House) -> None:
    line = await house.phone_line(a_document(stt_settings={"api_key": "bad-key"}))

    call, record = await house.call(line, [{"wait_for": "Goodbye"}, {"expect_hang_up": True}])

    problem = record["problems"][0]
    assert (problem["stage"], problem["provider"], problem["reason"]) == ("stt", "deepgram", "key")
    assert "401" in problem["detail"]
    assert record["ended_reason"] == "provider_failed"
    assert heard_text(call).removeprefix(GREETING).strip().startswith("I am sorry, we have a technical problem.")
    assert "bad-key" not in str(record)
