"""The FASC-N, the number a CHUID must carry (TIG SCEPACS 2.3, section 2.1 and table 6-1).

Forty characters of five bits: four of BCD, least significant first, and odd parity.
"""

from __future__ import annotations

from dataclasses import dataclass

# TIG SCEPACS, table 6-1: the field marks among the sixteen characters.
START, FIELD, END = 0xB, 0xD, 0xF


@dataclass(frozen=True, slots=True)
class Fascn:
    """The fields, decimal digits each; the defaults are those of a card no agency issued (9999)."""

    agency: str = "9999"
    system: str = "9999"
    credential: str = "999999"
    series: str = "0"
    issue: str = "1"
    person: str = "0000000000"
    category: str = "3"
    organisation: str = "0000"
    association: str = "1"

    def encode(self) -> bytes:
        """The 25 bytes."""
        characters = [
            START,
            *_digits(self.agency, 4),
            FIELD,
            *_digits(self.system, 4),
            FIELD,
            *_digits(self.credential, 6),
            FIELD,
            *_digits(self.series, 1),
            FIELD,
            *_digits(self.issue, 1),
            FIELD,
            *_digits(self.person, 10),
            *_digits(self.category, 1),
            *_digits(self.organisation, 4),
            *_digits(self.association, 1),
            END,
        ]
        check = 0
        for character in characters:
            check ^= character
        number = 0
        for character in [*characters, check]:
            number = number << 5 | _with_parity(character)
        return number.to_bytes(25, "big")


def _digits(text: str, count: int) -> list[int]:
    if len(text) != count or not (text.isascii() and text.isdigit()):
        raise ValueError("a FASC-N field holds a fixed number of decimal digits")
    return [int(digit) for digit in text]


def _with_parity(character: int) -> int:
    bits = sum((character >> i & 1) << (4 - i) for i in range(4))
    return bits | (character.bit_count() + 1) % 2
