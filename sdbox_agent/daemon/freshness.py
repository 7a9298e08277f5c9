"""Sees to it that the core's TLS key is replaced in time, where it lives in memory.

A connection that needs a key asks for one by itself (identity.vouching). This asks sooner, while
the old one still serves, so that nobody waits for it; and has the link opened anew by the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sdbox_agent.centre.https import CentreClient
    from sdbox_agent.daemon.patience import Patience
    from sdbox_agent.identity.vouching import Vouching

    Call = Callable[[CentreClient], bool]
    Ask = Callable[[Call, Callable[[bool], None], Callable[[str], None]], None]

LOOK_S: Final = 60.0
RETRY_S: Final = 600.0  # there are eight hours for it


class Freshness:
    """In the loop; `ask` runs a call in a thread, `trouble` is told codes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        vouching: Vouching,
        ask: Ask,
        patience: Patience,
        renewed: Callable[[], None],
        trouble: Callable[[str], None],
    ) -> None:
        self._loop, self._vouching, self._ask = loop, vouching, ask
        self._patience, self._renewed, self._trouble = patience, renewed, trouble

    def begin(self) -> None:
        """Look now and then, for ever."""
        self._in(LOOK_S)

    def _in(self, after_s: float) -> None:
        self._loop.call_later(after_s, self._look)

    def _look(self) -> None:
        if self._vouching.is_due():
            self._ask(lambda _client: self._vouching.freshen(), self._done, self._failed)
        else:
            self._in(LOOK_S)

    def _done(self, renewed: bool) -> None:  # noqa: FBT001  an answer
        if renewed:
            self._renewed()
        self._in(LOOK_S)

    def _failed(self, code: str) -> None:
        self._trouble(code)
        self._in(self._patience.again_s(RETRY_S))
