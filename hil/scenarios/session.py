"""The gestures of one session, for demo, tests and bench."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.card.faults import Fault
    from hil.finger import Person
    from hil.issuing import Holder
    from hil.operator import Operator, Watch
    from hil.rig import Rig
    from sdbox_agent.daemon.view import View


class Hands(Protocol):
    """Any rig, as far as gestures go."""

    operator: Operator


OVER = ("spent", "broken", "idle")


ASKING = ("pinentry", "codeentry", "scanning")


def to_person(rig: Hands, watch: Watch, holder: Holder, faults: Iterable[Fault] = ()) -> View:
    """Card in, until the box asks for something that only the person has (or it is over)."""
    rig.operator.insert(holder.card, faults)
    watch.state("checking")
    return watch.state(*ASKING, *OVER)


def to_finger(rig: Hands, watch: Watch, holder: Holder, faults: Iterable[Fault] = ()) -> View:
    """Card in, until the box asks for a finger (or it is over)."""
    rig.operator.insert(holder.card, faults)
    watch.state("checking")
    return watch.state("scanning", *OVER)


def touch(rig: Hands, watch: Watch, person: Person, position: int | None = None) -> View:
    """A finger, and again whenever this attempt asks for it; the state after the comparison."""
    rig.operator.place(person, position)
    seen = watch.state("comparing", *OVER)
    while seen.state == "comparing":
        if seen.waits:
            rig.operator.place(person, position)
        seen = watch.until(lambda one: one.state != "comparing" or one.waits, "comparison's end")
    return seen


def enter(rig: Hands, watch: Watch, holder: Holder, project: str | None = None) -> View:
    """Card in, what the box asks for, project if need be, until the tunnel is up (or over)."""
    seen = to_person(rig, watch, holder)
    if seen.state == "pinentry":
        rig.operator.pin(holder.pin)
        seen = watch.state("codeentry", "scanning", *OVER)
    if seen.state == "codeentry":
        rig.operator.code(holder.device.code())
    elif seen.state == "scanning":
        rig.operator.place(holder.person)
    else:
        return seen
    seen = watch.state("choosing", "open", *OVER)
    if seen.state == "choosing":
        rig.operator.choose(project or seen.projects[0].project)
        seen = watch.state("open", *OVER)
    return seen


def leave(rig: Hands, watch: Watch) -> View:
    """Card out, until the box is idle again; how it ended."""
    rig.operator.remove()
    ended = watch.state("spent", "broken")
    watch.state("idle")
    return ended


def leave_spent(rig: Hands, watch: Watch) -> None:
    """Take out a card whose session is over, until the box is idle again."""
    rig.operator.remove()
    watch.state("idle")


def ready(view: View) -> bool:
    """A card that goes in now begins a session (the end of the last one may still be on show)."""
    return view.state == "idle" or (view.state, view.code) == ("spent", "card-removed")


def wait_ready(watch: Watch) -> None:
    """Until that is so, if it is not."""
    if not ready(watch.views[-1]):
        watch.until(ready, "readiness")


def residue(rig: Rig) -> list[str]:
    """What a session left up on the box: nothing, after its end."""
    left = [f"link {name}" for name in rig.topology.session.links() - {"lo"}]
    left += [f"link {name}" for name in rig.topology.box.links() - {"lo", "uplink"}]
    if routes := rig.topology.session.show("route show table main").strip():
        left.append(f"route {routes}")
    return left
