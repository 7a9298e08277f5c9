"""A person's device for one-time codes (RFC 6238), set up by the URI that the centre shows once.

The centre takes each time step once, and none further than one step away: so whoever is in a hurry
types codes oldest first, and waits when there is none left. Does not know the centre.
"""

from __future__ import annotations

import time
from base64 import b32decode
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S: Final = 30  # RFC 6238 section 5.2: the default
DIGITS: Final = 6


class Device:
    """One secret, and the last code it has given."""

    def __init__(
        self,
        secret: bytes,
        clock_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._totp = TOTP(secret, DIGITS, SHA1(), STEP_S)
        self._clock_s = clock_s
        self._sleep = sleep
        self._last = 0

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """As such devices read it. Raises ValueError for a URI that is not of that sort."""
        parts = urlsplit(uri)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        form = (query.get("digits"), query.get("period"), query.get("algorithm"))
        if (parts.scheme, parts.netloc) != ("otpauth", "totp") or form != ("6", "30", "SHA1"):
            raise ValueError("not a URI of codes by time")
        return cls(b32decode(query["secret"]))

    def code(self) -> str:
        """The oldest code the centre would take and has not been given; waits for it if need be."""
        self._last = max(self._last + 1, int(self._clock_s()) // STEP_S)
        ahead_s = (self._last - 1) * STEP_S - self._clock_s()
        if ahead_s > 0:
            self._sleep(ahead_s)
        return self._totp.generate(self._last * STEP_S).decode()
