"""One-time codes by time (RFC 6238 over RFC 4226), as authenticator devices show them. No I/O.

Knows a secret, a code and a moment; where secrets are kept is the business of `codes`.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor.totp import TOTP

# RFC 6238 section 1.2 (HMAC-SHA-1 is its default) and section 5.2; RFC 4226 section 5.3 (six digits
# at least) and section 4, R6 (a shared secret of 160 bits is recommended). Devices know no other.
STEP_S: Final = 30
DIGITS: Final = 6
SECRET_BYTES: Final = 20
# RFC 6238 section 5.2 recommends one step of network delay; a device's clock may run ahead as well
# (section 6), so one step either way: a code is good for 90 s. A guess is right three times in a
# million, and a card locks after ten (access.LOCKED_FAILURES; RFC 4226 section 7.3).
WINDOW_STEPS: Final = 1
ISSUER: Final = "SD-Box"


def step_of(secret: bytes, code: str, now_s: int, last_step: int) -> int | None:
    """The step whose code this is, later than `last_step`; None if it is nobody's.

    A step is used once (RFC 6238 section 5.2), and so is every one before it. Each step of the
    window is computed and compared in constant time, whichever is right, and a used one takes as
    long as a wrong one.
    """
    now = now_s // STEP_S
    found: int | None = None
    for step in range(now + WINDOW_STEPS, now - WINDOW_STEPS - 1, -1):
        right = hmac.compare_digest(_totp(secret).generate(step * STEP_S), code.encode())
        if right and step > last_step:
            found = step
    return found


def uri(secret: bytes, account: str) -> str:
    """The otpauth URI that a device reads, as a QR code or typed: it holds the secret."""
    return _totp(secret).get_provisioning_uri(account, ISSUER)


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, hashes.SHA1(), STEP_S)  # noqa: S303  HMAC: collisions don't matter
