"""What the log of deliveries shows of a receiver's answer: text as it was meant, and how much there was."""

import gzip
from collections.abc import Mapping

import pytest
from aiohttp import web

from calliope import egress
from calliope.settings import EgressSettings
from calliope_webhooks.model import Answer
from calliope_webhooks.targets.http import HttpTarget
from support.vendor_fakes import serving

LOOSE = EgressSettings.model_validate({"allow": ["127.0.0.0/8"], "allow_http": True})


async def answered(body: bytes, headers: Mapping[str, str]) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    async with serving("/hook", answer) as (_, url), egress.session(LOOSE, total_s=5) as guarded:
        return await HttpTarget(guarded, LOOSE, total_s=5, connect_s=1).post(f"{url}/hook", headers={}, body=b"{}")


@pytest.mark.parametrize(
    ("body", "headers", "shown"),
    [
        (b"thanks", {"Content-Type": "text/plain"}, "thanks"),
        (gzip.compress(b"thanks", mtime=0), {"Content-Encoding": "gzip"}, "thanks"),
        ("schön".encode("latin-1"), {"Content-Type": "text/plain; charset=latin-1"}, "schön"),
        (b"x" * 1_500, {"Content-Type": "text/plain"}, "x" * 1_024 + " … (476 bytes more)"),
        (
            b"noise",
            {"Content-Encoding": "gzip"},
            "(the answer says that it is packed as gzip, and is not, or is damaged)",
        ),
        (b"GIF89a\0", {"Content-Type": "image/gif"}, "(the answer is no text: image/gif, 7 bytes)"),
        (b"", {}, None),
    ],
)
async def test_an_answer_is_shown_as_text(body: bytes, headers: dict[str, str], shown: str | None) -> None:
    answer = await answered(body, headers)
    assert (answer.status, answer.error, answer.response) == (200, None, shown)


async def test_an_answer_that_unpacks_to_very_much_is_shown_in_part() -> None:
    answer = await answered(gzip.compress(b"a" * 50_000_000, mtime=0), {"Content-Encoding": "gzip"})
    assert answer.status == 200
    assert (answer.response or "").startswith("a" * 1_024 + " … (at least ")
