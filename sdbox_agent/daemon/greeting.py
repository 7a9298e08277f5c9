"""The hello of a box that has just started: said until the centre answers, then never again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sdbox_agent.daemon.patience import Patience

    Ask = Callable[[Callable[[], None], Callable[[str], None]], None]

FIRST_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 60.0


class Greeting:
    """`ask(done, failed)` says hello once; `trouble` is told codes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ask: Ask,
        patience: Patience,
        trouble: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._ask = ask
        self._patience = patience
        self._trouble = trouble
        self._retry_s = FIRST_RETRY_S
        self._retry: asyncio.TimerHandle | None = None
        self._asking = False
        self.answered = False

    def begin(self) -> None:
        """Ask when it is this box's turn, and until the centre has answered."""
        self._retry = self._loop.call_later(self._patience.first_s(), self._say)

    def _say(self) -> None:
        self._stop()
        if not (self._asking or self.answered):
            self._asking = True
            self._ask(self._done, self._failed)

    def hurry(self) -> None:
        """Somebody is waiting: if it has not been answered, ask before anything else is asked."""
        if self._retry is not None:
            self._retry_s = FIRST_RETRY_S
            self._say()

    def _done(self) -> None:
        self._asking, self.answered = False, True

    def _failed(self, code: str) -> None:
        self._asking = False
        self._trouble(code)
        after_s = self._patience.again_s(self._retry_s)
        self._retry_s = min(2 * self._retry_s, MAX_RETRY_S)
        self._retry = self._loop.call_later(after_s, self._say)

    def _stop(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
