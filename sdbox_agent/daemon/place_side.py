"""Is this box where, and what, it was when staff placed it? Asked whenever the centre has answered.

What was not known of the place is remembered then: only the centre's answer says that this is a
network that leads anywhere. What has changed is told once, for as long as it is so: to the record,
the journal, whoever watches, and the centre, where alone it can keep somebody out.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from sdbox_agent.daemon import genuine
from sdbox_agent.errors import SdboxError
from sdbox_agent.identity import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.centre.wire import HealthAnswer
    from sdbox_agent.identity.place import Facts
    from sdbox_agent.state.store import Store


class PlaceSide:
    """Everything of it runs in the loop. `standing`: codes of what is so now."""

    def __init__(
        self,
        store: Store,
        parts: Facts,
        look: Callable[[], Facts],
        salt: bytes,
        standing: tuple[str, ...],
    ) -> None:
        """`parts` are inside, as at this start; `look` says what stands around, as it is then.

        `salt`: for a box that remembers nothing yet. `standing`: as the core found it at its start.
        """
        self._store = store
        self._parts = parts
        self._look = look
        self._salt = salt
        self._seen: Facts = {}
        self.standing = standing
        self.new: Callable[[str], None] = lambda _: None  # is told each code that has become so
        self.show: Callable[[tuple[str, ...]], None] = lambda _: None  # and of all, each change

    @property
    def placed_s(self) -> int | None:
        """Which placement `standing` is of, by the centre's clock; None before it said."""
        known = self._store.state.known
        return None if known is UNSET or known.placed_s is UNSET else known.placed_s

    def greeted(self) -> None:
        """The centre has answered: what stands around, stands where the centre is reached from."""
        self._compare(None)

    def seen(self, answer: HealthAnswer) -> None:
        """It has said where it saw us come from, and since when we are placed there."""
        if answer.network is not None:
            self._seen = {"address": frozenset({answer.network})}
        self._compare(answer.placed_s)

    def _compare(self, placed_s: int | None) -> None:
        now = {**self._parts, **self._look(), **self._seen}
        state = self._store.state
        known = place.keep_up(state.known, now, self._salt, placed_s)
        if known != state.known:
            with contextlib.suppress(SdboxError):  # a disk that refuses: the next session tells
                self._store.save(msgspec.structs.replace(state, known=known))
        found = place.changes(known, now)
        kept = tuple(code for code in self.standing if code == genuine.COPYABLE)
        standing = (*kept, *genuine.codes(found))
        news = [code for code in standing if code not in self.standing]
        changed, self.standing = standing != self.standing, standing
        for code in news:
            self.new(code)
        if changed:
            self.show(standing)
