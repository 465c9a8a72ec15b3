"""After the call: a summary and data that fit the schema, once, whatever happens to who makes them."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calliope.contracts.calls import CallEnded, EndReason, ProviderFailed, Stage
from calliope.messaging import streams
from calliope.messaging.dead_letters import DeadLetters
from calliope.messaging.streams import CALL_WORKER_ANALYSIS
from calliope.observability import metrics
from calliope.settings import NatsSettings
from calliope_call_worker.adapters.pins import NatsPins
from support.aftermath import KEY, SCHEMA, Aftermath, aftermath
from support.nats import NatsServer, provisioned
from support.waiting import until

GOOD = {"people": 2, "name": "Ada"}
ASKS_FOR_DATA = "The JSON Schema of your answer"
REPAIR = "cannot be used"
SLOW_MS = 2_500


def says(house: Aftermath, *rules: dict[str, Any]) -> None:
    house.sandbox.scripts.put({"name": "after", "rules": list(rules)})


def data_is(value: Any) -> dict[str, Any]:
    return {"system": ASKS_FOR_DATA, "json": value}


async def test_a_call_gets_its_summary_and_its_data(house: Aftermath) -> None:
    house.assistant(structured_data_schema=SCHEMA)
    says(house, data_is(GOOD))
    call_id = await house.call()
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert analyzed.data["status"] == "done"
    assert analyzed.data["structured_data"] == GOOD
    assert "my name is Ada" in str(analyzed.data["summary"])
    assert analyzed.data["error"] is None
    summary, data = (question["request"] for question in house.questions)
    assert (summary["temperature"], data["temperature"]) == (0, 0)
    assert data["response_format"]["json_schema"]["schema"] == SCHEMA
    assert await house.unfinished() == 0


async def test_without_a_schema_or_prompt_there_is_a_summary_only(house: Aftermath) -> None:
    house.assistant()
    call_id = await house.call()
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert (analyzed.data["status"], analyzed.data["structured_data"]) == ("done", None)
    assert len(house.questions) == 1


async def test_a_call_without_a_word_of_its_caller_is_skipped(house: Aftermath) -> None:
    house.assistant(structured_data_schema=SCHEMA)
    call_id = await house.call(talk=())
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert (analyzed.data["status"], analyzed.data["summary"]) == ("skipped", None)
    assert house.questions == []


async def test_a_wrong_answer_is_shown_to_the_model_and_repaired(house: Aftermath) -> None:
    house.assistant(structured_data_schema=SCHEMA)
    says(house, {"match": REPAIR, **data_is(GOOD)}, data_is({"people": 0}))
    call_id = await house.call()
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert (analyzed.data["status"], analyzed.data["structured_data"]) == ("done", GOOD)
    repair = house.questions[2]
    assert "'name' is a required property" in repair["user_text"]
    assert "at people: 0 is less than the minimum of 1" in repair["user_text"]


async def test_an_answer_that_stays_wrong_fails_honestly_and_leaves_the_summary(house: Aftermath) -> None:
    house.assistant(structured_data_schema=SCHEMA)
    says(house, data_is({"people": "two", "name": "Ada"}))
    call_id = await house.call()
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert (analyzed.data["status"], analyzed.data["structured_data"]) == ("failed", None)
    assert "my name is Ada" in str(analyzed.data["summary"])
    assert "structured_data: still wrong after one repair: at people: 'two' is not" in str(analyzed.data["error"])
    assert len(house.questions) == 3


async def test_a_refused_key_fails_at_once_and_is_never_shown(house: Aftermath) -> None:
    house.assistant(structured_data_schema=SCHEMA)
    house.sandbox.knobs.turn({"openai": {"rejected_keys": [KEY]}})
    call_id = await house.call()
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert analyzed.data["status"] == "failed"
    assert "openai: key" in str(analyzed.data["error"])
    assert KEY not in analyzed.model_dump_json()


async def test_a_model_that_is_busy_is_asked_again_later(house: Aftermath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its wish for 0.2 s shortens no schedule of ours, so the schedule is shortened here."""
    durable = replace(CALL_WORKER_ANALYSIS, retry_delays_s=(0.1,))
    monkeypatch.setitem(streams._BY_NAME, durable.name, durable)
    house.assistant()
    says(house, {"fail": {"status": 429, "retry_after_s": 0.2}, "times": 1}, {"say": "Fine."})
    call_id = await house.call()
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert (analyzed.data["status"], analyzed.data["summary"]) == ("done", "Fine.")
    assert len(house.questions) == 2


async def test_a_schema_that_never_ends_to_check_fails_and_holds_nobody_up(house: Aftermath) -> None:
    house.analysis = house.analysis.model_copy(update={"check_deadline_s": 0.5, "at_once": 1})
    house.assistant(structured_data_schema={"type": "string", "pattern": "^(a+)+$"})
    says(house, data_is("a" * 60 + "!"))
    first, second = await house.call(), await house.call()
    async with house.workers():
        for call_id in (first, second):
            analyzed = await house.analyzed(call_id)
            assert analyzed.data["status"] == "failed"
            assert "takes over 0.5 s to check" in str(analyzed.data["error"])


async def test_two_workers_do_every_call_once(house: Aftermath) -> None:
    house.assistant()
    calls = [await house.call() for _ in range(12)]
    async with house.workers(2):
        for call_id in calls:
            await house.analyzed(call_id)
    assert len(house.questions) == len(calls)
    assert await house.unfinished() == 0


