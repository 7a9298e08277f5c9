"""The PIV Card Application PIN and its retry counter (SP 800-73-5 part 2, 2.4.3 and 3.2.1).

This is what the card remembers without power. Whether the PIN has been given since power-on is the
applet's to know.
"""

from __future__ import annotations

import hmac
from typing import Final

from typing_extensions import override

from hil.card.apdu import Refusal, Sw

# SP 800-73-5 part 2, 2.4.3.
PIN_MIN_DIGITS: Final = 6
PIN_FIELD_BYTES: Final = 8
PIN_PADDING: Final = b"\xff"
# FIPS 201-3, 2.9.3: no more than ten tries in a row.
TRIES_MAX: Final = 10


class Pin:
    """A PIN with its counter; `repr` shows the counter alone."""

    def __init__(self, digits: str, tries: int) -> None:
        """Raises ValueError for a PIN or a count the standard forbids."""
        field = digits.encode().ljust(PIN_FIELD_BYTES, PIN_PADDING)
        if not _well_formed(field):
            raise ValueError("a PIV PIN has 6 to 8 decimal digits")
        if not 1 <= tries <= TRIES_MAX:
            raise ValueError("a PIV PIN has 1 to 10 tries")
        self._field = field
        self._tries = tries
        self.tries_left = tries

    @override
    def __repr__(self) -> str:
        return f"Pin(tries_left={self.tries_left})"

    def check(self, field: bytes) -> None:
        """Compare an eight-byte PIN field with the PIN.

        The try is spent before the comparison, so a card torn in the middle of it has lost one.

        Raises:
            Refusal: 6983 no tries left, 6A80 not a PIN field (counter untouched), 63CX no match.
        """
        if self.tries_left == 0:
            raise Refusal(Sw.BLOCKED)
        if not _well_formed(field):
            raise Refusal(Sw.BAD_DATA)
        self.tries_left -= 1
        if not hmac.compare_digest(field, self._field):
            raise Refusal(Sw.TRIES_LEFT | self.tries_left)
        self.tries_left = self._tries

    def block(self) -> None:
        """Leave no tries, as after too many wrong PINs."""
        self.tries_left = 0


def _well_formed(field: bytes) -> bool:
    digits = field.rstrip(PIN_PADDING)
    return len(field) == PIN_FIELD_BYTES and len(digits) >= PIN_MIN_DIGITS and digits.isdigit()
