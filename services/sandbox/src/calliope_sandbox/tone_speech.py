"""Tone speech: text as two-tone symbols in 8 kHz μ-law at a talking pace, and the ear that decodes it from the audio.

A symbol is one low and one high tone at once, 10 x 10 of them; white space is silence. Symbols stand apart by a short
gap, so the ear finds its place again after loss. Characters beyond printable ASCII are an escape and their code point.
"""

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 8_000
SILENCE: Final = 0xFF

_LOW_HZ: Final = tuple(range(420, 1_421, 110))[:10]
_HIGH_HZ: Final = tuple(range(1_600, 3_221, 180))[:10]
_FIRST: Final = 0x20  # symbols 0..94 are printable ASCII
_ESCAPE: Final = 95
_ESCAPED_LENGTH: Final = 3  # base-100 digits behind the escape: 10**6 code points
_GAP_MS: Final = 15
_RAMP_MS: Final = 2
_AMPLITUDE: Final = 6_000.0

_BLOCK: Final = 40  # samples: 5 ms
_BLOCK_MS: Final = 5.0
_VOICED: Final = 500.0  # mean magnitude of a block
_WORD_GAP_MS: Final = 35.0  # longer than the gap between symbols, shorter than a spoken blank
_MIN_RUN: Final = 3  # blocks
_LONG_RUN: Final = 1.6  # times the usual run: a lost frame took the gap between two symbols
_REMEMBERED_RUNS: Final = 9  # their median is usual; one that was cut short must not decide
_EDGE: Final = 24  # samples left out at both ends: ramps, and what is not of this symbol
_DAMAGED: Final = "\ufffd"

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CharTime:
    """Where a character is in the audio."""

    char: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Speech:
    """Spoken text: μ-law 8 kHz, and the time of every character of it, white space included."""

    audio: bytes
    chars: tuple[CharTime, ...]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A decoded word; ms of audio fed to the ear."""

    text: str
    start_ms: float
    end_ms: float


@lru_cache(maxsize=2_048)
def speak(text: str, *, char_ms: int = 60) -> Speech:
    """Say `text`; `char_ms` is the pace, 30 at the fastest. A character beyond ASCII takes four times as long."""
    if char_ms < _GAP_MS * 2:
        raise ValueError(f"char_ms must be at least {_GAP_MS * 2}")
    parts: list[bytes] = []
    chars: list[CharTime] = []
    at_ms = 0.0
    for char in text:
        symbols = [] if char.isspace() else _symbols(char)
        length_ms = char_ms * max(1, len(symbols))
        parts.extend(_tones(symbol, char_ms) for symbol in symbols)
        if not symbols:
            parts.append(bytes([SILENCE]) * (char_ms * RATE_HZ // 1_000))
        chars.append(CharTime(char, at_ms, at_ms + length_ms))
        at_ms += length_ms
    return Speech(b"".join(parts), tuple(chars))


def is_silence(audio: bytes) -> bool:
    """Whether every byte is one of the two zeros of μ-law."""
    return audio.count(0xFF) + audio.count(0x7F) == len(audio)


class Listener:
    """Decodes a stream of μ-law audio, however it is cut into pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._fed_ms = 0.0
        self._block_ms = 0.0  # where the next block begins
        self._run: list[Samples] = []
        self._run_start_ms = 0.0
        self._runs: deque[int] = deque(maxlen=_REMEMBERED_RUNS)
        self._voiced_until_ms = 0.0
        self._word: list[str] = []
        self._word_start_ms = 0.0
        self._escaped: list[int] | None = None

    @property
    def position_ms(self) -> float:
        """Audio fed so far."""
        return self._fed_ms

    @property
    def silence_ms(self) -> float:
        """Since the last voiced sound."""
        return self._fed_ms - self._voiced_until_ms

    @property
    def partial(self) -> str:
        """The word that is not complete yet."""
        return "".join(self._word)

    def feed(self, audio: bytes) -> list[HeardWord]:
        """Words that this audio completed."""
        self._fed_ms += len(audio) * 1_000 / RATE_HZ
        if not self._run and is_silence(audio) and is_silence(self._rest):
            self._rest = b""
            self._block_ms = self._fed_ms
            return self._end_word_if_over()
        audio = self._rest + audio
        usable = len(audio) // _BLOCK * _BLOCK
        self._rest = audio[usable:]
        heard: list[HeardWord] = []
        if usable:
            blocks = _DECODE[np.frombuffer(audio, np.uint8, usable)].reshape(-1, _BLOCK)
            loud = np.abs(blocks).mean(axis=1) > _VOICED
            for block, voiced in zip(blocks, loud.tolist(), strict=True):
                heard += self._block(block, voiced=voiced)
        return heard

    def _block(self, block: Samples, *, voiced: bool) -> list[HeardWord]:
        start_ms = self._block_ms
        self._block_ms += _BLOCK_MS
        if voiced:
            if not self._run:
                self._run_start_ms = start_ms
            self._run.append(block)
            self._voiced_until_ms = self._block_ms
            return []
        if self._run:
            self._end_run()
        return self._end_word_if_over()

    def _end_word_if_over(self) -> list[HeardWord]:
        if not self._word or self._block_ms - self._voiced_until_ms < _WORD_GAP_MS:
            return []
        word = HeardWord("".join(self._word), self._word_start_ms, self._voiced_until_ms)
        self._word.clear()
        self._escaped = None
        return [word]

    def _end_run(self) -> None:
        blocks, self._run = self._run, []
        if len(blocks) < _MIN_RUN:
            return
        if not self._word:
            self._word_start_ms = self._run_start_ms
        merged = self._runs and len(blocks) > _LONG_RUN * median(self._runs)
        halves = [blocks[: len(blocks) // 2], blocks[len(blocks) // 2 :]] if merged else [blocks]
        self._runs.append(len(blocks))
        for part in halves:
            self._take(_symbol_of(np.concatenate(part)))

    def _take(self, symbol: int | None) -> None:
        if self._escaped is not None:
            self._escaped.append(symbol if symbol is not None else 0)
            if len(self._escaped) == _ESCAPED_LENGTH:
                code = sum(digit * 100**place for place, digit in enumerate(reversed(self._escaped)))
                self._word.append(chr(code) if _is_character(code) else _DAMAGED)
                self._escaped = None
        elif symbol == _ESCAPE:
            self._escaped = []
        else:
            self._word.append(_DAMAGED if symbol is None or symbol > _ESCAPE else chr(_FIRST + symbol))


def _is_character(code: int) -> bool:
    return code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF


def _symbols(char: str) -> list[int]:
    code = ord(char)
    if _FIRST <= code < _FIRST + _ESCAPE:
        return [code - _FIRST]
    if code >= 100**_ESCAPED_LENGTH:
        return _symbols("?")
    return [_ESCAPE, code // 10_000, code // 100 % 100, code % 100]


@lru_cache(maxsize=1_024)
def _tones(symbol: int, char_ms: int) -> bytes:
    samples = char_ms * RATE_HZ // 1_000
    voiced = samples - _GAP_MS * RATE_HZ // 1_000
    time = np.arange(voiced) / RATE_HZ
    wave = np.sin(2 * np.pi * _LOW_HZ[symbol // 10] * time) + np.sin(2 * np.pi * _HIGH_HZ[symbol % 10] * time)
    ramp = _RAMP_MS * RATE_HZ // 1_000
    envelope = np.ones(voiced)
    envelope[:ramp] = np.arange(ramp) / ramp
    envelope[-ramp:] = envelope[:ramp][::-1]
    return encode(wave * envelope * _AMPLITUDE) + bytes([SILENCE]) * (samples - voiced)


def _symbol_of(run: Samples) -> int | None:
    """The symbol of one voiced run; None, when it is not clearly two tones."""
    core = run[_EDGE:-_EDGE] if len(run) > 4 * _EDGE else run
    basis = _basis(len(core))
    power = np.square(basis @ core).reshape(2, -1).sum(axis=0)
    low, high = power[: len(_LOW_HZ)], power[len(_LOW_HZ) :]
    best_low, best_high = int(low.argmax()), int(high.argmax())
    clear = low[best_low] + high[best_high] > 0.6 * float(power.sum())
    return best_low * 10 + best_high if clear else None


@lru_cache(maxsize=1_024)
def _basis(length: int) -> NDArray[np.float32]:
    """Rows: cosines of all tones, then their sines, under a window that keeps neighbours apart."""
    phase = 2 * np.pi * np.outer(np.array(_LOW_HZ + _HIGH_HZ), np.arange(length)) / RATE_HZ
    window = np.hanning(length + 2)[1:-1]
    return (np.vstack([np.cos(phase), np.sin(phase)]) * window).astype(np.float32)


def encode(samples: NDArray[np.float64]) -> bytes:
    """Linear 16 bit samples to μ-law (G.711)."""
    clipped = np.clip(np.abs(samples), 0, 32_635).astype(np.int32) + 132
    exponent = np.floor(np.log2(clipped)).astype(np.int32) - 7
    mantissa = (clipped >> (exponent + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    return bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8))


def decode(audio: bytes) -> Samples:
    """μ-law to linear samples."""
    return _DECODE[np.frombuffer(audio, np.uint8)]


def _decode_table() -> Samples:
    codes = ~np.arange(256, dtype=np.int32) & 0xFF
    exponent, mantissa = (codes >> 4) & 0x07, codes & 0x0F
    magnitude = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.float32)


_DECODE: Final = _decode_table()
