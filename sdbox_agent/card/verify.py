"""VERIFY without data: how many tries a reference has left, and closing what it has opened.

ISO/IEC 7816-4:2020 section 11.6.6 and SP 800-73pt2-5 section 3.2.1, alike for a PIN (80) and for a
finger (96, 97). No command of this module can spend a try.
"""

from __future__ import annotations

from typing import Final

from sdbox_agent.card.apdu import SW_OK, Command, Response
from sdbox_agent.errors import DecodeError

# SP 800-73pt2-5 section 3.2.1
INS_VERIFY: Final = 0x20
P1_RESET: Final = 0xFF  # forget that it was given
SW_TRIES: Final = 0x63C0  # X of 63CX: tries left
SW_BLOCKED: Final = 0x6983
SW_NO_REFERENCE: Final = 0x6A88


def status(reference: int) -> Command:
    """Ask whether it has been given, and what is left."""
    return Command(INS_VERIFY, 0x00, reference, expects=False)


def reset(reference: int) -> Command:
    """Have the card forget that it was given; the counter stays."""
    return Command(INS_VERIFY, P1_RESET, reference, expects=False)


def decode_left(response: Response) -> int | None:
    """Tries left: 0 is blocked, None: it has been given or matched. Raises DecodeError."""
    if response.data:
        raise DecodeError("data in the answer to VERIFY")
    if response.sw == SW_OK:
        return None
    if response.sw == SW_BLOCKED:
        return 0
    if response.sw & 0xFFF0 == SW_TRIES:
        return response.sw & 0xF
    raise DecodeError("status word of VERIFY")
