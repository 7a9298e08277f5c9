"""The steps that bring a box into service: what it reports, its first record, units, activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sdbox_agent import errors
from sdbox_agent.centre import wire
from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT
from sdbox_agent.provision.setup.places import ACTIVATED, REPORTED
from sdbox_agent.provision.setup.settling import is_activated
from sdbox_agent.provision.setup.step import NOTHING, Note
from sdbox_agent.provision.setup.tree import put, read
from sdbox_agent.state import store

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.centre.reported import Network
    from sdbox_agent.centre.wire import ReportAnswer, ReportRequest
    from sdbox_agent.provision.setup.answers import Answers
    from sdbox_agent.provision.setup.fitness import Fit
    from sdbox_agent.provision.setup.places import Places
    from sdbox_agent.provision.setup.ports import Centre, System
    from sdbox_agent.provision.setup.tree import Tree
    from sdbox_agent.state.counter import Counter
    from sdbox_agent.state.record import Known

ASKED_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Reported:
    """The centre has this box's keys, profile, versions and machine; `made` says them as of now."""

    tree: Tree
    places: Places
    centre: Centre
    made: Callable[[], ReportRequest]
    measure: Callable[[], Network]  # the host's network
    name: str = "report"

    def holds(self) -> bool:
        """What was reported last is what would be now, but for what was measured."""
        if is_activated(self.tree, self.places):
            return True
        known = self._known()
        return known is not None and replace(known, network=()) == self.made()

    def act(self) -> Note:
        """Measure, report, and remember what."""
        report = replace(self.made(), network=self.measure())
        self.centre.report(report)
        put(self.tree, self.places.config, REPORTED, wire.encode(report))
        return Note("read-out", report.keys)

    def whole(self) -> ReportRequest:
        """As of now, with what was measured then."""
        known = self._known()
        return replace(self.made(), network=() if known is None else known.network)

    def _known(self) -> ReportRequest | None:
        found = read(self.tree, self.places.config, REPORTED)
        try:
            return None if found is None else wire.decode(found, wire.ReportRequest)
        except DecodeError:
            return None


@dataclass(frozen=True, slots=True)
class Remembering:
    """The core has its first record. Never a second one: that would give attempts back."""

    tree: Tree
    places: Places
    first: Callable[[], tuple[Counter | None, Known]]  # what it is held against, made and looked at
    name: str = "state"

    def holds(self) -> bool:
        """Raises Fault("state-damaged") for a box in service that has lost it."""
        there = read(self.tree, self.places.state, store.NAME) is not None
        if not there and is_activated(self.tree, self.places):
            raise Fault("state-damaged")
        return there

    def act(self) -> Note:
        """Make it."""
        self.tree.make(self.places.state)
        with self.tree.within(self.places.state) as files:
            store.create(files, *self.first())
        return NOTHING


@dataclass(frozen=True, slots=True)
class Started:
    """Every unit of a box starts at boot, and runs now if the machine does."""

    system: System
    name: str = "units"

    def holds(self) -> bool:
        """See `System.enabled`."""
        return self.system.enabled(STARTED_AT_BOOT)

    def act(self) -> Note:
        """Walls first: the manager knows the order."""
        self.system.enable(STARTED_AT_BOOT)
        return NOTHING if self.system.running else Note("not-running")


@dataclass(frozen=True, slots=True)
class Activated:
    """Staff have put this box into service: voucher, placement, and the keys that it reported."""

    tree: Tree
    places: Places
    answers: Answers
    centre: Centre
    made: Callable[[], ReportRequest]
    fit: Fit
    waiting: Waiting
    name: str = "activation"

    def holds(self) -> bool:
        """Raises Refused("voucher-missing") for answers that say of no hosting."""
        if is_activated(self.tree, self.places):
            return True
        if self.answers.hosting is None:
            raise Refused("voucher-missing")
        return False

    def act(self) -> Note:
        """Ask until it is so, for as long as may be waited; the machine must be fit then, too.

        Raises Fault: activation-awaited, box-not-fit, or that the centre is away; Refused:
        voucher-missing, box-not-placed, and what bars the box for good.
        """
        while (code := self._hindrance()) is not None:
            if code not in _PASSING or not self.waiting.again(code):
                raise errors.error(code)
        if not self.fit.holds():  # what step 2 has mended came back meanwhile
            raise Fault("box-not-fit")
        put(self.tree, self.places.config, ACTIVATED, b"")
        return Note("activated")

    def _hindrance(self) -> str | None:
        """As `hindrance`; or why the centre could not be asked, if that may pass."""
        try:
            return hindrance(self.centre.report(self.made()))
        except Fault as fault:
            if fault.code not in _PASSING:
                raise
            return fault.code


_AWAITED: Final = "activation-awaited"
_PASSING: Final = frozenset({
    _AWAITED, "voucher-missing", "box-not-placed",  # staff may mend it
    "centre-unreachable", "centre-slow", "centre-busy", "centre-fault",
})  # fmt: skip


def hindrance(standing: ReportAnswer) -> str | None:
    """Why the box is not in service, by its code; None if it is."""
    match standing:
        case wire.ReportAnswer(state="suspended" | "retired" as barred):
            return f"box-{barred}"
        case wire.ReportAnswer(state="ordered"):
            return _AWAITED
        case wire.ReportAnswer(voucher=False):
            return "voucher-missing"
        case wire.ReportAnswer(placed=False):
            return "box-not-placed"
        case _:
            return None


class Waiting:
    """How long staff are waited for; each new reason is told once."""

    def __init__(
        self,
        most_s: float,
        clock_s: Callable[[], float],
        sleep_s: Callable[[float], None],
        tell: Callable[[str], None],
    ) -> None:
        """`tell` is given the code of what is waited for."""
        self._clock_s, self._sleep_s, self._tell = clock_s, sleep_s, tell
        self._until_s = clock_s() + most_s
        self._told = ""

    def again(self, code: str) -> bool:
        """Wait a while; False if there is no time left."""
        if self._clock_s() >= self._until_s:
            return False
        if code != self._told:
            self._tell(code)
            self._told = code
        self._sleep_s(ASKED_EVERY_S)
        return True
