"""Is this memory this machine's, and what of that is to be told: asked once, as the core starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from sdbox_agent.errors import Fault
from sdbox_agent.identity.place import changes

if TYPE_CHECKING:
    from sdbox_agent.identity.place import Facts
    from sdbox_agent.state.record import State


COPYABLE: Final = "identity-copyable"


def examine(state: State, now: Facts, *, copyable: bool) -> tuple[str, ...]:
    """Codes to tell operators and the centre, none of which keeps the box closed.

    Raises Fault("state-copied") if the record was made on another machine. A record that knows no
    machine is a box's from before they were remembered: only its key speaks for it.
    """
    told = [COPYABLE] if copyable else []
    if state.known is not UNSET:
        found = changes(state.known, now)
        if found.copied:
            raise Fault("state-copied")
        if found.altered:
            told.append("machine-altered")
        if found.moved:
            told.append("box-moved")
    return tuple(told)
