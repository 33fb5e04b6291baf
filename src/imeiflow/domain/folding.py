"""Characters that a person takes for a plain digit, space, dash or quote, and the plain one that each stands for.

Pure. What has no plain counterpart stays as it is.
"""

from __future__ import annotations

import unicodedata
from typing import Final


class _Folding(dict[int, str | None]):
    """For `str.translate`: what each character that is not plain ASCII stands for; learned as they come."""

    _SPECIAL: Final = {
        "\N{MINUS SIGN}": "-",
        "\N{MODIFIER LETTER MINUS SIGN}": "-",
        "\N{HYPHEN BULLET}": "-",
        "\N{FRACTION SLASH}": "/",
        "\N{DIVISION SLASH}": "/",
        "\N{MIDDLE DOT}": ".",
        "\N{BULLET OPERATOR}": ".",
        "\N{HYPHENATION POINT}": ".",
        "\N{KATAKANA MIDDLE DOT}": ".",
        "\N{BULLET}": "*",
        "\N{ARABIC DECIMAL SEPARATOR}": ",",
        "\N{ARABIC THOUSANDS SEPARATOR}": ",",
        "\N{ARABIC COMMA}": ",",
        "\N{ACUTE ACCENT}": "'",
        "\N{PRIME}": "'",
        "\N{DOUBLE PRIME}": '"',
        "\N{MODIFIER LETTER APOSTROPHE}": "'",
        "\N{BRAILLE PATTERN BLANK}": " ",
        "\N{HANGUL FILLER}": " ",
        "\N{COMBINING GRAPHEME JOINER}": None,
        "\0": None,
    }

    _CATEGORIES: Final = {"Zs": " ", "Zl": " ", "Zp": " ", "Cc": " ", "Cf": None, "Pd": "-", "Pi": '"', "Pf": '"'}

    def __missing__(self, code: int) -> str | None:
        folded = self[code] = self._fold(chr(code))
        return folded

    def _fold(self, char: str) -> str | None:
        category = unicodedata.category(char)
        if char in self._SPECIAL:
            return self._SPECIAL[char]
        if category in self._CATEGORIES:
            return self._CATEGORIES[category]
        if category == "Nd":
            return str(unicodedata.decimal(char))
        if category == "Mn" and unicodedata.name(char, "").startswith("VARIATION SELECTOR"):
            return None
        compatible = char if category in {"No", "Nl"} else unicodedata.normalize("NFKC", char)
        return compatible if len(compatible) == 1 and compatible.isascii() else char


_FOLDING: Final = _Folding()


def fold(text: str) -> str:
    """Write a text in plain characters as far as there are any; what cannot be seen is left out."""
    return text.translate(_FOLDING)
