"""Where a scenario is played: a gesture is asked for, and the box is watched until it shows it.

The same code with a person and with the rig's own hands (`robot`), which make a gesture as soon as
it is asked for. What the box shows beyond the state is passed on as a hint, in its own words.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final, Protocol

from hil.net.oracle import Leaked
from hil.operator import Waited
from hil.real.person import Fail, Repeat, Skip
from hil.real.report import Result, Step
from hil.scenarios import session
from sdbox_agent import errors, ipc

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.operator import Watch
    from hil.real.person import Answer, Person
    from hil.rig import Rig
    from sdbox_agent.daemon.view import View

_SLICE_S: Final = 0.2  # between two looks at the keyboard
_PERSONS: Final = frozenset({*session.ASKING, "choosing", "idle", "open", "spent"})
_END: Final = frozenset({"spent", "broken"})  # a session ends through one of them


class TimedOut(Exception):  # noqa: N818  a state, told as an exception
    """Nobody did it, or nothing noticed."""


class Unexpected(Exception):  # noqa: N818  a verdict
    """The box shows something else; what, in a word or two."""


class Skipped(Exception):  # noqa: N818  a decision
    """The person skips the scenario, or these hands can't make the gesture; why."""


class Robot(Protocol):
    """The rig's own hands."""

    def perform(self, gesture: str) -> None:
        """Make it. Raises Skipped for one that virtual hardware does not know."""

    def touch(self, finger: str) -> None:
        """Place that finger, now that the box waits for it."""


class Stage:
    """One rig, one person."""

    def __init__(self, rig: Rig, person: Person, robot: Robot | None, patience_s: float) -> None:
        self.rig = rig
        self.watch: Watch = rig.watch()
        self.watch.state("idle")
        self._person = person
        self._robot = robot
        self._patience_s = patience_s
        self._result = Result("")

    # -- for scenarios -----------------------------------------------------------------------------

    def do(
        self,
        gesture: str,
        *wanted: str,
        code: str | None = None,
        finger: str = "",
        whatever: bool = False,
    ) -> View:
        """Ask for it, and wait for one of the states (with that code). Raises what is above.

        `whatever`: a session may end on the way there, for any reason.
        """
        begun_s = time.monotonic()
        self._ask(gesture, finger)
        end_s = begun_s + self._patience_s
        while time.monotonic() < end_s:
            view = self._next()
            if view is None:
                if isinstance(self._heard(), Repeat):
                    self._ask(gesture, finger)
                    end_s = time.monotonic() + self._patience_s
                continue
            if finger and view.waits and self._robot is not None:
                self._robot.touch(finger)
            if view.state in wanted and (code is None or view.code == code):
                took_ms = (time.monotonic() - begun_s) * 1000
                self._result.steps.append(Step(gesture, _said(view), round(took_ms, 1)))
                return view
            if view.state in _END and self._is_news() and not whatever:
                raise Unexpected(_said(view))
        raise TimedOut

    def confirm(self, gesture: str) -> None:
        """Ask for what the box does not show; they say when it is done.

        Raises TimedOut, Skipped.
        """
        self._ask(gesture, "")
        if self._robot is None and not self._person.confirms(self._patience_s):
            raise TimedOut

    def expect(self, what: object, said: str) -> None:
        """Raises Unexpected if it is not so."""
        if not what:
            raise Unexpected(said)

    def nothing_left(self) -> None:
        """After a session: no interface, no route."""
        left = session.residue(self.rig)
        self.expect(not left, ", ".join(left))

    # -- the run -----------------------------------------------------------------------------------

    def play(self, name: str, scenario: Callable[[Stage], None]) -> Result:
        """Once, or again as often as the person wants; what came of it."""
        self._result = result = Result(name)
        begun_s, views = time.monotonic(), self.watch.views
        first = len(views)
        while True:
            try:
                self._clear()
                result.steps.clear()  # that was the one before it
                scenario(self)
                self._clear()
                self.rig.oracle.ask()
            except Skipped as skipped:
                result.verdict, result.reason = "skipped", str(skipped)
            except (TimedOut, Unexpected) as trouble:
                decision = self._decided(trouble)
                if isinstance(decision, Repeat):
                    result.repeats += 1
                    result.steps.clear()
                    continue
                # A box that shows something else has failed, whoever is there to say so.
                skips = isinstance(decision, Skip) and isinstance(trouble, TimedOut)
                result.verdict = "skipped" if skips else "failed"
                why = decision.reason if isinstance(decision, Skip) else ""
                result.reason = f"{trouble} {why}".strip() or "timed out"
            except Leaked:
                result.verdict, result.reason = "failed", "a frame left the box that must not"
            break
        result.seconds = round(time.monotonic() - begun_s, 2)
        result.box_ms = _box_ms(views[first:])
        self._person.tell(result.verdict, reason=result.reason)
        return result

    def _decided(self, trouble: TimedOut | Unexpected) -> Answer:
        if isinstance(trouble, TimedOut):
            self._person.tell("timed-out", seconds=round(self._patience_s))
        else:
            self._person.tell("unexpected", said=trouble)
        return self._person.decides(self._patience_s)

    def _clear(self) -> None:
        """No card in, and the box ready. Raises TimedOut, Skipped."""
        if not session.ready(self.watch.views[-1]):
            self.do("remove-card", "idle", whatever=True)

    def _ask(self, gesture: str, finger: str) -> None:
        self._person.tell(gesture, finger=self._person.phrase(f"finger-{finger}") if finger else "")
        if self._robot is None:
            return
        try:
            if not finger:
                self._robot.perform(gesture)
            elif self.watch.views[-1].waits:
                self._robot.touch(finger)
        except Skipped as reason:
            self._person.tell("cannot", reason=reason)
            raise

    def _heard(self) -> Answer | None:
        answer = self._person.said()
        if isinstance(answer, Skip):
            raise Skipped(answer.reason)
        if isinstance(answer, Fail):
            raise Unexpected("the person says so")
        return answer

    def _next(self) -> View | None:
        """The next thing that the box shows, within a moment."""
        try:
            view = self.watch.until(lambda _: True, "view", within_s=_SLICE_S)
        except Waited:
            return None
        except ipc.Closed:
            self._look_again()
            raise Unexpected("the core has ended") from None
        before = self.watch.views[-2] if len(self.watch.views) > 1 else None
        if view.code and (before is None or before.code != view.code):
            known = view.code in errors.table()
            text = errors.render(view.code, self._person.language) if known else view.code
            self._person.hint(text)
        return view

    def _look_again(self) -> None:
        """At a core that was started again."""
        self.watch.close()
        self.rig.box.wait_ready()
        self.watch = self.rig.watch()
        self.watch.until(lambda _: True, "view")

    def _is_news(self) -> bool:
        before = self.watch.views[-2:-1]
        return not before or before[0].state != self.watch.views[-1].state


def _said(view: View) -> str:
    return f"{view.state} ({view.code})" if view.code else view.state


def _box_ms(views: list[View]) -> dict[str, float]:
    """Time in each state that waits for nobody, the sum of all rounds."""
    spent: dict[str, float] = {}
    for one, following in itertools.pairwise(views):
        if one.state not in _PERSONS:
            took_ms = following.mono_ms - one.mono_ms
            spent[one.state] = round(spent.get(one.state, 0.0) + max(0.0, took_ms), 1)
    return spent
