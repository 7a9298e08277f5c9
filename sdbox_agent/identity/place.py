"""What a box stands on, remembered as salted hashes: the machine it was set up on, and its place.

Three questions of one comparison. *Copied*: is this another machine, so that this memory is a
copy? *Altered*: has a part been exchanged? *Moved*: does it stand somewhere else?
A fact that was not known then says nothing now. Neither does one of the place or of a device on a
cable that is not known now: the network may be down, the sensor unplugged, and that is told
elsewhere. Parts inside are always there: one that is gone is a change.

Whoever copies a whole disk and dresses another machine in the same numbers is not noticed. Nor do
the hashes hide anything from whoever has the disk, salt and all, and tries every address. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.state.record import MAX_VALUES, Known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdbox_agent.state.record import Fact

    Facts = Mapping[Fact, frozenset[str]]

SALT_BYTES: Final = 32
# Inside: serial numbers and addresses. On a cable: serial number and port. The gateway's link
# address, and the address the centre saw us come from.
PARTS: Final[tuple[Fact, ...]] = ("board", "disk", "nic")
DEVICES: Final[tuple[Fact, ...]] = ("reader", "sensor")
PLACE: Final[tuple[Fact, ...]] = ("gateway", "address")


@dataclass(frozen=True, slots=True)
class Changes:
    """Which facts are no longer as they were, by name."""

    copied: bool = False
    altered: tuple[Fact, ...] = ()
    moved: tuple[Fact, ...] = ()


def remember(facts: Facts, salt: bytes, before: Known | None = None) -> Known:
    """These facts, to be compared with later ones; those of `before` that are not among them stay.

    `salt`: 32 random bytes, drawn once a box; with `before`, its salt is kept.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError("salt: 32 bytes")
    kept = {} if before is None else dict(before.facts)
    key = salt if before is None else bytes.fromhex(before.salt)
    new = {name: _hashes(key, name, values) for name, values in facts.items() if values}
    return Known(salt=key.hex(), facts=dict(sorted({**kept, **new}.items())))


def changes(known: Known, now: Facts) -> Changes:
    """What is otherwise than it was remembered."""
    key = bytes.fromhex(known.salt)
    then = {name: set(hashes) for name, hashes in known.facts.items()}
    seen = {name: set(_hashes(key, name, now.get(name, frozenset()))) for name in then}
    parts = [name for name in PARTS if name in then]
    another = "machine-id" in then and seen["machine-id"] != then["machine-id"]
    none_left = bool(parts) and not any(then[name] & seen[name] for name in parts)
    return Changes(
        copied=another or none_left,
        altered=tuple(
            name
            for name in (*parts, *(each for each in DEVICES if seen.get(each)))
            if seen[name] != then[name]
        ),
        moved=tuple(name for name in PLACE if seen.get(name) and seen[name] != then[name]),
    )


def _hashes(key: bytes, name: Fact, values: frozenset[str]) -> tuple[str, ...]:
    digests = (
        hmac.new(key, f"{name}\0{value}".encode(), hashlib.sha256).hexdigest() for value in values
    )
    return tuple(sorted(digests)[:MAX_VALUES])
