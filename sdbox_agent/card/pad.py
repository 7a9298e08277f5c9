"""PIN entry at the reader's own pad (PC/SC part 10, v2.02.09): what a reader offers, what is asked.

The digits go from the pad to the card and are seen by nobody else. Pure: builds and reads bytes,
which the channel's `control` carries. No real pad has been tried, only a double that plays one.
"""

from __future__ import annotations

import struct
from typing import Final

from sdbox_agent.card import apdu, pin, verify
from sdbox_agent.errors import AskAgain, DecodeError, Fault, Refused

# Part 10 section 2.2: the one control code that is fixed, as pcsc-lite numbers it (reader.h)
GET_FEATURES: Final = 0x42000000 + 3400
VERIFY_PIN_DIRECT: Final = 0x06  # section 2.3, table 1
_FEATURE: Final = struct.Struct(">BBI")  # tag, length 4, control code

# Section 2.5.2, PIN_VERIFY; its numbers are little-endian, as CCID has them
_PIN_VERIFY: Final = struct.Struct("<BBBBBHBBHB3xI")
_ASCII_FROM_THE_LEFT: Final = 0x82  # positions in bytes, the PIN at 0, left justified, ASCII
_BLOCK: Final = pin.FIELD_BYTES  # no length of its own before it
_DIGITS: Final = pin.MIN_DIGITS << 8 | pin.FIELD_BYTES  # least, most
_ENTER_KEY: Final = 0x02  # entry ends with the pad's own key
_ONE_MESSAGE: Final = 0x01
_LANGUAGES: Final = {"fr": 0x040C, "en": 0x0409}

# Section 2.5.2, what a pad answers by itself
_SW_TIMEOUT: Final = 0x6400
_SW_CANCELLED: Final = 0x6401
_SW_LENGTHS: Final = frozenset({0x6402, 0x6403})  # differ, or too short or long: not sent

# Ours
ENTRY_S: Final = 25  # bTimeOut takes up to 255
ENTRIES: Final = 3  # how often a PIN of a wrong length is asked for again
MAX_FEATURES: Final = 32


def decode_features(data: bytes) -> dict[int, int]:
    """Control codes by feature. Raises DecodeError."""
    if len(data) % _FEATURE.size or len(data) > MAX_FEATURES * _FEATURE.size:
        raise DecodeError("feature list size")
    found: dict[int, int] = {}
    for tag, length, code in _FEATURE.iter_unpack(data):
        if length != 4 or tag in found:
            raise DecodeError("feature")
        found[tag] = code
    return found


def verify_code(data: bytes) -> int | None:
    """The control code for "take a PIN and VERIFY it", from a reader's feature list, if it has it.

    A reader that talks nonsense has no pad.
    """
    try:
        return decode_features(data).get(VERIFY_PIN_DIRECT)
    except DecodeError:
        return None


def request(language: str = "fr") -> bytes:
    """PIN_VERIFY for the PIV PIN: the reader puts the digits over the FFs and sends it."""
    command = pin.COMMAND_HEAD + bytes([pin.PADDING]) * pin.FIELD_BYTES
    head = _PIN_VERIFY.pack(
        ENTRY_S,
        ENTRY_S,
        _ASCII_FROM_THE_LEFT,
        _BLOCK,
        0,
        _DIGITS,
        _ENTER_KEY,
        _ONE_MESSAGE,
        _LANGUAGES[language],
        0,
        len(command),
    )
    return head + command


def was_sent(reply: bytes) -> bool:
    """False where the entry was too short or too long, so that the card never saw it."""
    return not reply or apdu.parse(reply).sw not in _SW_LENGTHS


def decode_left(reply: bytes) -> int | None:
    """As `verify.decode_left`, of what the card said through the pad.

    Raises DecodeError, AskAgain("transaction-timeout") where nobody typed, Refused("cancelled")
    where the pad's own key for that was used, Fault("card-failed") where the reader refused.
    """
    if not reply:
        raise Fault("card-failed")
    response = apdu.parse(reply)
    if response.sw == _SW_TIMEOUT:
        raise AskAgain("transaction-timeout")
    if response.sw == _SW_CANCELLED or response.sw in _SW_LENGTHS:
        raise Refused("cancelled")
    return verify.decode_left(response)
