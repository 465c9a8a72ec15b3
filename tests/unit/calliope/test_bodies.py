"""Bodies of answers: unpacked as their headers say, no further than they are read; text as it was meant."""

import gzip
import zlib

import pytest

from calliope.bodies import Body, BodyError, Unpacker, text_of

TEXT = "open at nine, closed on Sundays; " * 5_000


def unpacked(encoding: str, data: bytes, *, chunk: int = 1_000) -> bytes:
    unpacker = Unpacker(encoding)
    parts = [piece for at in range(0, len(data), chunk) for piece in unpacker.unpack(data[at : at + chunk])]
    unpacker.end()
    return b"".join(parts)


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(TEXT.encode(), mtime=0)),
        ("X-GZIP", gzip.compress(TEXT.encode(), mtime=0)),
        ("deflate", zlib.compress(TEXT.encode())),
        ("deflate", raw_deflate(TEXT.encode())),
        ("gzip, deflate", zlib.compress(gzip.compress(TEXT.encode(), mtime=0))),
        ("gzip", gzip.compress(TEXT[:999].encode(), mtime=0) + gzip.compress(TEXT[999:].encode(), mtime=0) + b"\0\0"),
        ("identity", TEXT.encode()),
        ("", TEXT.encode()),
    ],
)
def test_a_body_is_unpacked_as_its_header_says_wherever_it_is_cut(encoding: str, data: bytes, chunk: int) -> None:
    if chunk == 1 and len(data) > 10_000:
        chunk = 11
    assert unpacked(encoding, data, chunk=chunk) == TEXT.encode()


def test_a_small_body_that_becomes_a_large_one_costs_what_is_read_of_it() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 200_000_000), mtime=0)
    pieces = Unpacker("gzip, gzip").unpack(bomb)
    assert max(len(next(pieces)) for _ in range(4)) <= 16 * 1024


@pytest.mark.parametrize(
    ("encoding", "data", "words"),
    [
        ("br", b"x", "packed as br, which was not asked for"),
        ("gzip", b"no gzip at all", "and is not, or is damaged"),
        ("gzip", gzip.compress(TEXT.encode(), mtime=0)[:-20], "breaks off"),
        ("gzip, gzip, gzip, gzip", b"x", "packed 4 times"),
    ],
)
def test_what_cannot_be_unpacked_is_told_in_words(encoding: str, data: bytes, words: str) -> None:
    with pytest.raises(BodyError, match=words):
        unpacked(encoding, data)


def body(data: bytes, *, size: int | None = None) -> Body:
    return Body(data, len(data) if size is None else size)


@pytest.mark.parametrize(
    ("data", "content_type", "charset", "text"),
    [
        ("Grüße".encode(), "text/plain", None, "Grüße"),
        ("Grüße".encode("latin-1"), "text/plain", "iso-8859-1", "Grüße"),
        ("Grüße".encode("latin-1"), "text/html", None, "Grüße"),
        ("Grüße".encode("utf-16"), "application/json", None, "Grüße"),
        ("こんにちは".encode("shift_jis"), "text/plain", "Shift_JIS", "こんにちは"),
        ("Grüße".encode("utf-8-sig"), "application/json", None, "Grüße"),
        ("Grüße".encode(), "text/plain", "no-such-charset", "Grüße"),
        ("Grüße".encode(), "text/plain", "hex", "Grüße"),
        (b"\xffok", "text/plain", "utf-8", "\ufffdok"),
        (b"plain", "application/octet-stream", None, "plain"),
        (b"plain", "", None, "plain"),
        (b"", "image/png", None, ""),
    ],
)
def test_bytes_become_text_as_their_charset_says(data: bytes, content_type: str, charset: str, text: str) -> None:
    assert text_of(body(data), content_type, charset) == text


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        (b"\x1f\x8b\x08\0\0\0", "text/plain"),
        (b"\x01\x02\x03", "application/octet-stream"),
    ],
)
def test_bytes_that_are_no_text_are_told_in_words(data: bytes, content_type: str) -> None:
    with pytest.raises(BodyError, match=f"is no text: {content_type}, {len(data)} bytes"):
        text_of(body(data), content_type, None)


@pytest.mark.parametrize("at", range(1, 12))
def test_no_character_is_cut_in_two(at: int) -> None:
    data = "aé€😀z".encode()
    text = text_of(body(data[:at], size=len(data) + 1), "text/plain", None)
    assert "aé€😀z".startswith(text)
