"""Text as a terminal may be given it: one character, one column, and never a command.

Labels come from the centre, an issuer's name from whoever sits on the network. What is no plain
letter of Western Europe becomes `?`: a control character, half of an escape sequence, a mark that
turns the direction of writing, a letter two columns wide. Pure.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Of ours, or of people who write well: what a console's font may lack, in what it has.
_PLAINER: Final = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{HORIZONTAL ELLIPSIS}": "...", "\N{EN DASH}": "-", "\N{EM DASH}": "-",
        "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "œ": "oe", "Œ": "OE",
    }
)  # fmt: skip
_LETTERS: Final = (range(0x20, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x180))  # ASCII to Latin-A
_OTHER: Final = "?"


def plain(text: str, *, ascii_only: bool = False) -> str:
    """What of `text` may be shown; without accents where the terminal takes ASCII alone."""
    text = unicodedata.normalize("NFC", text).translate(_PLAINER)
    if ascii_only:
        parted = unicodedata.normalize("NFD", text)
        text = "".join(char for char in parted if not unicodedata.combining(char))
        text = text.replace("«", '"').replace("»", '"')
        return "".join(char if ord(char) in _LETTERS[0] else _OTHER for char in text)
    return "".join(char if any(ord(char) in some for some in _LETTERS) else _OTHER for char in text)


def wrap(text: str, columns: int) -> list[str]:
    """The lines of `text`, broken between words; a word that is too long is cut."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        rest = word
        if line and len(line) + 1 + len(rest) <= columns:
            line += " " + rest
            continue
        if line:
            lines.append(line)
        while len(rest) > columns:
            lines.append(rest[:columns])
            rest = rest[columns:]
        line = rest
    return [*lines, line] if line else lines
