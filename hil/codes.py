"""A person's device for one-time codes (RFC 6238), as a telephone's.

The centre takes each time step once, and none further than one step away; so the device never shows
the same code twice, and waits if it has run ahead. Does not know the centre.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S: Final = 30  # RFC 6238 section 5.2: the default
DIGITS: Final = 6


class CodeDevice:
    """One secret, and the last step it was asked for."""

    def __init__(
        self,
        secret: bytes,
        clock_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._totp = TOTP(secret, DIGITS, SHA1(), STEP_S, enforce_key_length=False)
        self._clock_s = clock_s
        self._sleep = sleep
        self._last = 0

    @classmethod
    def of_uri(cls, uri: str) -> CodeDevice:
        """As read from the picture the desk shows: `otpauth://totp/...?secret=...`."""
        (text,) = parse_qs(urlsplit(uri).query)["secret"]
        return cls(base64.b32decode(text + "=" * (-len(text) % 8)))

    def code(self) -> str:
        """The next code that the centre has not seen, oldest first."""
        now = int(self._clock_s()) // STEP_S
        self._last = max(self._last + 1, now)
        ahead = (self._last - 1) * STEP_S - self._clock_s()
        if ahead > 0:
            self._sleep(ahead)
        return self._totp.generate(self._last * STEP_S).decode()
