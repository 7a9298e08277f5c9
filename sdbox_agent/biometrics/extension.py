"""What a record of ours carries beside its minutiae: a second extractor's, and the ridges' flow.

In extended data blocks of vendors' types, which every other reader skips. The format does not say
whose a type is, so ours begin with a mark; a block without it is somebody else's and is left alone.
One form only: each block at most once, the second minutiae first, no empty one, and no direction
where there are no ridges.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from typing_extensions import override

from sdbox_agent.biometrics import fmr
from sdbox_agent.biometrics.minutia import Flow
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdbox_agent.biometrics.fmr import RecordMinutia, ViewRules

# -- ours ----------------------------------------------------------------------------------------

MARK: Final = b"sdb\x01"  # and its version: what another version says is not for us
SECOND_TYPE: Final = 0x5301  # minutiae as the view's own
FLOW_TYPE: Final = 0x5302  # rows and columns, then all angles, then all certainties
_SHAPE: Final = struct.Struct(">BB")
_MINUTIA_BYTES: Final = 6
MAX_CELLS: Final = 255  # a side: at 12 pixels of 500 per inch, 155 mm


@dataclass(frozen=True, slots=True, repr=False)
class Extension:
    """What was found, or nothing of it."""

    second: tuple[RecordMinutia, ...] = ()
    flow: Flow | None = None

    @override
    def __repr__(self) -> str:
        return f"<Extension of {len(self.second)}>"


def encode(extension: Extension, rules: ViewRules) -> bytes:
    """An area of extended data for a view. Raises DecodeError if `decode` would not take it back.

    The flow is on the grid of the project's frame, whatever the record's resolution is.
    """
    return b"".join(fmr.block(kind, MARK + data, rules) for kind, data in _encoded(extension))


def decode(extended: bytes, rules: ViewRules) -> Extension:
    """What an area of extended data holds of ours. Raises DecodeError if that is malformed.

    Minutiae are in range for their bits only: whether they lie in the image is the record's matter.
    """
    found: dict[int, bytes] = {}
    for kind, data in fmr.blocks(extended, rules):
        if kind not in (SECOND_TYPE, FLOW_TYPE) or not data.startswith(MARK):
            continue
        if any(kind <= earlier for earlier in found):
            raise DecodeError("extension out of order")
        found[kind] = data[len(MARK) :]
    return Extension(
        _decode_second(found[SECOND_TYPE]) if SECOND_TYPE in found else (),
        _decode_flow(found[FLOW_TYPE]) if FLOW_TYPE in found else None,
    )


def _encoded(extension: Extension) -> Iterator[tuple[int, bytes]]:
    if extension.second:
        if len(extension.second) > fmr.MAX_MINUTIAE:
            raise DecodeError("number of second minutiae out of range")
        yield SECOND_TYPE, fmr.encode_minutiae(extension.second)
    if extension.flow is not None:
        yield FLOW_TYPE, _encode_flow(extension.flow)


def _decode_second(data: bytes) -> tuple[RecordMinutia, ...]:
    if len(data) % _MINUTIA_BYTES:
        raise DecodeError("second minutiae cut short")
    if not 1 <= len(data) // _MINUTIA_BYTES <= fmr.MAX_MINUTIAE:
        raise DecodeError("number of second minutiae out of range")
    return fmr.decode_minutiae(data)


def _encode_flow(flow: Flow) -> bytes:
    rows, columns = flow.angle.shape
    if not (1 <= rows <= MAX_CELLS and 1 <= columns <= MAX_CELLS):
        raise DecodeError("flow of no size or too large")
    angle = np.where(flow.certainty, flow.angle, np.uint8(0))
    return _SHAPE.pack(rows, columns) + angle.tobytes() + flow.certainty.tobytes()


def _decode_flow(data: bytes) -> Flow:
    if len(data) < _SHAPE.size:
        raise DecodeError("flow cut short")
    rows, columns = _SHAPE.unpack_from(data)
    cells = rows * columns
    if cells == 0 or len(data) != _SHAPE.size + 2 * cells:
        raise DecodeError("flow is not of its size")
    angle, certainty = np.frombuffer(data, np.uint8, offset=_SHAPE.size).reshape(2, rows, columns)
    if np.any(angle[np.logical_not(certainty)]):
        raise DecodeError("flow has a direction where there are no ridges")
    return Flow(angle, certainty)
