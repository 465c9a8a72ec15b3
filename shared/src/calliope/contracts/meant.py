"""What a person meant who wrote a telephone number, a language or a web address as people write them. Pure.

Each answers with a hint, or None where it could only guess.
"""

import re
import unicodedata
from typing import Final

_LONGEST: Final = 80
_SCHEMES: Final = ("tel:", "callto:", "phone:")
_BETWEEN: Final = re.compile(r"[\s().\-/\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_TRUNK_ZERO: Final = re.compile(r"(?<=\d)\s*\(0\)\s*(?=\d)")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_NORTH_AMERICAN: Final = re.compile(r"[2-9][0-9]{2}[2-9][0-9]{6}")
_LANGUAGE: Final = re.compile(r"([A-Za-z]{2,3})(?:[-_ ]([A-Za-z]{4}))?(?:[-_ ]([A-Za-z]{2}|[0-9]{3}))?")
_NAMES: Final = {
    "english": "en", "spanish": "es", "español": "es", "french": "fr", "français": "fr", "german": "de",
    "deutsch": "de", "portuguese": "pt", "português": "pt", "italian": "it", "italiano": "it", "dutch": "nl",
    "nederlands": "nl", "polish": "pl", "polski": "pl", "japanese": "ja", "日本語": "ja", "hindi": "hi",
    "multilingual": "multi",
}  # fmt: skip
_HOST: Final = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}(?::[0-9]+)?(?:[/?#]\S*)?"
)


def number_meant(text: str) -> str | None:
    """`did you mean '+15550100123'?`, or that the country code is missing."""
    if len(text) > _LONGEST:
        return None
    written = unicodedata.normalize("NFKC", text).strip().lower()
    for scheme in _SCHEMES:
        written = written.removeprefix(scheme).removeprefix("//")
    bare = _BETWEEN.sub("", _TRUNK_ZERO.sub("", written).replace("%2b", "+").partition(";")[0])
    if not re.fullmatch(r"\+?[0-9]{4,18}", bare):
        return None
    international = bare if bare.startswith("+") else f"+{bare[2:]}" if bare.startswith("00") else None
    if international is None and bare.startswith("011") and len(bare) > 11:
        international = f"+{bare[3:]}"
    if international is None and re.fullmatch(r"1[2-9][0-9]{9}", bare):  # 11 digits from 1: North America
        international = f"+{bare}"
    if international is not None:
        return f"did you mean '{international}'?" if _E164.fullmatch(international) else None
    if bare[0] == "0":
        return f"the country code is missing: write it instead of the first 0, such as '+44{bare[1:]}' for Britain"
    if _NORTH_AMERICAN.fullmatch(bare):
        return f"the country code is missing: write '+1{bare}' if it is a number of North America"
    return f"the + is missing, or the country code: write '+{bare}' if it begins with that code"


def language_meant(text: str) -> str | None:
    """`did you mean 'en-US'?` for `en_US`, `EN us` and `English`."""
    written = text.strip()
    if (named := _NAMES.get(written.casefold())) is not None:
        return f"did you mean '{named}'?"
    bare = written.partition(".")[0]  # `en_US.UTF-8`
    if (found := _LANGUAGE.fullmatch(bare)) is None:
        return None
    language, script, region = found.groups()
    parts = (language.lower(), script.title() if script else None, region.upper() if region else None)
    return f"did you mean '{'-'.join(part for part in parts if part)}'?"


def url_meant(text: str) -> str | None:
    """`did you mean 'https://example.com/hook'?` for an address without its scheme, or with blanks around it."""
    written = text.strip().strip("<>\"'")
    bare = re.sub(r"^(?:https?:/*)", "", written, flags=re.IGNORECASE)
    if len(written) > _LONGEST or not _HOST.fullmatch(bare):
        return None
    scheme = "http" if re.match(r"http:", written, re.IGNORECASE) else "https"
    return f"did you mean '{scheme}://{bare}'?"
