"""Languages that the carriers' own voices speak, Twilio's `<Say>` and Telnyx's `speak` alike. Pure.

Either refuses a language that it does not know, and the caller would hear nothing: so only what both document is named.
"""

from typing import Final

from calliope.contracts.carriers import LOCALES

_EXACT: Final = {locale.lower(): locale for locale in LOCALES}
_FIRST: Final = {locale.partition("-")[0]: locale for locale in reversed(LOCALES)}
_SPOKEN_ALIKE: Final = {"no": "nb-NO", "es-419": "es-MX", "es-us": "es-MX"}


def locale_of(tag: str) -> str:
    """The voice for a language tag: its own country's where there is one, else the language's, else American English.

    A tag may have a script between language and country.
    """
    steps = tag.lower().split("-")
    for name in (tag.lower(), "-".join((steps[0], *steps[1:][-1:]))):
        if found := _EXACT.get(name) or _SPOKEN_ALIKE.get(name):
            return found
    return _FIRST.get(steps[0]) or _SPOKEN_ALIKE.get(steps[0]) or LOCALES[0]
