"""A caller is connected to somebody else once, whatever of it is lost on the way: an answer, or the worker."""

import asyncio
import json
from collections.abc import Sequence
from typing import cast

import pytest

from calliope.contracts.calls import ToolStarted, TransferStarted
from calliope.contracts.document.tools import ToolsSettings
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import ToolCall
from calliope_call_worker.providers.telephony.base import CarrierAccount, CarrierApi, TransferRequest
from calliope_call_worker.tools.catalogue import TRANSFER_CALL
from calliope_call_worker.tools.http import HttpTools, ToolAnswer
from calliope_call_worker.tools.toolbox import Toolbox
from calliope_call_worker.transfer import DOUBT_S, Transfer
from support.virtual_time import in_virtual_time
from support.whole_call import TwinJournal, checked_here

NUMBER = "+15550001234"
TOOLS = ToolsSettings.model_validate({"transfer_call": {"enabled": True, "transfer_numbers": [NUMBER]}})


class Line:
    """A carrier that fails so, and ends the media so long afterwards, if at all; and the call that is connected."""

    shown_number = None
    carrier_call_id = "v3:a"
    account = CarrierAccount("7", "KEY1")

    def __init__(self, failure: Failure | None = None, media_ends_s: float | None = None) -> None:
        self.failure = failure
        self.media_ends_s = media_ends_s
        self.over = asyncio.Event()
        self.keys: list[str] = []
        self.problems: list[ProviderError] = []
        self.journal = TwinJournal()
        self.transfer_of_call = Transfer(
            cast("CallPlan", self),
            cast("CarrierApi", self),
            cast("Journal", self.journal),
            after_url="https://voice.example.test/after",
            over=self.over,
            tell_problem=self.problems.append,
        )

    async def transfer(self, _: object, wanted: TransferRequest) -> None:
        self.keys.append(wanted.key)
        if self.media_ends_s is not None:
            asyncio.get_running_loop().call_later(self.media_ends_s, self.over.set)
        if self.failure is not None:
            raise ProviderError("twilio", self.failure, "REST call took too long")


@pytest.mark.parametrize("failure", [Failure.DEADLINE, Failure.DROPPED, Failure.ERROR])
@in_virtual_time
async def test_a_transfer_whose_answer_was_lost_is_known_by_the_media_that_ended(failure: Failure) -> None:
    line = Line(failure, media_ends_s=DOUBT_S / 2)
    assert (await line.transfer_of_call.begin(NUMBER, "tool_1")).ok
    assert (line.keys, line.problems, line.transfer_of_call.under_way) == (["tool_1"], [], True)
    assert line.journal.facts == [TransferStarted(to_number=NUMBER)]


@pytest.mark.parametrize("failure", [Failure.DEADLINE, Failure.KEY, Failure.REFUSED])
@in_virtual_time
async def test_while_the_media_flows_nobody_was_connected(failure: Failure) -> None:
    line, now = Line(failure), asyncio.get_running_loop().time
    assert not (await line.transfer_of_call.begin(NUMBER, "tool_1")).ok
    assert ([problem.failure for problem in line.problems], line.transfer_of_call.under_way) == ([failure], False)
    assert now() <= DOUBT_S  # the caller waits for words about it


async def test_the_end_of_the_media_after_a_refusal_is_no_transfer() -> None:
    line = Line(Failure.REFUSED, media_ends_s=0.0)
    assert not (await line.transfer_of_call.begin(NUMBER, "tool_1")).ok
    assert not line.transfer_of_call.under_way


async def transferred(*call_ids: str, unknown: Sequence[ToolStarted] = ()) -> list[ToolStarted]:
    """The facts of these calls of the tool; the carrier is told of them by the same keys."""
    line = Line()
    async with asyncio.TaskGroup() as tasks:
        toolbox = Toolbox(
            "call_1",
            TOOLS,
            cast("HttpTools", None),
            cast("Journal", line.journal),
            lambda work, name: tasks.create_task(work, name=name),
            checked_here,
            unknown=unknown,
        )
        for call_id in call_ids:
            call = ToolCall(call_id, TRANSFER_CALL, json.dumps({"destination": NUMBER}))
            (checked,) = await toolbox.check([call])
            wish = toolbox.wish(checked)
            assert wish is not None

            async def begin(key: str) -> ToolAnswer:
                return await line.transfer_of_call.begin(NUMBER, key)

            await toolbox.grant(3, wish, begin)
    told = [fact for fact in line.journal.facts if isinstance(fact, ToolStarted)]
    assert [fact.idempotency_key for fact in told] == line.keys
    return told


@pytest.mark.promise("P3")
async def test_the_next_worker_repeats_a_transfer_by_the_same_key_and_a_second_one_has_its_own() -> None:
    first, second = await transferred("t1", "t2")
    (again,) = await transferred("t9", unknown=[first])
    assert first.idempotency_key == again.idempotency_key != second.idempotency_key
