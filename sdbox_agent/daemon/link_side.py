"""The box link's side: what the centre pushes becomes events of the session, and the box's health.

It holds nothing up: a session lives by its calls and its lease, whether the centre is heard or not.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent import __version__, errors, notify
from sdbox_agent.centre import wire
from sdbox_agent.centre.boxlink import Down, Told, Up
from sdbox_agent.daemon.view import LinkView
from sdbox_agent.errors import SdboxError
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sdbox_agent.audit.outbox import Outbox
    from sdbox_agent.audit.record import Result
    from sdbox_agent.daemon.calls import Calls
    from sdbox_agent.daemon.context import Context

HEALTH_S: Final = 60.0
SETTLED_S: Final = 1.0  # a health follows so soon on a new link, and on a tunnel's coming or going

_OUT_OF_SERVICE: Final = frozenset({"box-suspended", "box-clone"})  # the link's refusal says so

_RECORDED: Final[dict[type[wire.Event], str]] = {
    wire.Revoked: "revocation-heard",
    wire.BoxSuspended: "suspension-heard",
    wire.NewCrls: "lists-announced",
    wire.NewPolicy: "policy-announced",
    wire.Window: "window-announced",
    wire.Resync: "link-resync",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What a health is made of, and who fetches lists."""

    readers: Callable[[], int]
    sensor: Callable[[], bool]
    standing: Callable[[], tuple[str, ...]]  # codes: what is so of this box, besides
    refresh_lists: Callable[[], None]
    show: Callable[[LinkView], None]
    placed_s: Callable[[], int | None] = lambda: None  # since when the box is where it is
    seen: Callable[[wire.HealthAnswer], None] = lambda _: None  # what the centre says to a health


class LinkSide:
    """Everything of it runs in the loop; the link itself has a thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        outbox: Outbox,
        calls: Calls,
        boot_counter: int,
        parts: Parts,
    ) -> None:
        """`calls` are of the link alone: a session's never wait for a health."""
        self._loop = loop
        self._context = context
        self._outbox = outbox
        self._calls = calls
        self._boot_counter = boot_counter
        self._parts = parts
        self._numbers = itertools.count(1)  # of what this box says on its link
        self._state: at.State = at.Idle(0)
        self._health_due: asyncio.TimerHandle | None = None
        self._asking = False
        self._up, self._since_ms = False, loop.time() * 1000
        self._turned(up=False, code=None)

    def claim(self) -> wire.LinkRequest:
        """This start, and the next number. From any thread."""
        return wire.LinkRequest(
            boot_id=self._context.policy.boot_id,
            boot_counter=self._boot_counter,
            n=next(self._numbers),
        )

    def told(self, told: Told) -> None:
        """From the link's thread: heard in the loop."""
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens any more
            self._loop.call_soon_threadsafe(self.heard, told)

    def heard(self, told: Told) -> None:
        """What the link brought."""
        match told:
            case Up():
                self._record("link-up", self._session())
                self._turned(up=True, code=None)
            case Down():
                if self._up:
                    self._record("link-lost", self._session(), "fault")
                    notify.event(notify.Event.FAULT, told.code)
                    self._context.feed(on.LinkLost())
                if told.code in _OUT_OF_SERVICE:
                    self._context.feed(on.Suspended())
                self._turned(up=False, code=told.code)
            case _:
                session = self._session()
                self._event(told)  # first of all: no tunnel waits for the disk
                self._record(_RECORDED[type(told)], session)

    def _event(self, event: wire.Event) -> None:
        match event:
            case wire.Revoked():
                if event.session == self._context.session(self._context.n):
                    known = event.code in errors.table()
                    self._context.feed(on.Revoked(event.code if known else "revoked"))
            case wire.BoxSuspended():
                self._context.feed(on.Suspended())
            case wire.NewPolicy():
                self._context.feed(on.PolicyChanged())
            case wire.NewCrls() | wire.Resync():
                self._parts.refresh_lists()
            case wire.Window():
                pass  # the record has it; how long a lease is, the gateway says

    def _turned(self, *, up: bool, code: str | None) -> None:
        if up is not self._up:
            self._up, self._since_ms = up, self._loop.time() * 1000
        self._parts.show(LinkView(up=up, since_ms=self._since_ms, code=code))
        self._health_in(SETTLED_S)

    def _session(self) -> str | None:
        """The one under way, if any."""
        live = isinstance(self._state, at.Live)
        return self._context.session(self._context.n) if live else None

    def _record(self, code: str, session: str | None, result: Result = "ok") -> None:
        """A disk that refuses is told by the next session."""
        with contextlib.suppress(SdboxError):
            self._outbox.append(
                code, result=result, session=session, utc_s=self._context.known_utc_s()
            )

    # -- health ------------------------------------------------------------------------------------

    def changed(self, state: at.State) -> None:
        """Another state of the session."""
        before, self._state = self._state, state
        if isinstance(before, at.Open) is not isinstance(state, at.Open):
            self._health_in(SETTLED_S)

    def changed_standing(self) -> None:
        """What is so of the box is otherwise: the centre hears of it soon."""
        self._health_in(SETTLED_S)

    def _health_in(self, after_s: float) -> None:
        if self._health_due is not None:
            self._health_due.cancel()
            self._health_due = None
        if self._up:
            self._health_due = self._loop.call_later(after_s, self._say_health)

    def _say_health(self) -> None:
        self._health_in(HEALTH_S)
        if not self._asking:
            self._asking = True
            request = self._health()
            self._calls.ask(
                lambda client: client.health(request),
                self._answered,
                self._said,  # the next one says more than this one again
            )

    def _answered(self, answer: wire.HealthAnswer) -> None:
        self._said(answer)
        self._parts.seen(answer)

    def _said(self, _answer: object) -> None:
        self._asking = False

    def _health(self) -> wire.HealthRequest:
        start = self.claim()
        return wire.HealthRequest(
            boot_id=start.boot_id,
            boot_counter=start.boot_counter,
            n=start.n,
            agent_version=__version__,
            state=type(self._state).__name__.lower(),
            tunnel=isinstance(self._state, at.Open),
            utc_s=self._context.known_utc_s(),
            readers=self._parts.readers(),
            sensor=self._parts.sensor(),
            audit_percent=min(100, round(100 * self._outbox.fill)),
            standing=self._parts.standing(),
            placed_s=self._parts.placed_s(),
        )
