"""What a record of ours carries beside its minutiae: those that a second extractor found.

In an extended data block of a vendor's type, which every other reader skips. The format does not
say whose a type is, so ours begins with a mark; a block without it is somebody else's and is left
alone. One form only: at most one block of ours, and no empty one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdbox_agent.biometrics import fmr
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from sdbox_agent.biometrics.fmr import RecordMinutia, ViewRules

# -- ours ----------------------------------------------------------------------------------------

MARK: Final = b"sdb\x01"  # and its version: what another version says is not for us
SECOND_TYPE: Final = 0x5301  # minutiae as the view's own
_MINUTIA_BYTES: Final = 6


def encode(second: tuple[RecordMinutia, ...], rules: ViewRules) -> bytes:
    """An area of extended data for a view, empty if there are none.

    Raises DecodeError if `decode` would not take it back.
    """
    if not second:
        return b""
    if len(second) > fmr.MAX_MINUTIAE:
        raise DecodeError("number of second minutiae out of range")
    return fmr.block(SECOND_TYPE, MARK + fmr.encode_minutiae(second), rules)


def decode(extended: bytes, rules: ViewRules) -> tuple[RecordMinutia, ...]:
    """The second minutiae that an area of extended data holds. Raises DecodeError if malformed.

    They are in range for their bits only: whether they lie in the image is the record's matter.
    """
    found: tuple[RecordMinutia, ...] = ()
    for kind, data in fmr.blocks(extended, rules):
        if kind != SECOND_TYPE or not data.startswith(MARK):
            continue
        if found:
            raise DecodeError("second minutiae twice")
        found = _decode_second(data[len(MARK) :])
    return found


def _decode_second(data: bytes) -> tuple[RecordMinutia, ...]:
    if len(data) % _MINUTIA_BYTES:
        raise DecodeError("second minutiae cut short")
    if not 1 <= len(data) // _MINUTIA_BYTES <= fmr.MAX_MINUTIAE:
        raise DecodeError("number of second minutiae out of range")
    return fmr.decode_minutiae(data)
