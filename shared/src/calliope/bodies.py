"""Bodies of HTTP answers: unpacked and decoded as their headers say, within a bound that counts what was unpacked.

A session that does not unpack by itself (`auto_decompress=False`, as that of `calliope.egress`) has no bound of its
own, so that a small body can become a large one; here one piece is unpacked at a time, and only as far as it is read.
"""

import codecs
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import aiohttp

ACCEPT_ENCODING: Final = "gzip, deflate"
"""What `Unpacker` undoes."""
_PIECE_BYTES: Final = 16 * 1024
_MOST_LAYERS: Final = 3
_GZIP_BEGINS: Final = b"\x1f\x8b"
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_PLAIN: Final = frozenset({"", "identity"})
_TEXTUAL: Final = ("json", "xml", "javascript", "x-www-form-urlencoded", "yaml", "csv", "graphql")
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class BodyError(ValueError):
    """A body that is not what its headers say, in words that follow "the answer"."""


class _Layer:
    """One content coding, undone piece by piece."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inflater: zlib._Decompress | None = None

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """At most `_PIECE_BYTES` at a time. Raises: BodyError."""
        while True:
            inflater = self._inflater = self._inflater or self._begun(data)
            try:
                piece = inflater.decompress(data, _PIECE_BYTES)
            except zlib.error as exc:
                raise BodyError(f"says that it is packed as {self._name}, and is not, or is damaged") from exc
            if piece:
                yield piece
            data = inflater.unconsumed_tail
            if inflater.eof:
                data = inflater.unused_data
                if self._name not in _GZIP or not data.startswith(_GZIP_BEGINS):
                    return  # padding
                self._inflater = None  # packed parts may follow each other (RFC 1952)
            elif not data and len(piece) < _PIECE_BYTES:
                return

    @property
    def complete(self) -> bool:
        """Whether nothing is missing at its end."""
        return self._inflater is None or self._inflater.eof

    def _begun(self, data: bytes) -> "zlib._Decompress":
        if self._name in _GZIP:
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        # `deflate` means zlib's format (RFC 9110), yet some servers send it without zlib's header
        return zlib.decompressobj(zlib.MAX_WBITS if data[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS)


class Unpacker:
    """Undoes what a `Content-Encoding` names; several codings were applied from left to right."""

    def __init__(self, content_encoding: str = "") -> None:
        """Raises: BodyError, for a coding that is not undone here."""
        names = [name for each in content_encoding.split(",") if (name := each.strip().lower()) not in _PLAIN]
        if unknown := [name for name in names if name not in _GZIP and name != "deflate"]:
            raise BodyError(f"is packed as {unknown[0][:20]}, which was not asked for and cannot be unpacked")
        if len(names) > _MOST_LAYERS:
            raise BodyError(f"is packed {len(names)} times")
        self._layers = [_Layer(name) for name in reversed(names)]

    @property
    def packs(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self._layers)

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """What more of the body becomes, a small piece at a time, unpacked as it is taken. Raises: BodyError."""
        return self._through(data, 0) if data else iter(())

    def end(self) -> None:
        """The body is over. Raises: BodyError, when a packed one broke off."""
        if not all(layer.complete for layer in self._layers):
            raise BodyError("is packed and breaks off in the middle")

    def _through(self, data: bytes, layer: int) -> Iterator[bytes]:
        if layer == len(self._layers):
            yield data
            return
        for piece in self._layers[layer].unpack(data):
            yield from self._through(piece, layer + 1)


class BodyReader:
    """The body of an answer, piece by piece, unpacked unless the session did so already."""

    def __init__(self, response: aiohttp.ClientResponse, session: aiohttp.ClientSession) -> None:
        """Raises: BodyError, for a coding that is not undone here."""
        self._content = response.content
        done = session.auto_decompress
        self._unpacker = Unpacker("" if done else ",".join(response.headers.getall("Content-Encoding", ())))
        self._pieces: Iterator[bytes] = iter(())
        length = response.content_length
        self.length = None if self._unpacker.packs or "Content-Encoding" in response.headers else length
        """Bytes of the whole body, where its headers say it."""

    async def piece(self) -> bytes:
        """More of the body, empty at its end. Raises: BodyError; aiohttp.ClientError."""
        while True:
            for piece in self._pieces:
                return piece
            if not (data := await self._content.readany()):
                self._unpacker.end()
                return b""
            self._pieces = self._unpacker.unpack(data)


@dataclass(frozen=True, slots=True)
class Body:
    """The first bytes of a body. `size` is that of the whole one; unless `counted` it is at least so large."""

    data: bytes
    size: int
    counted: bool = True

    @property
    def cut(self) -> bool:
        """Whether some of it is missing."""
        return self.size > len(self.data)


async def read_body(
    response: aiohttp.ClientResponse, session: aiohttp.ClientSession, *, keep: int, count: int | None = None
) -> Body:
    """Keep the first `keep` bytes as unpacked; read on to know the size, to no more than `count` bytes.

    The deadline is the caller's. Raises: BodyError; aiohttp.ClientError.
    """
    reader, most = BodyReader(response, session), max(keep, count or 0)
    kept, size = bytearray(), 0
    if reader.length is not None:
        most = min(most, keep)
    while size <= most and (piece := await reader.piece()):
        kept += piece[: keep - len(kept)]
        size += len(piece)
    over = size <= most
    return Body(bytes(kept), size if over else max(size, reader.length or 0), over or reader.length is not None)


def text_of(body: Body, content_type: str, charset: str | None) -> str:
    """The text of a body; a character that was cut at its end is left out, one that cannot be read is marked.

    Without a charset it is UTF-8, and Windows-1252 when it cannot be UTF-8, as browsers read it. Raises: BodyError,
    when it is no text.
    """
    data = body.data
    if (named := _codec(data, charset)) is not None:
        text = _decoded(data, named, body.cut, "replace")
    else:
        if b"\x00" in data:
            raise BodyError(_no_text(body, content_type))
        try:
            text = _decoded(data, "utf-8", body.cut, "strict")
        except UnicodeDecodeError:
            if not is_textual(content_type):
                raise BodyError(_no_text(body, content_type)) from None
            text = _decoded(data, "utf-8" if "json" in content_type else "cp1252", body.cut, "replace")
    if "\x00" in text or (not is_textual(content_type) and _is_noise(text)):
        raise BodyError(_no_text(body, content_type))
    return text


def is_textual(content_type: str) -> bool:
    """Whether a media type stands for text. Bodies of others may be text all the same."""
    kind, _, sub = content_type.lower().partition("/")
    return kind == "text" or sub.rpartition("+")[2] in _TEXTUAL or any(sub == f"x-{name}" for name in _TEXTUAL)


def _codec(data: bytes, charset: str | None) -> str | None:
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return name
    try:
        found = codecs.lookup(charset or "").name
        " ".encode(found)  # some codecs turn bytes into bytes
    except (LookupError, TypeError, ValueError):
        return None
    return found


def _decoded(data: bytes, codec: str, cut: bool, errors: str) -> str:
    return codecs.getincrementaldecoder(codec)(errors).decode(data, final=not cut)


def _is_noise(text: str) -> bool:
    return any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in text)


def _no_text(body: Body, content_type: str) -> str:
    least = "" if body.counted else "at least "
    return f"is no text: {content_type[:100] or 'of no type'}, {least}{body.size} bytes"
