"""Large letters: capitals of 5 by 7 points, drawn with half blocks, to be read from across a desk.

Accents stand above and a cedilla below: 10 points in all, which are 5 lines at scale 1. Pure.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Final

# Five columns a letter, left to right; bit 0 is the top of seven points.
_LETTERS: Final = {
    char: bytes.fromhex(columns)
    for char, columns in {
        "A": "7E1111117E", "B": "7F49494936", "C": "3E41414122", "D": "7F4141221C",
        "E": "7F49494941", "F": "7F09090901", "G": "3E4149497A", "H": "7F0808087F",
        "I": "00417F4100", "J": "2040413F01", "K": "7F08142241", "L": "7F40404040",
        "M": "7F020C027F", "N": "7F0408107F", "O": "3E4141413E", "P": "7F09090906",
        "Q": "3E4151215E", "R": "7F09192946", "S": "4649494931", "T": "01017F0101",
        "U": "3F4040403F", "V": "1F2040201F", "W": "3F4038403F", "X": "6314081463",
        "Y": "0708700807", "Z": "6151494543", "'": "0000070000", "-": "0008080800",
        ".": "0060600000", "?": "0201510906",
    }.items()
}  # fmt: skip
_ABOVE: Final = {  # two points above the letter
    "\N{COMBINING ACUTE ACCENT}": "0000020100",
    "\N{COMBINING GRAVE ACCENT}": "0001020000",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "0002010200",
    "\N{COMBINING DIAERESIS}": "0001000100",
}
_BELOW: Final = {"\N{COMBINING CEDILLA}": "0000010000"}  # one point under it
_WIDTH: Final = 6  # a letter and the gap after it
_HEIGHT: Final = 10
_BLOCKS: Final = " ▀▄█"  # by bit: upper half, lower half


def has(text: str) -> bool:
    """Can all of it be drawn?"""
    return all(char == " " or char in _known() for char in _parts(text))


def width(text: str, scale: int) -> int:
    """How many columns it takes."""
    return max(0, len(unicodedata.normalize("NFC", text)) * _WIDTH - 1) * scale


@functools.cache  # of a few words of ours
def draw(text: str, scale: int) -> tuple[str, ...]:
    """The lines of one line of large text, `scale` points a point. It must be one that `has`."""
    rows = [[False] * width(text, scale) for _ in range(_HEIGHT * scale)]
    for at, glyph in enumerate(_glyphs(text)):
        for x, column in enumerate(glyph):
            for y in (y for y in range(_HEIGHT) if column >> y & 1):
                _point(rows, (at * _WIDTH + x) * scale, y * scale, scale)
    return tuple(
        "".join(_BLOCKS[above + 2 * below] for above, below in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    )


def _point(rows: list[list[bool]], x: int, y: int, scale: int) -> None:
    for row in rows[y : y + scale]:
        row[x : x + scale] = [True] * scale


def _glyphs(text: str) -> list[list[int]]:
    """Five columns a character, of ten points each."""
    glyphs: list[list[int]] = []
    for char in _parts(text):
        if char in _ABOVE or char in _BELOW:
            mark = bytes.fromhex(_ABOVE.get(char) or _BELOW[char])
            shift = 0 if char in _ABOVE else _HEIGHT - 1
            glyphs[-1] = [a | b << shift for a, b in zip(glyphs[-1], mark, strict=True)]
        else:
            glyphs.append([column << 2 for column in _LETTERS.get(char, bytes(5))])
    return glyphs


def _parts(text: str) -> str:
    return unicodedata.normalize("NFD", text.upper())


def _known() -> frozenset[str]:
    return frozenset(_LETTERS) | frozenset(_ABOVE) | frozenset(_BELOW)
