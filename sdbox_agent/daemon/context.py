"""What every side of the shell needs: the way to the machine, the clock, the policy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sdbox_agent.errors import Bug, Fault, SdboxError
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.session.policy import Policy
    from sdbox_agent.state.marks import Marks


class Context:
    """Made once; `feed` is the shell's."""

    def __init__(
        self,
        policy: Policy,
        marks: Marks,
        feed: Callable[[on.Event], None],
        state: Callable[[], at.State],
    ) -> None:
        self.policy = policy
        self.marks = marks
        self.feed = feed
        self._state = state

    @property
    def n(self) -> int:
        """The number of the session that is, or was last."""
        state = self._state()
        return state.session.n if isinstance(state, at.Live) else state.n

    def session(self, n: int) -> str:
        """Its name on the wire."""
        return self.policy.session_id(n)

    def utc_s(self) -> int:
        """The time to judge by: never before one the centre has told us. Raises Fault."""
        return self.marks.trusted_utc_s(int(time.clock_gettime(time.CLOCK_REALTIME)))

    def known_utc_s(self) -> int | None:
        """The same for a record, which may come before the first hello ever."""
        try:
            return self.utc_s()
        except Fault:
            return None

    def guard(self, n: int, do_it: Callable[[], None]) -> None:
        """What goes wrong with an answer goes wrong with its session, and with nothing else."""
        try:
            do_it()
        except SdboxError as error:
            self.feed(on.Failed(n, error.code))
        except Exception:  # noqa: BLE001  a bug of ours must close the session, not the agent
            self.feed(on.Failed(n, Bug("unforeseen").code))

    def lost(self, code: str) -> None:
        """A part that the session stands on is gone."""
        self.feed(on.Failed(self.n, code))
