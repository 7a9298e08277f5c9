"""What must survive a power cut, as one value, and its one form in bytes.

One file for all of it: no two parts of it can come from different days. A file is the SHA-256 of
the rest in hexadecimal, a newline, the record as JSON on one line, a newline. The checksum finds
damage, not forgery: whoever can write here is the core itself. Pure.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sdbox_agent.errors import DecodeError

MAX_RECORD_BYTES: Final = 1024 * 1024
MAX_CARDS: Final = 4096  # with attempts outstanding; 4096 rows are 400 kB
MAX_ISSUERS: Final = 64
MAX_VALUES: Final = 16  # of one fact: as many disks
_DIGEST_CHARS: Final = 64

Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", max_length=64)]
Fact = Literal[
    "machine-id", "board", "disk", "nic", "reader", "sensor", "gateway", "address",
]  # fmt: skip
Count = Annotated[int, Meta(ge=0, le=2**53)]


class CardAttempts(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """Comparisons left to a card on this box, when the last one was reserved, unlocks seen."""

    left: Annotated[int, Meta(ge=0, le=1000)]
    reserved_utc_s: Count
    unlocks: Count = 0  # the centre's count of staff's unlocks, as last seen


class Known(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts as they were, salted and hashed: to see a change by, not to be read."""

    salt: Hex32
    facts: dict[Fact, Annotated[tuple[Hex32, ...], Meta(min_length=1, max_length=MAX_VALUES)]]
    placed_s: Count | UnsetType = UNSET  # by the centre's clock: since when it is placed there


class State(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything the core remembers over a restart."""

    v: Literal[1] = 1
    generation: Count = 0  # goes up by one with each save
    boot_counter: Count = 0
    wire: Count = 0  # highest seen
    policy_version: Count = 0  # highest seen
    clock_utc_s: Count = 0  # the centre's clock, high-water mark
    crl_numbers: Annotated[dict[Hex32, Count], Meta(max_length=MAX_ISSUERS)] = {}
    attempts: Annotated[dict[Hex32, CardAttempts], Meta(max_length=MAX_CARDS)] = {}
    # Absent from the file where a box has none: a record from before there were any stays whole.
    anchor: Count | UnsetType = UNSET  # the counter outside the disk, once this is so
    settings: Count | UnsetType = UNSET  # box.toml's serial, highest seen
    known: Known | UnsetType = UNSET  # the machine this was made on, and later its place


def worse_if_undone(before: State, after: State) -> bool:
    """Would an attacker gain if `after` were taken back to `before`?

    Attempts that were spent, and marks that went up. Not the clock's mark by itself, which is
    saved each minute: a counter in a chip wears out, and whatever else counts takes it along.
    """
    marks = (
        (before.boot_counter, after.boot_counter),
        (before.wire, after.wire),
        (before.policy_version, after.policy_version),
        (before.settings or 0, after.settings or 0),
        *((before.crl_numbers.get(name, -1), new) for name, new in after.crl_numbers.items()),
    )
    rows = ((before.attempts.get(card), row) for card, row in after.attempts.items())
    return any(new > old for old, new in marks) or any(
        old is None or new.left < old.left for old, new in rows
    )


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder(State)


def encode(state: State) -> bytes:
    """The file's bytes."""
    line = _encoder.encode(state) + b"\n"
    return hashlib.sha256(line).hexdigest().encode() + b"\n" + line


def decode(data: bytes) -> State:
    """Read them back. Raises DecodeError for anything but `encode`'s form."""
    digest, line = data[:_DIGEST_CHARS], data[_DIGEST_CHARS + 1 :]
    if len(data) > MAX_RECORD_BYTES or hashlib.sha256(line).hexdigest().encode() != digest:
        raise DecodeError("state record: checksum")
    try:
        state = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("state record: fields") from None
    if encode(state) != data:
        raise DecodeError("state record: not in its one form")
    return state
