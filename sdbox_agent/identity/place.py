"""What a box stands on, remembered as salted hashes: the machine it was set up on, and its place.

Three questions of one comparison. *Copied*: is this another machine, so that this memory is a
copy? *Altered*: has a part been exchanged? *Moved*: does it stand somewhere else?
A fact that was not known then says nothing now. Neither does one of the place or of a device on a
cable that is not known now: the network may be down, the sensor unplugged, and that is told
elsewhere. Parts inside are always there: one that is gone is a change.

Place and devices that were not known as the box was set up are remembered when they are first seen.
All is remembered anew when staff have placed the box anew: the centre says since when it is there.

Whoever copies a whole disk and dresses another machine in the same numbers is not noticed. Nor do
the hashes hide anything from whoever has the disk, salt and all, and tries every address. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec import UNSET
from msgspec.structs import replace

from sdbox_agent.state.record import MAX_VALUES, Known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import UnsetType

    from sdbox_agent.state.record import Fact

    Facts = Mapping[Fact, frozenset[str]]

SALT_BYTES: Final = 32
# Inside: serial numbers and addresses. On a cable: serial number and port. The gateway's link
# address, and the network that the centre saw us come from.
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
    facts_ = dict(sorted({**kept, **new}.items()))
    return Known(salt=key.hex(), facts=facts_) if before is None else replace(before, facts=facts_)


def keep_up(
    known: Known | UnsetType, now: Facts, salt: bytes, placed_s: int | None = None
) -> Known:
    """What is to be remembered from now on: `known` itself, if nothing is new.

    `placed_s`: since when staff have this box stand where it does; None if nobody said. `salt`: for
    a box that remembers nothing yet.
    """
    if known is UNSET:
        return replace(remember(now, salt), placed_s=UNSET if placed_s is None else placed_s)
    if placed_s is not None and known.placed_s is not UNSET and placed_s > known.placed_s:
        same = {name: hashes for name, hashes in known.facts.items() if name == "machine-id"}
        return remember(now, salt, replace(known, facts=same, placed_s=placed_s))
    missing = (name for name in (*DEVICES, *PLACE) if name not in known.facts)
    new = {name: now[name] for name in missing if now.get(name)}
    if placed_s is not None and known.placed_s is UNSET:
        known = replace(known, placed_s=placed_s)
    return remember(new, salt, known) if new else known


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
        altered=(
            *(name for name in parts if seen[name] != then[name]),
            *(name for name in DEVICES if name in then and seen[name] - then[name]),
        ),
        moved=tuple(name for name in PLACE if seen.get(name) and seen[name] != then[name]),
    )


def _hashes(key: bytes, name: Fact, values: frozenset[str]) -> tuple[str, ...]:
    digests = (
        hmac.new(key, f"{name}\0{value}".encode(), hashlib.sha256).hexdigest() for value in values
    )
    return tuple(sorted(digests)[:MAX_VALUES])
