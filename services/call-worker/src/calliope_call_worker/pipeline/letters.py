"""What counts as a letter, and of what a voice can make sound: one definition for all who ask. Pure.

An underscore is neither: it is a mark between the words of a program's name.
"""

import re
import sys
from typing import Final

LETTER: Final = r"[^\W\d_]"
"""Of a regular expression: one letter of any script."""
_LETTER_OR_DIGIT: Final = re.compile(r"[^\W_]")


def has_speech(text: str, start: int = 0, end: int = sys.maxsize) -> bool:
    """Whether a voice can make sound of `text[start:end]`; a piece of mere punctuation may give no audio at all."""
    return _LETTER_OR_DIGIT.search(text, start, end) is not None
