"""Whether words look as if more of them follow: a connective, an article or a filler at the end, digits in a row. Pure.

Judged on the last words alone, per language, so it is right often enough to wait for, never to ignore the caller.
"""

from typing import Final

from calliope_call_worker.pipeline.hearing import keys

_OPEN_ENDS: Final = (",", ":", ";", "-", "\u2013", "\u2014", "\u2026", "...")
_CLOSED_ENDS: Final = (".", "!", "?", "\u3002", "\uff01", "\uff1f")
_DIGITS_IN_A_ROW: Final = 2
_TRAILING: Final[dict[str, str]] = {
    "en": "and or but so because if when which whose the a an my your our their i'm i i'd i'll we we're we'd of to for "
    "from with without at in between um uh uhm er erm hmm",
    "es": "y e o u pero porque si cuando que el la los las un una mi mis su sus de del a al para por con sin en entre "
    "eh em este pues",
    "fr": "et ou mais donc car parce si quand que qui le la les un une des mon ma mes votre de du à au aux pour par "
    "avec sans dans en entre euh ben alors",
    "de": "und oder aber weil wenn dass ob der die das den dem des ein eine einen einem einer mein meine ihr ihre von "
    "vom zum zur für mit ohne im am äh ähm",
    "pt": "e ou mas porque se quando que o a os as um uma meu minha seu sua de do da dos das para por com sem em no na "
    "hum então",
    "it": "e ed o ma perché se quando che il lo la i gli le un una mio mia di del della a al alla per con senza in nel "
    "nella ehm allora",
    "nl": "en of maar want omdat als dat die de het een mijn uw van naar voor met zonder in eh uhm",
    "ja": "と が で に を は の や から けど ので えーと えっと あの",
    "hi": "और या लेकिन क्योंकि अगर कि का की के को से में मेरा मेरी एक मतलब",
}
_NUMBERS: Final[dict[str, str]] = {
    "en": "zero oh one two three four five six seven eight nine double triple",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
    "de": "null eins zwei zwo drei vier fünf sechs sieben acht neun",
    "pt": "zero um dois três quatro cinco seis meia sete oito nove",
    "it": "zero uno due tre quattro cinque sei sette otto nove",
    "nl": "nul een twee drie vier vijf zes zeven acht negen",
}
_WORDS: Final = {language: frozenset(words.split()) for language, words in _TRAILING.items()}
_WITHOUT_BLANKS: Final = frozenset({"ja"})
_DIGIT_WORDS: Final = frozenset(word for words in _NUMBERS.values() for word in words.split())


def language_of(tag: str) -> str:
    """The language of a tag such as `en-US`; empty for one whose trailing words are not known."""
    language = tag.partition("-")[0].lower()
    return language if language in _WORDS else ""


def is_unfinished(text: str, language: str) -> bool:
    """Whether the last words lead on to others. `language` as by `language_of`; empty: only signs of every language."""
    if text.rstrip().endswith(_OPEN_ENDS):
        return True
    if text.rstrip().endswith(_CLOSED_ENDS):
        return False
    if language in _WITHOUT_BLANKS:
        return text.rstrip().endswith(tuple(_WORDS[language]))
    words = keys(text)
    return bool(words) and words[-1] in _WORDS.get(language, frozenset())


def is_dictating(text: str) -> bool:
    """Whether the last words are digits in a row, as of a number that is read out in groups."""
    last = keys(text)[-_DIGITS_IN_A_ROW:]
    return len(last) == _DIGITS_IN_A_ROW and all(_is_digits(word) for word in last)


def _is_digits(word: str) -> bool:
    return word in _DIGIT_WORDS or word.replace("-", "").isdigit()
