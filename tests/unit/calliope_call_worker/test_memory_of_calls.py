"""What a call remembers does not grow with its length: only the history does, up to its own bound."""

import gc
from collections import Counter, deque
from collections.abc import Iterator

from calliope.contracts.calls import ToolFinished, TurnCommitted, TurnStarted
from calliope_call_worker.call import Call
from calliope_call_worker.conversation import Conversation
from calliope_call_worker.providers.llm.base import Finished, TextDelta, ToolCall
from calliope_call_worker.providers.stt.base import Transcript
from support.virtual_time import in_virtual_time
from support.waiting import until
from support.whole_call import WholeCall, a_call

BOOKING = {
    "end_call": {"enabled": False},
    "custom_tools": [{"name": "book", "description": "Books.", "url": "https://127.0.0.1/book"}],
}
BUILT_IN = (dict, list, tuple, set, deque)


def containers(call: Call) -> Counter[str]:
    """How many things the collections of a call hold, by who holds them. The history has a bound of its own."""
    found: Counter[str] = Counter()
    for owner, collection in _walk(call):
        found[owner] += len(collection)
    return found


def _walk(call: Call) -> Iterator[tuple[str, "dict[object, object] | deque[object]"]]:
    seen, todo = {id(call)}, list[tuple[str, object]]([("Call", call)])
    while todo:
        owner, found = todo.pop()
        for held in gc.get_referents(found):
            ours = type(held).__module__.startswith("calliope_call_worker")
            if id(held) in seen or isinstance(held, type | Conversation) or not (ours or isinstance(held, BUILT_IN)):
                continue
            seen.add(id(held))
            if isinstance(held, dict | list | set | deque):
                yield owner, held  # type: ignore[misc]
            todo.append((type(held).__name__ if ours else owner, held))


async def turns(talk: WholeCall, count: int) -> None:
    """The caller asks, the model calls a tool, the assistant answers; so many times."""
    for _ in range(count):
        turn = len(talk.facts(TurnStarted)) + 1
        call, answer = ToolCall(f"t{turn}", "book", "{}"), TextDelta(f"Number {turn} is booked. ")
        talk.model.then([call, Finished("tool_calls")], [answer, Finished("stop")])
        at_ms = turn * 2_000.0
        await talk.hears(Transcript(f"please book number {turn}", True, True, at_ms, at_ms + 1_000))
        await until(lambda: len(talk.facts(TurnCommitted)) == len(talk.facts(TurnStarted)) == turn)  # noqa: B023


@in_virtual_time
async def test_a_call_of_many_turns_holds_as_much_as_one_half_as_long() -> None:
    async with a_call(tools_settings=BOOKING) as talk:
        await turns(talk, 40)  # the recogniser may repeat any of the last 32 pieces
        after_half = containers(talk.call)
        await turns(talk, 40)
        after_all = containers(talk.call)
    assert len(talk.facts(ToolFinished)) == 79, "the first turn is answered without a tool"
    assert after_half["Toolbox"], "the walk finds what a call holds"
    assert after_all - after_half == Counter()
