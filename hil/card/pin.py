"""The PIN and the PUK, with their counters (SP 800-73-5 part 2, 2.4.3 and 3.2.1 to 3.2.3).

This is what the card remembers without power. Whether the PIN has been given since power-on is the
applet's to know.
"""

from __future__ import annotations

import hmac
from typing import Final, Self

from typing_extensions import override

from hil.card.apdu import Refusal, Sw
from hil.card.retries import Retries

# SP 800-73-5 part 2, 2.4.3.
PIN_MIN_DIGITS: Final = 6
PIN_FIELD_BYTES: Final = 8
PIN_PADDING: Final = b"\xff"


class Pin:
    """A PIN with its counter; `repr` shows the counter alone."""

    def __init__(self, digits: str, tries: int) -> None:
        """Raises ValueError for a PIN or a count the standard forbids."""
        field = digits.encode().ljust(PIN_FIELD_BYTES, PIN_PADDING)
        if not self.well_formed(field):
            raise ValueError("a PIV PIN has 6 to 8 decimal digits, a PUK 8 bytes")
        self._field = field
        self.retries = Retries(tries)

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}(tries_left={self.tries_left})"

    @staticmethod
    def well_formed(field: bytes) -> bool:
        """Whether these bytes could be one at all."""
        digits = field.rstrip(PIN_PADDING)
        return len(field) == PIN_FIELD_BYTES and len(digits) >= PIN_MIN_DIGITS and digits.isdigit()

    @property
    def tries_left(self) -> int:
        """The counter."""
        return self.retries.left

    def check(self, field: bytes) -> None:
        """Compare an eight-byte field with this one.

        Raises:
            Refusal: 6983 no tries left, 6A80 not such a field (counter untouched), 63CX no match.
        """
        self.retries.require()
        if not self.well_formed(field):
            raise Refusal(Sw.BAD_DATA)
        self.retries.attempt(lambda: hmac.compare_digest(field, self._field))

    def replaced(self, field: bytes) -> Self:
        """Another in the place of this one, with all its tries. The field is well-formed."""
        fresh = type(self).__new__(type(self))
        fresh._field = field
        fresh.retries = Retries(self.retries.most)
        return fresh

    def block(self) -> None:
        """Leave no tries, as after too many wrong ones."""
        self.retries.block()


class Puk(Pin):
    """A PUK: any eight bytes."""

    @staticmethod
    @override
    def well_formed(field: bytes) -> bool:
        return len(field) == PIN_FIELD_BYTES

    @property
    def text(self) -> str:
        """Its bytes, as characters."""
        return self._field.decode("latin-1")
