"""Server-sent events survive every way of cutting and decorating them."""

import pytest

from calliope_call_worker.providers.llm.sse import SseError, SseReader

STREAM = 'data: {"a":"hé"}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n'.encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_a_stream_may_be_cut_anywhere(size: int) -> None:
    reader = SseReader()
    values = [value for at in range(0, len(STREAM), size) for value in reader.feed(STREAM[at : at + size])]
    assert values == [{"a": "hé"}, {"b": 2}]
    assert reader.done


@pytest.mark.parametrize(
    "stream",
    [
        b'data: {"a":1}\r\n\r\ndata: {"b":2}\r\n\r\n',
        b': ping\n\ndata:{"a":1}\n\nevent: x\nid: 7\ndata: {"b":2}\n\n',
        b'data: {"a":1}\ndata: {"b":2}\n',
        b'data: {"a":\ndata: 1}\n\ndata: {"b":2}\n\n',
        b'data: {"a":1}\n\ndata: {"b":2}',
        b'data: {"a":1}\n\n{\n  "b": 2\n}\n',
    ],
)
def test_decorations_and_sloppiness_do_not_matter(stream: bytes) -> None:
    reader = SseReader()
    assert reader.feed(stream) + reader.finish() == [{"a": 1}, {"b": 2}]
    assert not reader.done


def test_what_is_no_json_is_refused() -> None:
    reader = SseReader()
    with pytest.raises(SseError):
        reader.feed(b"data: <html>\n\n")
