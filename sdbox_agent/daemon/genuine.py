"""Is this memory this machine's? Asked once, as the core starts; and what is told of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from sdbox_agent.errors import Fault
from sdbox_agent.identity.place import changes

if TYPE_CHECKING:
    from sdbox_agent.identity.place import Changes, Facts
    from sdbox_agent.state.record import State


COPYABLE: Final = "identity-copyable"


def examine(state: State, now: Facts, *, copyable: bool) -> tuple[str, ...]:
    """Codes to tell operators and the centre, none of which keeps the box closed.

    Raises Fault("state-copied") if the record was made on another machine. A record that knows no
    machine is a box's from before they were remembered: only its key speaks for it.
    """
    told = (COPYABLE,) if copyable else ()
    if state.known is UNSET:
        return told
    found = changes(state.known, now)
    if found.copied:
        raise Fault("state-copied")
    return (*told, *codes(found))


def codes(found: Changes) -> tuple[str, ...]:
    """What is to be told of these changes."""
    altered = ("machine-altered",) if found.altered else ()
    return (*altered, "box-moved") if found.moved else altered
