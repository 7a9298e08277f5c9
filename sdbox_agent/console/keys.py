"""Keys, out of the bytes a terminal sends. What means nothing here is dropped. Pure.

Control sequences by ECMA-48 5.4: ESC [, parameters 0x30 to 0x3F, intermediates 0x20 to 0x2F, one
final byte 0x40 to 0x7E; a terminal in application mode sends ESC O and one byte instead.
"""

from __future__ import annotations

import enum
import re
from typing import Final

MAX_SEQUENCE_BYTES: Final = 16  # ours: what is longer and has no end is not waited for


@enum.unique
class Key(enum.Enum):
    """One that means something, but for the digits: those are told as they are."""

    UP = "up"
    DOWN = "down"
    ENTER = "enter"
    ERASE = "erase"


_PLAIN: Final = {b"\r": Key.ENTER, b"\n": Key.ENTER, b"\x7f": Key.ERASE, b"\b": Key.ERASE}
# A French keyboard's top row has the digits behind Shift; nobody at a box should have to know.
_UNSHIFTED: Final = {
    char.encode(): digit for char, digit in zip("&é\"'(-è_çà", "1234567890", strict=True)
}
_LEAD: Final = b"\xc3"  # of those that take two bytes (UTF-8)
_FINAL: Final = {b"A": Key.UP, b"B": Key.DOWN}
_SEQUENCE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|(?=[^\[O]))", re.DOTALL)
_BEGUN: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?")


def decode(data: bytes) -> tuple[list[Key | str], bytes]:
    """The keys in `data`, and the beginning of a sequence whose end has not come.

    A digit is a string of one character, typed with Shift or, on a French keyboard, without.
    """
    found: list[Key | str] = []
    at = 0
    while at < len(data):
        begun = _BEGUN.fullmatch(data, at)
        if begun:
            return found, begun[0] if len(begun[0]) < MAX_SEQUENCE_BYTES else b""
        if sequence := _SEQUENCE.match(data, at):
            at = sequence.end()
            if sequence[0][1:-1] in {b"[", b"O"} and (key := _FINAL.get(sequence[0][-1:])):
                found.append(key)
            continue
        if data[at:] == _LEAD:
            return found, _LEAD
        one = data[at : at + (2 if data.startswith(_LEAD, at) else 1)]
        at += len(one)
        if key := _PLAIN.get(one):
            found.append(key)
        elif digit := one.decode() if one.isdigit() else _UNSHIFTED.get(one):
            found.append(digit)
    return found, b""
