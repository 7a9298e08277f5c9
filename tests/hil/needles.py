"""The bytes by which a session's secrets would be known, in every shape our code gives them.

The test made the reference and the touch, and holds the card's keys: it knows all of them before
the box does. Each function gives the shapes of one secret, for tests/memory.py to look for.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from numpy.typing import NDArray

from hil.card import keys
from hil.finger import Person, sensor
from hil.issuing import Holder, reference_record
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.comparison import prepare
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.pki import cms
from sdbox_agent.sensor.detect import extract
from tests.memory import forms

ROW_PX = 24  # of an image's row
ROWS_APART = 5
MINUTIA_BYTES = 6  # ISO/IEC 19794-2:2005 section 7.5
FIRST_MINUTIA = 30  # behind the headers of the record and of its first view
COMPACT_BYTES = 12  # four minutiae of the compact format
VARIED = 8  # different bytes in whatever is to be found nowhere by chance


def varied(piece: bytes) -> bool:
    return len(set(piece)) >= VARIED


def image(pixels: NDArray[np.uint8]) -> list[bytes]:
    """Pieces of its rows: as they are, mirrored, inverted, and in six bits."""
    _, width = pixels.shape
    left = (width - ROW_PX) // 2
    rows = [row[left : left + ROW_PX] for row in pixels[::ROWS_APART]]
    rows = [row for row in rows if varied(row.tobytes())]
    changed = [shape for row in rows for shape in (row, row[::-1], 255 - row, 255 - row[::-1])]
    changed += [row >> 2 for row in rows]
    coded = [form for row in rows[::8] for form in forms(row.tobytes())[1:]]
    return [shape.tobytes() for shape in changed] + coded


def record(data: bytes) -> list[bytes]:
    """Every two minutiae of a record that stand together; some longer pieces in text."""
    ends = range(FIRST_MINUTIA, len(data), MINUTIA_BYTES)
    pairs = [data[at : at + 2 * MINUTIA_BYTES] for at in ends]
    pieces = [data[at : at + 24] for at in range(FIRST_MINUTIA, len(data) - 24, 120)]
    return [pair for pair in pairs if len(pair) == 2 * MINUTIA_BYTES and varied(pair)] + [
        form for piece in pieces for form in forms(piece)
    ]


def template(found: Template) -> list[bytes]:
    """As a record would hold it, and as it is compared: every array of what `prepare` makes."""
    width = height = 1 + int(max(max(m.x_px, m.y_px) for m in found.minutiae))
    written = iso.encode(iso.record_of({2: [found]}, width, height))
    return record(written) + list(_mine(found))


def views(data: bytes) -> list[bytes]:
    """A record's views as they are compared."""
    decoded = iso.decode(data)
    return [shape for view in decoded.views for shape in _mine(decoded.template(view))]


def compact(data: bytes) -> list[bytes]:
    """Every four minutiae of the compact format that stand together, and longer pieces in text."""
    pieces = [data[at : at + COMPACT_BYTES] for at in range(0, len(data) - COMPACT_BYTES + 1, 3)]
    coded = [form for at in range(0, len(data) - 24, 24) for form in forms(data[at : at + 24])]
    return [piece for piece in pieces if varied(piece)] + coded


def content_keys(holder: Holder) -> dict[str, list[bytes]]:
    """What the card makes of the sealed reference's header, and what follows from it."""
    sealed = cms.parse(holder.sealed.sealed_der)
    shared = keys.agree(holder.card._memory.keys["9D"], sealed.blob)
    wrapping = cms.key_encryption_key(shared, sealed.blob)
    signed = cms.decrypt(sealed, shared, holder.certificates.key_management)
    assert reference_record(holder.person) in signed, "these are the keys"
    return {
        "shared secret": forms(shared),
        "wrapping key": forms(wrapping),
        "content key": forms(aes_key_unwrap(wrapping, sealed.wrapped_key)),
    }


def digits(pin: str) -> list[bytes]:
    """A PIN as typed, as text of two other kinds, and as the card's field holds it."""
    typed = pin.encode()
    return [typed, typed.hex().encode(), pin.encode("utf-16-le"), pin.encode("utf-32-le")]


def _mine(found: Template) -> set[bytes]:
    """Pieces of its arrays; what everybody's have is nobody's."""
    return set(_pieces(prepare(found))) - _everybodys()


def _everybodys() -> set[bytes]:
    touch = Person(99).touch(Person(99).positions[0], 1, "good")
    return set(_pieces(prepare(extract(np.ascontiguousarray(touch.pixels), sensor.kind().dpi))))


def _pieces(value: object) -> Iterator[bytes]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        data = np.ascontiguousarray(value).tobytes()
        starts = range(0, min(len(data), 64 * 40), 40)
        yield from (piece for at in starts if varied(piece := data[at : at + 32]))
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _pieces(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _pieces(one)
