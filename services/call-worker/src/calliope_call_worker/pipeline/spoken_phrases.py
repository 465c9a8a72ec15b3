"""Phrases by which a caller stops the assistant, or only shows to be listening: defaults by language. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from calliope_call_worker.pipeline.hearing import keys

Verdict = Literal["interrupt", "ignore"]
Phrase = tuple[str, ...]

_INTERRUPT: Final[dict[str, str]] = {
    "en": "stop, stop it, wait, wait a minute, wait a second, hold on, hang on, one moment, one second, excuse me, "
    "let me speak, be quiet, shut up, no no, no wait",
    "es": "pare, espera, espere, un momento, un segundo, perdona, perdone, disculpe, alto, cállate, no no",
    "fr": "stop, arrête, arrêtez, attends, attendez, un instant, une seconde, un moment, excusez-moi, pardon, non non",
    "de": "stopp, stop, halt, warte, warten sie, moment, moment mal, einen moment, sekunde, entschuldigung, nein nein",
    "pt": "pare, espera, espere, um momento, um segundo, um minuto, com licença, desculpe, não não",
    "it": "stop, basta, aspetta, aspetti, un momento, un attimo, un secondo, scusa, scusi, mi scusi, no no",
    "nl": "stop, wacht, wacht even, moment, een moment, momentje, sorry, pardon, hou op, nee nee",
    "ja": "ちょっと待って, 待って, 待ってください, すみません, ストップ, やめて",
    "hi": "रुको, रुकिए, एक मिनट, एक सेकंड, सुनिए, बस, नहीं नहीं",
}
_IGNORE: Final[dict[str, str]] = {
    "en": "yeah, yep, yup, uh huh, uh-huh, mhm, mm hm, mm-hmm, mmhmm, mm, hmm, okay, ok, right, sure, i see, got it, "
    "great, alright, all right, cool, oh",
    "es": "ajá, aja, mhm, mm, ya, vale, okay, ok, claro, bueno, entiendo, ya veo, perfecto",
    "fr": "mhm, mm, hum, ouais, d'accord, ok, okay, bien, très bien, je vois, ah",
    "de": "mhm, mm, hm, aha, ja ja, okay, ok, gut, genau, alles klar, verstehe, ach so, klar",
    "pt": "uhum, aham, mhm, mm, tá, ok, okay, certo, claro, entendi, sei, beleza",
    "it": "mhm, mm, ah, okay, ok, certo, capisco, va bene, bene, giusto, ho capito",
    "nl": "mhm, mm, hm, aha, oké, ok, okay, ja ja, goed, precies, prima, ik snap het, juist",
    "ja": "はい, ええ, うん, うんうん, なるほど, そうですか, そうですね, へえ",
    "hi": "हाँ, हां, जी, अच्छा, ठीक है, ठीक, हम्म, ओके, समझ गया",
}


def _parsed(phrases: Iterable[str]) -> tuple[Phrase, ...]:
    """As compared with what is heard, the longest first."""
    found = {tuple(keys(phrase)) for phrase in phrases}
    return tuple(sorted((phrase for phrase in found if phrase), key=lambda phrase: (-len(phrase), phrase)))


class SpokenPhrases:
    """The phrases of one call. `language` as by `unfinished.language_of`; empty takes those of every language."""

    def __init__(self, language: str, interrupt: Sequence[str] | None, ignore: Sequence[str] | None) -> None:
        self._interrupt = _parsed(_default(_INTERRUPT, language) if interrupt is None else interrupt)
        self._ignore = _parsed(_default(_IGNORE, language) if ignore is None else ignore)

    def judge(self, words: Sequence[str]) -> Verdict | None:
        """What these words (as `hearing.keys`) are said for; None: for themselves.

        `ignore`: nothing but ignored phrases. `interrupt`: a phrase that stops, maybe behind ignored ones.
        """
        at = 0
        while (length := _begins(words[at:], self._ignore)) > 0:
            at += length
        if at and at == len(words):
            return "ignore"
        return "interrupt" if _begins(words[at:], self._interrupt) or _begins(words, self._interrupt) else None


def _default(phrases: dict[str, str], language: str) -> list[str]:
    wanted = [phrases[language]] if language in phrases else phrases.values()
    return [phrase for group in wanted for phrase in group.split(", ")]


def _begins(words: Sequence[str], phrases: Sequence[Phrase]) -> int:
    """The length of the longest phrase that the words begin with; 0: none."""
    return next((len(phrase) for phrase in phrases if tuple(words[: len(phrase)]) == phrase), 0)