async def test_what_a_killed_worker_had_begun_is_done_by_another(house: Aftermath, tmp_path: Path) -> None:
    house.assistant()
    await house.redelivered_after(1.0)
    says(house, {"wait_ms": 60_000, "say": "Never.", "times": 1}, {"say": "Done by the other."})
    call_id = await house.call()
    async with house.worker_process(tmp_path) as process:
        await until(lambda: len(house.questions) == 1, within_s=20)
        process.send_signal(signal.SIGKILL)
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert analyzed.data["summary"] == "Done by the other."
    assert await house.unfinished() == 0


async def test_a_model_slower_than_the_server_waits_is_asked_by_one_worker_only(house: Aftermath) -> None:
    house.assistant()
    await house.redelivered_after(1.0)
    says(house, {"wait_ms": SLOW_MS, "say": "Slowly."})
    call_id = await house.call()
    async with house.workers(2):
        assert (await house.analyzed(call_id)).data["summary"] == "Slowly."
    assert len(house.questions) == 1


async def test_a_worker_that_stops_gives_back_what_it_had_begun(house: Aftermath) -> None:
    """The server would wait 30 s; the test would not."""
    house.assistant()
    says(house, {"wait_ms": 60_000, "say": "Never.", "times": 1}, {"say": "Done by the next."})
    call_id = await house.call()
    async with house.workers():
        await until(lambda: len(house.questions) == 1)
    async with house.workers():
        assert (await house.analyzed(call_id)).data["summary"] == "Done by the next."


async def test_a_call_that_was_analysed_already_is_left_alone(house: Aftermath) -> None:
    """As after a lost acknowledgement."""
    house.assistant()
    call_id = await house.call()
    async with house.workers():
        await house.analyzed(call_id)
        await house.tell(call_id, 7, CallEnded(reason=EndReason.CALLER_HUNG_UP, duration_ms=1))
        await until_settled(house)
    names = [fact.name for fact in await house.journal(call_id, until="analyzed")]
    assert names.count("analyzed") == 1
    assert len(house.questions) == 1


async def test_a_fact_that_comes_late_gets_its_place_before_the_result(house: Aftermath) -> None:
    house.assistant()
    says(house, {"wait_ms": 500, "say": "Done."})
    call_id = await house.call()
    async with house.workers():
        await until(lambda: len(house.questions) == 1)
        await house.tell(call_id, 7, ProviderFailed(stage=Stage.TTS, provider="elevenlabs", reason="dropped"))
        assert (await house.analyzed(call_id)).sequence == 8


async def test_the_revision_that_took_the_call_is_what_counts(house: Aftermath) -> None:
    """Also when the assistant was changed, or deleted, since."""
    pins = NatsPins(house.bus)
    await pins.keep(house.assistant(structured_data_schema=SCHEMA))
    house.assistants.clear()
    says(house, data_is(GOOD))
    call_id = await house.call()
    async with house.workers():
        assert (await house.analyzed(call_id)).data["structured_data"] == GOOD


async def test_a_deleted_assistant_that_nobody_kept_is_a_failure_in_words(house: Aftermath) -> None:
    call_id = await house.call()
    async with house.workers():
        analyzed = await house.analyzed(call_id)
    assert analyzed.data["status"] == "failed"
    assert "the assistant was deleted" in str(analyzed.data["error"])


async def test_a_server_that_is_killed_meanwhile_loses_nothing_and_doubles_nothing(own_nats_server: NatsServer) -> None:
    """It may have forgotten to whom it gave the work, and give it again; the result is stored once all the same."""
    await provisioned(own_nats_server.url)
    async with aftermath(NatsSettings(url=own_nats_server.url)) as house:
        house.assistant()
        await house.redelivered_after(2.0)
        says(house, {"wait_ms": 1_000, "say": "Done."})
        call_id = await house.call()
        async with house.workers():
            await until(lambda: len(house.questions) == 1)
            own_nats_server.kill()
            own_nats_server.start()
            assert (await house.analyzed(call_id)).data["summary"] == "Done."
            await until_settled(house)
            await house.analyzed(call_id)


@pytest.mark.promise("P3")
async def test_what_is_away_at_the_last_delivery_is_waited_for(
    house: Aftermath, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable = replace(CALL_WORKER_ANALYSIS, max_deliver=1)
    monkeypatch.setitem(streams._BY_NAME, durable.name, durable)
    monkeypatch.setattr("calliope_call_worker.adapters.analysis_work.CALL_WORKER_ANALYSIS", durable)
    house.assistant()
    house.assistants_are_away = True
    call_id = await house.call()
    async with house.workers():
        await until(lambda: metrics.REGISTRY.get_sample_value("calliope_bus_held_messages", {"durable": durable.name}))
        house.assistants_are_away = False
        assert (await house.analyzed(call_id)).data["status"] == "done"
        await until_settled(house)
    assert await DeadLetters(house.bus).counts() == {}


async def test_a_worker_that_stops_gives_back_what_waits_for_somebody(house: Aftermath) -> None:
    house.assistant()
    house.assistants_are_away = True
    call_id = await house.call()
    held = {"durable": CALL_WORKER_ANALYSIS.name}
    async with house.workers():
        await until(lambda: metrics.REGISTRY.get_sample_value("calliope_bus_held_messages", held))
    house.assistants_are_away = False
    async with house.workers():
        assert (await house.analyzed(call_id)).data["status"] == "done"


async def until_settled(house: Aftermath) -> None:
    async with asyncio.timeout(20):
        while await house.unfinished():  # noqa: ASYNC110 - the server has no Event
            await asyncio.sleep(0.02)
