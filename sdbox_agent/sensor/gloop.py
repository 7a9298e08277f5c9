"""Waiting on GLib's default main context, which is where libfprint answers [door].

One thread, one context: a wait ends by its own condition, by its deadline, or because a descriptor
became readable. Callbacks only note what happened; nothing is decided inside one, for an exception
there would be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gi.repository import GLib

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiting:
    """A wait in progress; a context manager that leaves no source behind."""

    def __init__(self, deadline_s: float, interrupt_fd: int | None = None) -> None:
        self.late = False
        self.interrupted = False
        self._interrupt_fd = interrupt_fd
        self._deadline_ms = round(deadline_s * 1000)
        self._sources: set[int] = set()

    def __enter__(self) -> Waiting:
        """Watch the clock and the descriptor."""
        self._sources.add(GLib.timeout_add(self._deadline_ms, self._on_late))
        if self._interrupt_fd is not None:
            conditions = GLib.IOCondition.IN | GLib.IOCondition.HUP | GLib.IOCondition.ERR
            self._sources.add(
                GLib.unix_fd_add_full(
                    GLib.PRIORITY_HIGH, self._interrupt_fd, conditions, self._on_interrupt
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Forget the sources that have not fired."""
        for source in self._sources:
            GLib.source_remove(source)
        self._sources.clear()

    def until(self, done: Callable[[], bool]) -> bool:
        """Run the context until `done()` (True), or the deadline or the descriptor (False)."""
        context = GLib.MainContext.default()
        while not done():
            if self.late or self.interrupted:
                return False
            context.iteration(True)  # noqa: FBT003  GLib's own signature: may block
        return True

    def _on_late(self, *_: object) -> bool:
        self.late = True
        return True

    def _on_interrupt(self, *_: object) -> bool:
        self.interrupted = True
        return True
